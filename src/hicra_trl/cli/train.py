"""`hicra train`: trains from a recipe, through `accelerate launch`."""

import json
import logging
import os
import sys
import tempfile
from dataclasses import asdict, dataclass, fields, make_dataclass, replace
from pathlib import Path
from typing import Any

import datasets
import yaml
from trl import ModelConfig

from ..fields import Share, check_fields
from ..gguf import commit_of, find_gguf, is_gguf
from ..grams import StrategicGrams
from ..terminal import first_line
from ..training import preflight
from ..training.arguments import RunArguments
from ..training.config import HICRAConfig
from ..training.dry_run.dry_run import plan
from ..training.functions import beside
from ..training.limits import LIMITS
from ..training.runs.failures import STATUS_VARIABLE, last_line
from ..training.runs.launch import Launch, check_checkpoint, launch_environment
from ..training.runs.manifest import is_finished, launch_record, read_manifest, recipe_environment
from ..training.runs.processes import run_processes
from ..training.runs.resume import resume_arguments
from .launch import check_engine, config_file, launch_arguments, launch_flags, read_launch, unknown_to_accelerate
from .parsing import one_line_parser, separated, stop, unknown_arguments, with_recipe_file
from .parsing import parse as parse_fields


PROG = "hicra train"
SUMS = "sums"
WORLDS = ("playground", "orders")

DESCRIPTION = """Trains a model from a recipe. Every field of the recipe can be overridden on the command line.

  hicra train --config recipes/playground/hicra.yaml
  hicra train --config recipes/playground/hicra.yaml --alpha 0.4 --seed 2 --output_dir runs/mine
  hicra train --config recipe.yaml --accelerate_config zero3 --num_processes 8
  hicra train --config recipe.yaml --dry_run
  hicra train --resume runs/mine

A recipe takes all fields of RunArguments, HICRAConfig (hence of trl.GRPOConfig) and trl.ModelConfig; those listed
here are the ones to know. Flags of `accelerate launch` are passed on to it. All fields: hicra train --help_all"""


@dataclass
class LaunchArguments:
    """
    How to launch.

    Args:
        resume (`str`, *optional*):
            Folder of a run to go on with, from its newest whole checkpoint, instead of a recipe.
        dry_run (`bool`, *optional*, defaults to `False`):
            Print the plan and stop.
        planning_fraction (`float`, *optional*, defaults to `0.05`):
            Share of planning tokens that the plan reckons with.
    """

    resume: str | None = None
    dry_run: bool = False
    planning_fraction: Share = 0.05


# The fields alone: what follows from them depends on how many processes are launched, which they say too.
Settings = make_dataclass("Settings", [(f.name, f.type, f) for f in fields(HICRAConfig) if f.init], kw_only=True)


@dataclass(frozen=True)
class Job:
    """
    A training, and how it is launched: what was typed (`command`, of it `flags` for `accelerate launch`, and the names
    of the fields that were `given`), all fields in plain values for the processes that train (`recipe`), the same
    parsed, with what follows from them (`config`), and all that Accelerate is told (`arguments`).
    """

    command: list[str]
    asked: LaunchArguments
    given: set[str]
    recipe: dict[str, Any]
    run_args: RunArguments
    config: HICRAConfig
    model_args: ModelConfig
    flags: list[str]
    arguments: list[str]
    launch: Launch


def run(argv: list[str]) -> int:
    """Checks the recipe, launches the training and returns its exit status."""
    try:
        job = parse(argv)
        ready, grams = check(resolve(job))
        if job.asked.dry_run:
            given = {name: value for name, value in job.recipe.items() if name in job.given}
            expected = job.asked.planning_fraction
            print(plan(job.run_args, job.config, job.model_args, grams, given, job.launch, expected))
            return 0
    except (ValueError, OSError) as error:
        stop(PROG, error)
    return launch(ready)


def parse(argv: list[str], prog: str = PROG) -> Job:
    """What the command line means; raises `ValueError` or `OSError` where it means nothing."""
    argv = separated(argv)
    command = ["hicra", "train", *argv]
    argv = with_recipe_file(argv)
    for flag, value in (("--resume", "the folder of a run"), ("--accelerate_config", "a path or a name")):
        if argv[-1] == flag:
            raise ValueError(f"{flag} needs {value}")
    asked, argv = one_line_parser((LaunchArguments,), prog).parse_args_into_dataclasses(argv, True)
    check_fields(asked)
    if asked.resume is not None:
        argv = _resume(Path(asked.resume), argv)
    run_args, settings, model_args, flags = parse_fields((RunArguments, Settings, ModelConfig), argv, prog)
    if "--config" in argv:
        # Functions of the user's own may lie beside the recipe, wherever it is run from.
        folder = Path(argv[argv.index("--config") + 1]).parent
        settings.credit = beside(settings.credit, folder)
        run_args.reward_funcs = [beside(name, folder) for name in run_args.reward_funcs]
    check_fields(model_args, LIMITS)
    if unknown := unknown_to_accelerate(flags):
        types = (LaunchArguments, RunArguments, Settings, ModelConfig)
        raise ValueError(unknown_arguments(unknown, types, launch_flags()))
    arguments = launch_arguments(run_args.accelerate_config, flags)
    asked_for = read_launch(arguments)
    given = _given(argv)
    if asked_for.use_cpu:
        settings.use_cpu, given = True, given | {"use_cpu"}
    # Plain values, as a recipe has them.
    recipe = json.loads(json.dumps({**asdict(run_args), **vars(settings), **asdict(model_args)}, default=str))
    try:
        config = HICRAConfig.for_processes(asked_for.num_processes, **vars(settings))
    except (TypeError, KeyError, AttributeError, NotImplementedError, RuntimeError, ImportError) as error:
        # What TRL and Transformers find wrong inside of mappings, and with this machine.
        raise ValueError(f"the recipe makes no configuration: {first_line(error)}") from error
    name = model_args.model_name_or_path
    if name is None:
        raise ValueError("no model_name_or_path: expected a folder or a model on the Hub")
    if Path(name, "adapter_config.json").is_file() and not Path(name, "config.json").is_file():
        raise ValueError(f"{name} holds an adapter: expected a model, as 'hicra export' makes it of a LoRA run")
    recipe |= recipe_environment(argv)
    return Job(command, asked, given, recipe, run_args, config, model_args, flags, arguments, asked_for)


def resolve(job: Job) -> Job:
    """The job with the paths of what its names stand for, made where need be, and a GGUF file on the Hub pinned."""
    preflight.check_names(job.run_args, job.config, job.model_args)
    model, data = job.model_args.model_name_or_path, job.run_args.dataset_name
    if is_gguf(str(model)) and not job.asked.dry_run:
        commit = commit_of(find_gguf(str(model), job.model_args.model_revision)) or job.model_args.model_revision
        model_args = replace(job.model_args, model_revision=commit)
        job = replace(job, recipe=job.recipe | {"model_revision": commit}, model_args=model_args)
    held_out, is_dry = job.run_args.held_out_dataset_name, job.asked.dry_run
    paths: dict[str, str] = {}
    for name in sorted({str(model), str(data)}.intersection(WORLDS)):
        from ..playground import worlds
        from ..playground.experiment import Files, prepare

        world = Files.at(Path("runs", name)) if is_dry else prepare(world=worlds.WORLDS[name])
        if model == name:
            paths["model_name_or_path"] = str(world.model)
        if data == name:
            paths["dataset_name"] = str(world.train)
            paths["eval_dataset_name"] = job.run_args.eval_dataset_name or str(world.held_out)
    if SUMS in (data, held_out):
        from ..data.sums import sum_files, write_sums

        train, unseen = sum_files() if is_dry else write_sums()
        files = {"dataset_name": (data, train), "held_out_dataset_name": (held_out, unseen)}
        paths |= {field: str(file) for field, (name, file) in files.items() if name == SUMS}
    run_args = replace(job.run_args, **{name: path for name, path in paths.items() if name != "model_name_or_path"})
    model_args = replace(job.model_args, **{name: path for name, path in paths.items() if name not in vars(run_args)})
    return replace(job, recipe=job.recipe | paths, run_args=run_args, model_args=model_args)


def check(job: Job) -> tuple[Job, StrategicGrams]:
    """Checks what would stop the run later, and finds the checkpoint that it goes on from and the lexicon."""
    is_dry = job.asked.dry_run
    if not is_dry:
        check_engine(job.launch, job.arguments)
    # What is wrong is said here, in one line; the processes that train then read the data from the cache.
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(logging.CRITICAL)
    grams = StrategicGrams.load(job.config.strategic_grams)
    checkpoint = preflight.check(job.run_args, job.config, job.model_args, grams, is_dry)
    if checkpoint is not None:
        check_checkpoint(checkpoint, job.launch)
        job = replace(job, recipe=job.recipe | {"resume_from_checkpoint": str(checkpoint)})
    return job, grams


def launch(job: Job) -> int:
    """Runs the processes that train, says in a last line how they failed, and returns their exit status."""
    name, output_dir = job.run_args.accelerate_config, job.config.output_dir
    assert output_dir is not None
    file = config_file(name) if name else None
    with tempfile.TemporaryDirectory() as status:
        recipe = Path(status, "recipe.yaml")
        recipe.write_text(yaml.safe_dump(job.recipe))
        command = ["-m", "accelerate.commands.launch", *job.arguments, "-m", "hicra_trl.training.run"]
        environment = {
            # Otherwise every process warns that forking after the tokenizers ran in parallel may deadlock.
            "TOKENIZERS_PARALLELISM": "false",
            **os.environ,
            **launch_environment(job.launch),
            **launch_record(job.command, job.flags, file, job.asked.resume is not None),
            STATUS_VARIABLE: status,
        }
        exit_status, ended_by = run_processes([sys.executable, *command, "--config", str(recipe)], environment)
        if exit_status != 0 and not is_finished(output_dir):
            print(f"{PROG}: {last_line(Path(status), output_dir, exit_status, ended_by)}", file=sys.stderr)
        elif ended_by:
            print(f"{PROG}: ended by {ended_by}; the trained model is complete in {output_dir}", file=sys.stderr)
    return exit_status


def _resume(run: Path, overrides: list[str]) -> list[str]:
    """The arguments by which a run goes on, in the folder where it began."""
    # Paths in its recipe, and modules with its rewards, are found from there.
    began = Path(read_manifest(run)["folder"])
    if began.is_dir() and began != Path.cwd():
        overrides = _absolute(overrides)
        run = run.resolve()
        os.chdir(began)
    known = {f.name for kind in (RunArguments, HICRAConfig, ModelConfig) for f in fields(kind)}
    return resume_arguments(run, overrides, known | {"env"})


def _absolute(overrides: list[str]) -> list[str]:
    """Arguments whose paths, relative to where they were typed, hold from any folder."""
    parts, name = [], ""
    for part in overrides:
        if part.startswith("--"):
            name = part.removeprefix("--").replace("-", "_")
        elif (
            name == "dataset_path"
            or name.endswith("_file")
            or (name == "accelerate_config" and (Path(part).suffix or Path(part).exists()))
        ):
            part = str(Path(part).absolute())
        parts.append(part)
    return parts


def _given(argv: list[str]) -> set[str]:
    """Names of the fields that the recipe and the command line set."""
    flags = {argument.removeprefix("--").replace("-", "_") for argument in argv if argument.startswith("--")}
    if "--config" not in argv:
        return flags
    return flags | yaml.safe_load(Path(argv[argv.index("--config") + 1]).read_text()).keys()
