"""Counting as maps and reductions over files, so that it resumes, and runs on any number of processes or machines.

    solutions/<block>.parquet     the corpus, in blocks named by their content
    counts-<key>/<block>.npy      map: document frequencies of a block's shortest n-grams, by hash
    kept-<key>.npy                reduction: hashes of those that enough solutions may have
    found-<key>/<block>.npy       map: where those occur in a block, and longer n-grams made of them

A file is there whole or not at all, and what is there is not made again. A key depends on everything that the file
does. Memory holds one block and the n-grams that are kept, whatever the size of the corpus.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset
from tqdm import tqdm

from ...disk import save_whole
from .ngrams import Block, Found, Rules, blocks, count, locate, read_block


_VERSION = 2  # of how solutions are cut and n-grams hashed
# Hashes that a reduction holds at once, when so few solutions are enough that hardly any n-gram can be ruled out.
_HASHES_AT_ONCE = 1 << 24


@dataclass(frozen=True)
class Counting:
    """
    The count of the n-grams of a corpus in a work folder.

    Args:
        folder (`Path`):
            Work folder with `solutions/`.
        names (`tuple[str, ...]`):
            Blocks of the corpus, as [`write_blocks`] returns them.
        rules ([`Rules`]):
            Which n-grams there are.
        least (`int`):
            Number of solutions that must have an n-gram for it to be kept.
    """

    folder: Path
    names: tuple[str, ...]
    rules: Rules
    least: int

    @property
    def maps(self) -> dict[str, Callable[[str], None]]:
        """What to do with each block: two passes, of which the first must be through before the second begins."""
        return {"Counting n-grams": self.count_block, "Finding frequent ones": self.locate_block}

    @cached_property
    def _key(self) -> str:
        return _key((_VERSION, astuple(self.rules), self.names, self.least))

    def count_block(self, name: str) -> None:
        """Map: counts the n-grams of one block, unless that is done."""
        path = self._count_file(name)
        if not path.exists():
            block = read_block(self.solutions(name), self.rules.digits_break)
            # The second map then need not cut the solutions into words again, which is the slowest part.
            text = np.frombuffer(block.text, dtype=np.uint8)
            counts = count(block, self.rules)
            enough = counts.document >= self._floor
            _save(path, [counts.hashes[enough], counts.document[enough], text, block.starts, block.codes])

    def locate_block(self, name: str) -> None:
        """Map: finds the n-grams that are kept in one block, unless that is done."""
        path = self._found_file(name)
        if not path.exists():
            _, _, text, starts, codes = _load(self._count_file(name), 5)
            found = locate(Block(text.tobytes(), starts, codes), self.rules, self.kept)
            _save(path, vars(found).values())

    def found(self, name: str) -> Found:
        """What [`~Counting.locate_block`] found."""
        return Found(*_load(self._found_file(name), 5))

    @cached_property
    def kept(self) -> np.ndarray:
        """Reduction: hashes, in increasing order, of all n-grams that at least `least` solutions may have."""
        path = self.folder / f"kept-{self._key}.npy"
        if not path.exists():
            kept = np.concatenate([self._kept_between(*bounds) for bounds in self._hash_ranges()])
            save_whole(path, lambda part: np.save(part, kept))
        return np.load(path)

    @property
    def _floor(self) -> int:
        """
        Solutions of a block that must have an n-gram for it to be counted there: half the mean that `least` needs.

        What is not counted in a block is in fewer, so that a bound for all blocks follows, and the second map makes it
        exact. Nearly all n-grams are rare; to write them down would take longer than to count them.
        """
        return max(1, self.least // (2 * len(self.names)))

    def _hash_ranges(self) -> list[tuple[np.uint64, np.uint64]]:
        """Ranges of hashes that are reduced one after another: one, unless hardly any n-gram can be ruled out."""
        total = sum(self._counted(name)[0].size for name in self.names)
        edges = np.linspace(0, 2.0**64, total // _HASHES_AT_ONCE + 2)[1:-1].astype(np.uint64)
        return list(pairwise([np.uint64(0), *edges, np.uint64(2**64 - 1)]))

    def _kept_between(self, low: np.uint64, high: np.uint64) -> np.ndarray:
        parts = []
        for hashes, document in map(self._counted, self.names):
            inside = (hashes >= low) & (hashes < high)
            parts.append((hashes[inside], document[inside].astype(np.int64) - (self._floor - 1)))
        hashes, which = np.unique(np.concatenate([part for part, _ in parts]), return_inverse=True)
        counted = np.bincount(which, np.concatenate([counted for _, counted in parts]), minlength=hashes.size)
        return hashes[counted + (self._floor - 1) * len(self.names) >= self.least]

    def _count_file(self, name: str) -> Path:
        return self.folder / f"counts-{_key((_VERSION, astuple(self.rules), self._floor))}" / f"{name}.npy"

    def _found_file(self, name: str) -> Path:
        return self.folder / f"found-{self._key}" / f"{name}.npy"

    def _counted(self, name: str) -> list[np.ndarray]:
        return _load(self._count_file(name), 2)

    def solutions(self, name: str) -> list[str]:
        """The solutions of a block."""
        return pq.read_table(self.folder / "solutions" / f"{name}.parquet")["text"].to_pylist()


class Candidates:
    """
    The n-grams that are kept, with exact frequencies, in the order of their words.

    Attributes:
        phrases (`list[str]`):
            N n-grams.
        document (`numpy.ndarray` of shape `(N,)`, int64):
            Document frequency: number of solutions with the n-gram.
        term (`numpy.ndarray` of shape `(N,)`, int64):
            Term frequency: number of occurrences.
        formula (`numpy.ndarray` of shape `(N,)`, int64):
            Number of occurrences in a sentence with digits or mathematics.
    """

    def __init__(self, counting: Counting) -> None:
        self._counting = counting
        self._hashes = np.zeros(0, dtype=np.uint64)
        phrases = np.zeros(0, dtype=np.str_)
        for found in self._blocks():
            phrases = np.concatenate([phrases, found.phrases])
            self._hashes, first = np.unique(np.concatenate([self._hashes, found.hashes]), return_index=True)
            phrases = phrases[first]
        sums = np.zeros((phrases.size, 3), dtype=np.int64)
        for found in self._blocks():
            document = np.bincount(found.pairs[:, 1], minlength=found.hashes.size)
            rows = np.searchsorted(self._hashes, found.hashes)
            sums[rows] += np.column_stack([document, found.term, found.formula])
        # Those that share a hash were kept for their sum, and longer ones for their parts.
        enough = np.flatnonzero(sums[:, 0] >= counting.least)
        self._hashes, phrases, sums = self._hashes[enough], phrases[enough], sums[enough]
        order = np.argsort(phrases)
        self._row = np.argsort(order)
        self.phrases: list[str] = phrases[order].tolist()
        self.document, self.term, self.formula = sums[order].T

    def _blocks(self) -> Iterator[Found]:
        return map(self._counting.found, self._counting.names)

    def _rows(self, hashes: np.ndarray) -> np.ndarray:
        """Number of the n-gram with each hash; -1 where there is none."""
        if not self._hashes.size:
            return np.full(hashes.size, -1)
        at = np.minimum(np.searchsorted(self._hashes, hashes), self._hashes.size - 1)
        return np.where(self._hashes[at] == hashes, self._row[at], -1)

    def cluster_document_frequency(self, labels: np.ndarray) -> np.ndarray:
        """
        In how many solutions each cluster occurs.

        Args:
            labels (`numpy.ndarray` of shape `(N,)`, int64):
                Cluster of each n-gram; -1 for those that are in none.

        Returns:
            `numpy.ndarray` of shape `(K,)`, int64: number of solutions that contain at least one of its n-grams.
        """
        labels = np.append(labels, -1)
        totals = np.zeros(int(labels.max()) + 1, dtype=np.int64)
        for found in self._blocks():
            cluster = labels[self._rows(found.hashes)][found.pairs[:, 1]]
            has = np.zeros((int(found.pairs[:, 0].max(initial=-1)) + 1, totals.size), dtype=bool)
            has[found.pairs[cluster >= 0, 0], cluster[cluster >= 0]] = True
            totals += has.sum(axis=0)
        return totals

    def examples(self, rows: np.ndarray) -> list[str]:
        """For each of the n-grams `rows`, the first solution that has it."""
        texts: dict[int, str] = {}
        wanted = np.zeros(len(self.phrases) + 1, dtype=bool)
        wanted[rows] = True
        for name, found in zip(self._counting.names, self._blocks()):
            row, solution = self._rows(found.hashes)[found.pairs[:, 1]], found.pairs[:, 0]
            new = np.flatnonzero(wanted[row])
            if new.size:
                solutions = self._counting.solutions(name)
                for pair in new.tolist():
                    texts.setdefault(int(row[pair]), solutions[solution[pair]])
                wanted[row[new]] = False
            if not wanted.any():
                break
        return [texts[row] for row in rows.tolist()]


def write_blocks(solutions: Iterable[str], folder: Path) -> tuple[str, ...]:
    """Writes solutions into `folder/solutions` in blocks, and returns the blocks' names: number and content."""
    names = []
    for number, block in enumerate(blocks(solutions)):
        content = hashlib.blake2b(digest_size=8)
        for solution in block:
            data = solution.encode()
            content.update(len(data).to_bytes(8, "little") + data)
        names.append(f"{number:05}-{content.hexdigest()}")
        path = folder / "solutions" / f"{names[-1]}.parquet"
        if not path.exists():
            table = pa.table({"text": block})
            save_whole(path, lambda part, table=table: pq.write_table(table, part, compression="none"))
    return tuple(names)


def run_map(function: Callable[[str], None], names: tuple[str, ...], title: str, num_proc: int) -> None:
    """Calls `function` with each block's name: in a loop, or in the processes of `datasets`."""
    if num_proc == 1:
        for name in tqdm(names, desc=title, unit="block", disable=None):
            function(name)
        return
    rows = Dataset.from_dict({"name": list(names)})
    rows.map(lambda row: function(row["name"]), num_proc=min(num_proc, len(names)), desc=title)


def _key(parts: object) -> str:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=6).hexdigest()


def _save(path: Path, arrays: Iterable[np.ndarray]) -> None:
    """Writes arrays one behind the other: an `.npz` would add checksums, which take time."""

    def write(part: Path) -> None:
        with part.open("wb") as file:
            for array in arrays:
                np.save(file, array)

    save_whole(path, write)


def _load(path: Path, number: int) -> list[np.ndarray]:
    """The first arrays of a file."""
    with path.open("rb") as file:
        return [np.load(file) for _ in range(number)]
