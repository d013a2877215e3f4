"""`hicra train`: trains from a recipe, through `accelerate launch`."""

import logging
import os
import subprocess
import sys
from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Any

import datasets
import yaml
from trl import ModelConfig

from ..grams import StrategicGrams
from ..training.config import HICRAConfig
from ..training.run import RunArguments, check
from .launch import num_processes, split_launch, unknown_to_accelerate
from .parsing import help_text, parse, refuse_unknown, stop


PROG = "hicra train"
PLAYGROUND = "playground"

DESCRIPTION = """Trains a model from a recipe. Every field of the recipe can be overridden on the command line.

  hicra train --config recipes/playground/hicra.yaml
  hicra train --config recipes/playground/hicra.yaml --alpha 0.4 --seed 2 --output_dir runs/mine
  hicra train --config recipe.yaml --accelerate_config zero3 --num_processes 8
  hicra train --config recipe.yaml --dry_run

A recipe takes all fields of RunArguments, HICRAConfig (hence of trl.GRPOConfig) and trl.ModelConfig; those listed
here are the ones to know. Flags of `accelerate launch` are passed on to it. All fields: hicra train --help_all"""

_FIELDS_TO_KNOW = """
alpha strategic_grams pass_threshold output_dir max_steps learning_rate per_device_train_batch_size
gradient_accumulation_steps num_generations max_completion_length temperature loss_type seed save_steps
eval_strategy eval_steps resume_from_checkpoint use_vllm use_peft model_name_or_path push_to_hub
"""


_FIELDS_FOR_LATER = """
dataset_path decontaminate_ngram decontaminate_coverage eval_dataset_split unreadable_golds grader_timeout
grader_workers overlong_buffer overlong_penalty held_out_dataset_split held_out_samples held_out_at_start
"""


@dataclass
class LaunchArguments:
    """
    How to launch.

    Args:
        accelerate_config (`str`, *optional*):
            Path of an Accelerate configuration, or the name of one that TRL ships.
        dry_run (`bool`, *optional*, defaults to `False`):
            Print the plan and stop.
    """

    accelerate_config: str | None = field(
        default=None,
        metadata={"help": "Path of an Accelerate configuration, or a name: single_gpu, multi_gpu, zero2, zero3, ..."},
    )
    dry_run: bool = field(default=False, metadata={"help": "Print the plan and stop."})


def run(argv: list[str]) -> int:
    """Checks the recipe, launches the training and returns its exit status."""
    if not argv or {"-h", "--help", "--help_all"} & set(argv):
        types = (LaunchArguments, RunArguments, HICRAConfig, ModelConfig)
        ours = [f.name for kind in types[:2] for f in fields(kind) if f.name not in _FIELDS_FOR_LATER.split()]
        known = [*ours, *_FIELDS_TO_KNOW.split()]
        print(help_text(PROG, DESCRIPTION, types, None if "--help_all" in argv else known))
        return 0
    argv = [part for argument in argv for part in (argument.split("=", 1) if argument[:2] == "--" else [argument])]
    dry_run = "--dry_run" in argv
    try:
        launch_argv, argv = split_launch([argument for argument in argv if argument != "--dry_run"])
        world_size = num_processes(launch_argv, argv)
    except ValueError as error:
        stop(PROG, error)
    # Batches are checked against the processes that will train, not against this one.
    launched = type("HICRAConfig", (HICRAConfig,), {"world_size": property(lambda self: world_size)})
    run_args, config, model_args, rest = parse((RunArguments, launched, ModelConfig), argv, PROG)
    launch_argv += rest
    refuse_unknown(PROG, unknown_to_accelerate(launch_argv))
    try:
        grams = StrategicGrams.load(config.strategic_grams)
        if model_args.model_name_or_path is None:
            raise ValueError("no model_name_or_path: expected a folder or a model on the Hub")
        if dry_run:
            print(plan(run_args, config, model_args, grams, _given(argv)))
            return 0
        overrides = _materialize_playground(run_args, model_args)
        # What is wrong is said here, in one line; the processes that train then read the data from the cache.
        datasets.disable_progress_bars()
        datasets.logging.set_verbosity(logging.CRITICAL)
        check(run_args, config, model_args, grams)
    except (ValueError, OSError) as error:
        stop(PROG, error)
    script_argv = [*_without(argv, rest), *overrides]
    command = ["-m", "accelerate.commands.launch", *launch_argv, "-m", "hicra_trl.training.run", *script_argv]
    # Otherwise every process warns that forking after the tokenizers ran in parallel may deadlock.
    environment = {"TOKENIZERS_PARALLELISM": "false", **os.environ}
    return subprocess.run([sys.executable, *command], env=environment).returncode


def plan(
    run_args: RunArguments,
    config: HICRAConfig,
    model_args: ModelConfig,
    grams: StrategicGrams,
    given: set[str],
) -> str:
    """What a run would do, for a reader: credit, data, batch, and the settings that were `given`."""
    per_step = config.world_size * config.per_device_train_batch_size * config.gradient_accumulation_steps
    steps = f"{config.max_steps} steps" if config.max_steps > 0 else f"{config.num_train_epochs:g} epochs"
    method = f"HICRA, alpha {config.alpha}" if config.alpha else "GRPO (alpha 0)"
    lines = {
        "model": model_args.model_name_or_path,
        "dataset": f"{' + '.join(run_args.dataset_names)} ({run_args.dataset_split})",
        "rewards": ", ".join(run_args.reward_funcs),
        "credit": f"{method}, {len(grams)} strategic grams ({config.strategic_grams}, {grams.fingerprint})",
        "loss": f"{config.loss_type}, clip {config.epsilon}/{config.epsilon_high}, beta {config.beta}, "
        f"scale_rewards {config.scale_rewards}",
        "length": f"{steps}, learning rate {config.learning_rate}",
        "batch": f"{config.world_size} processes x {config.per_device_train_batch_size} completions x "
        f"{config.gradient_accumulation_steps} accumulation steps = {per_step} completions per step",
        "generation": f"{config.generation_batch_size} completions of "
        f"{config.generation_batch_size // config.num_generations} prompts x "
        f"{config.num_generations}, up to {config.max_completion_length} tokens each: at most "
        f"{config.generation_batch_size * config.max_completion_length:,} tokens",
        "output": config.output_dir + (", pushed to the Hub" if config.push_to_hub else ""),
    }
    if run_args.decontaminate:
        lines["dataset"] += f", without what overlaps with {', '.join(run_args.decontaminate)}"
    if run_args.held_out_dataset_name:
        lines["held out"] = f"pass@k on {run_args.held_out_dataset_name} every {run_args.held_out_steps} steps"
    width = max(map(len, lines))
    body = "\n".join(f"{name:<{width}}  {text}" for name, text in lines.items())
    settings = {name: _plain(value) for args in (run_args, config, model_args) for name, value in vars(args).items()}
    chosen = {name: settings[name] for name in sorted(given & settings.keys())}
    return f"{body}\n\nset by the recipe and the command line:\n{yaml.safe_dump(chosen)}"


def _given(argv: list[str]) -> set[str]:
    """Names of the fields that the recipe and the command line set."""
    flags = {argument.removeprefix("--").replace("-", "_") for argument in argv if argument.startswith("--")}
    if "--config" not in argv:
        return flags
    return flags | yaml.safe_load(Path(argv[argv.index("--config") + 1]).read_text()).keys()


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _without(argv: list[str], taken: list[str]) -> list[str]:
    """`argv` without `taken`, which stands in it in the same order."""
    left, at = [], 0
    for argument in argv:
        if at < len(taken) and argument == taken[at]:
            at += 1
        else:
            left.append(argument)
    return left


def _materialize_playground(run_args: RunArguments, model_args: ModelConfig) -> list[str]:
    """Makes the playground's base model and problems where a recipe names them, and returns their paths as flags."""
    overrides = {}
    if PLAYGROUND in (model_args.model_name_or_path, run_args.dataset_name):
        from ..playground.experiment import prepare

        world = prepare()
        if model_args.model_name_or_path == PLAYGROUND:
            overrides["model_name_or_path"] = model_args.model_name_or_path = str(world.model)
        if run_args.dataset_name == PLAYGROUND:
            overrides["dataset_name"] = run_args.dataset_name = str(world.train)
            if run_args.eval_dataset_name is None:
                overrides["eval_dataset_name"] = run_args.eval_dataset_name = str(world.held_out)
    return [part for name, value in overrides.items() for part in (f"--{name}", value)]
