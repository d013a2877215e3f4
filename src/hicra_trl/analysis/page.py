"""The one HTML page style: self-contained, no network requests, everything from outside escaped."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from ..disk import check_own, write_whole


_STYLE = """
:root { color-scheme: light; --ink: #1f2430; --soft: #667085; --line: #e4e7ec; --mark: #ffe2cf; --accent: #c2410c }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); max-width: 68rem; margin: 2.5rem auto;
       padding: 0 1.25rem }
h1 { font-size: 1.7rem; margin: 0 0 .3rem } h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem }
p.lead, .note { color: var(--soft) } .note { font-size: .9rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto }
th, td { padding: .35rem .9rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child, td:first-child { text-align: left } th { font-weight: 600; font-size: .9rem }
svg { max-width: 100%; height: auto }
.trace { border: 1px solid var(--line); border-radius: 8px; padding: .7rem 1rem; margin: .6rem 0 }
.trace h3 { font-size: .85rem; margin: 0 0 .35rem; color: var(--soft); font-weight: 600 }
.trace pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font: .93rem/1.6 ui-monospace, monospace }
mark { background: var(--mark); color: var(--accent); border-radius: 3px; padding: 0 .15em }
mark[class] { padding: 0; text-decoration: underline 2px; text-underline-offset: 3px }
mark.planning { color: #7a2b00 }
mark.high { background: #d3e6fb; color: #0c3f75; text-decoration-style: dotted }
mark.both { background: linear-gradient(var(--mark) 50%, #d3e6fb 50%); color: #4b1259; text-decoration-style: double }
"""


def page(title: str, body: str) -> str:
    """A whole HTML document; `title` is escaped, `body` is HTML."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # The content is a model's: nothing in it may run or be fetched, whatever it looks like.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f'<link rel="icon" href="data:,">\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n'
    )


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose cells are escaped."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f"<table>\n<tr>{head}</tr>\n{body}</table>"


def write(path: str | Path, title: str, body: str, subject: str = "") -> Path:
    """Writes [`page`] to `path` and returns the path; of what is there, only pages of that title are replaced."""
    check_own(path, f"<title>{escape(title)}")
    write_whole(path, page(title + subject, body))
    return Path(path)
