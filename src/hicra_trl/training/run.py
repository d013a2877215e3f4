"""One training run from a parsed recipe; every process of `accelerate launch` runs this file."""

import importlib
import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from datasets import Dataset
from httpx import HTTPError
from huggingface_hub import HfApi
from transformers import AutoTokenizer, PrinterCallback, ProgressCallback
from transformers.trainer_utils import get_last_checkpoint
from trl import ModelConfig, TrlParser, get_peft_config, get_quantization_config

from ..grams import PlanningTokenLabeler, StrategicGrams
from ..rewards import BoxedAccuracyReward
from .callbacks import SummaryCallback
from .config import HICRAConfig
from .data import DataArguments, load_prompts
from .trainer import HICRATrainer, check_same_lexicon


REWARDS = {"boxed_accuracy": BoxedAccuracyReward}
CONFIG_FILE = "resolved_config.yaml"
MANIFEST_FILE = "manifest.json"


@dataclass
class RunArguments(DataArguments):
    """
    What a recipe says beside [`HICRAConfig`] and [`~trl.ModelConfig`].

    Args:
        reward_funcs (`list[str]`, *optional*, defaults to `["boxed_accuracy"]`):
            Rewards, summed: `boxed_accuracy`, or the dotted path of any function that TRL takes. The first one judges
            `hicra/pass_at_k`.
    """

    reward_funcs: list[str] = field(
        default_factory=lambda: ["boxed_accuracy"],
        metadata={"help": "Rewards, summed: 'boxed_accuracy', or the dotted path of a function that TRL takes."},
    )


def load_reward(name: str) -> Callable:
    """The reward function of a name or a dotted path, such as `my_package.rewards.brevity`."""
    if name in REWARDS:
        return REWARDS[name]()
    module, _, function = name.rpartition(".")
    if not module:
        raise ValueError(f"no reward {name!r}: expected {' or '.join(REWARDS)}, or a dotted path")
    sys.path.insert(0, os.getcwd())
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"cannot load the reward {name!r}: {error}") from error
    finally:
        sys.path.pop(0)


def load_data(run_args: RunArguments, config: HICRAConfig) -> dict[str, Any]:
    """Loads what the recipe names, as the trainer's `train_dataset`, `eval_dataset` and `reward_funcs`."""
    if run_args.dataset_name is None:
        raise ValueError("no dataset_name: expected a .jsonl or .parquet file or a dataset on the Hub")
    return {
        "train_dataset": load_prompts(run_args.dataset_name, run_args.dataset_split, run_args),
        "eval_dataset": None if config.eval_strategy == "no" else _load_eval_prompts(run_args),
        "reward_funcs": [load_reward(name) for name in run_args.reward_funcs],
    }


def _load_eval_prompts(run_args: RunArguments) -> Dataset:
    if run_args.eval_dataset_name is None and run_args.eval_dataset_split is None:
        raise ValueError("eval_strategy is set: expected an eval_dataset_name or an eval_dataset_split, got neither")
    name = run_args.eval_dataset_name or run_args.dataset_name
    split = run_args.eval_dataset_split or ("train" if Path(name).is_file() else "test")
    return load_prompts(name, split, run_args)


def build_trainer(run_args: RunArguments, config: HICRAConfig, model_args: ModelConfig) -> HICRATrainer:
    """The trainer that a recipe describes."""
    config.model_init_kwargs = {
        "revision": model_args.model_revision,
        "trust_remote_code": config.trust_remote_code,
        "attn_implementation": model_args.attn_implementation,
        "dtype": model_args.dtype,
        **(config.model_init_kwargs or {}),
    }
    trainer = HICRATrainer(
        model=model_args.model_name_or_path,
        args=config,
        quantization_config=get_quantization_config(model_args),
        peft_config=get_peft_config(model_args),
        **load_data(run_args, config),
    )
    for callback in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(callback)
    trainer.add_callback(SummaryCallback)
    return trainer


def resume_point(config: HICRAConfig) -> str | None:
    """Checkpoint to go on from: a path, or the newest in `output_dir` for `resume_from_checkpoint: true`."""
    wanted = config.resume_from_checkpoint
    if wanted is None or str(wanted).lower() == "false":
        return None
    if str(wanted).lower() != "true":
        if not Path(wanted).is_dir():
            raise ValueError(f"nothing to resume: no checkpoint at {wanted}")
        return wanted
    newest = get_last_checkpoint(config.output_dir) if Path(config.output_dir).is_dir() else None
    if newest is None:
        raise ValueError(f"nothing to resume: no checkpoint in {config.output_dir}")
    return newest


def check(run_args: RunArguments, config: HICRAConfig, model_args: ModelConfig, grams: StrategicGrams) -> None:
    """Raises `ValueError` or `OSError` for what would stop the run later: tokenizer, data, rewards, resume, Hub."""
    tokenizer = AutoTokenizer.from_pretrained(
        model_args.model_name_or_path,
        revision=model_args.model_revision,
        trust_remote_code=config.trust_remote_code,
    )
    PlanningTokenLabeler(tokenizer, grams)
    load_data(run_args, config)
    checkpoint = resume_point(config)
    if checkpoint is not None:
        check_same_lexicon(checkpoint, grams)
    # Last: it makes the repository, which nothing else that is wrong shall leave behind.
    if config.push_to_hub:
        check_repository(config)


def check_repository(config: HICRAConfig) -> None:
    """Makes the repository that the trainer will make; raises `ValueError` where the Hub refuses."""
    repo_id = config.hub_model_id or Path(config.output_dir).absolute().name
    try:
        HfApi(token=config.hub_token).create_repo(repo_id, private=config.hub_private_repo, exist_ok=True)
    except (HTTPError, OSError) as error:
        raise ValueError(f"cannot push to {repo_id!r}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def write_record(run_args: RunArguments, config: HICRAConfig, model_args: ModelConfig, grams: StrategicGrams) -> None:
    """Writes the resolved recipe and a manifest of versions and seeds into `output_dir`."""
    folder = Path(config.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    resolved = {**asdict(run_args), **asdict(model_args), **config.to_dict()}
    (folder / CONFIG_FILE).write_text(yaml.safe_dump(json.loads(json.dumps(resolved, default=str)), sort_keys=True))
    manifest = {
        "seed": config.seed,
        "data_seed": config.data_seed,
        "lexicon": {
            "source": config.strategic_grams,
            "revision": None if Path(config.strategic_grams).exists() else grams.revision,
            "fingerprint": grams.fingerprint,
            "size": len(grams),
        },
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("hicra-trl", "trl", "transformers", "accelerate", "torch")},
    }
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n")


def push(trainer: HICRATrainer) -> None:
    """Pushes what is saved to the Hub; where that fails, exits with one line that says so."""
    try:
        trainer.push_to_hub()
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        raise SystemExit(
            f"hicra train: the push to the Hub failed ({_reason(error)}); the trained model is complete in "
            f"{trainer.args.output_dir}, and 'hf upload' publishes it from there"
        ) from error


def main() -> None:
    """Parses the recipe and the overrides of the command line, trains and saves."""
    run_args, config, model_args = TrlParser((RunArguments, HICRAConfig, ModelConfig)).parse_args_and_config()
    if config.hub_token:
        # Trainer pickles its arguments into training_args.bin, and pushes that.
        os.environ["HF_TOKEN"], config.hub_token = config.hub_token, None
    trainer = build_trainer(run_args, config, model_args)
    if trainer.accelerator.is_main_process:
        write_record(run_args, config, model_args, trainer.labeler.grams)
    trainer.train(resume_from_checkpoint=resume_point(config))
    # Called by the user, this pushes before the rest is saved.
    trainer.save_model(config.output_dir, _internal_call=True)
    trainer.save_state()
    trainer.create_model_card()
    trainer.accelerator.print(f"Model, metrics and completions are in {config.output_dir}")
    if config.push_to_hub:
        push(trainer)


if __name__ == "__main__":
    main()
