"""HTML pages of one look: self-contained, no network requests, everything from outside escaped."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from ..disk import check_own, write_whole
from ..dynamics.curves import Panel, legend, to_svgs


_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
# A column with a cell of more characters is prose, which is broken into lines; numbers are not.
_LONG = 40
# The markers of curves, as characters.
_MARKERS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✕"}


@cache
def style(name: str) -> str:
    """What all pages share of style, and a style sheet of this package."""
    folder = files("hicra_trl.analysis")
    return "".join(folder.joinpath(sheet).read_text("utf-8") for sheet in ("shared.css", name))


def page(title: str, body: str, footer: str = "") -> str:
    """A whole HTML document; `title` is escaped, `body` and `footer` are HTML."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # The content is a model's: nothing in it may run or be fetched, whatever it looks like.
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<link rel="icon" href="data:,">\n<style>\n{style("page.css")}</style>\n</head>\n<body>\n'
        f"<main>\n{body}\n</main>\n{footer}\n</body>\n</html>\n"
    )


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "", names: int = 1) -> str:
    """
    A table, which scrolls by itself where it is wider than the page; everything in it is escaped.

    Args:
        header (`Sequence[str]`):
            Names of the columns.
        rows (`Sequence[Sequence[str]]`):
            Their cells.
        caption (`str`, *optional*):
            What the table shows; without it, the header names the table to those who do not see it.
        names (`int`, *optional*, defaults to `1`):
            How many columns, from the left, name what the others say something about.
    """
    says = [any(len(row[i]) > _LONG for row in rows) for i in range(len(header))]
    kinds = [" ".join(["name"] * (i < names) + ["says"] * says[i]) for i in range(len(header))]
    marks = [f' class="{kind}"' if kind else "" for kind in kinds]
    head = "".join(
        f'<th scope="col"{mark}>{escape(cell)}</th>' if cell else "<td></td>" for cell, mark in zip(header, marks)
    )
    body = "".join(
        "<tr>"
        + "".join(f'<th scope="row"{mark}>{escape(cell)}</th>' for cell, mark in zip(row[:names], marks))
        + "".join(f"<td{mark}>{escape(cell)}</td>" for cell, mark in zip(row[names:], marks[names:]))
        + "</tr>\n"
        for row in rows
    )
    said = f"<caption><span>{escape(caption)}</span></caption>\n" if caption else ""
    label = escape(caption.partition(". ")[0] or ", ".join(filter(None, header)))
    return (
        f'<div class="scroll" role="group" aria-label="{label}" tabindex="0">\n<table>\n{said}'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>"
    )


def html_figure(panels: Sequence[Panel], caption: str) -> str:
    """Panels of curves, as many beside each other as the page has room for, their legend, and an escaped caption."""
    colors = {"#000000": "var(--ink)"}
    named = "".join(
        f'<li><span aria-hidden="true" style="color: {colors.get(color, color)}">━{_MARKERS[marker]}━</span> '
        f"{escape(label)}</li>"
        for label, color, marker in legend(panels)
    )
    return (
        f'<figure>\n<ul class="legend" aria-label="Methods">{named}</ul>\n<div class="panels">\n'
        + "\n".join(to_svgs(panels))
        + f"\n</div>\n<figcaption>{escape(caption)}</figcaption>\n</figure>"
    )


def glossary(words: Mapping[str, str]) -> str:
    """Words and what they mean, escaped."""
    said = "\n".join(f"<dt>{escape(word)}</dt><dd>{escape(means)}</dd>" for word, means in words.items())
    return f"<dl>\n{said}\n</dl>"


def made_by() -> str:
    """This version, and the command that was typed."""
    ours = Path(sys.argv[0]).stem in ("hicra", "main")
    return f"hicra-trl {version('hicra-trl')}" + (f": {shlex.join(['hicra', *sys.argv[1:]])}" if ours else "")


def came_from(runs: Mapping[str, Mapping[str, str]]) -> str:
    """
    The end of a page: what runs it shows, and what made it.

    Args:
        runs (`Mapping[str, Mapping[str, str]]`):
            What each comes from, of [`~hicra_trl.analysis.runs.origin`], by its folder.
    """
    parts = ["<footer>\n<h2>Where this page comes from</h2>", f"<p>Made by <code>{escape(made_by())}</code>.</p>"]
    columns = [
        name
        for name in dict.fromkeys(name for facts in runs.values() for name in facts)
        if name not in ("versions", "command")
    ]
    if runs:
        rows = [[folder, *(facts.get(name, "") for name in columns)] for folder, facts in runs.items()]
        parts.append(html_table(["run", *columns], rows, "The runs"))
    versions: dict[str, list[str]] = {}
    for folder, facts in runs.items():
        if "versions" in facts:
            versions.setdefault(facts["versions"], []).append(folder)
    for numbers, folders in versions.items():
        whose = f" ({', '.join(folders)})" if len(versions) > 1 else ""
        parts.append(f"<p>Trained with {escape(numbers + whose)}.</p>")
    if commands := [facts["command"] for facts in runs.values() if "command" in facts]:
        said = "\n".join(f"<pre>{escape(command)}</pre>" for command in commands)
        parts.append(f"<details><summary>Commands of the runs</summary>\n{said}\n</details>")
    return "\n".join([*parts, "</footer>"])


def write(
    path: str | Path, title: str, body: str, subject: str = "", runs: Mapping[str, Mapping[str, str]] | None = None
) -> Path:
    """Writes [`page`] and what it [`came_from`], and returns the path; only a page of that title is replaced."""
    check_own(path, f"<title>{escape(title)}")
    write_whole(path, page(title + subject, body, came_from(runs or {})))
    return Path(path)
