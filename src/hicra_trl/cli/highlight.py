"""`hicra highlight`: planning tokens marked in an HTML page."""

import math
from dataclasses import dataclass
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any

from ..analysis.highlight import Recorded, token_block, trace_block
from ..analysis.page import write
from ..analysis.runs import origin
from ..analysis.viewer.rollouts import prompt_text
from ..data.rows import Row, as_text, stream_rows
from ..disk import read_mapping
from ..fields import Checked, Count, Name
from ..grams import GramMatcher, StrategicGrams
from ..terminal import one_line
from ..training.runs.files import MANIFEST_FILE, TOKEN_RECORD_FOLDER
from .parsing import run_command


PROG = "hicra highlight"

DESCRIPTION = """Marks the strategic grams of a text, or of the completions that a run saved, in one HTML page. Where
the run recorded the tokens of a completion, with the same lexicon, those of high entropy are marked too; hicra view
shows more of them.

  hicra highlight --input answer.txt
  hicra highlight --input runs/mine/completions/completions_00050.parquet --limit 5
  hicra highlight --input answer.txt --strategic_grams runs/mine/strategic_grams --output marked.html"""

_LEGEND = """<p>Marked are <mark>strategic grams</mark>{}.</p>"""
_OF_TOKENS = """; where the run recorded the tokens, <mark class="planning">planning</mark> tokens, those of
<mark class="high">high entropy</mark> (the top 20 % of a step), and those that are <mark class="both">both</mark>"""
_SAMPLED = ("step", "item", "index")


@dataclass(frozen=True)
class _Text:
    """What is highlighted: its prompt where that is known, a heading, the text, and the step of the run."""

    prompt: str
    heading: str
    text: str
    step: int | None


@dataclass
class HighlightArguments(Checked):
    """
    What to highlight.

    Args:
        input (`str`):
            A text file, or a parquet or JSONL file with a `completion` column.
        output (`str`, *optional*):
            The HTML file; only one of this command is replaced. Defaults to the input's name with `.html`, beside the
            input: of a run's completions in its `completions/`.
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
    blocks, colored, prompt = [], 0, ""
    for shown in texts:
        if shown.prompt and shown.prompt != prompt:
            blocks.append(f"<h2>{escape(one_line(shown.prompt))}</h2>")
        prompt, level = shown.prompt, 3 if shown.prompt else 2
        found = recorded.find(shown.step, shown.text) if recorded and shown.step is not None else None
        if found and found[0].header.lexicon == grams.fingerprint:
            row, high = found
            credited = row.credited[row.planning & row.own]
            gets = f", of its planning tokens {credited.mean():+.3f}" if len(credited) else ""
            blocks.append(token_block(shown.heading + gets, row, high, level))
            colored += 1
        else:
            blocks.append(trace_block(shown.heading, shown.text, matcher, level))
    lead = f'<h1>Strategic grams in {escape(source.name)}</h1>\n<p class="lead">{len(grams)} grams, fingerprint '
    lead += f"{grams.fingerprint}</p>\n{_LEGEND.format(_OF_TOKENS if colored else '')}"
    manifest = run / MANIFEST_FILE
    runs = {str(run): origin(read_mapping(manifest))} if manifest.is_file() else {}
    path = write(output, "Strategic grams in ", "\n".join([lead, *blocks]), source.name, runs)
    tokens = f", {colored} by their recorded tokens" if recorded else ""
    print(f"{len(texts)} text{'s' if len(texts) != 1 else ''} highlighted{tokens}: {path}")


def read_texts(source: Path, limit: int) -> list[_Text]:
    """A text file, or up to `limit` completions of a parquet or JSONL file."""
    if source.suffix not in (".parquet", ".jsonl"):
        try:
            return [_Text("", source.name, source.read_text(encoding="utf-8"), None)]
        except UnicodeDecodeError:
            raise ValueError(f"{source} is neither a parquet file nor text in UTF-8") from None
    return [_of_row(row) for row in islice(stream_rows(str(source)), limit)]


def _of_row(row: Row) -> _Text:
    values = row.values
    prompt = prompt_text(values["prompt"], row.where).strip() if values.get("prompt") else ""
    text = as_text(values.get("completion"), "completion", row.where)
    step = values.get("step")
    return _Text(prompt, _heading(values), text, step if isinstance(step, int) else None)


def _heading(row: dict[str, Any]) -> str:
    """Where a completion was sampled, and its numbers: rewards, and the advantage last."""
    parts = [f"{name} {row[name]}" for name in _SAMPLED if name in row]
    numbers = {name: value for name, value in row.items() if isinstance(value, float) and math.isfinite(value)}
    advantage = numbers.pop("advantage", None)
    parts += [f"{name} {value:g}" for name, value in numbers.items() if name not in _SAMPLED]
    parts += [] if advantage is None else [f"advantage {advantage:+.3f}"]
    return ", ".join(parts) or "completion"
