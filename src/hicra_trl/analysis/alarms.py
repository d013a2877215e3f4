"""The alarms of a run, read from what it left."""

import json
from pathlib import Path

from ..dynamics.health import Alarm, Health
from ..training.runs.files import HEALTH_FILE
from .runs import TRAINER_STATE, read_logs


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
    if (logs := read_logs(run)) is not None:
        alarms |= {alarm.name: alarm for alarm in Health(logs).alarms}
    elif not (run / HEALTH_FILE).is_file():
        raise ValueError(f"no run at {run}: expected a folder with {TRAINER_STATE}, itself or in its checkpoints")
    return sorted(alarms.values(), key=lambda alarm: alarm.step)


def _said(file: Path) -> list[Alarm]:
    try:
        return [Alarm(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise ValueError(f"cannot read {file}: expected an alarm in each line, as hicra writes them") from error
