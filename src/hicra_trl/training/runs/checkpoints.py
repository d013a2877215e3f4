"""Checkpoints of a run: which are whole, which is the newest, and after which steps a run can go on exactly."""

import json
import math
from pathlib import Path
from zipfile import is_zipfile

from safetensors import SafetensorError, safe_open
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from ...terminal import say
from ..config import HICRAConfig
from .files import MANIFEST_FILE, missing_state


def checkpoints(run: str | Path) -> list[Path]:
    """The folders `checkpoint-<step>` of a run, newest step first, whole or not."""
    folders = Path(run).glob(f"{PREFIX_CHECKPOINT_DIR}-*")
    found = [folder for folder in folders if folder.is_dir() and folder.name.rpartition("-")[2].isdecimal()]
    return sorted(found, key=step_of, reverse=True)


def step_of(checkpoint: str | Path) -> int:
    """
    The optimiser step that a checkpoint was taken after.

    Example:

    ```python
    >>> step_of("runs/mine/checkpoint-40")
    40
    ```
    """
    return int(Path(checkpoint).name.rpartition("-")[2])


def defect(checkpoint: str | Path) -> str | None:
    """
    What keeps a run from going on from a checkpoint; `None` if it is whole.

    The state of HICRA is the last thing that is written, so a checkpoint without it was being written when the run
    ended. Files that were cut, by a full disk or a copy that stopped, are found by their structure, without reading
    the weights.
    """
    folder = Path(checkpoint)
    if (problem := missing_state(folder)) is not None:
        return problem
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not _is_readable(file):
            return f"damaged, {file.relative_to(folder)} is unreadable"
    return None


def _is_readable(file: Path) -> bool:
    if file.suffix in (".pt", ".pth", ".bin"):
        return is_zipfile(file)
    try:
        if file.suffix == ".json":
            json.loads(file.read_text(encoding="utf-8"))
        elif file.suffix == ".safetensors":
            with safe_open(file, framework="pt"):
                pass
    except (ValueError, SafetensorError):
        return False
    return True


def newest_checkpoint(run: str | Path) -> Path | None:
    """The newest whole checkpoint of a run, if it has one; those passed over are said, a line each."""
    for folder in checkpoints(run):
        if (problem := defect(folder)) is None:
            return folder
        say(f"passed over {folder}: {problem}")
    return None


def resume_point(config: HICRAConfig) -> Path | None:
    """
    Checkpoint that a run goes on from, or `None` for one that begins.

    Args:
        config ([`HICRAConfig`]):
            Its `resume_from_checkpoint` is a path, or true for the newest whole checkpoint in `output_dir`.

    Raises:
        `ValueError`: if that checkpoint is not there or not whole, or if a run would begin in a folder that holds
            checkpoints already.
    """
    wanted = str(config.resume_from_checkpoint or "false")
    if wanted.lower() == "false":
        refuse_to_mix(config.output_dir)
        return None
    if config.save_only_model:
        raise ValueError("save_only_model leaves no optimizer in checkpoints: expected false for a run to go on")
    if wanted.lower() == "true":
        if newest := newest_checkpoint(config.output_dir):
            return newest
        raise ValueError(f"nothing to resume: no complete checkpoint in {config.output_dir}")
    checkpoint = Path(wanted)
    if not checkpoint.is_dir():
        raise ValueError(f"nothing to resume: no checkpoint at {wanted}")
    if problem := defect(checkpoint):
        raise ValueError(f"cannot resume {wanted}: it is {problem}")
    if is_own(checkpoint, config):
        _refuse_later(checkpoint)
    return checkpoint


def is_own(checkpoint: Path, config: HICRAConfig) -> bool:
    """Whether a checkpoint is one of the run itself, not one of another run to begin with."""
    return checkpoint.resolve().parent == Path(config.output_dir).resolve()


def _refuse_later(checkpoint: Path) -> None:
    for later in checkpoints(checkpoint.parent):
        if step_of(later) > step_of(checkpoint) and defect(later) is None:
            raise ValueError(
                f"cannot go back to {checkpoint}: the run left {later.name} too, and their checkpoints would mix; "
                "choose another output_dir, or delete what came later"
            )


def refuse_to_mix(output_dir: str) -> None:
    """Raises `ValueError` if another run's checkpoints are there; half-written ones of ours may be overwritten."""
    is_ours = Path(output_dir, MANIFEST_FILE).is_file()
    if there := [folder.name for folder in checkpoints(output_dir) if not is_ours or defect(folder) is None]:
        raise ValueError(
            f"{output_dir} holds checkpoints of another run ({there[0]}): choose another output_dir, delete them, or "
            f"go on by 'hicra train --resume {output_dir}'"
        )


def exact_steps(config: HICRAConfig, epoch: int = 1) -> int:
    """
    Steps from one point at which a run can be continued exactly to the next.

    Completions are sampled for several steps at once, and metrics are averages over the steps between two logs: in
    between, a checkpoint holds neither.

    Args:
        config ([`HICRAConfig`]):
            The run's.
        epoch (`int`, *optional*, defaults to `1`):
            Steps of an epoch, which matter where there is a log after each.

    Example:

    ```python
    >>> from hicra_trl import HICRAConfig
    >>> exact_steps(HICRAConfig("run", gradient_accumulation_steps=2, num_iterations=3, logging_steps=2))
    6
    ```
    """
    micro_steps = config.steps_per_generation * config.num_iterations
    generation = math.lcm(micro_steps, config.gradient_accumulation_steps) // config.gradient_accumulation_steps
    return math.lcm(generation, _interval(config, "logging", epoch))


def check_save_steps(config: HICRAConfig, prompts: int) -> None:
    """
    Raises `ValueError` if the run would leave checkpoints from which it cannot be continued exactly.

    Args:
        config ([`HICRAConfig`]):
            The run's.
        prompts (`int`):
            How many there are to train on: an epoch.
    """
    if config.save_strategy == "no":
        return
    generations = prompts // (config.generation_batch_size // config.num_generations)
    micro_steps = generations * config.steps_per_generation * config.num_iterations
    epoch = max(1, math.ceil(micro_steps / config.gradient_accumulation_steps))
    # The best model is looked for, and saved, after an evaluation.
    name = "eval" if config.save_strategy == "best" else "save"
    saves = _interval(config, name, epoch)
    is_epoch = getattr(config, f"{name}_strategy") == "epoch"
    # No generation goes over the end of an epoch.
    exact = _interval(config, "logging", epoch) if is_epoch else exact_steps(config, epoch)
    steps = config.max_steps if config.max_steps > 0 else math.ceil(config.num_train_epochs * epoch)
    # The last step is saved whatever save_steps is.
    if saves % exact and saves < steps:
        what = f"{name}_strategy 'epoch': the steps of an epoch" if is_epoch else f"{name}_steps"
        raise ValueError(
            f"{what} must be a multiple of {exact}, got {saves}: between two generations and between two "
            "logs (steps_per_generation, num_iterations, gradient_accumulation_steps, logging_steps) a run cannot be "
            "continued exactly"
        )


def _interval(config: HICRAConfig, what: str, epoch: int) -> int:
    """Steps from one save, log or evaluation to the next; 1 where there is none."""
    strategy = getattr(config, f"{what}_strategy")
    return _in_steps(config, what) if strategy == "steps" else epoch if strategy == "epoch" else 1


def _in_steps(config: HICRAConfig, what: str) -> int:
    """`save_steps`, `logging_steps` or `eval_steps`, which may be a share of all steps, as a number of steps."""
    steps = getattr(config, f"{what}_steps")
    if steps >= 1:
        return int(steps)
    if config.max_steps <= 0:
        raise ValueError(f"{what}_steps={steps} is a share of max_steps, which is not set: expected whole steps")
    return math.ceil(config.max_steps * steps)
