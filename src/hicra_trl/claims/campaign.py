"""Runs a campaign: what is finished is kept, what was begun goes on, and what fails holds nothing up."""

import glob
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from ..analysis.campaign import CAMPAIGN_FILE, Campaign, Trial
from ..disk import lock, write_whole
from ..terminal import say
from ..training.runs.files import MANIFEST_FILE
from ..training.runs.manifest import is_finished, is_running, read_manifest


_POLL = 0.5


def record(campaign: Campaign, is_dry: bool = False) -> Campaign:
    """
    Records a campaign in its folder, beside what was recorded there before; a dry run only looks.

    Returns:
        [`Campaign`]: with the conditions and seeds that were there too.

    Raises:
        `ValueError`: if the folder has runs of a condition that are of another recipe.
    """
    there = Campaign(campaign.folder, {}, [], [])
    if (campaign.folder / CAMPAIGN_FILE).is_file():
        there = Campaign.read(campaign.folder)
    for name, recipe in campaign.conditions.items():
        before = there.conditions.get(name, {})
        if recipe != before and (begun := sorted(campaign.folder.glob(f"{glob.escape(name)}-seed*/{MANIFEST_FILE}"))):
            changed = [key for key in {**before, **recipe} if before.get(key) != recipe.get(key)]
            raise ValueError(
                f"{begun[0].parent} is of another recipe than condition {name} ({', '.join(changed[:5])}): expected "
                "another folder, or another name for the condition"
            )
    conditions = {**campaign.conditions, **{k: v for k, v in there.conditions.items() if k not in campaign.conditions}}
    seeds = sorted({*campaign.seeds, *there.seeds})
    merged = replace(campaign, conditions=conditions, seeds=seeds)
    if not is_dry:
        content = {"conditions": conditions, "seeds": seeds, "accuracies": campaign.accuracies}
        write_whole(campaign.folder / CAMPAIGN_FILE, json.dumps(content, indent=2) + "\n")
    return merged


def run_trials(
    trials: Sequence[Trial], recipe: Callable[[Trial], Path], environments: Sequence[Mapping[str, str]]
) -> list[Trial]:
    """
    Trains runs, as many side by side as there are `environments`.

    A run that another process trains is waited for: of a campaign that was killed, runs may be left that go on.

    Args:
        trials (`Sequence[Trial]`):
            The runs, in this order.
        recipe (`Callable[[Trial], Path]`):
            The file of a run's recipe.
        environments (`Sequence[Mapping[str, str]]`):
            What each of the places side by side adds to the environment.

    Returns:
        `list[Trial]`: the runs that failed.
    """
    waiting, failed = list(trials), []
    free = list(range(len(environments)))
    running: dict[int, tuple[Trial, subprocess.Popen[bytes], IO[Any], float]] = {}
    waited_for: set[Trial] = set()

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        while waiting or running:
            for trial in [*waiting] if free else []:
                if not free:
                    break
                if (mark := _claim(trial)) is None:
                    if trial not in waited_for:
                        say(f"{trial.folder.name} is being trained by another process, which is waited for")
                        waited_for.add(trial)
                    continue
                waiting.remove(trial)
                if is_finished(trial.folder):
                    mark.close()
                else:
                    place = free.pop(0)
                    running[place] = (
                        trial,
                        _start(trial, recipe(trial), environments[place], mark),
                        mark,
                        time.time(),
                    )
                    left = f"{len(waiting)} more to come" if waiting else "the last"
                    say(f"{datetime.now():%H:%M} {trial.folder.name} begins, {left}: {trial.log}")
            time.sleep(_POLL)
            for place, (trial, process, mark, began) in [*running.items()]:
                if (status := process.poll()) is None:
                    continue
                mark.close()
                del running[place]
                free.append(place)
                minutes = (time.time() - began) / 60
                if status == 0:
                    say(f"{datetime.now():%H:%M} {trial.folder.name} is finished, in {minutes:.1f} minutes")
                else:
                    failed.append(trial)
                    words = trial.last_words() or f"exit status {status}"
                    say(f"{datetime.now():%H:%M} {trial.folder.name} failed after {minutes:.1f} minutes: {words}")
    finally:
        signal.signal(signal.SIGTERM, before)
        # `hicra train` ends all that it launched.
        for _, process, _, _ in running.values():
            process.terminate()
        for _, process, mark, _ in running.values():
            process.wait()
            mark.close()
    return failed


def _claim(trial: Trial) -> IO[Any] | None:
    """A file that is locked while the run is trained; `None` if another process trains it."""
    trial.folder.parent.mkdir(parents=True, exist_ok=True)
    mark = open(trial.folder.with_name(f".{trial.folder.name}.lock"), "w")  # noqa: SIM115
    with suppress(ValueError):
        lock(mark, "campaign")
        manifest = read_manifest(trial.folder) if (trial.folder / MANIFEST_FILE).is_file() else None
        if manifest is None or not is_running([manifest, *manifest["resumed"]][-1]["process"]):
            return mark
    mark.close()
    return None


def _start(trial: Trial, recipe: Path, environment: Mapping[str, str], mark: IO[Any]) -> "subprocess.Popen[bytes]":
    resumes = (trial.folder / MANIFEST_FILE).is_file()
    argv = ["--resume", str(trial.folder)] if resumes else ["--config", str(recipe)]
    with trial.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "hicra_trl.cli.main", "train", *argv],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # The lock is held as long as the run lives, also where this process is killed.
            pass_fds=(mark.fileno(),),
        )
