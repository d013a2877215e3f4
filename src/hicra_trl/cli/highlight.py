"""`hicra highlight`: planning tokens marked in an HTML page."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ..analysis.highlight import Recorded, block, highlight_tokens, trace_block
from ..analysis.page import write
from ..data.rows import as_text, stream_rows
from ..fields import Checked, Count, Name
from ..grams import GramMatcher, StrategicGrams
from ..training.runs.files import TOKEN_RECORD_FOLDER
from .parsing import run_command


PROG = "hicra highlight"

DESCRIPTION = """Marks the strategic grams of a text, or of the completions that a run saved, in one HTML page. Where
the run recorded the tokens of a completion, with the same lexicon, those of high entropy are marked too; hicra view
shows more of them.

  hicra highlight --input answer.txt
  hicra highlight --input runs/mine/completions/completions_00050.parquet --limit 5
  hicra highlight --input answer.txt --strategic_grams runs/mine/strategic_grams --output marked.html"""

_LEGEND = """<p class="note"><mark class="planning">planning</mark>, <mark class="high">high entropy</mark> (the top
20 % of a step) and <mark class="both">both</mark>, where the tokens were recorded.</p>"""
_SHOWN = ("completion", "step", "item", "index", "advantage")


@dataclass
class HighlightArguments(Checked):
    """
    What to highlight.

    Args:
        input (`str`):
            A text file, or a parquet or JSONL file with a `completion` column.
        output (`str`, *optional*):
            The HTML file; only one of this command is replaced. Defaults to the input's name with `.html`.
        strategic_grams (`str`, *optional*, defaults to `"paper"`):
            The lexicon: `"paper"`, a text file with one gram a line, or a folder.
        limit (`int`, *optional*, defaults to `20`):
            Most completions to show of a parquet or JSONL file.
    """

    input: str | None = None
    output: Name | None = None
    strategic_grams: str = "paper"
    limit: Count = 20


def run(argv: list[str]) -> int:
    """Writes the page and returns the exit status."""
    return run_command(PROG, (HighlightArguments,), argv, highlight)


def highlight(args: HighlightArguments) -> None:
    """Writes the page."""
    if args.input is None or not Path(args.input).is_file():
        raise ValueError(f"expected --input to name a text file or a parquet file of completions, got {args.input!r}")
    source = Path(args.input)
    output = Path(args.output or source.with_suffix(".html"))
    if output.exists() and output.samefile(source):
        raise ValueError(f"{output} is the input: expected --output to name another file")
    texts = read_texts(source, args.limit)
    grams = StrategicGrams.load(args.strategic_grams)
    matcher = GramMatcher(grams)
    run = source.parent.parent
    recorded = Recorded(run) if (run / TOKEN_RECORD_FOLDER).is_dir() else None
    blocks, colored = [], 0
    for heading, text, step in texts:
        found = recorded.find(step, text) if recorded and step is not None else None
        if found and found[0].header.lexicon == grams.fingerprint:
            blocks.append(block(heading, highlight_tokens(*found)))
            colored += 1
        else:
            blocks.append(trace_block(heading, text, matcher))
    lead = f'<h1>Strategic grams</h1>\n<p class="lead">{len(grams)} grams, fingerprint {grams.fingerprint}</p>'
    lead += _LEGEND if colored else ""
    path = write(output, "Strategic grams in ", "\n".join([lead, *blocks]), source.name)
    tokens = f", {colored} by their recorded tokens" if recorded else ""
    print(f"{len(texts)} text{'s' if len(texts) != 1 else ''} highlighted{tokens}: {path}")


def read_texts(source: Path, limit: int) -> list[tuple[str, str, int | None]]:
    """Heading, text and step of a text file, or of the completions in a parquet or JSONL file (up to `limit`)."""
    if source.suffix not in (".parquet", ".jsonl"):
        try:
            return [(source.name, source.read_text(encoding="utf-8"), None)]
        except UnicodeDecodeError:
            raise ValueError(f"{source} is neither a parquet file nor text in UTF-8") from None
    rows = islice(stream_rows(str(source), columns=lambda names: [n for n in names if n in _SHOWN]), limit)
    return [
        (
            _heading(row.values),
            as_text(row.values.get("completion"), "completion", row.where),
            step if isinstance(step := row.values.get("step"), int) else None,
        )
        for row in rows
    ]


def _heading(row: dict[str, Any]) -> str:
    parts = [f"{name} {row[name]}" for name in ("step", "item", "index") if name in row]
    parts += [f"advantage {row['advantage']:+.3f}"] if isinstance(row.get("advantage"), float) else []
    return ", ".join(parts) or "completion"
