"""Compares methods over seeds: the table that ends an experiment, as text and in the report."""

from pathlib import Path
from statistics import fmean
from typing import Any

from ..disk import read_mapping
from ..dynamics.statistics import mean_and_interval
from ..terminal import table


OUTCOMES_FILE = "outcomes.json"
HEADER = ("", "accuracy", "gain", "steps right", "tokens", "strategy errors", "execution errors")


def read_outcomes(folder: Path) -> dict[str, Any]:
    """Accuracy, share of each outcome and more, from `outcomes.json`, which older folders call `evaluation.json`."""
    file = folder / OUTCOMES_FILE
    return read_mapping(file if file.is_file() else folder / "evaluation.json", accuracy=(int, float), outcomes=dict)


def comparison_rows(folders: dict[str, list[Path]]) -> list[tuple[str, ...]]:
    """
    One row per method: held-out accuracy, gain over the base, length, and why the rest failed.

    Args:
        folders (`dict[str, list[Path]]`):
            Folders with an `outcomes.json`, one per seed, by method; `"base"` has one.

    Returns:
        `list[tuple[str, ...]]`: cells in the order of `HEADER`.
    """
    found = {method: [read_outcomes(folder) for folder in runs] for method, runs in folders.items()}
    base = found["base"][0]["accuracy"]
    rows = []
    for method, runs in found.items():
        accuracies = [run["accuracy"] for run in runs]
        rows.append(
            (
                _named(method),
                _percent(*mean_and_interval(accuracies)),
                "" if method == "base" else f"{100 * (fmean(accuracies) - base):+.1f}",
                _percent(fmean(run["step_accuracy"] for run in runs)),
                f"{fmean(run['mean_length'] for run in runs):.1f}",
                *(_percent(fmean(_failures(run, kind) for run in runs)) for kind in ("strategy", "execution")),
            )
        )
    return rows


def outcome_rows(folders: dict[str, list[Path]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the classes of completions, each with its share by method; folders as in the comparison."""
    found = {method: [read_outcomes(run)["outcomes"] for run in runs] for method, runs in folders.items()}
    header = ["", *(_named(method) for method in found)]
    outcomes = next(iter(found.values()))[0]
    rows = [
        [outcome, *(_percent(*mean_and_interval([run[outcome] for run in runs])) for runs in found.values())]
        for outcome in outcomes
    ]
    return header, rows


def comparison_text(folders: dict[str, list[Path]]) -> str:
    """The rows as aligned plain text, and in last lines whether the methods differ."""
    return "\n".join([table([HEADER, *comparison_rows(folders)]), *difference_lines(folders)])


def difference_lines(folders: dict[str, list[Path]]) -> list[str]:
    """Each method minus the first, paired by seed, with the interval of the mean difference."""
    first, *others = (method for method in folders if method != "base")
    return [_difference(first, other, folders) for other in others]


def _difference(first: str, other: str, folders: dict[str, list[Path]]) -> str:
    pairs = zip(folders[other], folders[first], strict=True)
    mean, half = mean_and_interval([read_outcomes(a)["accuracy"] - read_outcomes(b)["accuracy"] for a, b in pairs])
    found = f"{_named(other)} - {_named(first)}: {100 * mean:+.1f}"
    if half is None:
        return f"{found} points with one seed, which cannot tell the two apart"
    verdict = "they differ" if abs(mean) > half else "no difference that the seeds can show"
    return f"{found} +- {100 * half:.1f} points over {len(folders[first])} seeds: {verdict}"


def _named(method: str) -> str:
    return method if method == "base" else method.upper()


def _percent(mean: float, half: float | None = None) -> str:
    return f"{100 * mean:.1f} %" if half is None else f"{100 * mean:.1f} +- {100 * half:.1f} %"


def _failures(run: dict[str, Any], kind: str) -> float:
    return sum(share for outcome, share in run["outcomes"].items() if outcome.startswith(kind))
