"""What a campaign found: every metric over seeds by condition, differences from one of them, steps to an accuracy."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

from ..disk import read_mapping
from ..dynamics.curves import draw, to_svg
from ..dynamics.logged import HELD_OUT, series
from ..evaluation.statistics.comparison import holm
from ..evaluation.statistics.intervals import LEVEL, Estimate
from ..evaluation.statistics.seeds import PairedDifference, median_steps, paired_difference, student
from ..terminal import one_line, table
from ..training.runs.files import MANIFEST_FILE
from .figures import Missing, methods
from .page import html_table, write
from .runs import Run


CAMPAIGN_FILE = "campaign.json"
PLANNING = "hicra/planning_fraction"
# What conditions are told apart by first: the first of these that all runs have logged.
MAIN = (*HELD_OUT, "hicra/pass_at_1", "reward")
_METRICS = re.compile(r"(held_out|eval_hicra|hicra)/.+|reward|entropy|completions/(mean_length|clipped_ratio)")
_SHARE = re.compile(r".*/pass_at_\d+")
# Metrics of training are noisy from step to step: a run's value is the mean of this last part of what it logged.
_END = 0.1
_NOTE = (
    f"At the end: the mean of the last tenth of what a run logged. +- and [ ]: {LEVEL:.0%} Student intervals over "
    "seeds. p: a paired t-test over seeds; Holm's correction is for all conditions at once, and in the table of the "
    "other metrics for all of these too. detectable: the smallest true difference that as many seeds with the spread "
    "that they have would find four times out of five."
)
_STEPS_NOTE = "The first logged step with at least this accuracy; a run that never gets there counts as the slowest."


@dataclass(frozen=True)
class Trial:
    """One run of a campaign: a condition with a seed, in a folder."""

    condition: str
    seed: int
    folder: Path

    @property
    def log(self) -> Path:
        """What `hicra train` said."""
        return self.folder.with_name(f"{self.folder.name}.log")

    def last_words(self) -> str:
        """The last line that `hicra train` said; empty before there is one."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n") if self.log.is_file() else []
        return one_line(next((line for line in reversed(lines) if line.strip()), ""))


@dataclass(frozen=True)
class Campaign:
    """
    Conditions that are compared over seeds.

    Attributes:
        folder (`Path`):
            Has `<condition>-seed<n>` for each run.
        conditions (`dict[str, dict[str, Any]]`):
            The recipe of each, with what overrides it; the first is what the others are compared with.
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
        if not Path(folder, CAMPAIGN_FILE).is_file():
            raise ValueError(f"no campaign at {folder}: expected a folder with {CAMPAIGN_FILE}, of 'hicra campaign'")
        record = read_mapping(Path(folder, CAMPAIGN_FILE), conditions=dict, seeds=list, accuracies=list)
        return cls(Path(folder), record["conditions"], record["seeds"], record["accuracies"])

    @property
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
        return next((key for key in MAIN if logs and all(len(series(log, key)[0]) for log in logs)), MAIN[-1])

    def values(self, metric: str) -> dict[str, dict[int, float]]:
        """A metric at the end of the runs that logged it, by condition and seed."""
        return {
            name: {seed: value for seed, run in seeds.items() if (value := _at_end(run, metric)) is not None}
            for name, seeds in self.runs.items()
        }


@dataclass(frozen=True)
class Row:
    """
    A metric at the end of a condition.

    Attributes:
        metric, condition (`str`):
            Their names.
        values (`dict[int, float]`):
            By seed.
        mean ([`~hicra_trl.evaluation.statistics.intervals.Estimate`]):
            Over seeds.
        against ([`~hicra_trl.evaluation.statistics.seeds.PairedDifference`], *optional*):
            The condition minus the baseline.
        corrected_p_value (`float`, *optional*):
            Of that difference, by Holm's correction.
    """

    metric: str
    condition: str
    values: dict[int, float]
    mean: Estimate
    against: PairedDifference | None
    corrected_p_value: float | None

    @property
    def is_found(self) -> bool:
        """Whether the seeds show a difference."""
        return self.corrected_p_value is not None and self.corrected_p_value < 1 - LEVEL


@dataclass(frozen=True)
class Steps:
    """First step of each seed with at least this accuracy, `None` where there is none, and their median."""

    accuracy: float
    condition: str
    steps: dict[int, float | None]
    median: float | None

    @property
    def reached(self) -> int:
        """Runs that get there."""
        return sum(step is not None for step in self.steps.values())


@dataclass(frozen=True)
class Findings:
    """
    What the finished runs of a campaign amount to.

    Attributes:
        campaign ([`Campaign`]):
            What was run.
        baseline (`str`):
            The condition that the others are compared with.
        main (`list[Row]`):
            Of the first metric, by condition.
        others (`list[Row]`):
            Of all others, by metric and condition.
        steps (`list[Steps]`):
            By accuracy and condition.
        warnings (`list[str]`):
            Why runs are not like with like.
    """

    campaign: Campaign
    baseline: str
    main: list[Row]
    others: list[Row]
    steps: list[Steps]
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """All of it, in plain values."""
        state = {str(trial.folder): trial.last_words() for trial in self.campaign.unfinished}
        return {
            "conditions": self.campaign.conditions,
            "seeds": self.campaign.seeds,
            "baseline": self.baseline,
            "unfinished": state,
            "warnings": self.warnings,
            "metrics": [asdict(row) for row in (*self.main, *self.others)],
            "steps": [asdict(steps) | {"reached": steps.reached} for steps in self.steps],
        }

    def text(self) -> str:
        """Tables for a terminal."""
        parts = [self.state(), *self.warnings]
        for title, rows, note in self.tables():
            parts += [f"\n{title}", table(rows), *([note] if note else [])]
        return "\n".join(parts)

    def write_page(self, path: str | Path) -> Path:
        """Writes the tables and the curves, a thin line a seed, as one HTML file; returns its path."""
        missing: Missing = {}
        runs = {name: {str(seed): run for seed, run in of.items()} for name, of in self.campaign.runs.items() if of}
        [(title, rows, note), *others] = self.tables()
        figure = draw(methods(runs, missing))
        body = [
            f"<h1>{escape(str(self.campaign.folder))}</h1>",
            f'<p class="lead">{escape(self.state())}</p>',
            *(f'<p class="note">{escape(line)}</p>' for line in self.warnings),
            *_section(title, rows, note),
            "<h2>Learning curves</h2>",
            to_svg(figure),
            '<p class="note">A thin line a seed, their mean on top, from three seeds on with its 95 % interval.</p>',
            *(part for several in others for part in _section(*several)),
        ]
        return write(path, "HICRA campaign", "\n".join(body))

    def state(self) -> str:
        """How far the campaign is, and what became of the runs that are not finished."""
        campaign = self.campaign
        left, total = campaign.unfinished, len(campaign.trials)
        lines = [
            f"{campaign.folder}: {len(campaign.conditions)} conditions x {len(campaign.seeds)} seeds, "
            f"{total - len(left)} of {total} runs finished"
        ]
        lines += [f"{trial.folder.name} is not finished: {words}" for trial in left if (words := trial.last_words())]
        return "\n".join(lines)

    def tables(self) -> Iterator[tuple[str, list[list[str]], str]]:
        """Title, rows with their header, and note of each table."""
        seeds = self.campaign.seeds
        rows = [["", "n", "mean", f"- {self.baseline}", "p", "p (Holm)", "detectable", *(f"seed {n}" for n in seeds)]]
        for row in self.main:
            each = [_shown(row.metric, row.values[seed]) if seed in row.values else "" for seed in seeds]
            rows.append([row.condition, str(len(row.values)), _mean(row), *_difference(row), *each])
        yield f"{self.main[0].metric} at the end", rows, ""
        for accuracy in dict.fromkeys(steps.accuracy for steps in self.steps):
            rows = [["", "runs that get there", "median step", *(f"seed {seed}" for seed in seeds)]]
            for found in (steps for steps in self.steps if steps.accuracy == accuracy):
                each = [_step(found.steps[seed]) if seed in found.steps else "" for seed in seeds]
                reached = f"{found.reached} of {len(found.steps)}"
                rows.append([found.condition, reached, _step(found.median), *each])
            yield f"steps to {accuracy:.1%}", rows, _STEPS_NOTE
        rows = [["", "condition", "n", "mean", f"- {self.baseline}", "p", "p (Holm)", "detectable"]]
        before = ""
        for row in self.others:
            metric = "" if row.metric == before else row.metric
            rows.append([metric, row.condition, str(len(row.values)), _mean(row), *_difference(row)])
            before = row.metric
        yield "all other metrics at the end", rows, _NOTE


def find(campaign: Campaign, baseline: str | None = None, accuracies: Sequence[float] = ()) -> Findings:
    """
    What the finished runs of a campaign amount to.

    Args:
        campaign ([`Campaign`]):
            With at least one finished run.
        baseline (`str`, *optional*):
            The condition to compare with. Defaults to the first.
        accuracies (`Sequence[float]`, *optional*):
            Accuracies to count steps to. Defaults to those of the campaign, else to what the baseline ends with.

    Raises:
        `ValueError`: if there is no such condition, or no run is finished.
    """
    names = list(campaign.conditions)
    baseline = names[0] if baseline is None else baseline
    if baseline not in names:
        raise ValueError(f"baseline must be one of {', '.join(names)}, got {baseline!r}")
    logs = [run.logs for seeds in campaign.runs.values() for run in seeds.values()]
    if not logs:
        left = [f"{trial.folder.name}: {words}" for trial in campaign.unfinished if (words := trial.last_words())]
        raise ValueError("; ".join([f"no run in {campaign.folder} is finished", *left]))
    main = campaign.main
    metrics = dict.fromkeys(key for log in logs for row in log for key in row if _METRICS.fullmatch(key))
    first, others = (_rows(campaign, several, baseline) for several in ([main], [k for k in metrics if k != main]))
    wanted = accuracies or campaign.accuracies
    if not wanted and main != MAIN[-1] and (row := next((r for r in first if r.condition == baseline), None)):
        wanted = [row.mean.value]
    steps = [_steps(campaign, main, accuracy, name) for accuracy in wanted for name in names if campaign.runs[name]]
    return Findings(campaign, baseline, first, others, steps, _unlike(campaign))


def _rows(campaign: Campaign, metrics: Sequence[str], baseline: str) -> list[Row]:
    """Of these metrics, corrected for being so many comparisons."""
    rows = []
    for metric in metrics:
        values = campaign.values(metric)
        for name, of in values.items():
            if of:
                against = None if name == baseline else paired_difference(of, values[baseline])
                rows.append(Row(metric, name, of, student([*of.values()]), against, None))
    tested = [i for i, row in enumerate(rows) if row.against is not None and row.against.p_value is not None]
    for i, p_value in zip(tested, holm([rows[i].against.p_value for i in tested]), strict=True):
        rows[i] = replace(rows[i], corrected_p_value=p_value)
    return rows


def _steps(campaign: Campaign, metric: str, accuracy: float, condition: str) -> Steps:
    steps: dict[int, float | None] = {}
    for seed, run in campaign.runs[condition].items():
        reached = [step for step, value in zip(*series(run.logs, metric), strict=True) if value >= accuracy]
        steps[seed] = float(reached[0]) if reached else None
    return Steps(accuracy, condition, steps, median_steps([*steps.values()]))


def _unlike(campaign: Campaign) -> list[str]:
    """A line for each of model and data in which runs of a campaign are not paired."""
    runs = [run for seeds in campaign.runs.values() for run in seeds.values()]
    return [
        f"the runs began with different {what}: {', '.join(sorted(map(str, found)))}; they are not paired"
        for what in ("model", "data")
        if len(found := {run.settings[what] for run in runs}) > 1
    ]


def _at_end(run: Run, metric: str) -> float | None:
    _, values = series(run.logs, metric)
    last = values[-max(1, round(_END * len(values))) :]
    return float(last.mean()) if len(last) and math.isfinite(last.mean()) else None


def _section(title: str, rows: list[list[str]], note: str) -> list[str]:
    return [f"<h2>{escape(title)}</h2>", html_table(rows[0], rows[1:]), f'<p class="note">{escape(note)}</p>']


def _mean(row: Row) -> str:
    return _shown(row.metric, row.mean.value) + _half(row.metric, row.mean)


def _difference(row: Row) -> list[str]:
    """Difference, p, corrected p, and what could have been found."""
    if (found := row.against) is None:
        return [""] * 4
    p_values = ["" if p is None else f"{p:.3f}" for p in (found.p_value, row.corrected_p_value)]
    star = "*" if row.is_found else ""
    difference = _shown(row.metric, found.difference.value, "+") + _half(row.metric, found.difference) + star
    return [difference, *p_values, "" if found.detectable is None else _shown(row.metric, found.detectable)]


def _half(metric: str, estimate: Estimate) -> str:
    return "" if estimate.low is None else f" +- {_shown(metric, estimate.value - estimate.low)}"


def _shown(metric: str, value: float, sign: str = "") -> str:
    """A share in percent, anything else with four digits."""
    return f"{value:{sign}.1%}" if _SHARE.fullmatch(metric) else f"{value:{sign}.4g}"


def _step(step: float | None) -> str:
    return "never" if step is None else f"{step:g}"


def mass_moved(recipe: Mapping[str, Any], planning: float | None) -> str:
    """About the share of all advantage that the credit of a recipe adds, in words; `planning` is that of tokens."""
    alpha = recipe.get("alpha", 0.0)
    if not alpha:
        return "0 %"
    return f"{alpha:g} x planning fraction" if planning is None else f"about {alpha * planning:.1%}"
