"""The recipes, as the tests see them: which there are, and what each is for."""

from pathlib import Path
from typing import Any

import yaml


FOLDER = Path(__file__).parents[2] / "recipes"

# What tells the methods of a model from each other, and nothing else may.
GRPO = {
    "alpha": 0.0,
    "credit": "planning",
    "alpha_below": None,
    "alpha_schedule": "constant",
    "entropy_coef": 0.0,
    "top_entropy_quantile": 1.0,
}
METHODS = {
    "grpo": GRPO,
    "hicra": GRPO | {"alpha": 0.2},
    "entropy": GRPO | {"entropy_coef": 0.001},
    "fork20": GRPO | {"top_entropy_quantile": 0.2},
    "fork30": GRPO | {"top_entropy_quantile": 0.3},
    "random": GRPO | {"alpha": 0.2, "credit": "random"},
    "high_entropy": GRPO | {"alpha": 0.2, "credit": "high_entropy"},
    "execution": GRPO | {"alpha": 0.2, "credit": "execution"},
    "asymmetric": GRPO | {"alpha": 0.2, "credit": "asymmetric", "alpha_below": 0.0},
    "outcome": GRPO | {"alpha": 0.9, "credit": "outcome"},
    "plan": GRPO | {"alpha": 0.9, "credit": "plan"},
    "procedural": GRPO | {"alpha": 0.2, "alpha_schedule": "procedural"},
}
NAMES = {"output_dir", "run_name"}

# By model, the methods that there must be: those of the paper's tables 1 and 2, and what they are to be compared with.
CONTROLS = ("fork20", "fork30", "random", "high_entropy")
# What the paper did not try.
CREDITS = ("execution", "asymmetric", "outcome", "plan", "procedural")
PAPER = {
    "qwen3-4b-instruct-2507": ("grpo", "hicra"),
    "qwen3-4b-nothink": ("grpo", "hicra"),
    "qwen3-4b-base": ("grpo", "hicra", *CONTROLS, *CREDITS),
    "llama-3.1-8b-instruct": ("grpo", "hicra"),
    "qwen2.5-7b": ("grpo", "hicra", "entropy", *CONTROLS),
    "mimo-vl-7b": ("grpo", "hicra"),
    "qwen2.5-vl-7b": ("grpo", "hicra"),
}
ONE_CARD = {
    "qwen3-0.6b": ("grpo", "hicra", "grpo_lora", "hicra_lora", "random", "high_entropy", *CREDITS),
    "qwen3-1.7b": ("grpo_lora", "hicra_lora"),
}
LAPTOP = {
    "smollm2-135m": (
        "grpo",
        "hicra",
        *(f"{method}_lora" for method in ("grpo", "hicra", "random", "high_entropy", *CREDITS)),
    )
}
PLAYGROUND = {
    "playground": ("grpo", "hicra", "entropy", "fork20", "random", "high_entropy", *CREDITS),
    "orders": ("grpo", "hicra"),
}
VISION = ("mimo-vl-7b", "qwen2.5-vl-7b")


def list_recipes(models: dict[str, tuple[str, ...]]) -> list[str]:
    return [f"{model}/{method}" for model, methods in models.items() for method in methods]


# Those of the playground leave to defaults what a run of minutes on a CPU does not show.
COMPLETE = list_recipes(PAPER | ONE_CARD)
ALL = list_recipes(PAPER | ONE_CARD | LAPTOP | PLAYGROUND)


def path(recipe: str) -> Path:
    return FOLDER / f"{recipe}.yaml"


def read(recipe: str) -> dict[str, Any]:
    return yaml.safe_load(path(recipe).read_text())


def credit(recipe: str) -> dict[str, Any]:
    """What the method of a recipe says of the credit."""
    return METHODS[recipe.split("/")[1].removesuffix("_lora")]
