"""What a run leaves so that it can be told apart, repeated and continued: its recipe and a manifest."""

import json
import os
import platform
import shlex
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType
from typing import Any

import psutil
import torch
import yaml
from trl import ModelConfig

from ...disk import read_mapping, write_whole
from ...grams import StrategicGrams
from ..config import HICRAConfig
from .files import CONFIG_FILE, MANIFEST_FILE
from .provenance import code_record, installed_versions


# What the command tells the processes that it launches; see `launch_record`.
RECORD_VARIABLE = "HICRA_RECORD"

_SECRETS = ("TOKEN", "KEY", "SECRET", "PASSWORD")
# TRL derives these, and refuses them beside what it derives them from.
_DERIVED = {
    "steps_per_generation": "generation_batch_size",
    "gradient_accumulation_steps": "completions_per_step",
    # Transformers' newer names of the same; given, they would win over a changed old one.
    "activation_checkpointing": "gradient_checkpointing",
    "activation_checkpointing_kwargs": "gradient_checkpointing",
}


def resolved_recipe(run_args: Any, config: HICRAConfig, model_args: ModelConfig) -> dict[str, Any]:
    """
    Every field of a run, as a recipe that can be read again.

    Returns:
        `dict[str, Any]`: plain values by name, without secrets, without what follows from other fields, and
            without a checkpoint.
    """
    fields = {**asdict(run_args), **asdict(model_args), **config.to_dict()}
    # The manifest tells what a run began or went on with; its recipe is for other runs too.
    left_out = {"resume_from_checkpoint", *(name for name in fields if name.endswith("_token"))}
    derived = {name for name, source in _DERIVED.items() if fields.get(source) is not None}
    kept = {name: value for name, value in fields.items() if name not in left_out | derived}
    return json.loads(json.dumps(kept, default=str))


def recipe_environment(argv: list[str]) -> dict[str, Any]:
    """`env` of the recipe that a command line names, without secrets: TRL sets it, and keeps no field of it."""
    if "--config" not in argv:
        return {}
    recipe = yaml.safe_load(Path(argv[argv.index("--config") + 1]).read_text())
    kept = {name: value for name, value in recipe.get("env", {}).items() if not name.upper().endswith(_SECRETS)}
    return {"env": kept} if kept else {}


def launch_record(
    command: list[str], flags: list[str], accelerate_config: Path | None, resumed: bool
) -> dict[str, str]:
    """
    Environment by which the manifest learns how a run was launched.

    Args:
        command (`list[str]`):
            What the user typed.
        flags (`list[str]`):
            Flags that went on to `accelerate launch`.
        accelerate_config (`Path`, *optional*):
            File of the Accelerate configuration, whose content is recorded.
        resumed (`bool`):
            Whether the run was there before.
    """
    content = yaml.safe_load(accelerate_config.read_text()) if accelerate_config else None
    record = {"command": _shown(command), "flags": flags, "accelerate_config": content, "resumed": resumed}
    return {RECORD_VARIABLE: json.dumps(record)}


def write_record(
    recipe: Mapping[str, Any],
    config: HICRAConfig,
    grams: StrategicGrams,
    model: dict[str, str | None],
    data: dict[str, Any],
    checkpoint: Path | None,
) -> None:
    """
    Writes the recipe and the manifest into `output_dir`. A run that goes on keeps its manifest and adds to `resumed`.

    Args:
        recipe (`Mapping[str, Any]`):
            From [`resolved_recipe`].
        config ([`HICRAConfig`]):
            Configuration of the run.
        grams ([`~hicra_trl.grams.StrategicGrams`]):
            Its lexicon.
        model (`dict[str, str | None]`):
            From [`~hicra_trl.training.runs.provenance.model_record`].
        data (`dict[str, Any]`):
            By role, from [`~hicra_trl.training.runs.provenance.data_record`].
        checkpoint (`Path`, *optional*):
            What the run goes on from.
    """
    folder = Path(config.output_dir)
    start = _start_record()
    goes_on = start.pop("resumed") or (checkpoint is not None and checkpoint.parent.resolve() == folder.resolve())
    if goes_on and (folder / MANIFEST_FILE).is_file():
        manifest = read_manifest(folder)
        before = yaml.safe_load((folder / CONFIG_FILE).read_text())
        changed = {key: [before.get(key), value] for key, value in recipe.items() if before.get(key) != value}
        manifest["resumed"].append({**start, "checkpoint": checkpoint and checkpoint.name, "changed": changed})
        manifest["finished"] = None
    else:
        manifest = {
            **start,
            "finished": None,
            "checkpoint": checkpoint and str(checkpoint),
            "seed": config.seed,
            "data_seed": config.seed_of_data,
            "seed_of_a_process": "seed + index of the process",
            "model": model,
            "data": data,
            "lexicon": {
                "source": config.strategic_grams,
                "revision": None if Path(config.strategic_grams).exists() else grams.revision,
                "fingerprint": grams.fingerprint,
                "size": len(grams),
            },
            "batch": batch_record(config),
            "resumed": [],
        }
    write_whole(folder / CONFIG_FILE, yaml.safe_dump(dict(recipe), sort_keys=True))
    write_whole(folder / MANIFEST_FILE, json.dumps(manifest, indent=2) + "\n")


def read_manifest(run: str | Path) -> dict[str, Any]:
    """The manifest of a run; raises `ValueError` if there is none."""
    file = Path(run, MANIFEST_FILE)
    if not file.is_file():
        raise ValueError(f"no run at {run}: expected a folder with {MANIFEST_FILE}, the output_dir of 'hicra train'")
    return read_mapping(file, finished=(str, NoneType), model=dict, resumed=list)


def is_finished(run: str | Path) -> bool:
    """Whether a run has left its trained model."""
    return Path(run, MANIFEST_FILE).is_file() and read_manifest(run)["finished"] is not None


def mark_finished(run: str | Path) -> None:
    """Notes in the manifest that the trained model is complete."""
    write_whole(Path(run, MANIFEST_FILE), json.dumps({**read_manifest(run), "finished": _now()}, indent=2) + "\n")


def batch_record(config: HICRAConfig) -> dict[str, int]:
    """What has to stay when a run goes on with other processes."""
    at_once = config.world_size * config.per_device_train_batch_size
    return {
        "completions_per_step": at_once * config.gradient_accumulation_steps,
        "generation_batch_size": config.generation_batch_size,
    }


def _start_record() -> dict[str, Any]:
    """When, where and with what this process started."""
    launched = json.loads(os.environ.get(RECORD_VARIABLE, "{}"))
    process = psutil.Process()
    return {
        "started": _now(),
        "command": launched.get("command", _shown(sys.orig_argv)),
        "flags": launched.get("flags", []),
        "accelerate_config": launched.get("accelerate_config"),
        "resumed": launched.get("resumed", False),
        "folder": os.getcwd(),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "process": {"host": socket.gethostname(), "id": process.pid, "created": process.create_time()},
        "code": code_record(),
        "python": platform.python_version(),
        "cuda": torch.version.cuda,
        "devices": sorted({torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())}),
        "versions": installed_versions(),
    }


def is_running(process: Mapping[str, Any]) -> bool:
    """Whether the process of a manifest still runs; what runs on another machine cannot be seen from here."""
    if process["host"] != socket.gethostname():
        return False
    try:
        found = psutil.Process(process["id"])
        # Another process may have got its number, and one that was killed may wait for its parent.
        return abs(found.create_time() - process["created"]) < 1 and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _shown(command: list[str]) -> str:
    """A command line without the secrets in it."""
    return shlex.join("***" if name.endswith("_token") else part for name, part in zip(["", *command], command))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
