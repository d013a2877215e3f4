"""Runs a campaign: what is finished is kept, what was begun goes on, and what fails holds nothing up."""

import glob
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NoReturn

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
    trials: Sequence[Trial], recipe: Callable[[Trial], Path], places: Sequence[Mapping[str, str]]
) -> list[Trial]:
    """
    Trains runs, as many side by side as there are places.

    A run that another process trains is waited for: a campaign that was killed may have left some that go on.

    Args:
        trials (`Sequence[Trial]`):
            The runs, in this order.
        recipe (`Callable[[Trial], Path]`):
            The file of a run's recipe.
        places (`Sequence[Mapping[str, str]]`):
            What each adds to the environment.

    Returns:
        `list[Trial]`: the runs that failed.
    """
    waiting, free, waited_for, failed = [*trials], [*places], set[Trial](), []
    running: list[tuple[Trial, subprocess.Popen[bytes], Mapping[str, str], IO[Any]]] = []

    def stop(number: int, frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        while waiting or running:
            for trial in [*waiting]:
                if not free:
                    break
                if (mark := _claim(trial)) is None:
                    if trial not in waited_for:
                        _tell(trial, "is trained by another process, which is waited for")
                    waited_for.add(trial)
                    continue
                waiting.remove(trial)
                if is_finished(trial.folder):
                    mark.close()
                    continue
                place = free.pop()
                running.append((trial, _start(trial, recipe(trial), place, mark), place, mark))
                _tell(trial, f"begins, {len(waiting) or 'none'} to come: {trial.log}")
            time.sleep(_POLL)
            for entry in [*running]:
                trial, process, place, mark = entry
                if process.poll() is None:
                    continue
                running.remove(entry)
                free.append(place)
                mark.close()
                if process.returncode:
                    failed.append(trial)
                failure = f"failed: {trial.last_words() or f'exit status {process.returncode}'}"
                _tell(trial, failure if process.returncode else "is finished")
    finally:
        signal.signal(signal.SIGTERM, before)
        # `hicra train` ends all that it launched.
        for _, process, _, _ in running:
            process.terminate()
        for _, process, _, _ in running:
            process.wait()
    return failed


def _tell(trial: Trial, what: str) -> None:
    say(f"{datetime.now():%H:%M:%S} {trial.folder.name} {what}")


def _claim(trial: Trial) -> IO[Any] | None:
    """A file that is locked while the run is trained; `None` if another process trains it."""
    trial.folder.parent.mkdir(parents=True, exist_ok=True)
    mark = open(trial.folder.with_name(f".{trial.folder.name}.lock"), "w")  # noqa: SIM115
    try:
        lock(mark, "campaign")
    except ValueError:
        mark.close()
        return None
    if (trial.folder / MANIFEST_FILE).is_file():
        manifest = read_manifest(trial.folder)
        if is_running([manifest, *manifest["resumed"]][-1]["process"]):
            mark.close()
            return None
    return mark


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
