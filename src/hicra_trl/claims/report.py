"""What became of the claims, in words, tables and figures: as Markdown for the docs, and as one HTML page."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from ..analysis.page import html_figure, html_table, write
from ..disk import check_own, write_whole
from ..dynamics.curves import Line, Panel, draw, save
from ..dynamics.statistics import mean_and_interval
from ..evaluation.statistics.comparison import holm
from ..evaluation.statistics.intervals import LEVEL
from ..evaluation.statistics.seeds import paired_p_value, smallest_difference
from .plan import claims_hash, read_claims
from .verdicts import Curve, Part, Runs, Verdict, difference


TITLE = "The paper's claims, tested in small worlds"
MARK = "<!-- hicra reproduce writes this page -->"
_HUNDREDFOLD = {"points": "points", "share": "%"}
_SIGNED = ("points", "nats", "steps")
_TITLES = {
    "accuracy": ("Held-out accuracy", "pass@1"),
    "entropy": ("Token entropy", "nats"),
    "execution_perplexity": ("Execution perplexity", "perplexity"),
    "length": ("Length", "tokens"),
    "pass_at_8": ("pass@8 in training", "share of problems"),
    "semantic_entropy": ("Semantic entropy", "nats"),
    "strategy": ("Strategy errors", "share of completions"),
}
# In the world of orders where it was trained, else in the playground; of C4 always there.
_CURVES = {
    "C2": ("execution_perplexity", "semantic_entropy", "strategy", "length"),
    "C4": ("accuracy", "length", "entropy", "semantic_entropy"),
    "C5": ("semantic_entropy", "accuracy", "entropy", "pass_at_8"),
}
_CAPTION = "A thin line a seed, their mean on top, from three seeds on with its 95 % interval."
_LIMITS = """\
Models of half a million parameters in made-up worlds are four orders of magnitude smaller than the paper's, and their
texts are made of some forty phrases. What holds here can hold for reasons of these worlds; what fails here need not
fail there.

A claim on how reinforcement learning moves a policy (C2, C3, C5, C8, C10) is about a mechanism: a world in which it
fails shows that it is not general. A claim on how much (C1, C4, C9) is about these worlds.

Planning tokens are far more frequent here than in the texts of a large model, so that the second half of C6 can hardly
hold. Semantic entropy is bounded by the phrases that the base knows: no new ones are found, known ones are used more
evenly. Intervals say how a method does with other seeds on these bases and problems, not on others. All methods have
the learning rate that was chosen for GRPO; one may be better at a rate of its own."""


@dataclass(frozen=True)
class Result:
    """
    All that is reported.

    Attributes:
        verdicts (`list[Verdict]`):
            On each claim.
        found (`Mapping[str, Runs]`):
            The numbers of all runs, by campaign.
        notes (`list[str]`):
            What makes the results less than they seem: claims that were changed, runs that are missing.
        cost (`list[list[str]]`):
            A table.
        versions (`Mapping[str, str]`):
            Of what trained.
        target (`str`):
            What C10 found, in tables.
        is_quick (`bool`):
            Whether this is a part.
    """

    verdicts: list[Verdict]
    found: Mapping[str, Runs]
    notes: list[str]
    cost: list[list[str]]
    versions: Mapping[str, str]
    target: str
    is_quick: bool

    def rows(self) -> list[list[str]]:
        """The ten verdicts, with a header."""
        claims = read_claims()["claims"]
        return [["", "claim", "verdict", "because"]] + [
            [one.name, claims[one.name]["claim"].rstrip("."), one.word, deciding(one)] for one in self.verdicts
        ]


def shown(part: Part, value: float | None, half: float | None = None, is_bound: bool = False) -> str:
    """A value, with half of its interval, in the unit of its part."""
    if value is None or not np.isfinite(value):
        return ""
    scale, form, unit = (100, ".1f", _HUNDREDFOLD[part.unit]) if part.unit in _HUNDREDFOLD else (1, ".3g", part.unit)
    sign = "+" if part.unit in _SIGNED and not is_bound else ""
    interval = "" if half is None else f" +- {scale * half:{form}}"
    return f"{scale * value:{sign}{form}}{interval} {unit}".strip()


def deciding(verdict: Verdict) -> str:
    """The part that decided, in a few words."""
    part = next(iter([*verdict.failed, *(part for part in verdict.parts if not part.is_held), *verdict.parts]), None)
    if part is None or not part.values:
        return "not all that it needs was trained"
    found = f"{part.says}: {shown(part, *part.mean_and_half)}, {len(part.values)} seeds"
    if part not in verdict.failed:
        return found
    p_value = verdict.against[part.name]
    return f"{found}, {_excluded(part)} with p {'' if p_value < 0.001 else '= '}{_p(p_value)}"


def blocks(result: Result) -> list[tuple[str, Any]]:
    """Kind and content of all there is to say, in its order."""
    claims = read_claims()["claims"]
    said: list[tuple[str, Any]] = [
        ("h1", TITLE),
        (
            "text",
            f"Ten claims of the paper, each with a test and bounds that were written down before the runs in "
            f"`src/hicra_trl/claims/claims.yaml` (hash {claims_hash()}), and what `hicra reproduce"
            f"{' --quick' if result.is_quick else ''}` found. The worlds are described in `docs/playground.md`.",
        ),
        *(("text", f"**{note}**") for note in result.notes),
        ("table", result.rows()),
        (
            "text",
            "*Holds here*: every part of the claim is on its side of the bound, with p < 0.05 in a t-test over seeds. "
            "*Fails here*: a part is surely where it *fails*, with p < 0.05 after Holm's correction. A gain counts "
            "from one point on, so that one surely smaller fails. *Cannot be told*: neither, with so many seeds."
            + (" With `--quick`, claims that need another world than the playground are left open." * result.is_quick),
        ),
    ]
    for verdict in result.verdicts:
        claim = claims[verdict.name]
        said += [
            ("h2", f"{verdict.name}: {claim['claim'].rstrip('.')}"),
            ("text", f"**{verdict.word.capitalize()}.** Paper: {claim['paper']}. Test: {_sentence(claim['test'])}"),
            ("text", f"Why so: {_sentence(claim['because'])}"),
        ]
        said += [("table", _part_rows(verdict, claim["bases"]))] if verdict.parts else []
        said += [("pre", result.target)] if verdict.name == "C10" and result.target else []
        said += [("text", line) for line in _beside(verdict.name, result.found)]
        if panels := _panels(verdict.name, result.found):
            said.append(("figure", (verdict.name, panels)))
    said += [("h2", "Other methods"), *_methods(result.found.get("playground", {}))]
    said += [("h2", "What it cost"), ("table", result.cost)]
    said += [("h2", "What a laptop cannot say"), ("text", _LIMITS)]
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    return [*said, ("h2", "Versions"), ("text", versions)]


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def _part_rows(verdict: Verdict, bases: Sequence[str]) -> list[list[str]]:
    """A row for each part, with what each base says beside the mean that counts."""
    each = [base for base in {base: 0 for part in verdict.parts for base in part.beside} if base]
    columns = {base: base if base in bases else f"({base})" for base in each}
    head = ["", "mean", "claimed", "p", "fails", "p (Holm)", "detectable", "seeds", "says"]
    rows = [[*head, *columns.values()]]
    for part in verdict.parts:
        row = [
            part.says,
            shown(part, *part.mean_and_half),
            f"{'above' if part.sign == 1 else 'below'} {shown(part, part.bound, is_bound=True)}",
            _p(part.p_value(part.bound)),
            _excluded(part),
            _p(verdict.against.get(part.name)) if part.is_on_other_side else "",
            shown(part, part.detectable, is_bound=True),
        ]
        says = "holds" if part.is_held else "excludes it" if part in verdict.failed else "open"
        found = (mean_and_interval([*of.values()]) if (of := part.beside.get(base)) else (None, None) for base in each)
        rows.append([*row, str(len(part.values)), says, *(shown(part, *one) for one in found)])
    return rows


def _excluded(part: Part) -> str:
    """Where the mean excludes the claim."""
    return f"{'below' if part.sign == 1 else 'above'} {shown(part, part.excluded, is_bound=True)}"


def _beside(claim: str, found: Mapping[str, Runs]) -> list[str]:
    """What else the token records, and the curves with grams dropped, say."""
    key, says = {
        "C6": ("planning", "Of all tokens, these plan, as would by chance of those of high entropy"),
        "C7": ("planning_correlation", "Correlation of the curves of the share of planning tokens"),
    }.get(claim, ("", ""))
    told = {
        name: [of.figures[key] for of in runs.get("grpo", {}).values() if key in of.figures]
        for name, runs in found.items()
    }
    means = [f"{fmean(values):.2f} ({base})" for base, values in told.items() if values]
    return [f"{says}: {', '.join(means)}."] if means else []


def _p(value: float | None) -> str:
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _methods(runs: Runs) -> list[tuple[str, Any]]:
    """Every condition of the playground against GRPO, at the end."""
    names = [name for name, of in runs.items() if of]
    gains = {name: difference(runs, name, lambda run: run.end("accuracy")) for name in names if name != "grpo"}
    p_values = {name: paired_p_value(np.array([*gain.values()])) for name, gain in gains.items()}
    told = {name: p for name, p in p_values.items() if p is not None}
    corrected = dict(zip(told, holm([*told.values()])))
    head = ["accuracy", "- grpo", "p (Holm)", "detectable", "tokens", "semantic entropy", "strategy errors"]
    rows = [["", "seeds", *head]]
    for name in names:
        of = [*runs[name].values()]
        row = [name, str(len(of)), _percent([run.end("accuracy") for run in of]), "", "", ""]
        if gain := [*gains.get(name, {}).values()]:
            row[3] = _percent(gain, "+") + "*" * (corrected.get(name, 1.0) < 1 - LEVEL)
        if name in corrected:
            row[4:6] = _p(corrected[name]), f"{smallest_difference(float(np.std(gain, ddof=1)), len(gain)):.1%}"
        means = (fmean(run.end(key) for run in of) for key in ("length", "semantic_entropy", "strategy"))
        rows.append([*row, *(form.format(mean) for form, mean in zip(("{:.1f}", "{:.3f}", "{:.1%}"), means))])
    note = "Playground, mean of the last third of the steps. * differs from GRPO, corrected by Holm for the table."
    return [("table", rows), ("text", note)] if len(rows) > 1 else []


def _percent(values: Sequence[float], sign: str = "") -> str:
    mean, half = mean_and_interval(values)
    return f"{mean:{sign}.1%}" + ("" if half is None else f" +- {half:.1%}")


def _panels(claim: str, found: Mapping[str, Runs]) -> list[Panel]:
    """A figure of the claims that curves show: of every base, or several curves of one."""
    pair = ("grpo", "hicra")
    if claim == "C1":
        return [panel for base in found for panel in _panel(found[base], base, "held-out pass@1", pair, "accuracy")]
    if claim == "C8":
        kinds, unit = ("strategy", "execution"), "share of completions"
        return [panel for base in found for panel in _panel(found[base], base, unit, ("grpo",), *kinds)]
    is_orders = claim != "C4" and any(found.get("orders-base", {}).values())
    base = "orders-base" if is_orders else "playground"
    runs = found.get(base, {})
    names = [name for name in runs if name in pair or (claim == "C4" and name.startswith("entropy-"))]
    shown = [(f"{title}, {base}", unit, curve) for curve in _CURVES.get(claim, ()) for title, unit in [_TITLES[curve]]]
    return [panel for title, unit, curve in shown for panel in _panel(runs, title, unit, names, curve)]


def _panel(runs: Runs, title: str, unit: str, names: Sequence[str], *curves: str) -> list[Panel]:
    lines = [
        Line(name.upper() if name in ("grpo", "hicra") else name, curve if len(curves) > 1 else "", seeds)
        for curve in curves
        for name in names
        if (seeds := {str(seed): _points(run.curves[curve]) for seed, run in runs.get(name, {}).items()})
    ]
    return [Panel(title, unit, lines)] if lines else []


def _points(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    points = np.array(curve, dtype=float).reshape(-1, 2)
    return points[:, 0], points[:, 1]


def write_markdown(result: Result, path: Path) -> list[Path]:
    """Writes the words and tables to `path` and the figures to `images/` beside it; returns all files."""
    check_own(path, MARK)
    parts, files = [MARK], [path]
    for kind, content in blocks(result):
        if kind == "figure":
            name, panels = content
            files.append(path.parent / "images" / f"{path.stem}-{name.lower()}.png")
            save(draw(panels), files[-1], "hicra reproduce")
            parts.append(f"![{name}](images/{files[-1].name})\n\n{_CAPTION}")
        elif kind == "table":
            head, *rows = [[cell.replace("|", "\\|") for cell in row] for row in content]
            parts.append("\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)))
        elif kind == "pre":
            parts.append(f"```text\n{content}\n```")
        else:
            parts.append({"h1": "# ", "h2": "## "}.get(kind, "") + content)
    write_whole(path, "\n\n".join(parts) + "\n")
    return files


def write_page(result: Result, path: Path) -> Path:
    """Writes the same as one HTML file; returns its path."""
    body = []
    for kind, content in blocks(result):
        if kind == "figure":
            body.append(html_figure(content[1], _CAPTION))
        elif kind == "table":
            body.append(html_table(content[0], content[1:]))
        elif kind == "text":
            text = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(content))
            text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
            body.append("<p>" + re.sub(r"\*(\S[^*]*?)\*", r"<i>\1</i>", text).replace("\n\n", "</p>\n<p>") + "</p>")
        else:
            body.append(f"<{kind}>{escape(content)}</{kind}>")
    return write(path, "HICRA claims", "\n".join(body))
