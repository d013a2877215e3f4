"""What the trainer is given: prompts, held-out problems, reward functions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset

from ..data.prompts import load_prompts, load_training_prompts
from .arguments import RunArguments
from .config import HICRAConfig
from .rewards import drop_unreadable, load_rewards
from .runs.provenance import data_record


@dataclass(frozen=True)
class Inputs:
    """
    What a recipe names, loaded.

    Args:
        prompts (`dict[str, Dataset]`):
            By role: `train`, and `eval` and `held_out` where the recipe has them.
        reward_funcs (`list`):
            Reward functions.
    """

    prompts: dict[str, Dataset]
    reward_funcs: list[Any]


def load_inputs(run_args: RunArguments, config: HICRAConfig) -> Inputs:
    """Loads what the recipe names; raises `ValueError` or `OSError` where that cannot be."""
    prompts = {"train": training_prompts(run_args)}
    if config.eval_strategy != "no":
        name, split = run_args.eval_dataset_name, run_args.eval_dataset_split
        if name is None and split is None:
            raise ValueError(
                "eval_strategy is set: expected an eval_dataset_name or an eval_dataset_split, got neither"
            )
        prompts["eval"] = _load_unseen(name or run_args.dataset_names[0], split, run_args)
    if run_args.held_out_dataset_name is not None:
        split = run_args.held_out_dataset_split
        prompts["held_out"] = _load_unseen(run_args.held_out_dataset_name, split, run_args)
    return Inputs(prompts, load_rewards(run_args, config.max_completion_length))


def training_prompts(run_args: RunArguments) -> Dataset:
    """The prompts to train on."""
    return drop_unreadable(load_training_prompts(run_args), run_args)


def local_prompts(run_args: RunArguments) -> Dataset | None:
    """The prompts to train on, where all that they are made of lies in files here."""
    files = [*(run_args.dataset_path or run_args.dataset_names), *run_args.decontaminate]
    return training_prompts(run_args) if files and all(Path(file).is_file() for file in files) else None


def _load_unseen(name: str, split: str | None, run_args: RunArguments) -> Dataset:
    return load_prompts(name, split or ("train" if Path(name).is_file() else "test"), run_args)


def data_records(run_args: RunArguments, inputs: Inputs) -> dict[str, Any]:
    """What the manifest says of the prompts of each role."""
    names = {
        "train": run_args.dataset_names,
        "eval": [run_args.eval_dataset_name or run_args.dataset_name],
        "held_out": [run_args.held_out_dataset_name],
    }
    return {role: data_record(rows, names[role]) for role, rows in inputs.prompts.items()}
