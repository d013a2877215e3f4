"""`hicra train`: trains from a recipe, through `accelerate launch`."""

import logging
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path

import datasets
import yaml
from trl import ModelConfig

from ..grams import StrategicGrams
from ..training.arguments import RunArguments
from ..training.config import HICRAConfig
from ..training.dry_run.dry_run import plan
from ..training.preflight import check
from ..training.runs.failures import STATUS_VARIABLE, last_line
from ..training.runs.launch import check_checkpoint, launch_environment
from ..training.runs.manifest import is_finished, launch_record, read_manifest
from ..training.runs.resume import resume_arguments
from .launch import FLAG, check_machines, read_launch, split_launch, unknown_to_accelerate
from .parsing import help_text, parse, refuse_unknown, stop


PROG = "hicra train"
RESUME = "--resume"
PLAYGROUND = "playground"

DESCRIPTION = """Trains a model from a recipe. Every field of the recipe can be overridden on the command line.

  hicra train --config recipes/playground/hicra.yaml
  hicra train --config recipes/playground/hicra.yaml --alpha 0.4 --seed 2 --output_dir runs/mine
  hicra train --config recipe.yaml --accelerate_config zero3 --num_processes 8
  hicra train --config recipe.yaml --dry_run
  hicra train --resume runs/mine

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
        resume (`str`, *optional*):
            Folder of a run to go on with, from its newest whole checkpoint, instead of a recipe.
        dry_run (`bool`, *optional*, defaults to `False`):
            Print the plan and stop.
    """

    resume: str | None = None
    dry_run: bool = False


def run(argv: list[str]) -> int:
    """Checks the recipe, launches the training and returns its exit status."""
    if not argv or {"-h", "--help", "--help_all"} & set(argv):
        types = (LaunchArguments, RunArguments, HICRAConfig, ModelConfig)
        ours = [f.name for kind in types[:2] for f in fields(kind) if f.name not in _FIELDS_FOR_LATER.split()]
        known = [*ours, *_FIELDS_TO_KNOW.split()]
        print(help_text(PROG, DESCRIPTION, types, None if "--help_all" in argv else known))
        return 0
    argv = [part for argument in argv for part in (argument.split("=", 1) if argument[:2] == "--" else [argument])]
    # As it was typed: it goes into the manifest.
    command = ["hicra", "train", *argv]
    dry_run, argv = "--dry_run" in argv, [argument for argument in argv if argument != "--dry_run"]
    try:
        is_resumed, argv = _resume(argv)
        named = _accelerate_config(argv)
        launch_argv, argv = split_launch(argv)
        launch = read_launch(launch_argv, argv)
    except (ValueError, OSError) as error:
        stop(PROG, error)
    # Batches are checked against the processes that will train, not against this one.
    launched = type("HICRAConfig", (HICRAConfig,), {"world_size": property(lambda self: launch.num_processes)})
    run_args, config, model_args, rest = parse((RunArguments, launched, ModelConfig), [*argv, *named], PROG)
    accelerate_file = Path(launch_argv[1]) if "--config_file" in launch_argv else None
    launch_argv += rest
    refuse_unknown(PROG, unknown_to_accelerate(launch_argv))
    try:
        grams = StrategicGrams.load(config.strategic_grams)
        if model_args.model_name_or_path is None:
            raise ValueError("no model_name_or_path: expected a folder or a model on the Hub")
        if dry_run:
            print(plan(run_args, config, model_args, grams, _given([*argv, *named]), launch))
            return 0
        check_machines(launch, launch_argv, argv)
        overrides = _materialize_playground(run_args, model_args)
        # What is wrong is said here, in one line; the processes that train then read the data from the cache.
        datasets.disable_progress_bars()
        datasets.logging.set_verbosity(logging.CRITICAL)
        checkpoint = check(run_args, config, model_args, grams)
        if checkpoint is not None:
            check_checkpoint(checkpoint, launch)
    except (ValueError, OSError) as error:
        stop(PROG, error)
    if checkpoint is not None:
        overrides += ["--resume_from_checkpoint", str(checkpoint)]
    script_argv = [*_without(argv, rest), *named, *overrides]
    launcher = ["-m", "accelerate.commands.launch", *launch_argv, "-m", "hicra_trl.training.run", *script_argv]
    with tempfile.TemporaryDirectory() as status:
        environment = {
            # Otherwise every process warns that forking after the tokenizers ran in parallel may deadlock.
            "TOKENIZERS_PARALLELISM": "false",
            **os.environ,
            **launch_environment(launch),
            **launch_record(command, rest, accelerate_file, is_resumed),
            STATUS_VARIABLE: status,
        }
        exit_status = subprocess.run([sys.executable, *launcher], env=environment).returncode
        if exit_status != 0 and not is_finished(config.output_dir):
            print(f"{PROG}: {last_line(Path(status), config.output_dir, exit_status)}", file=sys.stderr)
    return exit_status


def _resume(argv: list[str]) -> tuple[bool, list[str]]:
    """Puts the arguments of the run that `--resume` names in its place, in the folder where that run began."""
    if RESUME not in argv:
        return False, argv
    at = argv.index(RESUME)
    if at + 1 == len(argv):
        raise ValueError(f"{RESUME} needs the folder of a run")
    run, overrides = Path(argv[at + 1]), argv[:at] + argv[at + 2 :]
    # Paths in its recipe, and modules with its rewards, are found from where it began.
    began = Path(read_manifest(run)["folder"])
    if began.is_dir() and began != Path.cwd():
        run = run.resolve()
        os.chdir(began)
    known = {f.name for kind in (RunArguments, HICRAConfig, ModelConfig) for f in fields(kind)}
    return True, resume_arguments(run, overrides, known)


def _accelerate_config(argv: list[str]) -> list[str]:
    """The flag that names the Accelerate configuration, which is a field of the recipe too."""
    at = argv.index(FLAG) if FLAG in argv else len(argv)
    return argv[at : at + 2]


def _given(argv: list[str]) -> set[str]:
    """Names of the fields that the recipe and the command line set."""
    flags = {argument.removeprefix("--").replace("-", "_") for argument in argv if argument.startswith("--")}
    if "--config" not in argv:
        return flags
    return flags | yaml.safe_load(Path(argv[argv.index("--config") + 1]).read_text()).keys()


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
