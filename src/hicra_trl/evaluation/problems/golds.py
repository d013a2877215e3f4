"""Gold answers of a row: from an answer column, the last box of a worked solution, or the options of a question."""

import re
from collections.abc import Sequence
from string import ascii_uppercase

from ...rewards import Gold, extract_boxed
from .catalog import Benchmark
from .rows import Fields, is_missing, plain


def read_gold(benchmark: Benchmark, fields: Fields) -> Gold:
    """
    The gold answer of a row; of a multiple-choice question the letter, with the options.

    Raises:
        `ValueError`: if there is none, or it is no option.
    """
    answer = _answer(benchmark, fields)
    options = _options(fields)
    if _is_choice(fields, options):
        letter = _letter(answer, options or ascii_uppercase, benchmark.choice_gold)
        # Options that stand inside the problem have no text of their own; four are the rule.
        return Gold(letter, choices=options or tuple(ascii_uppercase[: max(4, ord(letter) - ord("A") + 1)]))
    decimals, tolerance = fields.number("precision"), fields.number("tolerance")
    if decimals is not None and not decimals.is_integer():
        raise ValueError(f"expected a whole number of decimals as precision, got {fields.value('precision')!r}")
    return Gold(
        answer,
        precision=None if decimals is None else int(decimals),
        absolute_tolerance=benchmark.absolute_tolerance if tolerance is None else tolerance,
        relative_tolerance=benchmark.relative_tolerance,
    )


def _answer(benchmark: Benchmark, fields: Fields) -> str:
    meaning = "gold" if "gold" in fields.columns else "solution"
    column, answer = fields.columns[meaning], fields.text(meaning)
    if answer is None:
        raise ValueError(f"no gold answer in {column!r}")
    if meaning == "solution":
        answer = extract_boxed(answer)
        if answer is None:
            raise ValueError(f"no gold answer: the solution in {column!r} has no last box")
        return answer
    if benchmark.gold_marker:
        _, marker, answer = answer.rpartition(benchmark.gold_marker)
        if not marker or not answer.strip():
            raise ValueError(f"no gold answer behind {benchmark.gold_marker!r} in {column!r}")
    return answer.strip()


def _options(fields: Fields) -> tuple[str, ...]:
    """The options of a multiple-choice question; of other questions none."""
    options = fields.value("choices")
    if options is None:
        return ()
    if not isinstance(options, list):
        raise ValueError(f"expected a list of options in {fields.columns['choices']!r}, got {str(options)[:60]!r}")
    if len(options) > len(ascii_uppercase):
        raise ValueError(f"expected at most {len(ascii_uppercase)} options, got {len(options)}")
    return tuple("" if is_missing(option) else plain(option, fields.columns["choices"]) for option in options)


def _is_choice(fields: Fields, options: Sequence[str]) -> bool:
    if "kind" not in fields.columns:
        return bool(options)
    kind = plain(fields.value("kind"), fields.columns["kind"])
    return re.sub("[^a-z]", "", kind.lower()) in ("multichoice", "multiplechoice")


def _letter(answer: str, options: Sequence[str], kind: str) -> str:
    letters = ascii_uppercase[: len(options)]
    if kind == "text" and answer in options:
        return letters[options.index(answer)]
    letter = answer.strip("(). ").upper()
    if kind == "letter" and len(letter) == 1 and letter in letters:
        return letter
    raise ValueError(f"the gold answer is the {kind} of no option: got {answer[:60]!r}, options {list(options)}")
