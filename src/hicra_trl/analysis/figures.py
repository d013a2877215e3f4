"""The paper's figures of training from the folders of runs: what each shows, as panels that are drawn one way."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..disk import check_own, write_whole
from ..dynamics.curves import CSV_HEADER, Line, Panel, draw, numbers, save
from ..dynamics.logged import ACCURACY, DYNAMICS, LENGTH, SEMANTIC_ENTROPY, Metric, logged, series
from ..training.runs.files import GRAM_OUTCOMES_FILE, TOKEN_RECORD_FOLDER
from .runs import Run


Methods = Mapping[str, Mapping[str, Run]]
# What is lacking, and the folders of the runs that lack it.
Missing = dict[str, list[Path]]
# Of each step, values by kind of line.
Values = dict[int, dict[str, float]]

CREATOR = "hicra plot"
VERDICTS_FILE = "judge/verdicts.jsonl"
_ERRORS = ("strategy", "other")
_SHARES = (0.2, 0.3)
_DROPPED, _DRAWS = 0.3, 5
_GRAMS = 20
_BESIDE = (
    SEMANTIC_ENTROPY,
    Metric("Token entropy", "nats", {"": ("entropy",)}),
    LENGTH,
    Metric("pass@k in training", "share of the problems", {"k = {}": [f"hicra/pass_at_{k}" for k in (8, 4, 2)]}),
    ACCURACY,
    Metric("Planning tokens", "share of the tokens", {"": ("hicra/planning_fraction",)}),
)


def dynamics(runs: Methods, missing: Missing) -> list[Panel]:
    """Figures 3 and 13: relative perplexity; token, semantic and conditional entropy; accuracy; length."""
    return _logged(DYNAMICS, runs, missing)


def errors(runs: Methods, missing: Missing) -> list[Panel]:
    """Figure 5: errors of strategy, and others, from a judge's verdicts or the playground's exact classes."""
    lacking = "no verdicts ('hicra judge' gives them)"
    return _per_step({"Errors": "share of the completions"}, lacking, runs, missing, lambda run: [error_shares(run)])


def methods(runs: Methods, missing: Missing) -> list[Panel]:
    """Figures 6 to 8: semantic and token entropy, length, pass@k, validation accuracy, share of planning tokens."""
    return _logged(_BESIDE, runs, missing)


def forks(runs: Methods, missing: Missing) -> list[Panel]:
    """Figure 10: planning tokens of high entropy, and planning among the tokens of high entropy."""
    units = {
        "Planning tokens of high entropy": "share",
        "High-entropy tokens that plan": "share",
    }
    return _per_step(units, "no token record (token_record of a recipe leaves one)", runs, missing, _fork_shares)


def exploration(runs: Methods, missing: Missing) -> list[Panel]:
    """Figure 14: semantic entropy and accuracy, which part where HICRA fails."""
    return _logged((SEMANTIC_ENTROPY, ACCURACY), runs, missing)


def outcomes(runs: Methods, missing: Missing) -> list[Panel]:
    """What the most frequent grams go along with, where each run has got to."""
    # Imported here: without the file, the reader of parquet is not waited for.
    from ..training.runs.gram_outcomes import read_gram_outcomes

    counts: Counter[str] = Counter()

    def read(run: Run) -> list[Values]:
        steps = read_gram_outcomes(run.folder) if (run.folder / GRAM_OUTCOMES_FILE).is_file() else {}
        if not steps:
            return []
        step, rows = max(steps.items())
        counts.update({row.gram: row.n for row in rows})
        return [{step: {row.gram: row.s for row in rows}}]

    units = {"What grams go along with": "← wrong answers   s   right answers →"}
    panels = _per_step(units, "no gram outcomes yet", runs, missing, read)
    most = dict(counts.most_common(_GRAMS))

    def scores(gram: str) -> list[float]:
        lines = (line for panel in panels for line in panel.lines if line.kind == gram)
        return [value for line in lines for _, values in line.seeds.values() for value in values]

    order = sorted(most, key=lambda gram: -np.mean(scores(gram)))
    return [
        replace(
            panel,
            lines=[
                replace(line, kind=f"{gram} (n = {most[gram]:,})")
                for gram in order
                for line in panel.lines
                if line.kind == gram
            ],
            is_list=True,
        )
        for panel in panels
    ]


def without_grams(runs: Methods, missing: Missing) -> list[Panel]:
    """Figures 11 and 12: curves of the saved completions, with the lexicon and with 30 % of it dropped at random."""
    # Imported here, as the reader of token records is: the other figures do not wait for it.
    from ..grams import StrategicGrams
    from .sensitivity import sensitivity, sensitivity_panels

    found = {}
    for method, seeds in runs.items():
        for seed, run in seeds.items():
            # Not loaded by this path: of a folder that is not there, it could be a repository on the Hub.
            if not run.lexicon.is_dir():
                missing.setdefault("no strategic grams yet", []).append(run.folder)
                continue
            try:
                grams = StrategicGrams.load(run.lexicon)
                found.setdefault(method, {})[seed] = sensitivity(run.folder, grams, _DROPPED, [*range(_DRAWS)])
            except (ValueError, OSError) as error:
                missing[str(error)] = []
    return sensitivity_panels(found, _DROPPED)


FIGURES: dict[str, Callable[[Methods, Missing], list[Panel]]] = {
    "dynamics": dynamics,
    "errors": errors,
    "methods": methods,
    "forks": forks,
    "exploration": exploration,
    "outcomes": outcomes,
    "sensitivity": without_grams,
}


def write_figures(
    runs: Methods, names: Iterable[str], folder: Path, formats: Sequence[str]
) -> tuple[list[Path], list[str]]:
    """
    Draws figures, and writes each beside a CSV file with its numbers.

    Args:
        runs (`Mapping[str, Mapping[str, Run]]`):
            By method and seed, from [`read_runs`].
        names (`Iterable[str]`):
            Of `FIGURES`.
        folder (`Path`):
            Gets `<name>.<format>` and `<name>.csv`; of what is there, only such files are replaced.
        formats (`Sequence[str]`):
            Suffixes: `"svg"`, `"pdf"`, `"png"`.

    Returns:
        `tuple[list[Path], list[str]]`: a file of each figure; and a line for each thing that runs lack.

    Raises:
        `ValueError`: if there is nothing to draw, or another file is where one would be written.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: expected a folder for the figures")
    files = {name: [folder / f"{name}.{suffix}" for suffix in (*formats, "csv")] for name in names}
    for file in (file for several in files.values() for file in several):
        check_own(file, ",".join(CSV_HEADER) if file.suffix == ".csv" else CREATOR)
    unlogged = [run.folder for seeds in runs.values() for run in seeds.values() if not run.logs]
    missing: Missing = {"no log yet, neither in trainer_state.json nor in a checkpoint,": unlogged} if unlogged else {}
    drawn = {name: panels for name in files if (panels := FIGURES[name](runs, missing))}
    lines = [what + (f" in {', '.join(map(str, folders))}" if folders else "") for what, folders in missing.items()]
    if not drawn:
        raise ValueError("nothing to draw: " + "; ".join(lines))
    for name, panels in drawn.items():
        figure = draw(panels)
        *pictures, table = files[name]
        for picture in pictures:
            save(figure, picture, CREATOR)
        write_whole(table, numbers(panels))
    return [files[name][-2] for name in drawn], lines


def error_shares(run: Run) -> Values:
    """
    Of each step, the share of the completions with an error of strategy, and that with another error.

    The verdicts of `hicra judge` say of what kind the wrong completions of a step are, and the log how many of all
    are wrong. Without verdicts, the shares are those that the playground counts: of the model that the run began with,
    at step 0, and of the one that it left.
    """
    if verdicts := _verdicts(run.folder / VERDICTS_FILE):
        steps, accuracies = series(run.logs, "hicra/pass_at_1")
        shares: Values = {}
        for step, kinds in sorted(verdicts.items()):
            # Completions are saved with the log behind them; a token record has their own step.
            if (at := np.searchsorted(steps, step)) < len(steps):
                wrong = (1 - accuracies[at]) / kinds.total()
                shares[step] = {kind: wrong * kinds[kind] for kind in _ERRORS}
        return shares
    last = run.logs[-1]["step"] if run.logs else 0
    found = {
        step: outcomes["outcomes"] for step, outcomes in ((0, run.outcomes_before), (last, run.outcomes)) if outcomes
    }
    return {
        step: {kind: sum(share for label, share in shares.items() if _error(label) == kind) for kind in _ERRORS}
        for step, shares in found.items()
    }


def _error(label: str) -> str:
    """What kind of error a class is, of a judge or of the playground."""
    name = label.partition(":")[0]
    return "none" if name in ("correct", "acceptable") else "strategy" if name == "strategy" else "other"


def _verdicts(file: Path) -> dict[int, Counter[str]]:
    """How many of the judged completions of each step have an error of each kind."""
    counts: dict[int, Counter[str]] = {}
    if file.is_file():
        # A line that is being written has no end yet.
        for number, line in enumerate(file.read_text(encoding="utf-8").split("\n")[:-1], 1):
            try:
                verdict = json.loads(line)
                step, label = verdict["step"], verdict["label"]
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(f"{file}, line {number}: expected a verdict, got {line[:60]!r}") from error
            if step is not None and label != "unreadable":
                counts.setdefault(step, Counter())[_error(label)] += 1
    return counts


def _fork_shares(run: Run) -> list[Values]:
    """Figure 10's two directions, of each recorded step, for each share of tokens that counts as high."""
    if not (run.folder / TOKEN_RECORD_FOLDER).is_dir():
        return []
    from .token_record import TokenRecord, high_entropy_shares

    record = TokenRecord.read(run.folder)
    planning: Values = {}
    high: Values = {}
    for step in tqdm(record.steps, desc=f"Reading the token record of {run.folder}", disable=None, leave=False):
        rows = record.rows(step)
        found = {f"top {share:.0%}": high_entropy_shares(rows, share) for share in _SHARES}
        planning[step] = {kind: shares.planning_that_are_high for kind, shares in found.items()}
        high[step] = {kind: shares.high_that_are_planning for kind, shares in found.items()}
        # What the others would be if entropy had nothing to do with planning.
        high[step]["all tokens"] = found["top 20%"].planning
    return [planning, high]


def _per_step(
    units: Mapping[str, str], lacking: str, runs: Methods, missing: Missing, read: Callable[[Run], Sequence[Values]]
) -> list[Panel]:
    """A panel for each of `units`, of what `read` finds in each run: one [`Values`] each, or none."""
    found: dict[str, dict[str, Sequence[Values]]] = {}
    for method, seeds in runs.items():
        for seed, run in seeds.items():
            try:
                values = read(run)
            except (ValueError, OSError) as error:
                missing[str(error)] = []
                continue
            if any(values):
                found.setdefault(method, {})[seed] = values
            else:
                missing.setdefault(lacking, []).append(run.folder)
    panels = []
    for i, (title, unit) in enumerate(units.items()):
        several = [values[i] for seeds in found.values() for values in seeds.values()]
        kinds = dict.fromkeys(kind for values in several for at in values.values() for kind in at)
        lines = [
            Line(method, kind, {seed: _curve(values[i], kind) for seed, values in seeds.items()})
            for kind in kinds
            for method, seeds in found.items()
        ]
        panels += [Panel(title, unit, lines)] if lines else []
    return panels


def _curve(values: Values, kind: str) -> tuple[np.ndarray, np.ndarray]:
    steps = sorted(step for step in values if kind in values[step])
    return np.array(steps, dtype=float), np.array([values[step][kind] for step in steps])


def _logged(metrics: Sequence[Metric], runs: Methods, missing: Missing) -> list[Panel]:
    logs = {method: {seed: run.logs for seed, run in seeds.items() if run.logs} for method, seeds in runs.items()}
    panels, lacking = logged(metrics, logs)
    for what, places in lacking.items():
        missing[f"no {what} logged"] = [runs[method][seed].folder for method, seed in places]
    return panels
