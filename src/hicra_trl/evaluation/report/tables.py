"""Numbers as people read them: aligned text for a terminal, Markdown, and JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ...terminal import one_line, table
from ..paper_tables import published
from ..statistics.comparison import AVERAGE, Comparison, Difference
from ..statistics.intervals import Estimate
from ..statistics.summary import Summary


Row = tuple[str, ...]
HEADER: Row = (
    "benchmark",
    "items",
    "n",
    "pass@1",
    "pass@n",
    "maj@n",
    "tokens",
    "truncated",
    "unanswered",
    "planning",
    "semantic entropy",
)
COMPARISON_HEADER: Row = ("", "items", "A", "B", "A - B", "p", "p (Holm)", "detectable")
NOTE = (
    "n samples per item; pass@1 is the mean over items of the mean over samples (avg@n). "
    "[ ]: 95 % interval over items."
)
PAPER_NOTE = "Rows of the paper are its own figures, from tables 1 and 2; it states no intervals."
COMPARISON_NOTE = (
    "A - B is paired by item, with its 95 % interval; p is of a sign-flip test. "
    "detectable: the smallest true difference that would be found about four times out of five."
)


def summary_rows(summaries: Iterable[Summary]) -> list[Row]:
    """Header, and a row for each benchmark and, below it, for each of its groups."""
    rows = [HEADER]
    for summary in summaries:
        rows.append(_summary_row(summary.benchmark, summary))
        rows += [_summary_row(f"- {one_line(name)}", group) for name, group in summary.groups.items()]
    return rows


def paper_rows(summaries: Iterable[Summary], base_model: str, label: str) -> list[Row]:
    """
    The paper's table for one base model, and below its rows ours with intervals.

    Args:
        summaries (`Iterable[Summary]`):
            Our benchmarks; those that the paper's table does not have are left out.
        base_model (`str`):
            As the paper names it.
        label (`str`):
            What our row is called.
    """
    columns, methods = published(base_model)
    ours = {summary.benchmark: summary for summary in summaries}
    rows = [(base_model, *columns.values())]
    rows += [(f"paper: {method}", *(f"{figure:.1f} %" for figure in figures)) for method, figures in methods.items()]
    measured = (_interval(ours[name]["pass@1"]) if name in ours else "" for name in columns)
    return [*rows, (f"ours: {label}", *measured)]


def comparison_rows(differences: Sequence[Difference]) -> list[Row]:
    """Header, and a row for each benchmark and for their average, of one metric."""
    rows = [COMPARISON_HEADER]
    for row in differences:
        corrected = "" if row.benchmark == AVERAGE else _p_value(row.corrected_p_value)
        values = (f"{100 * row.a:.1f} %", f"{100 * row.b:.1f} %", _points(row.difference))
        detectable = f"{100 * row.detectable:.1f} points"
        rows.append((row.benchmark, str(row.num_items), *values, _p_value(row.p_value), corrected, detectable))
    return rows


def verdict(row: Difference, num_benchmarks: int = 1) -> str:
    """
    What a difference says, in words.

    A difference that only the number of compared benchmarks takes away is said to be so.
    """
    difference = f"A - B = {_points(row.difference)}"
    if row.is_found:
        return f"{row.benchmark}: {difference}"
    if row.p_value < 0.05 <= row.corrected_p_value:
        return f"{row.benchmark}: {difference}, which one of {num_benchmarks} benchmarks may show by chance"
    return f"{row.benchmark}: no difference that {row.num_items} questions can show"


def markdown_table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table."""
    header, *body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([header, "|---|" + "---:|" * (len(rows[0]) - 1), *body])


def results_text(summaries: Sequence[Summary], paper: Sequence[Row] = ()) -> str:
    """What ends an evaluation in the terminal; `paper` are the rows of [`paper_rows`]."""
    lines = [table(summary_rows(summaries)), NOTE, *_failure_lines(summaries)]
    return "\n".join([*lines, "", table(paper), PAPER_NOTE] if paper else lines)


def results_markdown(summaries: Sequence[Summary], settings: Mapping[str, Any], paper: Sequence[Row] = ()) -> str:
    """A page with the tables, and the settings that they depend on."""
    listed = [f"* `{name}`: {json.dumps(value, ensure_ascii=False)}" for name, value in settings.items()]
    parts = [
        "# Evaluation",
        markdown_table(summary_rows(summaries)),
        "\n\n".join([NOTE, *_failure_lines(summaries)]),
        *(["## Beside the paper", markdown_table(paper), PAPER_NOTE] if paper else []),
        "## Settings",
        "\n".join(listed),
    ]
    return "\n\n".join(parts) + "\n"


def results_json(summaries: Sequence[Summary], settings: Mapping[str, Any]) -> str:
    """Every number with its interval, and the settings."""
    benchmarks = {summary.benchmark: asdict(summary) for summary in summaries}
    return json.dumps({"settings": dict(settings), "benchmarks": benchmarks}, indent=2, ensure_ascii=False) + "\n"


def comparison_text(comparison: Comparison) -> str:
    """Table of pass@1, what else differs, and a verdict per benchmark."""
    return "\n".join([table(comparison_rows(comparison.of("pass@1"))), *_comparison_lines(comparison)])


def comparison_markdown(comparison: Comparison, name_a: str, name_b: str) -> str:
    """A page with one table per metric."""
    said = [f"A: {name_a}", f"B: {name_b}", *_comparison_lines(comparison)]
    parts = ["# Comparison", "\n".join(f"* {line}" for line in said)]
    for metric in dict.fromkeys(row.metric for row in comparison.differences):
        parts += [f"## {metric}", markdown_table(comparison_rows(comparison.of(metric)))]
    return "\n\n".join(parts) + "\n"


def comparison_json(comparison: Comparison) -> str:
    """Every difference with its interval and test."""
    return json.dumps(asdict(comparison), indent=2, ensure_ascii=False) + "\n"


def _comparison_lines(comparison: Comparison) -> list[str]:
    rows = comparison.of("pass@1")
    benchmarks = sum(row.benchmark != AVERAGE for row in rows)
    warnings = [f"warning: {line}" for line in comparison.warnings]
    return [COMPARISON_NOTE, *warnings, *(verdict(row, benchmarks) for row in rows)]


def _summary_row(name: str, summary: Summary) -> Row:
    n = summary.num_samples
    of_n = [_interval(summary[f"{kind}@{n}"]) if n > 1 else "" for kind in ("pass", "maj")]
    return (
        name,
        str(summary.num_items),
        str(n),
        _interval(summary["pass@1"]),
        *of_n,
        f"{summary['mean_length'].value:.0f}",
        *(_percent(summary.metrics[share]) for share in ("truncated", "unanswered", "planning_fraction")),
        f"{summary['semantic_entropy'].value:.2f}",
    )


def _failure_lines(summaries: Iterable[Summary]) -> list[str]:
    return [
        f"{summary.benchmark}: {_percent(failures)} of the samples could not be graded and count as wrong"
        for summary in summaries
        if (failures := summary["grading_failures"]).value > 0
    ]


def _percent(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{100 * estimate.value:.1f} %"


def _interval(estimate: Estimate) -> str:
    low, high = estimate.ends
    return f"{100 * estimate.value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _points(estimate: Estimate) -> str:
    low, high = estimate.ends
    return f"{100 * estimate.value:+.1f} points [{100 * low:.1f}, {100 * high:.1f}]"


def _p_value(p_value: float) -> str:
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"
