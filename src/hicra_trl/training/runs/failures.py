"""How a run that fails ends: with the step, the reason and the way on in one last line."""

import os
import shutil
import traceback
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from .checkpoints import defect, newest_checkpoint
from .files import MANIFEST_FILE


# A folder of the command's own, by which it learns where the processes that it launched have got to.
STATUS_VARIABLE = "HICRA_STATUS"
_STEP_FILE = "step"
_REASONS_FILE = "reasons"
_LOST = "a process was lost, killed or out of memory"


class StepCallback(TrainerCallback):
    """Tells the command that launched this process which step begins: a process that is killed cannot say it."""

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Writes the number of the step, once on each machine."""
        if state.is_local_process_zero and STATUS_VARIABLE in os.environ:
            Path(os.environ[STATUS_VARIABLE], _STEP_FILE).write_text(str(state.global_step + 1))


class NamedFailure(AbstractContextManager):
    """
    Names the step in which training fails. Under `hicra train` its last line does, otherwise a note below the error.

    Args:
        trainer ([`~transformers.Trainer`]):
            The trainer that trains inside.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception):
            return
        output_dir, done = str(self.trainer.args.output_dir), self.trainer.state.global_step
        reason = describe(error)
        checkpoint = Path(output_dir, f"{PREFIX_CHECKPOINT_DIR}-{done}")
        is_saving = checkpoint.is_dir() and defect(checkpoint) is not None
        if is_saving:
            free = shutil.disk_usage(checkpoint).free / 1e9
            reason = f"{reason}, while saving {checkpoint.name}, with {free:.1f} GB free on its disk"
        if STATUS_VARIABLE not in os.environ:
            error.add_note(f"{stopped(done if is_saving else done + 1, reason)}{way_on(output_dir)}")
            return
        # All processes add to one file: the first one tells the cause, the others often what came of it.
        with Path(os.environ[STATUS_VARIABLE], _REASONS_FILE).open("a") as file:
            file.write(f"{reason}\n")


def describe(error: Exception) -> str:
    r"""
    An error in one line, with the place that raised it; one of communication is the trace of a lost process.

    Example:

    ```python
    >>> describe(ValueError("no number\nat all"))
    'ValueError: no number'
    ```
    """
    text = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}".removesuffix(": ")
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return text
    file = Path(frames[-1].filename)
    if file.parent.name == "distributed":
        return f"{_LOST} ({text})"
    return f"{text} ({frames[-1].name}, {file.name}:{frames[-1].lineno})"


def stopped(step: int | str, reason: str) -> str:
    """What happened, in one clause."""
    return f"stopped in step {step}: {reason}"


def way_on(output_dir: str, when: str = "when the cause is gone, ") -> str:
    """What to do about a run that stopped, as the end of the line that says so; empty if it had not begun."""
    if not Path(output_dir, MANIFEST_FILE).is_file():
        return ""
    checkpoint = newest_checkpoint(output_dir)
    end = f"goes on from {checkpoint.name}" if checkpoint else "begins again, since no checkpoint is complete"
    return f"; {when}'hicra train --resume {output_dir}' {end}"


def last_line(status: Path, output_dir: str, exit_status: int, ended_by: str | None = None) -> str:
    """
    The last line of a command whose training failed.

    Args:
        status (`Path`):
            The folder of `STATUS_VARIABLE`.
        output_dir (`str`):
            Folder of the run.
        exit_status (`int`):
            Of the launcher.
        ended_by (`str`, *optional*):
            The signal that ended the command, if one did.

    Returns:
        `str`: the step, the reason and the way on.
    """
    step, reasons = status / _STEP_FILE, status / _REASONS_FILE
    if ended_by is not None:
        where = f"in step {step.read_text()}" if step.is_file() else "before its first step"
        return f"stopped {where}: ended by {ended_by}{way_on(output_dir, when='')}"
    if not step.is_file():
        return f"the training failed before its first step, with exit status {exit_status}: see above"
    reason = reasons.read_text().splitlines()[0] if reasons.is_file() else _LOST
    return f"{stopped(step.read_text(), reason)}{way_on(output_dir)}"
