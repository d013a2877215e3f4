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


def load_inputs(run_args: RunArguments, config: HICRAConfig, only_local: bool = False) -> Inputs:
    """
    Loads what the recipe names, or those of its prompts that lie in files here; raises `ValueError` or `OSError` where
    that cannot be.
    """
    prompts = {}
    if not only_local or _are_local(run_args.dataset_path or run_args.dataset_names, run_args.decontaminate):
        prompts["train"] = drop_unreadable(load_training_prompts(run_args), run_args)
    unseen = {"held_out": (run_args.held_out_dataset_name, run_args.held_out_dataset_split)}
    if config.eval_strategy != "no":
        name, split = run_args.eval_dataset_name, run_args.eval_dataset_split
        if name is None and split is None:
            raise ValueError(
                "eval_strategy is set: expected an eval_dataset_name or an eval_dataset_split, got neither"
            )
        unseen = {"eval": (name or run_args.dataset_name, split), **unseen}
    for role, (name, split) in unseen.items():
        if name is not None and (not only_local or _are_local([name])):
            split = split or ("train" if Path(name).is_file() else "test")
            prompts[role] = load_prompts(name, split, run_args)
    return Inputs(prompts, load_rewards(run_args, config.max_completion_length))


def _are_local(*names: list[str]) -> bool:
    return all(Path(file).is_file() for files in names for file in files)


def data_records(run_args: RunArguments, inputs: Inputs) -> dict[str, Any]:
    """What the manifest says of the prompts of each role."""
    names = {
        "train": run_args.dataset_names,
        "eval": [run_args.eval_dataset_name or run_args.dataset_name],
        "held_out": [run_args.held_out_dataset_name],
    }
    return {role: data_record(rows, names[role]) for role, rows in inputs.prompts.items()}
