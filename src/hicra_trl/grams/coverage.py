"""What a lexicon does on a corpus, what is wrong with it, and how two differ."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import compress

import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from .lexicon import StrategicGrams
from .matcher import GramMatcher, covered


TOO_COMMON = 0.3


@dataclass
class Coverage:
    """
    What a lexicon covers of a corpus.

    Attributes:
        grams ([`StrategicGrams`]):
            The lexicon.
        solutions (`int`):
            Solutions read.
        characters (`int`):
            Their characters.
        planning (`int`):
            Characters inside an occurrence of any gram.
        documents (`numpy.ndarray` of shape `(G,)`, int64):
            Solutions that have each gram.
        by_gram (`numpy.ndarray` of shape `(G,)`, int64):
            Characters inside the occurrences of each gram, whatever the others cover.
    """

    grams: StrategicGrams
    solutions: int
    characters: int
    planning: int
    documents: np.ndarray
    by_gram: np.ndarray

    @property
    def planning_fraction(self) -> float:
        """Share of the characters inside an occurrence: without a tokenizer, the nearest to the share of tokens."""
        return self.planning / max(self.characters, 1)


def measure(grams: StrategicGrams, solutions: Iterable[str]) -> Coverage:
    """Finds the occurrences of a lexicon in a corpus, and adds up what they cover."""
    matcher = GramMatcher(grams)
    coverage = Coverage(grams, 0, 0, 0, np.zeros(len(grams), np.int64), np.zeros(len(grams), np.int64))
    for text in solutions:
        matches = matcher.find_in_text(text)
        spans = in_characters(text, matches)
        coverage.solutions += 1
        coverage.characters += len(text)
        coverage.planning += int(covered(spans, len(text)).sum())
        coverage.documents[np.unique(matches[:, 0])] += 1
        np.add.at(coverage.by_gram, matches[:, 0], spans[:, 1] - spans[:, 0])
    return coverage


def in_characters(text: str, matches: np.ndarray) -> np.ndarray:
    """
    First character and end character (exclusive) of occurrences.

    Args:
        text (`str`):
            A text.
        matches (`numpy.ndarray` of shape `(n, 5)`):
            Its occurrences, as [`GramMatcher.find_in_text`] returns them: in bytes.

    Returns:
        `numpy.ndarray` of shape `(n, 2)`, int64: spans of characters.
    """
    if text.isascii():
        return matches[:, 3:]
    data = np.frombuffer(text.encode(errors="replace"), dtype=np.uint8)
    characters_before = np.concatenate([[0], np.cumsum((data & 0xC0) != 0x80)])
    return characters_before[matches[:, 3:]]


def findings(grams: StrategicGrams, coverage: Coverage | None = None) -> dict[str, list[str]]:
    """
    What is likely wrong with a lexicon.

    Args:
        grams ([`StrategicGrams`]):
            The lexicon.
        coverage ([`Coverage`], *optional*):
            What it covers of a corpus; without it, what depends on one is not checked.

    Returns:
        `dict[str, list[str]]`: the grams concerned, by what is the matter with them.
    """
    # Some of the paper's own are: "so", "perhaps", "therefore".
    paper = set(StrategicGrams.paper())
    found = {
        "can never match": GramMatcher(grams).unmatched,
        "without any letter": [gram for gram in grams if not any(char.isalpha() for char in gram)],
        "of stop words only": [gram for gram in grams if _only_stop_words(gram) and gram not in paper],
    }
    if coverage is not None:
        most = TOO_COMMON * coverage.characters
        found[f"on more than {TOO_COMMON:.0%} of the text"] = list(compress(grams, coverage.by_gram > most))
        found["not in the corpus"] = list(compress(grams, coverage.documents == 0))
    return {kind: concerned for kind, concerned in found.items() if concerned}


@dataclass
class Difference:
    """
    How two lexicons differ.

    Attributes:
        both (`list[str]`):
            Grams of both.
        only_first (`list[str]`):
            Grams of the first alone.
        only_second (`list[str]`):
            Grams of the second alone.
        first_related (`float`):
            Share of the first's grams that are in, contain, or are contained in a gram of the second.
        second_related (`float`):
            The same for the second's.
    """

    both: list[str]
    only_first: list[str]
    only_second: list[str]
    first_related: float
    second_related: float

    @property
    def jaccard(self) -> float:
        """Grams of both / grams of either."""
        return len(self.both) / (len(self.both) + len(self.only_first) + len(self.only_second))


def compare(first: StrategicGrams, second: StrategicGrams) -> Difference:
    """Compares two lexicons gram by gram."""
    of_first, of_second = set(first), set(second)
    return Difference(
        [gram for gram in first if gram in of_second],
        [gram for gram in first if gram not in of_second],
        [gram for gram in second if gram not in of_first],
        _related(first, second),
        _related(second, first),
    )


def _related(grams: StrategicGrams, others: StrategicGrams) -> float:
    inside, around = GramMatcher(others), GramMatcher(grams)
    related = {gram for gram in grams if len(inside.find_in_text(gram))}
    for other in others:
        related |= {grams[i] for i in around.find_in_text(other)[:, 0]}
    return len(related) / len(grams)


def _only_stop_words(gram: str) -> bool:
    words = "".join(char if char.isalnum() or char == "'" else " " for char in gram).split()
    return bool(words) and all(word.replace("'", "") in ENGLISH_STOP_WORDS for word in words)
