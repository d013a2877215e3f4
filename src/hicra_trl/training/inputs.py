"""What the trainer is given: prompts, held-out problems, reward functions."""

from pathlib import Path
from typing import Any

from datasets import Dataset

from ..data.prompts import load_prompts, load_training_prompts
from .arguments import RunArguments
from .config import HICRAConfig
from .rewards import drop_unreadable, load_rewards
from .runs.provenance import data_record


def load_data(run_args: RunArguments, config: HICRAConfig) -> dict[str, Any]:
    """Loads what the recipe names, as the trainer's `train_dataset`, `eval_dataset` and `reward_funcs`."""
    prompts = load_training_prompts(run_args)
    return {
        "train_dataset": drop_unreadable(prompts, run_args),
        "eval_dataset": None if config.eval_strategy == "no" else _load_eval_prompts(run_args),
        "reward_funcs": load_rewards(run_args, config.max_completion_length),
    }


def _load_eval_prompts(run_args: RunArguments) -> Dataset:
    if run_args.eval_dataset_name is None and run_args.eval_dataset_split is None:
        raise ValueError("eval_strategy is set: expected an eval_dataset_name or an eval_dataset_split, got neither")
    return _load_unseen(run_args.eval_dataset_name or run_args.dataset_name, run_args.eval_dataset_split, run_args)


def load_held_out(run_args: RunArguments) -> Dataset | None:
    """The problems of `held_out_dataset_name`, if there is one."""
    if run_args.held_out_dataset_name is None:
        return None
    return _load_unseen(run_args.held_out_dataset_name, run_args.held_out_dataset_split, run_args)


def _load_unseen(name: str, split: str | None, run_args: RunArguments) -> Dataset:
    return load_prompts(name, split or ("train" if Path(name).is_file() else "test"), run_args)


def data_records(run_args: RunArguments, prompts: dict[str, Dataset | None]) -> dict[str, Any]:
    """What the manifest says of the prompts of each role."""
    names = {
        "train": run_args.dataset_names,
        "eval": [run_args.eval_dataset_name or run_args.dataset_name],
        "held_out": [run_args.held_out_dataset_name],
    }
    return {role: data_record(rows, names[role]) for role, rows in prompts.items() if rows is not None}
