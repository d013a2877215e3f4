"""The folder of a campaign, read: its conditions and seeds, and how far its runs are."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..disk import read_mapping
from ..dynamics.logged import HELD_OUT, series
from ..terminal import one_line
from ..training.runs.files import MANIFEST_FILE
from .runs import Run


CAMPAIGN_FILE = "campaign.json"
# What conditions are compared by first: the first of these that all runs have logged.
_MAIN = (*HELD_OUT, "hicra/pass_at_1", "reward")


@dataclass(frozen=True)
class Trial:
    """A run of a campaign: a condition with a seed, in a folder."""

    condition: str
    seed: int
    folder: Path

    @property
    def log(self) -> Path:
        """What `hicra train` said."""
        return self.folder.with_name(f"{self.folder.name}.log")

    def last_words(self) -> str:
        """The last line that `hicra train` said; empty before there is one."""
        said = self.log.read_text(encoding="utf-8", errors="replace").strip() if self.log.is_file() else ""
        return one_line(said.rpartition("\n")[2])


@dataclass(frozen=True)
class Campaign:
    """
    Conditions that are compared over seeds.

    Attributes:
        folder (`Path`):
            Has `<condition>-seed<n>` for each run.
        conditions (`dict[str, dict[str, Any]]`):
            The recipe of each, with what overrides it.
        seeds (`list[int]`):
            Each of them with every condition.
        accuracies (`list[float]`):
            Accuracies to count steps to; none for that of the baseline at its end.
    """

    folder: Path
    conditions: dict[str, dict[str, Any]]
    seeds: list[int]
    accuracies: list[float]

    @classmethod
    def read(cls, folder: str | Path) -> "Campaign":
        """Reads `campaign.json`; raises `ValueError` if there is none."""
        file = Path(folder, CAMPAIGN_FILE)
        if not file.is_file():
            raise ValueError(f"no campaign at {folder}: expected a folder with {CAMPAIGN_FILE}, of 'hicra campaign'")
        recorded = read_mapping(file, conditions=dict, seeds=list, accuracies=list)
        return cls(Path(folder), recorded["conditions"], recorded["seeds"], recorded["accuracies"])

    @cached_property
    def trials(self) -> list[Trial]:
        """All runs, seed by seed, so that every condition is there early."""
        return [
            Trial(name, seed, self.folder / f"{name}-seed{seed}") for seed in self.seeds for name in self.conditions
        ]

    @cached_property
    def runs(self) -> dict[str, dict[int, Run]]:
        """Those that are finished, by condition and seed."""
        found: dict[str, dict[int, Run]] = {name: {} for name in self.conditions}
        for trial in self.trials:
            if (trial.folder / MANIFEST_FILE).is_file() and (run := Run.read(trial.folder)).manifest["finished"]:
                found[trial.condition][trial.seed] = run
        return found

    @property
    def unfinished(self) -> list[Trial]:
        """The other ones."""
        return [trial for trial in self.trials if trial.seed not in self.runs[trial.condition]]

    @property
    def main(self) -> str:
        """The metric that comes first."""
        logs = [run.logs for seeds in self.runs.values() for run in seeds.values()]
        return next((key for key in _MAIN if logs and all(len(series(log, key)[0]) for log in logs)), _MAIN[-1])

    def values(self, metric: str) -> dict[str, dict[int, float]]:
        """A metric at the end of the runs that logged it, by condition and seed."""
        found = {
            name: {seed: _at_end(run, metric) for seed, run in seeds.items()} for name, seeds in self.runs.items()
        }
        return {name: {s: value for s, value in of.items() if math.isfinite(value)} for name, of in found.items()}

    def steps(self, metric: str, accuracy: float) -> dict[str, dict[int, float | None]]:
        """The first step with at least this accuracy, `None` where there is none, by condition and seed."""
        return {
            name: {
                seed: next((float(step) for step, value in zip(*series(run.logs, metric)) if value >= accuracy), None)
                for seed, run in seeds.items()
            }
            for name, seeds in self.runs.items()
        }


def _at_end(run: Run, metric: str) -> float:
    # Metrics of training are noisy from step to step.
    _, values = series(run.logs, metric)
    return float(values[-max(1, round(len(values) / 10)) :].mean()) if len(values) else math.nan
