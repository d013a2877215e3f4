"""`hicra lexicon`: look into lexicons of strategic grams."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Annotated

from ..disk import check_own
from ..fields import Checked, Count, Name, Range
from ..grams import Corpus, CorpusArguments, StrategicGrams
from ..grams.coverage import TOO_COMMON, Coverage, compare, findings, measure
from ..terminal import did_you_mean, table
from .parsing import run_command, stop


PROG = "hicra lexicon"

_FIGURE = "hicra lexicon sensitivity"

DESCRIPTION = """Looks into lexicons. A LEXICON is 'paper', a folder, a text file with one gram a line, or a dataset on
the Hub as user/name or user/name@revision.

  hicra lexicon show LEXICON [--dataset traces.jsonl]          its clusters, with examples; what it covers
  hicra lexicon check LEXICON [--dataset traces.jsonl]         is it valid, and what is likely wrong with it
  hicra lexicon diff LEXICON LEXICON [--dataset traces.jsonl]  what two have in common
  hicra lexicon push LEXICON user/name [--private true]        publish it as a dataset on the Hub
  hicra lexicon sensitivity RUN [LEXICON]                      how far a run's curves move when 30 % of it go
                                                               (LEXICON: that of the run)
  hicra lexicon outcomes RUN [--step 60] [--json]              which grams went along with right answers in a
                                                               training, and which with wrong ones"""


@dataclass
class LexiconArguments(Checked):
    """
    How to look.

    Args:
        top (`int`, *optional*, defaults to `20`):
            Clusters or grams to show.
        members (`int`, *optional*, defaults to `6`):
            Grams to show of each cluster.
        private (`bool`, *optional*, defaults to `False`):
            For `push`: make a new dataset private.
        license (`str`, *optional*, defaults to `"apache-2.0"`):
            For `push`: licence in the dataset's card.
        fraction (`float`, *optional*, defaults to `0.3`):
            For `sensitivity`: share of the grams to remove.
        seeds (`int`, *optional*, defaults to `5`):
            For `sensitivity`: number of random removals.
        output (`str`, *optional*):
            For `sensitivity`: the figure. Defaults to `sensitivity.png` in the run's folder.
        step (`int`, *optional*):
            For `outcomes`: a step with a checkpoint. Defaults to the last one.
        json (`bool`, *optional*, defaults to `False`):
            For `outcomes`: print all grams as JSON.
    """

    top: Count = 20
    members: Count = 6
    private: bool = False
    license: str = "apache-2.0"
    fraction: Annotated[float, Range("(0, 1)")] = 0.3
    seeds: Count = 5
    output: Name | None = None
    step: Count | None = None
    json: bool = False


def run(argv: list[str]) -> int:
    """Runs one action and returns the exit status."""
    action, *rest = argv
    if action not in ACTIONS:
        hint = did_you_mean([action], ACTIONS)
        stop(PROG, f"unknown action {action!r}, expected one of {', '.join(ACTIONS)}{hint}")
    function, names = ACTIONS[action]
    given = list(takewhile(lambda argument: not argument.startswith("--"), rest))
    least = sum(not name.startswith("[") for name in names)

    def act(args: LexiconArguments, corpus: CorpusArguments) -> None:
        if not least <= len(given) <= len(names):
            raise ValueError(f"expected {' '.join(names)}, got {' '.join(given) or 'nothing'}")
        print(function(given, args, corpus))

    return run_command(f"{PROG} {action}", (LexiconArguments, CorpusArguments), rest[len(given) :], act)


def show(given: list[str], args: LexiconArguments, corpus: CorpusArguments) -> str:
    """Clusters of a mined lexicon, or grams of another, and what they cover of a corpus."""
    grams = StrategicGrams.load(given[0])
    lines = [_title(given[0], grams), ""]
    statistics = grams.statistics
    if {"rank", "cluster_document_frequency"} <= statistics.keys():
        lines += [cluster_table(grams, args.top, args.members)]
        if "example" in statistics:
            firsts = {rank: row for row, rank in reversed(list(enumerate(statistics["rank"])))}
            lines += ["", "in context"]
            lines += [f"{rank:4}  {statistics['example'][firsts[rank]]}" for rank in sorted(firsts)[: args.top]]
    else:
        lines += [_first(list(grams), args.top)]
    if corpus.dataset:
        coverage = measure(grams, Corpus(corpus))
        lines += ["", _coverage_line(coverage), "", "solutions  gram"]
        order = sorted(range(len(grams)), key=lambda i: -coverage.documents[i])[: args.top]
        lines += [f"{coverage.documents[i]:9,}  {grams[i]}" for i in order if coverage.documents[i]]
    return "\n".join(lines)


def check(given: list[str], args: LexiconArguments, corpus: CorpusArguments) -> str:
    """Validates a lexicon and lists what is likely wrong with it."""
    grams = StrategicGrams.load(given[0])
    coverage = measure(grams, Corpus(corpus)) if corpus.dataset else None
    lines = [_title(given[0], grams) + ": valid"]
    for kind, concerned in findings(grams, coverage).items():
        shown = _first([repr(gram) for gram in concerned], args.members)
        lines.append(f"{'note' if kind == 'not in the corpus' else 'warning'}: {len(concerned)} {kind}: {shown}")
    if coverage is not None:
        lines.append(_coverage_line(coverage))
        if coverage.planning_fraction > TOO_COMMON:
            lines.append(f"warning: the lexicon covers more than {TOO_COMMON:.0%} of the text")
    return "\n".join(lines)


def push(given: list[str], args: LexiconArguments, corpus: CorpusArguments) -> str:
    """Publishes a lexicon on the Hub."""
    grams = StrategicGrams.load(given[0])
    revision = grams.push_to_hub(given[1], args.private, args.license)
    return f"{_title(given[0], grams)}\npublished: {given[1]}@{revision}"


def diff(given: list[str], args: LexiconArguments, corpus: CorpusArguments) -> str:
    """What two lexicons have in common."""
    first, second = (StrategicGrams.load(source) for source in given)
    difference = compare(first, second)
    lines = [_title(source, grams) for source, grams in zip(given, (first, second))]
    lines += [
        f"in both: {len(difference.both)} grams, Jaccard {difference.jaccard:.3f}",
        f"equal to, inside or around a gram of the other: {difference.first_related:.0%} and "
        f"{difference.second_related:.0%}",
    ]
    for name, group in (
        ("in both", difference.both),
        (f"only in {given[0]}", difference.only_first),
        (f"only in {given[1]}", difference.only_second),
    ):
        lines += ["", f"{name}: {_first(group, args.top)}"]
    if corpus.dataset:
        lines += ["", *(_coverage_line(measure(grams, Corpus(corpus))) for grams in (first, second))]
    return "\n".join(lines)


def sensitivity(given: list[str], args: LexiconArguments, corpus: CorpusArguments) -> str:
    """How far the curves of a run move when a share of the lexicon is removed (paper, appendix B)."""
    # Imported here: the other actions must not wait for matplotlib.
    from ..analysis.sensitivity import sensitivity as recompute
    from ..analysis.sensitivity import sensitivity_panels
    from ..dynamics.curves import draw, save

    folder = Path(given[0])
    source = given[1] if len(given) > 1 else str(folder / "strategic_grams")
    grams = StrategicGrams.load(source)
    path = Path(args.output or folder / "sensitivity.png")
    check_own(path, _FIGURE)
    result = recompute(folder, grams, args.fraction, list(range(args.seeds)))
    save(draw(sensitivity_panels({"": {"": result}}, args.fraction)), path, _FIGURE)
    head = f"{_title(source, grams)}, {args.fraction:.0%} removed with {args.seeds} seeds, {len(result.steps)} steps"
    return f"{head}\n\n{result.table()}\n\nfigure: {path}"


def outcomes(given: list[str], args: LexiconArguments, corpus: CorpusArguments) -> str:
    """What each gram went along with in a run: first those of success, last those of failure."""
    # Imported here: the other actions do not wait for the reader of parquet.
    from ..training.runs.gram_outcomes import read_gram_outcomes

    steps = read_gram_outcomes(given[0])
    if not steps:
        raise ValueError(f"no gram of {given[0]} has been counted yet: expected one in a completion with a verdict")
    step = max(steps) if args.step is None else args.step
    if step not in steps:
        known = ", ".join(map(str, steps))
        raise ValueError(f"no gram outcomes of step {step} in {given[0]}: expected one of {known}")
    rows = sorted(steps[step], key=lambda row: (-row.s, -row.n, row.gram))
    if args.json:
        return json.dumps([{"step": step, **row._asdict()} for row in rows], ensure_ascii=False, indent=1)
    cells = [(f"{row.s:+.2f}", f"{row.n:,}", f"{row.right:,}", f"{row.wrong:,}", row.gram) for row in rows]
    half, more = args.top // 2, len(cells) - args.top
    shown = cells if more <= 0 else cells[: args.top - half] + cells[len(cells) - half :]
    *numbers, grams = zip(("s", "n", "right", "wrong", "gram"), *shown)
    lines = [f"{row}  {gram}" for row, gram in zip(table([*zip(*numbers)]).split("\n"), grams)]
    if more > 0:
        lines.insert(1 + args.top - half, f"... {more} more grams (--top {len(cells)} shows all)")
    head = f"{given[0]}, step {step}: {len(rows)} grams, each with the completions of the training that it was in"
    how = "s, within groups of a prompt: 1 with right answers, -1 with wrong ones, 0 where little is known"
    return "\n".join([head, how, "", *lines])


ACTIONS: dict[str, tuple[Callable[[list[str], LexiconArguments, CorpusArguments], str], tuple[str, ...]]] = {
    "show": (show, ("LEXICON",)),
    "check": (check, ("LEXICON",)),
    "diff": (diff, ("LEXICON", "LEXICON")),
    "push": (push, ("LEXICON", "user/name")),
    "sensitivity": (sensitivity, ("RUN", "[LEXICON]")),
    "outcomes": (outcomes, ("RUN",)),
}


def cluster_table(grams: StrategicGrams, top: int, members: int) -> str:
    """The first clusters of a mined lexicon, with document frequencies and their first grams."""
    statistics = grams.statistics
    clusters: dict[int, list[int]] = {}
    for row, rank in enumerate(statistics["rank"]):
        clusters.setdefault(rank, []).append(row)
    lines = ["rank  solutions  grams"]
    for rank in sorted(clusters)[:top]:
        rows = clusters[rank]
        shown = ", ".join(grams[row] for row in rows[:members])
        more = f" and {len(rows) - members} more" if len(rows) > members else ""
        lines.append(f"{rank:4}  {statistics['cluster_document_frequency'][rows[0]]:9,}  {shown}{more}")
    return "\n".join(lines)


def _first(items: Sequence[str], number: int) -> str:
    return ", ".join(items[:number]) + (", ..." if len(items) > number else "")


def _title(source: str, grams: StrategicGrams) -> str:
    at = f", revision {grams.revision}" if grams.revision and not Path(source).exists() else ""
    return f"{source}: {len(grams)} grams, fingerprint {grams.fingerprint}{at}"


def _coverage_line(coverage: Coverage) -> str:
    share, used = coverage.planning_fraction, int((coverage.documents > 0).sum())
    grams = f"{used} of {len(coverage.grams)} grams occur"
    return f"covers {share:.1%} of the text of {coverage.solutions:,} solutions; {grams}"
