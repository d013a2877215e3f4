"""Every recipe trains two steps, on the CPU, with all of its fields but those that tiny models and data replace."""

import math

import pytest
import torch
from trl import ModelConfig

from hicra_trl.cli.parsing import parse
from hicra_trl.training import HICRAConfig
from hicra_trl.training.arguments import RunArguments
from hicra_trl.training.inputs import load_inputs
from hicra_trl.training.run import build_trainer

from .catalog import ALL, LAPTOP, ONE_CARD, VISION, path, read
from .conftest import BENCHMARK


# What takes the place of a recipe's own, for models of two layers on a CPU, and nothing else does.
ALWAYS = {"max_steps": 2, "num_generations": 4, "max_completion_length": 16, "logging_steps": 1, "learning_rate": 1e-3}
COMPLETE = ALWAYS | {
    "use_vllm": False,
    "generation_batch_size": 16,
    "completions_per_step": 4,
    "per_device_train_batch_size": 4,
}
PAPER = COMPLETE | {"extended_completion_length": 24}
PLAYGROUND = ALWAYS | {"per_device_train_batch_size": 8, "per_device_eval_batch_size": 4, "eval_steps": 2}
SUMS = ALWAYS | {
    "per_device_train_batch_size": 8,
    "steps_per_generation": 1,
    "gradient_accumulation_steps": 1,
    "held_out_steps": 2,
    "save_steps": 2,
    "token_record": 1,
}
# Such a model answers nothing right: a second reward gives it something to learn from.
REWARD = "recipes.rewards.vowel_share"
# What the parsed recipe says in other words.
REWORDED = {"bf16", "report_to", "lora_target_modules"}


@pytest.fixture(scope="module")
def models(model_folder, chat_model, vision_model):
    return {"text": model_folder, "chat": chat_model, "vision": vision_model}


def swaps(recipe, data, models, lexicon, folder):
    """By field, what takes the place of the recipe's."""
    model, given = recipe.split("/")[0], read(recipe)
    form = given.get("prompt_format", "text")
    shared = {
        "model_name_or_path": models["vision" if model in VISION else "chat" if model in LAPTOP else form],
        "reward_funcs": [*given["reward_funcs"], REWARD],
        "strategic_grams": lexicon,
        "output_dir": folder,
    }
    if model in ("playground", "orders"):
        problems = data / "countdown.jsonl"
        return PLAYGROUND | shared | {"dataset_name": problems, "eval_dataset_name": problems}
    if model in LAPTOP:
        problems = data / "sums.jsonl"
        return SUMS | shared | {"dataset_name": problems, "held_out_dataset_name": problems}
    if model in ONE_CARD:
        return COMPLETE | shared | {"dataset_path": [data / "gsm8k"], "held_out_dataset_split": "test[:2]"}
    shared["decontaminate"] = [data / "benchmark.jsonl"]
    if model in VISION:
        splits = {"dataset_split": "train[2:]", "eval_dataset_split": "train[:2]", "eval_steps": 2}
        return PAPER | shared | {"dataset_path": [data / "virl39k"]} | splits
    held_out = {"held_out_dataset_name": data / "held_out.jsonl", "held_out_dataset_split": "train"}
    return PAPER | shared | {"dataset_path": [data / "dapo", data / "deepscaler.json"]} | held_out


def as_flags(values):
    flags = []
    for name, value in values.items():
        flags += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return flags


@pytest.mark.parametrize("recipe", ALL)
def test_a_recipe_trains(recipe, data, models, lexicon_file, tmp_path):
    swapped = swaps(recipe, data, models, lexicon_file, tmp_path)
    argv = ["--config", str(path(recipe)), *as_flags(swapped), "--use_cpu", "true", "--disable_tqdm", "true"]
    *parsed, unknown = parse((RunArguments, HICRAConfig, ModelConfig), argv, "hicra train")
    assert unknown == []
    given, method = read(recipe), recipe.split("/")[1]
    settings = {name: value for arguments in parsed for name, value in vars(arguments).items()}
    kept = given.keys() - swapped.keys() - REWORDED
    assert {name: settings[name] for name in kept} == {name: given[name] for name in kept}

    trainer = build_trainer(*parsed, load_inputs(*parsed[:2]))
    asked = [turns if isinstance(turns, str) else turns[0]["content"] for turns in trainer.train_dataset["prompt"]]
    assert asked and not any(BENCHMARK[0] in text for text in asked if given.get("decontaminate"))
    before = {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}
    trainer.train()

    trained = {name for name, weight in trainer.model.named_parameters() if not torch.equal(weight, before[name])}
    assert trained and all(("lora" in name) == given.get("use_peft", False) for name in trained)
    steps = [log for log in trainer.state.log_history if "loss" in log]
    assert [log["step"] for log in steps] == [1, 2]
    assert all(math.isfinite(log["loss"]) for log in steps)
    # Both steps use what was generated for the first.
    assert steps[0]["hicra/planning_fraction"] > 0
    assert ("hicra/credit_overlap" in steps[0]) == (
        method.removesuffix("_lora") in ("random", "high_entropy", "execution")
    )
    assert all(("entropy_coef" in log) == (method == "entropy") for log in steps)
    measure = "eval_reward" if given["eval_strategy"] == "steps" else "held_out/pass_at_1"
    assert any(log["step"] == 2 and measure in log for log in trainer.state.log_history)
    saved = tmp_path / "checkpoint-2" / "hicra_state.json"
    assert saved.is_file() == (given["save_strategy"] == "steps")
