"""Pairs of an answer and a gold, each with the verdict that is right: made by rules from known golds, and by hand."""

import random
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from mistakes import mistakes
from spellings import spellings


DATA = Path(__file__).parent / "data"
# Spellings that are right and that models seldom choose.
UNUSUAL = frozenset(
    (
        "spacing commands", "display style", "cfrac", "bold", "roman", "text", "operator name", "thin space",
        "degree command", "division sign", "over", "fraction that is an integer", "unreduced", "brackets",
        "six decimals", "sign below", "root as a power", "root below", "root of a product", "space before i",
        "times i", "inequality", "name before each", "list as a set", "array", "base in brackets", "braces",
        "as SymPy writes it", "over one denominator", "minus outside", "factor outside", "equal to zero",
        "scaled equation", "bigl and bigr",
    )
)  # fmt: skip


class Pair(NamedTuple):
    """An answer, the gold that it is graded against, whether it is right, and which rule made it."""

    kind: str
    answer: str
    gold: str
    right: bool

    @property
    def everyday(self) -> bool:
        """Whether models often write so: not by hand, which is where the hard cases are, and not unusual."""
        return not self.kind.endswith("*") and self.kind not in UNUSUAL


def pairs(per_kind: int = 50, seed: int = 0) -> list[Pair]:
    """Pairs that the rules make of the golds, at most `per_kind` of one kind, and all those written by hand."""
    golds = (DATA / "golds.txt").read_text().splitlines()
    rng = random.Random(seed)
    made = [Pair(kind, answer, gold, True) for gold in golds for kind, answer in spellings(gold)]
    made += [Pair(kind, answer, gold, False) for gold in golds for kind, answer in mistakes(gold, golds, rng)]
    rng.shuffle(made)
    made = list({(pair.answer, pair.gold): pair for pair in made}.values())
    kept: Counter[tuple[str, bool]] = Counter()
    result = by_hand()
    for pair in made:
        kept[pair.kind, pair.right] += 1
        if kept[pair.kind, pair.right] <= per_kind:
            result.append(pair)
    return result


def by_hand() -> list[Pair]:
    """The pairs of `data/answers.tsv`."""
    lines = [line.split("\t") for line in (DATA / "answers.tsv").read_text().splitlines()[1:]]
    return [Pair(f"{kind} *", answer, gold, verdict == "right") for kind, verdict, answer, gold in lines]
