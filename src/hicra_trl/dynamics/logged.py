"""What a run has logged, as panels of curves; and what the method of a recipe is called in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .curves import Line, Panel


Logs = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Metric:
    """
    What a panel shows of logs.

    Attributes:
        title, unit (`str`):
            Of the panel.
        keys (`Mapping[str, Sequence[str]]`):
            For each kind of line what it may be logged as: that which most logs have counts, of equals the first.
            `{}` in a kind becomes the k of a `pass_at_k`.
    """

    title: str
    unit: str
    keys: Mapping[str, Sequence[str]]


HELD_OUT = ("held_out/pass_at_1", "eval_hicra/pass_at_1")
ACCURACY = Metric("Validation accuracy", "pass@1", {"": HELD_OUT})
LENGTH = Metric("Length", "tokens per completion", {"": ("completions/mean_length",)})
SEMANTIC_ENTROPY = Metric("Semantic entropy", "nats", {"": ("hicra/semantic_entropy",)})
# Of single runs (paper, figures 3 and 13).
DYNAMICS = (
    Metric(
        "Relative perplexity",
        "perplexity / first value",
        {kind: (f"hicra/relative_perplexity/{kind}",) for kind in ("planning", "execution")},
    ),
    Metric("Token entropy", "nats", {kind: (f"hicra/entropy/{kind}",) for kind in ("planning", "execution")}),
    SEMANTIC_ENTROPY,
    Metric("Conditional entropy", "nats", {"": ("hicra/conditional_entropy",)}),
    Metric("Accuracy", "pass@1", {"held out": HELD_OUT, "training": ("hicra/pass_at_1",)}),
    LENGTH,
)


def logged(
    metrics: Sequence[Metric], logs: Mapping[str, Mapping[str, Logs]]
) -> tuple[list[Panel], dict[str, list[tuple[str, str]]]]:
    """
    Panels of what was logged.

    Args:
        metrics (`Sequence[Metric]`):
            One panel each; what no log has is left out.
        logs (`Mapping[str, Mapping[str, Sequence]]`):
            By method and seed.

    Returns:
        `tuple[list[Panel], dict[str, list[tuple[str, str]]]]`: the panels; and the names of what is missing, with the
            methods and seeds that did not log it.
    """
    panels, missing = [], {}
    for metric in metrics:
        lines = []
        for kind, keys in metric.keys.items():
            everything = [log for seeds in logs.values() for log in seeds.values()]
            key = max(keys, key=lambda key: sum(len(series(log, key)[0]) > 0 for log in everything))
            for method, seeds in logs.items():
                found = {seed: series(log, key) for seed, log in seeds.items()}
                present = {seed: points for seed, points in found.items() if len(points[0])}
                if lacking := [(method, seed) for seed in found if seed not in present]:
                    missing.setdefault(key, []).extend(lacking)
                if present:
                    lines.append(Line(method, kind.format(key.rpartition("_")[2]), present))
        if lines:
            panels.append(Panel(metric.title, metric.unit, lines))
    return panels, missing


def method_name(recipe: Mapping[str, Any]) -> str:
    """
    What the credit of a recipe is called.

    Example:

    ```python
    >>> method_name({"alpha": 0.2}), method_name({"alpha": 0.0, "top_entropy_quantile": 0.2})
    ('HICRA', 'GRPO, top 20% entropy')
    ```
    """
    # Runs of before the rules had names have `credit_tokens`.
    rule = recipe.get("credit") or recipe.get("credit_tokens") or "planning"
    rule = rule.rpartition("/")[2].replace("_", "-")
    name = "GRPO" if not recipe["alpha"] else "HICRA" if rule == "planning" else f"{rule} credit"
    if recipe["alpha"] and recipe.get("alpha_schedule", "constant") != "constant":
        name += f", {recipe['alpha_schedule']} alpha"
    if recipe.get("entropy_coef") or recipe.get("use_adaptive_entropy"):
        name += ", entropy regularization"
    share = recipe.get("top_entropy_quantile") or 1
    return name if share == 1 else f"{name}, top {share:.0%} entropy"


def series(logs: Logs, key: str) -> tuple[np.ndarray, np.ndarray]:
    """
    Steps and values of the rows of a log that have `key`; of two rows of a step the later counts.

    Example:

    ```python
    >>> series([{"step": 1, "reward": 0.5}, {"step": 1, "loss": 0.0}, {"step": 2, "reward": None}], "reward")
    (array([1.]), array([0.5]))
    ```
    """
    points = {row["step"]: row[key] for row in logs if isinstance(row.get(key), int | float)}
    return np.array(list(points), dtype=float), np.array(list(points.values()), dtype=float)
