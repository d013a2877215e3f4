"""One training run from a parsed recipe; every process of `accelerate launch` runs this file."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerate import PartialState
from datasets import Dataset
from httpx import HTTPError
from huggingface_hub import HfApi
from transformers import AutoTokenizer, PrinterCallback, ProgressCallback
from trl import ModelConfig, TrlParser, get_peft_config, get_quantization_config

from ..data.prompts import DataArguments, load_prompts, load_training_prompts
from ..grams import PlanningTokenLabeler, StrategicGrams
from .callbacks import ProblemCallback, SummaryCallback
from .config import HICRAConfig
from .held_out import PassAtKCallback
from .rewards import RewardArguments, check_golds, drop_unreadable, load_rewards
from .runs.checkpoints import check_save_steps, is_own, resume_point
from .runs.failures import NamedFailure, StepCallback
from .runs.launch import check_launch, leave_cpu_ranks, prepare_cpu_ranks
from .runs.manifest import MANIFEST_FILE, batch_record, mark_finished, read_manifest, resolved_recipe, write_record
from .runs.provenance import data_record, model_record
from .runs.resume import check_same_run
from .trainer import HICRATrainer, check_same_lexicon
from .upstream.vision import check_images


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
        accelerate_config (`str`, *optional*):
            On what to run: the name of a shipped Accelerate configuration, such as `"zero3"`, or the path of another.
            Defaults to this machine's.
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
    accelerate_config: str | None = field(
        default=None,
        metadata={"help": "On what to run: a shipped Accelerate configuration (ddp, zero3, ...) or a path."},
    )


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
    peft_config = get_peft_config(model_args)
    if peft_config is not None:
        # PEFT records it, and loads the base of this revision again.
        peft_config.revision = model_args.model_revision
    trainer = HICRATrainer(
        model=model_args.model_name_or_path,
        args=config,
        quantization_config=get_quantization_config(model_args),
        peft_config=peft_config,
        **load_data(run_args, config),
    )
    for callback in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(callback)
    trainer.add_callback(SummaryCallback)
    trainer.add_callback(ProblemCallback)
    trainer.add_callback(StepCallback)
    problems = load_held_out(run_args)
    if problems is not None:
        steps, samples = run_args.held_out_steps, run_args.held_out_samples
        trainer.add_callback(PassAtKCallback(trainer, problems, steps, samples, run_args.held_out_at_start))
    return trainer


def check(run_args: RunArguments, config: HICRAConfig, model_args: ModelConfig, grams: StrategicGrams) -> Path | None:
    """
    Checks what would stop the run later: tokenizer, data, rewards, checkpoints, Hub.

    Args:
        run_args ([`RunArguments`]):
            Data and rewards.
        config ([`HICRAConfig`]):
            Algorithm and training.
        model_args ([`~trl.ModelConfig`]):
            Model.
        grams ([`~hicra_trl.grams.StrategicGrams`]):
            Lexicon.

    Returns:
        `Path`, *optional*: the checkpoint that the run goes on from.

    Raises:
        `ValueError` or `OSError`: for what is wrong.
    """
    tokenizer = AutoTokenizer.from_pretrained(
        model_args.model_name_or_path,
        revision=model_args.model_revision,
        trust_remote_code=config.trust_remote_code,
    )
    PlanningTokenLabeler(tokenizer, grams)
    check_save_steps(config)
    checkpoint = resume_point(config)
    data = load_data(run_args, config)
    prompts = {"train": data["train_dataset"], "eval": data["eval_dataset"], "held_out": load_held_out(run_args)}
    for rows in prompts.values():
        if rows is not None:
            check_golds(rows, run_args)
            check_images(rows, config.world_size)
    if checkpoint is not None:
        check_same_lexicon(checkpoint, grams)
        if Path(checkpoint.parent, MANIFEST_FILE).is_file() and is_own(checkpoint, config):
            manifest = read_manifest(checkpoint.parent)
            found = {
                "batch": batch_record(config),
                "model": model_record(model_args.model_name_or_path, manifest["model"]["commit"]),
                "data": data_records(run_args, prompts),
            }
            check_same_run(manifest, found)
    # Last: it makes the repository, which nothing else that is wrong shall leave behind.
    if config.push_to_hub:
        check_repository(config)
    return checkpoint


def data_records(run_args: RunArguments, prompts: dict[str, Dataset | None]) -> dict[str, Any]:
    """What the manifest says of the prompts of each role."""
    names = {
        "train": run_args.dataset_names,
        "eval": [run_args.eval_dataset_name or run_args.dataset_name],
        "held_out": [run_args.held_out_dataset_name],
    }
    return {role: data_record(rows, names[role]) for role, rows in prompts.items() if rows is not None}


def check_repository(config: HICRAConfig) -> None:
    """Makes the repository that the trainer will make; raises `ValueError` where the Hub refuses."""
    repo_id = config.hub_model_id or Path(config.output_dir).absolute().name
    try:
        HfApi(token=config.hub_token).create_repo(repo_id, private=config.hub_private_repo, exist_ok=True)
    except (HTTPError, OSError) as error:
        raise ValueError(f"cannot push to {repo_id!r}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


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
    # Now: the trainer completes its configuration.
    recipe = resolved_recipe(run_args, config, model_args)
    check_save_steps(config)
    checkpoint = resume_point(config)
    prepare_cpu_ranks(PartialState())
    trainer = build_trainer(run_args, config, model_args)
    with NamedFailure(trainer):
        check_launch(trainer.accelerator)
    if trainer.accelerator.is_main_process:
        prompts = {"train": trainer.train_dataset, "eval": trainer.eval_dataset, "held_out": load_held_out(run_args)}
        model = model_record(model_args.model_name_or_path, trainer.model.config._commit_hash)
        write_record(recipe, config, trainer.labeler.grams, model, data_records(run_args, prompts), checkpoint)
    with NamedFailure(trainer):
        trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
        # Called by the user, this pushes before the rest is saved.
        trainer.save_model(config.output_dir, _internal_call=True)
        trainer.save_state()
        name = config.hub_model_id or Path(config.output_dir).absolute().name
        trainer.create_model_card(model_name=name.split("/")[-1])
    if trainer.accelerator.is_main_process:
        mark_finished(config.output_dir)
    trainer.accelerator.print(f"Model, metrics and completions are in {config.output_dir}")
    if config.push_to_hub:
        push(trainer)
    # A colocated engine takes down its shared memory and all process groups when the interpreter ends.
    if not (config.use_vllm and config.vllm_mode == "colocate"):
        trainer.accelerator.end_training()
        leave_cpu_ranks(trainer.accelerator.state)


if __name__ == "__main__":
    main()
