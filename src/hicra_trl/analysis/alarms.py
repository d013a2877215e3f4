"""The alarms of a run, read from what it left."""

import json
from pathlib import Path
from typing import Any

from ..disk import read_mapping
from ..dynamics.health import Alarm, Health
from ..training.runs.files import HEALTH_FILE


_TRAINER_STATE = "trainer_state.json"


def read_alarms(run: str | Path) -> list[Alarm]:
    """
    What went wrong in a run, finished or not, of this package or of another trainer.

    Args:
        run (`str` or `Path`):
            Folder of the run, or a checkpoint. Its logs are judged again, and what it has said itself since its last
            checkpoint is added.

    Returns:
        `list[Alarm]`: each alarm once, in the order of steps.

    Raises:
        `ValueError`: if there are no logs of a run.
    """
    run = Path(run)
    alarms = {alarm.name: alarm for alarm in _said(run / HEALTH_FILE)}
    if (logs := _logs(run)) is not None:
        alarms |= {alarm.name: alarm for alarm in Health(logs).alarms}
    elif not (run / HEALTH_FILE).is_file():
        raise ValueError(f"no run at {run}: expected a folder with {_TRAINER_STATE}, itself or in its checkpoints")
    return sorted(alarms.values(), key=lambda alarm: alarm.step)


def _said(file: Path) -> list[Alarm]:
    try:
        return [Alarm(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise ValueError(f"cannot read {file}: expected an alarm in each line, as hicra writes them") from error


def _logs(run: Path) -> list[dict[str, Any]] | None:
    """The longest history of logs that a run has left."""
    states, broken = [], None
    for file in (run / _TRAINER_STATE, *run.glob(f"checkpoint-*/{_TRAINER_STATE}")):
        if file.is_file():
            try:
                states.append(_read_state(file))
            except ValueError as error:  # of a checkpoint that is being written, perhaps
                broken = error
    if not states and broken is not None:
        raise broken
    return max(states, key=lambda logs: logs[-1]["step"] if logs else 0, default=None)


def _read_state(file: Path) -> list[dict[str, Any]]:
    logs = read_mapping(file, log_history=list)["log_history"]
    last = 0
    for row in logs:
        step = row.get("step") if isinstance(row, dict) else None
        if not isinstance(step, int) or step < last:
            raise ValueError(f"{file}: expected logs with growing steps, got {repr(row)[:60]} after step {last}")
        last = step
    return logs
