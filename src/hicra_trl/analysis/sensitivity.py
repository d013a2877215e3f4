"""How much the curves of a run depend on the lexicon: they are drawn again with part of it removed (appendix B)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from tqdm import tqdm

from ..data.rows import as_text
from ..dynamics import shannon_entropy
from ..dynamics.curves import Line, Panel
from ..grams import GramMatcher, StrategicGrams
from ..grams.coverage import in_characters
from ..grams.matcher import covered, leftmost_longest
from ..terminal import table


METRICS = {"semantic_entropy": "nats", "planning_fraction": "share of the characters"}


@dataclass
class Sensitivity:
    """
    Curves with the whole lexicon and with parts of it.

    Attributes:
        steps (`numpy.ndarray` of shape `(T,)`, int64):
            Steps at which completions were saved.
        whole (`dict[str, numpy.ndarray]`):
            Each metric, of shape `(T,)`.
        dropped (`dict[str, numpy.ndarray]`):
            Each metric, of shape `(S, T)`: a row per seed.
        seeds (`list[int]`):
            What was dropped.
    """

    steps: np.ndarray
    whole: dict[str, np.ndarray]
    dropped: dict[str, np.ndarray]
    seeds: list[int]

    def correlation(self, metric: str) -> np.ndarray:
        """Pearson correlation (S,) of each dropped curve with the whole one; NaN where a curve is flat."""
        with np.errstate(invalid="ignore"):
            whole = self.whole[metric] - self.whole[metric].mean()
            dropped = self.dropped[metric] - self.dropped[metric].mean(axis=1, keepdims=True)
            return dropped @ whole / (np.linalg.norm(dropped, axis=1) * np.linalg.norm(whole))

    def largest_deviation(self, metric: str) -> np.ndarray:
        """Largest difference (S,) of each dropped curve from the whole one, once both are relative to their means."""
        whole = self.whole[metric] / self.whole[metric].mean()
        dropped = self.dropped[metric] / self.dropped[metric].mean(axis=1, keepdims=True)
        return np.abs(dropped - whole).max(axis=1)

    def table(self) -> str:
        """Correlations and deviations as aligned text."""
        rows = [("", "correlation", "", "largest deviation", ""), ("", "mean", "least", "mean", "most")]
        for metric in METRICS:
            correlation, deviation = self.correlation(metric), self.largest_deviation(metric)
            cells = (f"{correlation.mean():.3f}", f"{correlation.min():.3f}")
            rows.append((metric.replace("_", " "), *cells, f"{deviation.mean():.1%}", f"{deviation.max():.1%}"))
        return table(rows)


def sensitivity(run: Path, grams: StrategicGrams, fraction: float, seeds: list[int]) -> Sensitivity:
    """
    Recomputes the curves of a run's saved completions with a share of the lexicon removed at random.

    Args:
        run (`Path`):
            A run's folder with `completions/`.
        grams ([`StrategicGrams`]):
            The lexicon.
        fraction (`float`):
            Share to remove, in (0, 1).
        seeds (`list[int]`):
            One curve each.

    Raises:
        `ValueError`: if the run saved completions at fewer than two steps.
    """
    files = sorted((run / "completions").glob("*.parquet"))
    if len(files) < 2:
        raise ValueError(
            f"{run} has completions of {len(files)} steps, expected at least 2: train with log_completions: true"
        )
    matcher = GramMatcher(grams)
    kept = [np.ones(len(grams), dtype=bool)]
    for seed in seeds:
        left = grams.drop(fraction, seed)
        kept.append(np.array([gram in left for gram in grams]))
    points = [_point(file, matcher, kept) for file in tqdm(files, desc="Reading completions", disable=None)]
    points.sort(key=lambda point: point[0])
    values = np.array([values for _, values in points])
    curves = {metric: values[:, :, i].T for i, metric in enumerate(METRICS)}
    return Sensitivity(
        np.array([step for step, _ in points]),
        {metric: curve[0] for metric, curve in curves.items()},
        {metric: curve[1:] for metric, curve in curves.items()},
        seeds,
    )


def _point(file: Path, matcher: GramMatcher, kept: list[np.ndarray]) -> tuple[int, list[tuple[float, float]]]:
    """Step of a file, and (semantic entropy, planning fraction) with each of the lexicons `kept` (each (G,), bool)."""
    rows = pq.read_table(file, columns=["step", "completion"]).to_pylist()
    counts = [np.zeros(len(matcher.grams), dtype=np.int64) for _ in kept]
    planning, characters = np.zeros(len(kept)), 0
    for row in rows:
        text = as_text(row["completion"], "completion", str(file))
        matches = matcher.find_in_text(text)
        spans = in_characters(text, matches)
        characters += len(text)
        for i, keep in enumerate(kept):
            inside = keep[matches[:, 0]]
            planning[i] += covered(spans[inside], len(text)).sum()
            chosen = leftmost_longest(matches[inside])
            counts[i] += np.bincount(chosen[:, 0], minlength=counts[i].size)
    return rows[0]["step"], [
        (shannon_entropy(count.tolist()), share / max(characters, 1)) for count, share in zip(counts, planning)
    ]


def sensitivity_panels(results: Mapping[str, Mapping[str, Sensitivity]], fraction: float) -> list[Panel]:
    """Both metrics over steps, of each method and seed: with the whole lexicon, and with each part as a thin line."""
    panels = []
    for metric, unit in METRICS.items():
        for method, seeds in results.items():
            whole = {seed: (result.steps, result.whole[metric]) for seed, result in seeds.items()}
            dropped = {
                f"{seed}, draw {draw}" if len(seeds) > 1 else f"draw {draw}": (result.steps, curve)
                for seed, result in seeds.items()
                for draw, curve in zip(result.seeds, result.dropped[metric])
            }
            lines = [Line("whole lexicon", method, whole), Line(f"{fraction:.0%} removed at random", method, dropped)]
            panels.append(Panel(metric.replace("_", " ").capitalize(), unit, lines))
    return panels
