"""What a campaign found: metrics over seeds by condition, differences from one condition, steps to an accuracy."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

from ..dynamics.statistics import mean_and_interval
from ..evaluation.statistics.comparison import holm
from ..evaluation.statistics.intervals import LEVEL
from ..evaluation.statistics.seeds import median_steps, paired_differences, paired_p_value, smallest_difference
from ..terminal import table
from .campaign import Campaign
from .figures import methods
from .page import glossary, html_figure, html_table, write
from .report import PANELS, judged_folders, judged_sections
from .runs import origin


_METRICS = re.compile(r"(held_out|eval_hicra|hicra)/.+|reward|entropy|completions/(mean_length|clipped_ratio)")
_SHARE = re.compile(r".*/pass_at_\d+")
_STEPS_NOTE = "The first logged step with at least this accuracy; a run that never gets there counts as the slowest."
_NOTE = (
    f"At the end: the mean of the last tenth of what a run logged. +-: half of a {LEVEL:.0%} Student interval over "
    "seeds. p: a paired t-test over seeds, corrected by Holm for all that the table compares; * marks what differs. "
    "detectable: the smallest true difference that as many seeds, with their spread, find four times out of five."
)


@dataclass(frozen=True)
class Row:
    """
    A metric at the end of a condition. `None` is what a baseline has not, and what its seeds cannot say.

    Attributes:
        metric, condition (`str`):
            Their names.
        values (`dict[int, float]`):
            By seed.
        mean, half (`float`):
            Over seeds, and half of the 95 % interval.
        difference, difference_half (`float`, *optional*):
            From the baseline, of the seeds that both have.
        p_value, corrected_p_value (`float`, *optional*):
            Of that difference, and by Holm's correction.
        detectable (`float`, *optional*):
            The smallest true difference that as many seeds with this spread find four times out of five.
    """

    metric: str
    condition: str
    values: dict[int, float]
    mean: float
    half: float | None
    difference: float | None = None
    difference_half: float | None = None
    p_value: float | None = None
    corrected_p_value: float | None = None
    detectable: float | None = None

    def cells(self) -> list[str]:
        """Seeds, mean, difference, p-values and what could have been found."""
        shown = [_shown(self.metric, self.mean) + _half(self.metric, self.half), "", "", "", ""]
        if self.difference is not None:
            is_found = self.corrected_p_value is not None and self.corrected_p_value < 1 - LEVEL
            half = _half(self.metric, self.difference_half) + "*" * is_found
            shown[1] = _shown(self.metric, self.difference, "+") + half
        if self.p_value is not None and self.detectable is not None:
            p_values = (f"{self.p_value:.3f}", f"{self.corrected_p_value:.3f}")
            shown[2:] = [*p_values, _shown(self.metric, self.detectable)]
        return [str(len(self.values)), *shown]


@dataclass(frozen=True)
class Findings:
    """
    What the finished runs of a campaign amount to.

    Attributes:
        campaign ([`Campaign`]):
            What was run.
        baseline (`str`):
            The condition that the others are compared with.
        main, others (`list[Row]`):
            Of the first metric, and of all others.
        steps (`dict[float, dict[str, dict[int, float | None]]]`):
            To each accuracy, by condition and seed.
        warnings (`list[str]`):
            Runs that are not finished, with the last that they said, and what makes runs unlike.
    """

    campaign: Campaign
    baseline: str
    main: list[Row]
    others: list[Row]
    steps: dict[float, dict[str, dict[int, float | None]]]
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """All of it, in plain values."""
        steps = [
            {"accuracy": accuracy, "condition": name, "steps": of, "median": median_steps([*of.values()])}
            for accuracy, found in self.steps.items()
            for name, of in found.items()
            if of
        ]
        return {
            "folder": str(self.campaign.folder),
            "conditions": self.campaign.conditions,
            "seeds": self.campaign.seeds,
            "unfinished": [trial.folder.name for trial in self.campaign.unfinished],
            "baseline": self.baseline,
            "warnings": self.warnings,
            "metrics": [asdict(row) for row in (*self.main, *self.others)],
            "steps": steps,
        }

    def text(self) -> str:
        """Tables for a terminal."""
        parts = [self._state(), *self.warnings]
        tables = [*self._tables()]
        last = {note: title for title, _, note in tables}
        for title, rows, note in tables:
            parts += [f"\n{title}", table(rows), *([note] if last[note] == title else [])]
        return "\n".join(parts)

    def write_page(self, path: str | Path) -> Path:
        """
        Writes tables, curves with a thin line a seed, and how models that were judged fail, as one HTML file; returns
        its path.
        """
        runs = {name: {str(seed): run for seed, run in of.items()} for name, of in self.campaign.runs.items() if of}
        body = [
            f"<h1>Campaign {escape(self.campaign.folder.resolve().name)}</h1>",
            f'<p class="lead">{escape(self._state())}</p>',
        ]
        body += [f"<p>{escape(line)}</p>" for line in self.warnings]
        *asked, (title, others, others_note) = self._tables()
        body += [f"<h2>{escape(of)}</h2>\n{html_table(rows[0], rows[1:], note)}" for of, rows, note in asked]
        if panels := methods(runs, {}):
            note = "A thin line a seed, their mean on top, from three seeds on with its 95 % interval."
            body += ["<h2>Learning curves</h2>", html_figure(panels, note)]
            body.append(glossary({p.title: PANELS[p.title] for p in panels if p.title in PANELS}))
        if folders := judged_folders(self.campaign):
            body += judged_sections(folders)
        table_of_others = html_table(others[0], others[1:], others_note, names=2)
        body.append(f"<h2>{escape(title)}</h2>\n<details><summary>Show them</summary>\n{table_of_others}\n</details>")
        shown = {str(run.folder): origin(run.manifest) for of in runs.values() for run in of.values()}
        return write(path, "HICRA campaign", "\n".join(body), runs=shown)

    def _state(self) -> str:
        conditions, seeds, total = (
            len(of) for of in (self.campaign.conditions, self.campaign.seeds, self.campaign.trials)
        )
        left = len(self.campaign.unfinished)
        return (
            f"{self.campaign.folder}: {conditions} conditions x {seeds} seeds, {total - left} of {total} runs finished"
        )

    def _tables(self) -> Iterator[tuple[str, list[list[str]], str]]:
        """Title, rows with their header, and note of each table."""
        seeds = self.campaign.seeds
        header = ["n", "mean", f"- {self.baseline}", "p", "p (Holm)", "detectable"]
        each = [f"seed {seed}" for seed in seeds]
        rows = [["", *header, *each]]
        for row in self.main:
            of = [_shown(row.metric, row.values[seed]) if seed in row.values else "" for seed in seeds]
            rows.append([row.condition, *row.cells(), *of])
        yield f"{self.campaign.main} at the end", rows, _NOTE
        for accuracy, found in self.steps.items():
            rows = [["", "get there", "median", *each]]
            for name, of in found.items():
                if of:
                    got = sum(step is not None for step in of.values())
                    shown = [_step(of[seed]) if seed in of else "" for seed in seeds]
                    rows.append([name, f"{got} of {len(of)}", _step(median_steps([*of.values()])), *shown])
            yield f"steps to {accuracy:.1%}", rows, _STEPS_NOTE
        rows = [["", "condition", *header]]
        rows += [[row.metric, row.condition, *row.cells()] for row in self.others]
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
    baseline = baseline or next(iter(campaign.conditions))
    if baseline not in campaign.conditions:
        raise ValueError(f"baseline must be one of {', '.join(campaign.conditions)}, got {baseline!r}")
    runs = [run for seeds in campaign.runs.values() for run in seeds.values()]
    warnings = [f"{trial.folder.name} is not finished. {trial.last_words()}".strip() for trial in campaign.unfinished]
    if not runs:
        raise ValueError(f"no run in {campaign.folder} is finished: {'; '.join(warnings)}")
    warnings += [
        f"the runs are not paired: they began with different {what}: {', '.join(sorted(map(str, found)))}"
        for what in ("model", "data")
        if len(found := {run.settings[what] for run in runs}) > 1
    ]
    main = campaign.main
    metrics = dict.fromkeys(key for run in runs for row in run.logs for key in row if _METRICS.fullmatch(key))
    first = _rows(campaign, [main], baseline)
    others = _rows(campaign, [metric for metric in metrics if metric != main], baseline)
    wanted = [*(accuracies or campaign.accuracies)] or [row.mean for row in first if row.condition == baseline]
    steps = {accuracy: campaign.steps(main, accuracy) for accuracy in wanted}
    return Findings(campaign, baseline, first, others, steps if _SHARE.fullmatch(main) else {}, warnings)


def _rows(campaign: Campaign, metrics: Sequence[str], baseline: str) -> list[Row]:
    """Of these metrics, corrected for being so many comparisons."""
    rows = []
    for metric in metrics:
        values = campaign.values(metric)
        for name, of in ((name, of) for name, of in values.items() if of):
            row = Row(metric, name, of, *mean_and_interval([*of.values()]))
            differences = paired_differences(of, {} if name == baseline else values[baseline])
            if len(differences):
                mean, half = mean_and_interval(differences)
                row = replace(row, difference=mean, difference_half=half)
            if (p_value := paired_p_value(differences)) is not None:
                detectable = smallest_difference(differences.std(ddof=1), len(differences))
                row = replace(row, p_value=p_value, detectable=detectable)
            rows.append(row)
    corrected = iter(holm([row.p_value for row in rows if row.p_value is not None]))
    return [row if row.p_value is None else replace(row, corrected_p_value=next(corrected)) for row in rows]


def _half(metric: str, half: float | None) -> str:
    return "" if half is None else f" +- {_shown(metric, half)}"


def _shown(metric: str, value: float, sign: str = "") -> str:
    """A share in percent, anything else with four digits."""
    return f"{value:{sign}.1%}" if _SHARE.fullmatch(metric) else f"{value:{sign}.4g}"


def _step(step: float | None) -> str:
    return "never" if step is None else f"{step:g}"
