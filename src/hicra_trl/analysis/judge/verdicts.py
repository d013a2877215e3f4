"""The verdicts on a run's solutions: `judge/verdicts.jsonl`, a line each, and the work that is still to do."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from tqdm.auto import tqdm

from ...disk import LineFile
from ...fields import Checked
from .judges import SCHEMA_VERSION, Judge, Reply, Unusable
from .question import LABELS, UNREADABLE, Solution


JUDGE_FOLDER = "judge"
VERDICTS_FILE = "verdicts.jsonl"
_OTHER = "expected the same, or another --output_dir"
_Line = TypeVar("_Line")


@dataclass(frozen=True)
class Verdict(Checked):
    """
    Why a solution is wrong: one line of `verdicts.jsonl`.

    Attributes:
        step (`int` or `None`):
            Optimizer step, where it was written in a training.
        key (`str`):
            What tells it from the others of its source.
        label (`str`):
            One of `LABELS`, or `"unreadable"`: no answer of the judge could be used.
        quote (`str`):
            Where the solution goes wrong: words of it.
        reason (`str`):
            What is wrong there; of an unreadable one, what was wrong with the last answer.
        tokens (`dict[str, int | None]`):
            What it cost: `prompt` (`None` where the server does not tell) and `answer`, over all that was asked. Of
            equal solutions one is asked about.
        asked (`int`):
            How often the judge was asked.
        judge (`str`):
            Who says so.
        hash (`str`):
            What changes with the question, the judge, its parameters and the solution.
        schema_version (`int`):
            Of this line.
    """

    step: int | None
    key: str
    label: str = field(metadata={"choices": (*LABELS, UNREADABLE)})
    quote: str
    reason: str
    tokens: dict[str, int | None]
    asked: int
    judge: str
    hash: str
    schema_version: int = SCHEMA_VERSION


def read_verdicts(file: Path) -> list[Verdict]:
    """
    Reads verdicts; a last line that an interruption tore is left out.

    Raises:
        `ValueError`: for a broken line before that, a verdict that is there twice, or one of a newer version.
    """
    verdicts: dict[str, Verdict] = {}
    for number, verdict in enumerate(_read(file, Verdict), start=1):
        if verdict.key in verdicts:
            raise ValueError(f"{file}, line {number}: a verdict on {verdict.key!r} is there twice")
        verdicts[verdict.key] = verdict
    return list(verdicts.values())


def read_unusable(file: Path) -> list[Unusable]:
    """Reads answers that could not be used, as [`read_verdicts`] does."""
    return list(_read(file, Unusable))


def _read(file: Path, kind: type[_Line]) -> Iterator[_Line]:
    with open(file, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                values = json.loads(line)
                if values["schema_version"] != SCHEMA_VERSION:
                    raise ValueError(f"schema_version {values['schema_version']!r}, expected {SCHEMA_VERSION}")
                yield kind(**values)
            except (ValueError, TypeError, KeyError) as error:
                what = kind.__name__.lower()
                raise ValueError(f"{file}, line {number}: expected a {what}, got {line[:60]!r} ({error})") from error


@dataclass
class Work:
    """
    What there is to do for verdicts on all of some solutions.

    Attributes:
        done (`list[Verdict]`):
            Stored ones on these solutions.
        copied (`list[Verdict]`):
            Those on solutions that equal one of a stored verdict.
        waiting (`dict[str, list[Solution]]`):
            The others by their hash: equal ones are judged once.
    """

    done: list[Verdict] = field(default_factory=list)
    copied: list[Verdict] = field(default_factory=list)
    waiting: dict[str, list[Solution]] = field(default_factory=lambda: defaultdict(list))


def work(solutions: Iterable[Solution], judge: Judge, stored: Sequence[Verdict], file: Path) -> Work:
    """What is left to do; raises `ValueError` if `stored` has verdicts of another judge, or on other solutions."""
    names = {verdict.judge for verdict in stored} - {judge.name}
    if names:
        raise ValueError(f"{file} has verdicts of {', '.join(sorted(names))}, got {judge.name}: {_OTHER}")
    by_key, by_hash = ({getattr(verdict, name): verdict for verdict in stored} for name in ("key", "hash"))
    found = Work()
    for solution in solutions:
        key = judge.hash(solution)
        verdict = by_key.get(solution.key)
        if verdict is not None and verdict.hash != key:
            raise ValueError(
                f"{file} has a verdict on {solution.key} to another question, with other settings or on another "
                f"completion: {_OTHER}"
            )
        if verdict is not None:
            found.done.append(verdict)
        elif key in by_hash:
            found.copied.append(_copy(by_hash[key], solution))
        else:
            found.waiting[key].append(solution)
    return found


def judge_all(solutions: Sequence[Solution], judge: Judge, file: Path) -> list[Verdict]:
    """
    Verdicts on all solutions: those that are stored, and the judge's on the others, stored as they come.

    Args:
        solutions (`Sequence[Solution]`):
            What to judge.
        judge ([`~hicra_trl.analysis.judge.judges.Judge`]):
            Who judges.
        file (`Path`):
            Where verdicts are stored.

    Returns:
        `list[Verdict]`: in the order of the solutions.
    """
    in_vain = file.with_suffix(".unusable.jsonl")
    unusable: dict[str, list[Unusable]] = defaultdict(list)
    with (
        LineFile(file, read_verdicts, "judge") as stored,
        LineFile(in_vain, read_unusable, "judge") if judge.asks else nullcontext() as failures,
    ):
        for one in failures.rows if failures else ():
            unusable[one.hash].append(one)
        todo = work(solutions, judge, stored.rows, file)
        if todo.copied:
            stored.append(todo.copied)
        verdicts = {verdict.key: verdict for verdict in (*todo.done, *todo.copied)}
        unreadable = sum(verdict.label == UNREADABLE for verdict in verdicts.values())
        first = {key: equal[0] for key, equal in todo.waiting.items()}
        with tqdm(desc=judge.name, total=len(solutions), initial=len(verdicts), unit="solution", disable=None) as bar:
            for replies in judge(first, unusable) if first else ():
                failed = [reply for reply in replies if isinstance(reply, Unusable)]
                if failures and failed:
                    failures.append(failed)
                final = (reply for reply in replies if isinstance(reply, Reply))
                new = [verdict for reply in final for verdict in _verdicts(reply, todo.waiting[reply.hash], judge)]
                if new:
                    stored.append(new)
                verdicts |= {verdict.key: verdict for verdict in new}
                unreadable += sum(verdict.label == UNREADABLE for verdict in new)
                bar.set_postfix_str(f"{unreadable} unreadable" if unreadable else "", refresh=False)
                bar.update(len(new))
    return [verdicts[solution.key] for solution in solutions]


def _verdicts(reply: Reply, equal: Sequence[Solution], judge: Judge) -> Iterator[Verdict]:
    answer = reply.answer
    label, quote, reason = (answer.label, answer.quote, answer.reason) if answer else (UNREADABLE, "", reply.problem)
    tokens = {"prompt": reply.prompt_tokens, "answer": reply.answer_tokens}
    first = Verdict(equal[0].step, equal[0].key, label, quote, reason, tokens, reply.asked, judge.name, reply.hash)
    yield first
    yield from (_copy(first, solution) for solution in equal[1:])


def _copy(verdict: Verdict, solution: Solution) -> Verdict:
    return replace(verdict, step=solution.step, key=solution.key, tokens={"prompt": 0, "answer": 0}, asked=0)
