"""`hicra health`: what went wrong in runs."""

from ..analysis.alarms import read_alarms
from ..terminal import labelled
from .parsing import stop


PROG = "hicra health"

DESCRIPTION = """Reads the logs of runs, finished or not, and says what went wrong in them: the number, why it matters
and what to do. A RUN is its folder or one of its checkpoints. The exit status is 0 where all is well, 1 where
something is wrong, and 2 where there is no run.

  hicra health runs/mine
  hicra health runs/playground/*-seed1"""


def run(argv: list[str]) -> int:
    """Shows the alarms of each run and returns the exit status."""
    if any(argument.startswith("-") for argument in argv):
        stop(PROG, f"expected folders of runs and nothing else, got {' '.join(argv)}")
    try:
        alarms = {folder: read_alarms(folder) for folder in argv}
    except (ValueError, OSError) as error:
        stop(PROG, error)
    for folder, found in alarms.items():
        print(f"{folder}: {len(found) or 'no'} alarm{'s' if len(found) != 1 else ''}")
        for alarm in found:
            parts = {alarm.name: f"step {alarm.step}: {alarm.says}", "why": alarm.why, "what to do": alarm.remedy}
            print(labelled({f"  {name}": text for name, text in parts.items()}, width=110))
    return int(any(alarms.values()))
