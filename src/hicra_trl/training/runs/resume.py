"""`hicra train --resume RUN`: all that a run needs to go on is in its folder."""

from pathlib import Path
from typing import Any

import yaml

from ...disk import is_unchanged
from ...terminal import say
from .checkpoints import newest_checkpoint, step_of
from .files import CONFIG_FILE, LEXICON_FOLDER
from .manifest import is_running, read_manifest


# What changes neither what is learned from nor how: length, place, memory, and what is left behind.
CHANGEABLE = (
    "max_steps", "num_train_epochs", "max_grad_norm",
    "accelerate_config", "ddp_timeout", "dataset_path", "dataloader_num_workers", "grader_workers", "grader_timeout",
    "per_device_train_batch_size", "gradient_accumulation_steps", "gradient_checkpointing",
    "vllm_gpu_memory_utilization", "vllm_enable_sleep_mode", "vllm_server_base_url", "vllm_server_host",
    "vllm_server_port", "vllm_server_timeout",
    "save_steps", "save_total_limit", "token_record", "token_record_groups", "log_completions",
    "num_completions_to_print", "disable_tqdm", "report_to", "run_name", "push_to_hub", "hub_model_id", "hub_strategy",
    "hub_private_repo", "hub_token",
)  # fmt: skip


def resume_arguments(run: str | Path, overrides: list[str], known: set[str]) -> list[str]:
    """
    Arguments of `hicra train` by which a run goes on.

    Args:
        run (`str` or `Path`):
            Its folder.
        overrides (`list[str]`):
            Arguments beside `--resume`.
        known (`set[str]`):
            Fields that recipes have.

    Returns:
        `list[str]`: recipe, checkpoint, commit of the model, flags of the launcher, and the overrides.

    Raises:
        `ValueError`: if there is no such run, if it still runs or is complete, if its recipe has other fields, or if
            an override would make it another run.
    """
    folder = Path(run)
    manifest = read_manifest(folder)
    recipe = yaml.safe_load((folder / CONFIG_FILE).read_text())
    changes = _values(overrides)
    last_start = [manifest, *manifest["resumed"]][-1]
    if is_running(last_start["process"]):
        raise ValueError(
            f"{run} is still being trained, by process {last_start['process']['id']}: it goes on by itself"
        )
    if unknown := sorted(recipe.keys() - known):
        raise ValueError(
            f"{run} has a recipe with fields that are not known here: {', '.join(unknown)}; it was written by "
            f"{', '.join(f'{name} {version}' for name, version in list(last_start['versions'].items())[:3])}"
        )
    if fixed := sorted((changes.keys() & {*known, "config"}) - {*CHANGEABLE}):
        raise ValueError(
            f"--resume goes on with the run as it is, got --{' --'.join(fixed)}: start another one by 'hicra train "
            f"--config {folder / CONFIG_FILE} --output_dir ...'"
        )
    # A run that began with another one's checkpoint begins with it again.
    checkpoint = _checkpoint(folder, bool(manifest["finished"]), recipe, changes) or manifest["checkpoint"]
    arguments = ["--config", str(folder / CONFIG_FILE), "--output_dir", str(folder)]
    if checkpoint is not None:
        arguments += ["--resume_from_checkpoint", str(checkpoint)]
    if manifest["model"]["commit"] is not None:
        arguments += ["--model_revision", manifest["model"]["commit"]]
    lexicon = manifest["lexicon"]
    if lexicon["revision"] is not None:
        # What a branch of the Hub was when the run began; a branch moves.
        kept = folder / LEXICON_FOLDER
        pinned = f"{lexicon['source'].partition('@')[0]}@{lexicon['revision']}"
        arguments += ["--strategic_grams", str(kept) if kept.is_dir() else pinned]
    return [*arguments, *_without(last_start["flags"], changes), *overrides]


def _checkpoint(folder: Path, is_finished: bool, recipe: dict[str, Any], changes: dict[str, str]) -> Path | None:
    if is_finished and not any(
        float({**recipe, **changes}[name]) > recipe[name] for name in ("max_steps", "num_train_epochs")
    ):
        raise ValueError(f"{folder} is complete: expected a larger --max_steps or --num_train_epochs to go on")
    checkpoint = newest_checkpoint(folder)
    if checkpoint is not None:
        say(f"resuming {folder} after step {step_of(checkpoint)}")
    elif is_finished:
        raise ValueError(f"{folder} is complete and left no checkpoint to go on from")
    else:
        say(f"{folder} has no complete checkpoint: it begins again")
    return checkpoint


def check_same_run(manifest: dict[str, Any], found: dict[str, Any]) -> None:
    """
    Raises `ValueError` if a run cannot go on with what is there now.

    Args:
        manifest (`dict[str, Any]`):
            Of the run.
        found (`dict[str, Any]`):
            `batch`, `model` and `data` as the manifest has them, now.
    """
    for name, before in manifest["batch"].items():
        if found["batch"][name] != before:
            raise ValueError(f"the run has {name} {before}, got {found['batch'][name]}: keep it to go on")
    before, now = manifest["model"], found["model"]
    is_folder = before["fingerprint"] and now["fingerprint"]
    is_same = before["fingerprint"] == now["fingerprint"]
    if not is_same and not (is_folder and is_unchanged(now["name"], before["fingerprint"])):
        raise ValueError(
            f"the model in {now['name']} has changed since the run began: expected fingerprint "
            f"{before['fingerprint']}, got {now['fingerprint']}"
        )
    for role, before in manifest["data"].items():
        now = found["data"][role]
        if before["fingerprint"] != now["fingerprint"]:
            raise ValueError(
                f"{' + '.join(before['source'])} ({role}) has changed since the run began: expected {before['rows']} "
                f"rows with fingerprint {before['fingerprint']}, got {now['rows']} with {now['fingerprint']}"
            )


def _values(argv: list[str]) -> dict[str, str]:
    """Flags by name, with the first of their values."""
    return {
        flag.removeprefix("--").replace("-", "_"): value
        for flag, value in zip(argv, [*argv[1:], ""])
        if flag.startswith("--")
    }


def _without(flags: list[str], names: dict[str, str]) -> list[str]:
    """The flags whose name is not among `names`, with their values."""
    kept, is_kept = [], True
    for part in flags:
        if part.startswith("--"):
            is_kept = part.removeprefix("--").replace("-", "_") not in names
        kept += [part] if is_kept else []
    return kept
