"""`hicra highlight`: planning tokens marked in an HTML page."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ..analysis.highlight import trace_block
from ..analysis.page import write
from ..data.rows import as_text, stream_rows
from ..fields import Checked, Count, Name
from ..grams import GramMatcher, StrategicGrams
from .parsing import run_command


PROG = "hicra highlight"

DESCRIPTION = """Marks the strategic grams of a text, or of the completions that a run saved, in one HTML page.

  hicra highlight --input answer.txt
  hicra highlight --input runs/mine/completions/completions_00050.parquet --limit 5
  hicra highlight --input answer.txt --strategic_grams runs/mine/strategic_grams --output marked.html"""

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
    blocks = [trace_block(heading, text, matcher) for heading, text in texts]
    lead = f'<h1>Strategic grams</h1>\n<p class="lead">{len(grams)} grams, fingerprint {grams.fingerprint}</p>'
    path = write(output, "Strategic grams in ", "\n".join([lead, *blocks]), source.name)
    print(f"{len(texts)} text{'s' if len(texts) != 1 else ''} highlighted: {path}")


def read_texts(source: Path, limit: int) -> list[tuple[str, str]]:
    """Headings and texts of a text file (one), or of a parquet or JSONL file of completions (up to `limit`)."""
    if source.suffix not in (".parquet", ".jsonl"):
        try:
            return [(source.name, source.read_text(encoding="utf-8"))]
        except UnicodeDecodeError:
            raise ValueError(f"{source} is neither a parquet file nor text in UTF-8") from None
    rows = islice(stream_rows(str(source), columns=lambda names: [n for n in names if n in _SHOWN]), limit)
    return [(_heading(row.values), as_text(row.values.get("completion"), "completion", row.where)) for row in rows]


def _heading(row: dict[str, Any]) -> str:
    parts = [f"{name} {row[name]}" for name in ("step", "item", "index") if name in row]
    parts += [f"advantage {row['advantage']:+.3f}"] if isinstance(row.get("advantage"), float) else []
    return ", ".join(parts) or "completion"
