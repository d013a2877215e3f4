"""A lexicon of strategic grams: the phrases with which a model plans (paper, section 2.1).

Immutable and ordered; how it is mined is another file's business.
"""

import hashlib
import json
import logging
import random
import re
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any


logger = logging.getLogger(__name__)

MAX_GRAM_CHARACTERS = 200
PHRASES_FILE = "strategic_grams.txt"
PROVENANCE_FILE = "provenance.json"

PAPER_CITATION = """\
@article{wang2025emergent,
    title   = {{Emergent Hierarchical Reasoning in LLMs through Reinforcement Learning}},
    author  = {Haozhe Wang and Qixin Xu and Che Liu and Junhong Wu and Fangzhen Lin and Wenhu Chen},
    year    = 2025,
    eprint  = {arXiv:2509.03646},
}"""


def normalize(phrase: str) -> str:
    """
    Brings a phrase to the form in which it is matched.

    Lower case, a curly apostrophe made straight, any run of white space made one space, none at the ends.

    Example:

    ```python
    >>> normalize("  Let’s\\ntry ")
    "let's try"
    ```
    """
    return re.sub(r"\s+", " ", phrase.lower().replace("’", "'")).strip()


class StrategicGrams:
    """
    An immutable, ordered set of strategic grams.

    Args:
        phrases (`Iterable[str]`):
            The grams. Each is normalised ([`normalize`]); a later duplicate is dropped, and a message says how many
            went.
        provenance (`dict`, *optional*):
            Where the grams come from: anything that JSON can hold. Saved beside the phrases, not part of the
            fingerprint.

    Raises:
        `ValueError`: for an empty lexicon, an entry that is not a string, an empty one, one with a control character,
            or one longer than 200 characters.

    Example:

    ```python
    >>> grams = StrategicGrams(["Let’s try", "wait,", "let's  try"])
    >>> list(grams)
    ["let's try", 'wait,']
    ```
    """

    def __init__(self, phrases: Iterable[str], provenance: dict[str, Any] | None = None) -> None:
        if isinstance(phrases, str):
            raise ValueError(f"a lexicon needs a list of phrases, got one string: {phrases[:60]!r}")
        kept: dict[str, None] = {}
        duplicates = []
        for position, phrase in enumerate(phrases):
            gram = _checked(phrase, position)
            if gram in kept:
                duplicates.append(gram)
            kept[gram] = None
        if not kept:
            raise ValueError("a lexicon needs at least one strategic gram, got none")
        if duplicates:
            logger.warning("dropped %d duplicate strategic grams, such as %r", len(duplicates), duplicates[0])
        self._phrases = tuple(kept)
        self._provenance = dict(provenance or {})

    @classmethod
    def paper(cls) -> "StrategicGrams":
        """The 249 strategic grams of the paper's Listing 1 (appendix A)."""
        text = resources.files("hicra_trl.grams").joinpath("paper.txt").read_text(encoding="utf-8")
        return cls(text.splitlines(), {"source": "arXiv:2509.03646, Listing 1", "citation": PAPER_CITATION})

    @classmethod
    def load(cls, source: str | Path) -> "StrategicGrams":
        """
        Loads a lexicon.

        Args:
            source (`str` or `Path`):
                `"paper"`, a text file with one gram a line, or a folder that [`~StrategicGrams.save`] wrote.

        Raises:
            `FileNotFoundError`: if nothing is there.
            `ValueError`: if the file holds no valid lexicon; the message names the file.
        """
        if source == "paper":
            return cls.paper()
        path = Path(source)
        file = path / PHRASES_FILE if path.is_dir() else path
        if not file.is_file():
            raise FileNotFoundError(
                f"no strategic grams at {str(source)!r}: expected 'paper', a text file with one gram a line, or a "
                f"folder with {PHRASES_FILE}"
            )
        try:
            lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
            provenance = json.loads((path / PROVENANCE_FILE).read_text()) if path.is_dir() else {"source": str(source)}
            return cls(lines, provenance)
        except (ValueError, OSError) as error:
            raise ValueError(f"{file}: {error}") from error

    def save(self, folder: str | Path) -> Path:
        """Writes the phrases, one a line, and their provenance into `folder`, and returns it."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PHRASES_FILE).write_text("\n".join(self._phrases) + "\n", encoding="utf-8")
        record = {**self._provenance, "fingerprint": self.fingerprint, "size": len(self)}
        (folder / PROVENANCE_FILE).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
        return folder

    def drop(self, fraction: float, seed: int) -> "StrategicGrams":
        """
        Removes a random share of the grams, for the sensitivity analysis (paper, appendix B).

        Args:
            fraction (`float`):
                Share to remove, in [0, 1); rounded to whole grams.
            seed (`int`):
                The same seed removes the same grams.

        Returns:
            [`StrategicGrams`]: the others, in the same order.
        """
        if not 0 <= fraction < 1:
            raise ValueError(f"fraction to drop must be in [0, 1), got {fraction}")
        gone = set(random.Random(seed).sample(range(len(self)), round(fraction * len(self))))
        phrases = [gram for i, gram in enumerate(self) if i not in gone]
        return StrategicGrams(phrases, {"dropped": fraction, "seed": seed, "from": self.fingerprint})

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that depend on the grams and their order, and on nothing else."""
        return hashlib.sha256("\n".join(self._phrases).encode()).hexdigest()[:16]

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the grams come from (a copy)."""
        return dict(self._provenance)

    def __len__(self) -> int:
        return len(self._phrases)

    def __iter__(self) -> Iterator[str]:
        return iter(self._phrases)

    def __getitem__(self, index: int) -> str:
        return self._phrases[index]

    def __contains__(self, phrase: str) -> bool:
        return normalize(phrase) in self._phrases

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StrategicGrams) and self._phrases == other._phrases

    def __hash__(self) -> int:
        return hash(self._phrases)

    def __repr__(self) -> str:
        return f"StrategicGrams({len(self)} grams, fingerprint {self.fingerprint})"


def _checked(phrase: object, position: int) -> str:
    if not isinstance(phrase, str):
        raise ValueError(f"strategic gram {position} must be a string, got {type(phrase).__name__}: {phrase!r}")
    gram = normalize(phrase)
    if not gram:
        raise ValueError(f"strategic gram {position} is empty: {phrase!r}")
    if len(gram) > MAX_GRAM_CHARACTERS:
        raise ValueError(
            f"strategic gram {position} has {len(gram)} characters, at most {MAX_GRAM_CHARACTERS} are allowed: "
            f"{gram[:40]!r}..."
        )
    if any(ord(char) < 32 or char == "\x7f" for char in gram):
        raise ValueError(f"strategic gram {position} holds a control character: {phrase!r}")
    return gram
