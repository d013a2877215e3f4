"""A lexicon of strategic grams: the phrases with which a model plans (paper, section 2.1).

Immutable and ordered; how it is mined is another file's business.
"""

import logging
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ..paper import PAPER_CITATION
from . import hub, storage
from .card import card
from .folding import composed
from .storage import STATISTICS, Contents


logger = logging.getLogger(__name__)

MAX_GRAM_CHARACTERS = 200
_DATA = (".json", ".jsonl", ".parquet", ".csv", ".tsv")
MAX_LEXICON_BYTES = 10_000_000  # each takes up to 50 bytes of memory in the automaton


def normalize(phrase: str) -> str:
    """
    Brings a phrase to the form in which it is matched.

    Lower case, letters composed, apostrophes straight, no invisible characters, any run of white space made one
    space, none at the ends.

    Example:

    ```python
    >>> normalize("  Let’s\\ntry ")
    "let's try"
    ```
    """
    return re.sub(r"\s+", " ", composed(phrase)).strip()


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
        statistics (`Mapping[str, Sequence]`, *optional*):
            Columns aligned with `phrases`, which mining fills: `document_frequency`, `term_frequency`, `cluster`,
            `cluster_document_frequency`, `rank`, and `example`, an occurrence in context. Not part of the fingerprint.

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

    def __init__(
        self,
        phrases: Iterable[str],
        provenance: dict[str, Any] | None = None,
        statistics: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        if isinstance(phrases, str):
            raise ValueError(f"a lexicon needs a list of phrases, got one string: {phrases[:60]!r}")
        kept: dict[str, int] = {}
        duplicates = []
        for position, phrase in enumerate(phrases):
            gram = _checked(phrase, position)
            if gram in kept:
                duplicates.append(gram)
            else:
                kept[gram] = position
        if not kept:
            raise ValueError("a lexicon needs at least one strategic gram, got none")
        size = sum(len(gram.encode()) for gram in kept)
        if size > MAX_LEXICON_BYTES:
            raise ValueError(f"a lexicon may have {MAX_LEXICON_BYTES:,} bytes of grams, got {size:,}")
        if duplicates:
            logger.warning("dropped %d duplicate strategic grams, such as %r", len(duplicates), duplicates[0])
        columns = {name: [column[row] for row in kept.values()] for name, column in (statistics or {}).items()}
        self._contents = Contents(tuple(kept), dict(provenance or {}), columns)
        if unknown := columns.keys() - STATISTICS.keys():
            raise ValueError(f"statistics must be among {', '.join(STATISTICS)}, got {', '.join(sorted(unknown))}")

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
                `"paper"`, a text file with one gram a line, a folder that [`~StrategicGrams.save`] wrote, or a
                dataset on the Hub as `"user/name"` or `"user/name@revision"`. The provenance of the latter has the
                commit that was loaded, under `loaded_from`. Nothing that a dataset holds is executed, and its size is
                bounded.

        Raises:
            `FileNotFoundError`: if nothing is there.
            `ValueError`: if what is there holds no valid lexicon; the message names the file.
        """
        if source == "paper":
            return cls.paper()
        path = Path(source)
        if path.is_dir():
            return cls._read_folder(path, str(path))
        if path.is_file():
            return cls._read_text(path)
        if not hub.is_repository(str(source)):
            raise FileNotFoundError(
                f"no strategic grams at {str(source)!r}: expected 'paper', a text file with one gram a line, a folder "
                "with a saved lexicon, or a dataset on the Hub as 'user/name' or 'user/name@revision'"
            )
        folder = hub.download(str(source))
        repo_id, revision = str(source).partition("@")[0], folder.name
        origin = {"loaded_from": {"repo_id": repo_id, "revision": revision}}
        return cls._read_folder(folder, f"{repo_id}@{revision[:8]}", origin)

    @classmethod
    def _read_folder(cls, folder: Path, name: str, origin: Mapping[str, Any] | None = None) -> "StrategicGrams":
        stored, file = storage.read(folder, name)
        try:
            return cls(stored.phrases, {**stored.provenance, **(origin or {})}, stored.statistics)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error

    @classmethod
    def _read_text(cls, file: Path) -> "StrategicGrams":
        try:
            lines = [line for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
            if file.suffix in _DATA or (lines and lines[0].startswith('{"')):
                raise ValueError("expected one gram a line, got a file of data")
            return cls(lines, {"source": str(file)})
        except (ValueError, OSError) as error:
            raise ValueError(f"{file}: {error}") from error

    def save(self, folder: str | Path) -> Path:
        """
        Writes the lexicon into `folder`, and returns it.

        `strategic_grams.parquet` has a row per gram, `provenance.json` says where they come from, and the card in
        `README.md` lets plain [`~datasets.load_dataset`] read the folder.
        """
        return storage.write(Path(folder), self._contents, card(self._contents))

    def push_to_hub(
        self,
        repo_id: str,
        private: bool = False,
        license: str = "apache-2.0",
        commit_message: str = "Upload strategic grams",
    ) -> str:
        """
        Publishes the lexicon as a dataset on the Hub.

        Args:
            repo_id (`str`):
                `"user/name"`; made where it is not there yet.
            private (`bool`, *optional*, defaults to `False`):
                Whether a new repository is private.
            license (`str`, *optional*, defaults to `"apache-2.0"`):
                Licence in the card.
            commit_message (`str`, *optional*):
                Message of the commit.

        Returns:
            `str`: commit hash, to load exactly this lexicon as `"user/name@hash"`.

        Raises:
            `ValueError`: if the Hub refuses; the message says why.
        """
        return hub.push(self._contents, repo_id, private, license, commit_message)

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
        rows = [row for row in range(len(self)) if row not in gone]
        statistics = {name: [column[row] for row in rows] for name, column in self._contents.statistics.items()}
        provenance = {"dropped": fraction, "seed": seed, "from": self.fingerprint}
        return StrategicGrams([self[row] for row in rows], provenance, statistics)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that depend on the grams and their order, and on nothing else."""
        return self._contents.fingerprint

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the grams come from (a copy)."""
        return dict(self._contents.provenance)

    @property
    def revision(self) -> str | None:
        """Commit of the Hub that was loaded, if any."""
        loaded = self._contents.provenance.get("loaded_from")
        return loaded.get("revision") if isinstance(loaded, dict) else None

    @property
    def statistics(self) -> dict[str, list[Any]]:
        """Columns aligned with the grams (a copy); empty for a lexicon that was not mined."""
        return {name: list(column) for name, column in self._contents.statistics.items()}

    def __len__(self) -> int:
        return len(self._contents.phrases)

    def __iter__(self) -> Iterator[str]:
        return iter(self._contents.phrases)

    def __getitem__(self, index: int) -> str:
        return self._contents.phrases[index]

    def __contains__(self, phrase: str) -> bool:
        return normalize(phrase) in self._contents.phrases

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StrategicGrams) and self._contents.phrases == other._contents.phrases

    def __hash__(self) -> int:
        return hash(self._contents.phrases)

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
    if any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in gram):
        raise ValueError(f"strategic gram {position} holds a control character: {phrase!r}")
    if any(0xD800 <= ord(char) < 0xE000 for char in gram):
        raise ValueError(f"strategic gram {position} holds a lone surrogate, which no text in UTF-8 does: {phrase!r}")
    return gram
