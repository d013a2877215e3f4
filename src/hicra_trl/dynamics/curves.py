"""Curves over steps, drawn one way: a thin line a seed, their mean and its interval on top, nothing smoothed."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .statistics import mean_and_interval


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


FORMATS = ("svg", "pdf", "png")
CSV_HEADER = ("panel", "kind", "method", "seed", "step", "value", "low", "high")

# Okabe and Ito's colours, which colour-blind readers tell apart; a marker each tells them apart in grey.
_FIXED = {"GRPO": ("#0072B2", "o"), "HICRA": ("#D55E00", "s")}
_OTHERS = (("#009E73", "^"), ("#CC79A7", "D"), ("#56B4E9", "v"), ("#E69F00", "P"), ("#000000", "X"))
_STYLES = {"solid": "-", "dashed": (0, (4, 2)), "dotted": (0, (1, 1.5))}
_MARKS = 8
# Lines of more points are noise as wide as a brush: thin, so that one does not cover another.
_MANY = 200
# What a page shows in its own colours, dark where it is: by the names of its CSS variables.
_OF_THE_PAGE = {
    "#000000": "ink",
    "#475467": "soft",
    "#98a2b3": "plain",
    "#eef0f3": "grid",
    "#eef6f1": "right",
    "#fdf1ec": "wrong",
}
# The interval of two seeds is 25 standard errors wide: it hides what there is to see, and stands in the table alone.
_LEAST_SEEDS = 3
_RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hicra",
    "pdf.fonttype": 42,
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
    "axes.titleweight": "bold",
    "xtick.color": "#475467",
    "ytick.color": "#475467",
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Line:
    """
    What one method did in one respect.

    Attributes:
        method (`str`):
            Has a colour and a marker in all panels of a figure.
        kind (`str`):
            Has a style of line in its panel; empty where the panel shows one kind.
        seeds (`Mapping[str, tuple[numpy.ndarray, numpy.ndarray]]`):
            Steps and values of each seed, both of shape `(T,)`.
    """

    method: str
    kind: str
    seeds: Mapping[str, tuple[np.ndarray, np.ndarray]]

    def mean(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of two or more seeds, the steps that all of them have, the mean, and half the width of its 95 % interval."""
        found = [
            {step: value for step, value in zip(*_listed(points)) if np.isfinite(value)}
            for points in self.seeds.values()
        ]
        shared = sorted(set.intersection(*map(set, found))) if len(found) > 1 else []
        if not shared:
            return np.array([]), np.array([]), np.array([])
        mean, half = mean_and_interval([[values[step] for step in shared] for values in found])
        return np.array(shared), mean, half


@dataclass(frozen=True)
class Panel:
    """
    What stands in one panel of a figure.

    Attributes:
        title (`str`):
            Above it.
        unit (`str`):
            Of the values; names their axis.
        lines (`Sequence[Line]`):
            What to draw.
        is_list (`bool`):
            Its kinds stand below each other, with one value a seed to the left or right of 0, instead of over steps.
    """

    title: str
    unit: str
    lines: Sequence[Line]
    is_list: bool = False

    @property
    def kinds(self) -> dict[str, str]:
        """The style of each kind."""
        return dict(zip(dict.fromkeys(line.kind for line in self.lines), _STYLES, strict=False))

    def described(self) -> str:
        """What is seen in it, in words: where each line begins and ends."""
        said = [f"{self.title}, {self.unit}" + ("." if self.is_list else ", over optimizer steps.")]
        for line in self.lines:
            steps, values = line.mean()[:2] if len(line.seeds) > 1 else next(iter(line.seeds.values()), ([], []))
            if len(steps):
                ends = dict.fromkeys((0, len(steps) - 1))
                at = (f"{values[i]:.3g}" + ("" if self.is_list else f" at step {steps[i]:g}") for i in ends)
                said.append(f"{line.method}{line.kind and f', {line.kind}'}: {', then '.join(at)}.")
        return " ".join(said)


def draw(panels: Sequence[Panel]) -> "Figure":
    """Draws panels in reading order, two beside each other; a method has one colour in all of them."""
    from matplotlib.lines import Line2D

    named = legend(panels)
    with themed():
        figure = _drawn(panels, looks(panels), 7.0 if len(panels) > 1 else 5.0, 0.2 + 0.2 * -(-len(named) // 2))
        handles = [
            Line2D([], [], color=color, marker=marker, markersize=4, linewidth=1.6, label=label)
            for label, color, marker in named
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=2, borderaxespad=0.2)
    return figure


def legend(panels: Sequence[Panel]) -> list[tuple[str, str, str]]:
    """Name with the number of its seeds, colour and marker of each method."""
    named = []
    for method, (color, marker) in looks(panels).items():
        seeds = max(len(line.seeds) for panel in panels for line in panel.lines if line.method == method)
        named.append((f"{method} (n = {seeds})" if seeds > 1 else method, color, marker))
    return named


def _drawn(panels: Sequence[Panel], looks: Mapping[str, tuple[str, str]], width: float, above: float) -> "Figure":
    """Without a legend, for which there is room `above`."""
    # Imported here: it takes half a second, which training does not wait for at its start.
    from matplotlib.figure import Figure

    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    height = max(0.8 + 0.2 * len({line.kind for line in panel.lines}) if panel.is_list else 2.3 for panel in panels)
    figure = Figure(figsize=(width, height * rows + above), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flat
    for i, (panel, axis) in enumerate(zip(panels, grid)):
        if panel.is_list:
            _draw_list(axis, panel, looks)
            continue
        _draw(axis, panel, looks)
        beside = panels[i - i % columns : i - i % columns + columns]
        axis.set_title(panel.title, pad=18 if any(any(other.kinds) for other in beside) else 6)
        if i + columns >= len(panels):
            axis.set_xlabel("optimizer step")
    for axis in grid:
        axis.remove()
    return figure


def numbers(panels: Sequence[Panel]) -> str:
    """What [`draw`] draws, as CSV: a row for each point of a seed, and one for each of a mean with its interval."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(CSV_HEADER)
    for panel in panels:
        for line in panel.lines:
            head = (panel.title, line.kind, line.method)
            for seed, points in line.seeds.items():
                rows.writerows((*head, seed, f"{step:g}", value, "", "") for step, value in zip(*_listed(points)))
            for step, mean, half in zip(*_listed(line.mean())):
                rows.writerow((*head, "mean", f"{step:g}", mean, mean - half, mean + half))
    return text.getvalue()


def save(figure: "Figure", path: str | Path, creator: str) -> None:
    """Writes a figure in the format of the suffix, always the same bytes; `creator` stands in its metadata."""
    path = Path(path)
    metadata: dict[str, Any] = {"png": {"Software": creator}, "pdf": {"Creator": creator, "CreationDate": None}}.get(
        path.suffix[1:], {"Creator": creator, "Date": None}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with themed():
        figure.savefig(path, dpi=160, metadata=metadata)


def to_svg(figure: "Figure", says: str = "") -> str:
    """
    A figure as an `<svg>` element to put into a page: as wide as its place there, and in the page's colours.

    Args:
        figure (`matplotlib.figure.Figure`):
            From [`draw`].
        says (`str`, *optional*):
            What is seen in it, in words.
    """
    buffer = io.StringIO()
    with themed():
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    of_a_file = r'(?<=<g) id="[^"]*"|(?s:<metadata>.*?</metadata>)|<style.*?</style>'
    svg = re.sub(of_a_file, "", svg[svg.index("<svg") :])
    for color, name in _OF_THE_PAGE.items():
        svg = svg.replace(f": {color}", f": var(--{name}, {color})")
    named = f'<svg role="img" aria-label="{escape(says)}"' if says else "<svg"
    return named + re.sub(r' (?:width|height)="[\d.]+pt"', "", svg[len("<svg") :], count=2)


def to_svgs(panels: Sequence[Panel]) -> list[str]:
    """Each panel as an `<svg>` element of its own, without a legend, with what is seen in it in words."""
    found = looks(panels)
    with themed():
        figures = [_drawn([panel], found, 5.0 if panel.is_list else 3.5, 0) for panel in panels]
    return [to_svg(figure, panel.described()) for figure, panel in zip(figures, panels)]


def themed() -> AbstractContextManager[None]:
    """Within it, figures look as all of ours do."""
    import matplotlib

    return matplotlib.rc_context(_RC)


def looks(panels: Sequence[Panel]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each method, the same in all panels."""
    methods = dict.fromkeys(line.method for panel in panels for line in panel.lines)
    others, count = [method for method in methods if method.upper() not in _FIXED], len(_OTHERS)
    # When the colours begin again, the markers have moved on by one.
    free = {method: (_OTHERS[i % count][0], _OTHERS[(i + i // count) % count][1]) for i, method in enumerate(others)}
    return {method: _FIXED.get(method.upper()) or free[method] for method in methods}


def _draw(axis: "Axes", panel: Panel, looks: Mapping[str, tuple[str, str]]) -> None:
    for line in panel.lines:
        color, marker = looks[line.method]
        style: dict[str, Any] = {"linestyle": _STYLES[panel.kinds[line.kind]], "color": color}
        for steps, values in line.seeds.values():
            # Alone it is all there is to see; under a mean it is what the mean hides.
            thin: dict[str, Any] = {"linewidth": 0.6, "alpha": 0.45}
            axis.plot(steps, values, **style, **(thin if len(line.seeds) > 1 else _marked(marker, len(steps))))
        steps, mean, half = line.mean()
        axis.plot(steps, mean, **style, **_marked(marker, len(steps)))
        if len(line.seeds) >= _LEAST_SEEDS:
            axis.fill_between(steps, mean - half, mean + half, color=color, alpha=0.15, linewidth=0)
    axis.locator_params(nbins=5)
    axis.margins(x=0.02)
    axis.set_ylabel(panel.unit)
    kinds = panel.kinds
    said = ", ".join(kind if len(kinds) == 1 else f"{style}: {kind}" for kind, style in kinds.items())
    axis.text(0, 1.03, said, transform=axis.transAxes, fontsize=8, color="#475467")


def _draw_list(axis: "Axes", panel: Panel, looks: Mapping[str, tuple[str, str]]) -> None:
    places = {kind: place for place, kind in enumerate(dict.fromkeys(line.kind for line in panel.lines))}
    methods = [*looks]
    for line in panel.lines:
        color, marker = looks[line.method]
        # Methods stand close above each other in a row.
        at = places[line.kind] + 0.6 * ((methods.index(line.method) + 0.5) / len(methods) - 0.5)
        values = [value for points in line.seeds.values() for value in points[1].tolist()]
        _, mean, half = line.mean()
        look: dict[str, Any] = {"color": color, "marker": marker, "markersize": 4.5, "linestyle": "none"}
        smaller: dict[str, Any] = {"markersize": 2.5, "alpha": 0.45} if len(mean) else {}
        axis.plot(values, [at] * len(values), **(look | smaller))
        axis.plot(mean, [at] * len(mean), **look)
        has_interval = len(line.seeds) >= _LEAST_SEEDS and len(mean) > 0
        low, high = (mean - half, mean + half) if has_interval else (0, mean if len(mean) else values)
        axis.hlines([at] * len(mean if len(mean) else values), low, high, color=color, linewidth=0.9)
    shown = [kind if len(kind) <= 48 else f"{kind[:26]} ... {kind[-18:]}" for kind in places]
    axis.set_yticks([*places.values()], shown)
    axis.set_ylim(len(places) - 0.4, -0.6)
    axis.grid(visible=False, axis="y")
    widest = 1.05 * max(map(abs, axis.get_xlim()))
    axis.set_xlim(-widest, widest)
    axis.axvspan(0, widest, color="#eef6f1", zorder=0)
    axis.axvspan(-widest, 0, color="#fdf1ec", zorder=0)
    axis.axvline(0, color="#98a2b3", linewidth=0.8)
    axis.set_title(panel.title)
    axis.set_xlabel(panel.unit)


def _marked(marker: str, points: int) -> dict[str, Any]:
    """The look of a line on top, with a few markers whatever its number of points."""
    look = {"linewidth": 1.6} if points <= _MANY else {"linewidth": 0.7, "alpha": 0.7}
    return {**look, "marker": marker, "markersize": 3.5, "markevery": max(1, points // _MARKS)}


def _listed(arrays: Sequence[np.ndarray]) -> Iterator[list[float]]:
    return (array.tolist() for array in arrays)
