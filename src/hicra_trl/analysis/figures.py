"""Curves of training runs and bars of their errors, from the files that runs leave (paper, figures 3, 5 and 6)."""

import io
import json
import textwrap
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .comparison import read_outcomes


COLORS = {"base": "#98a2b3", "grpo": "#2f6fb0", "hicra": "#c2410c"}
_RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hicra",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#98a2b3",
    "axes.grid": True,
    "grid.color": "#eef0f3",
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "legend.frameon": False,
    "legend.fontsize": 8,
}


def themed() -> AbstractContextManager[None]:
    """Within it, figures look as all of ours do."""
    return matplotlib.rc_context(_RC)


def read_history(run: Path) -> list[dict[str, float]]:
    """The log of a run, from its `trainer_state.json`."""
    return json.loads((run / "trainer_state.json").read_text())["log_history"]


def series(history: list[dict[str, float]], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of the entries that have `key`."""
    points = [(entry["step"], entry[key]) for entry in history if entry.get(key) is not None]
    steps, values = zip(*points, strict=True) if points else ((), ())
    return np.array(steps), np.array(values)


def dynamics_figure(folders: dict[str, list[Path]]) -> Figure:
    """
    Six panels: accuracy, length, semantic entropy, entropy and relative perplexity by token class, error types.

    Args:
        folders (`dict[str, list[Path]]`):
            Run folders of each method, one per seed, and under `"base"` the one with the base's `outcomes.json`.
            Lines are means over seeds; single seeds are drawn faintly.

    Returns:
        [`~matplotlib.figure.Figure`]: the figure.
    """
    # The base is where every run starts.
    start = {"step": 0, "eval_reward": read_outcomes(folders["base"][0])["accuracy"]}
    histories = {
        method: [[start, *read_history(run)] for run in runs] for method, runs in folders.items() if method != "base"
    }
    with themed():
        figure = Figure(figsize=(11, 6.2), layout="constrained")
        accuracy, length, semantic, entropy, perplexity, errors = figure.subplots(2, 3).flat
        for method, logs in histories.items():
            _curve(accuracy, logs, "reward", method, f"{method.upper()}, training", alpha=0.45, smooth=True)
            _curve(accuracy, logs, "eval_reward", method, f"{method.upper()}, held out", marker="o")
            _curve(length, logs, "completions/mean_length", method, method.upper())
            _curve(semantic, logs, "hicra/semantic_entropy", method, method.upper())
            for axis, key in ((entropy, "entropy"), (perplexity, "relative_perplexity")):
                _curve(axis, logs, f"hicra/{key}/planning", method, f"{method.upper()}, planning")
                _curve(axis, logs, f"hicra/{key}/execution", method, f"{method.upper()}, execution", style="--")
        for axis, title, unit in (
            (accuracy, "Accuracy", "share of right answers"),
            (length, "Length", "tokens per completion"),
            (semantic, "Semantic entropy", "nats"),
            (entropy, "Token entropy", "nats"),
            (perplexity, "Relative perplexity", "perplexity / first perplexity"),
        ):
            axis.set(title=title, ylabel=unit, xlabel="step")
            axis.legend()
        _error_bars(errors, folders)
    return figure


def to_svg(figure: Figure) -> str:
    """The figure as an `<svg>` element to put into a page."""
    buffer = io.StringIO()
    with themed():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :]


def _curve(
    axis: Axes,
    logs: list[list[dict[str, float]]],
    key: str,
    method: str,
    label: str,
    style: str = "-",
    marker: str = "",
    alpha: float = 1.0,
    smooth: bool = False,
) -> None:
    lines = [series(history, key) for history in logs]
    lines = [(steps, _smoothed(values) if smooth else values) for steps, values in lines if len(steps)]
    if not lines:
        return
    color = COLORS.get(method)
    if len(lines) > 1:
        for steps, values in lines:
            axis.plot(steps, values, style, color=color, linewidth=0.6, alpha=0.25)
    shared = min((steps for steps, _ in lines), key=len)
    mean = np.mean([values[: len(shared)] for _, values in lines], axis=0)
    axis.plot(shared, mean, style, marker=marker, markersize=3.5, color=color, label=label, alpha=alpha, linewidth=1.6)


def _smoothed(values: np.ndarray, width: int = 5) -> np.ndarray:
    """Mean of each value and the up to four before it: a step's reward is a noisy estimate."""
    return np.array([values[max(0, i + 1 - width) : i + 1].mean() for i in range(len(values))])


def _error_bars(axis: Axes, folders: dict[str, list[Path]]) -> None:
    found = {method: [read_outcomes(run)["outcomes"] for run in runs] for method, runs in folders.items()}
    outcomes = [outcome for outcome in next(iter(found.values()))[0] if outcome != "correct"]
    height = 0.8 / len(found)
    for i, (method, entries) in enumerate(found.items()):
        shares = [100 * np.mean([entry[outcome] for entry in entries]) for outcome in outcomes]
        axis.barh(np.arange(len(outcomes)) + i * height, shares, height, color=COLORS.get(method), label=_name(method))
    labels = [textwrap.fill(outcome, 20) for outcome in outcomes]
    axis.set_yticks(np.arange(len(outcomes)) + 0.4 - height / 2, labels, fontsize=8)
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.set(title="Errors, held out", xlabel="% of completions")
    axis.legend()


def _name(method: str) -> str:
    return method if method == "base" else method.upper()
