"""One training run from a parsed recipe; every process of `accelerate launch` runs this file."""

import json
import os
import platform
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
from .callbacks import ProblemCallback, SummaryCallback
from .config import HICRAConfig
from .data import DataArguments, load_prompts, load_training_prompts
from .held_out import PassAtKCallback
from .reward_functions import RewardArguments, check_golds, drop_unreadable, load_rewards
from .trainer import HICRATrainer, check_same_lexicon


CONFIG_FILE = "resolved_config.yaml"
MANIFEST_FILE = "manifest.json"


@dataclass
class RunArguments(DataArguments, RewardArguments):
    """
    What a recipe says beside [`HICRAConfig`] and [`~trl.ModelConfig`].

    Args:
        held_out_dataset_name (`str`, *optional*):
            Problems to measure pass@k on while training, strictly graded, whatever the rewards; read as
            `dataset_name` is.
        held_out_dataset_split (`str`, *optional*):
            Its split. Defaults to `train` for a file, which has no other, and to `test` on the Hub.
        held_out_steps (`int`, *optional*, defaults to `50`):
            Steps from one measurement to the next.
        held_out_samples (`int`, *optional*, defaults to `4`):
            Completions of each problem.
        held_out_at_start (`bool`, *optional*, defaults to `True`):
            Measure the base too, before the first step.
    """

    held_out_dataset_name: str | None = field(
        default=None, metadata={"help": "Problems to measure pass@k on while training, whatever the rewards."}
    )
    held_out_dataset_split: str | None = field(
        default=None, metadata={"help": "Its split. Default: 'train' for a file, 'test' on the Hub."}
    )
    held_out_steps: int = field(default=50, metadata={"help": "Steps from one held-out measurement to the next."})
    held_out_samples: int = field(default=4, metadata={"help": "Completions of each held-out problem."})
    held_out_at_start: bool = field(default=True, metadata={"help": "Measure the base too, before the first step."})


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
    trainer.add_callback(ProblemCallback)
    problems = load_held_out(run_args)
    if problems is not None:
        steps, samples = run_args.held_out_steps, run_args.held_out_samples
        trainer.add_callback(PassAtKCallback(trainer, problems, steps, samples, run_args.held_out_at_start))
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
    data = load_data(run_args, config)
    for prompts in (data["train_dataset"], data["eval_dataset"], load_held_out(run_args)):
        if prompts is not None:
            check_golds(prompts, run_args)
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
