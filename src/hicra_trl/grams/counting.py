"""Counting as maps and reductions over files, so that it resumes, and runs on any number of processes or machines.

    solutions/<block>.parquet     the corpus, in blocks named by their content
    counts-<key>/<block>.npz      map: document frequencies of a block's n-grams, by hash
    kept-<key>.npy                reduction: hashes of the n-grams that enough solutions have
    found-<key>/<block>.npz       map: where those occur in a block

A file is there whole or not at all, and what is there is not made again. A key depends on everything that the file
does. Memory holds one block and the n-grams that are kept, whatever the size of the corpus.
"""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset
from tqdm import tqdm

from .ngrams import Found, Rules, blocks, count, locate, read_block


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
    def _counts(self) -> Path:
        return self.folder / f"counts-{_key(astuple(self.rules))}"

    @cached_property
    def _key(self) -> str:
        return _key((astuple(self.rules), self.names, self.least))

    def count_block(self, name: str) -> None:
        """Map: counts the n-grams of one block, unless that is done."""
        path = self._counts / f"{name}.npz"
        if not path.exists():
            counts = count(read_block(self.solutions(name)), self.rules)
            _save(path, hashes=counts.hashes, document=counts.document)

    def locate_block(self, name: str) -> None:
        """Map: finds the n-grams that are kept in one block, unless that is done."""
        path = self.folder / f"found-{self._key}" / f"{name}.npz"
        if not path.exists():
            _save(path, **vars(locate(read_block(self.solutions(name)), self.rules, self.kept)))

    def found(self, name: str) -> Found:
        """What [`~Counting.locate_block`] found."""
        with np.load(self.folder / f"found-{self._key}" / f"{name}.npz") as arrays:
            return Found(**arrays)

    @cached_property
    def kept(self) -> np.ndarray:
        """Reduction: hashes, in increasing order, of the n-grams that at least `least` solutions have."""
        path = self.folder / f"kept-{self._key}.npy"
        if not path.exists():
            kept = np.concatenate([self._kept_between(*bounds) for bounds in self._hash_ranges()])
            save_whole(path, lambda part: np.save(part, kept))
        return np.load(path)

    def _hash_ranges(self) -> list[tuple[np.uint64, np.uint64]]:
        total = sum(path.stat().st_size for path in map(self._count_file, self.names)) // 12
        edges = np.linspace(0, 2.0**64, total // _HASHES_AT_ONCE + 2)[1:-1].astype(np.uint64)
        limits = [np.uint64(0), *edges, np.uint64(2**64 - 1)]
        return list(pairwise(limits))

    def _kept_between(self, low: np.uint64, high: np.uint64) -> np.ndarray:
        # What has `least` solutions in all has its share of them in at least one block.
        enough = math.ceil(self.least / len(self.names))
        parts = [hashes[document >= enough] for hashes, document in map(self._counted, self.names)]
        candidates = np.unique(np.concatenate([part[(part >= low) & (part < high)] for part in parts]))
        totals = np.zeros(candidates.size, dtype=np.int64)
        for hashes, document in map(self._counted, self.names):
            if hashes.size:
                at = np.minimum(np.searchsorted(hashes, candidates), hashes.size - 1)
                totals += np.where(hashes[at] == candidates, document[at], 0)
        return candidates[totals >= self.least]

    def _count_file(self, name: str) -> Path:
        return self._counts / f"{name}.npz"

    def _counted(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        with np.load(self._count_file(name)) as arrays:
            return arrays["hashes"], arrays["document"]

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
        hashes, phrases, sums = self._added_up()
        enough = sums[:, 0] >= counting.least
        hashes, phrases, sums = hashes[enough], phrases[enough], sums[enough]
        order = np.argsort(phrases)
        self._hashes = hashes
        self._order = order
        self.phrases: list[str] = phrases[order].tolist()
        self.document, self.term, self.formula = sums[order].T

    def cluster_document_frequency(self, labels: np.ndarray) -> np.ndarray:
        """
        In how many solutions each cluster occurs.

        Args:
            labels (`numpy.ndarray` of shape `(N,)`, int64):
                Cluster of each n-gram; -1 for those that are in none.

        Returns:
            `numpy.ndarray` of shape `(K,)`, int64: number of solutions that contain at least one of its n-grams.
        """
        num_clusters = int(labels.max()) + 1
        totals = np.zeros(num_clusters, dtype=np.int64)
        position = np.argsort(self._order)
        for name in self._counting.names:
            found = self._counting.found(name)
            label = np.full(found.hashes.size, -1)
            at = np.minimum(np.searchsorted(self._hashes, found.hashes), self._hashes.size - 1)
            known = self._hashes[at] == found.hashes
            label[known] = labels[position[at[known]]]
            solution, cluster = found.pairs[:, 0].astype(np.int64), label[found.pairs[:, 1]]
            distinct = np.unique((solution * num_clusters + cluster)[cluster >= 0])
            totals += np.bincount(distinct % num_clusters, minlength=num_clusters)
        return totals

    def examples(self, rows: np.ndarray) -> list[tuple[int, str]]:
        """For each of the n-grams `rows`, its number and the first solution that has it."""
        wanted = dict(zip(self._hashes[self._order[rows]].tolist(), rows.tolist()))
        texts: dict[int, str] = {}
        for name in self._counting.names:
            found = self._counting.found(name)
            grams, first = np.unique(found.pairs[:, 1], return_index=True)
            here = {
                wanted[key]: int(found.pairs[at, 0])
                for key, at in zip(found.hashes[grams].tolist(), first.tolist())
                if key in wanted and wanted[key] not in texts
            }
            solutions = self._counting.solutions(name) if here else []
            texts |= {row: solutions[solution] for row, solution in here.items()}
        return [(row, texts[row]) for row in rows.tolist()]

    def _added_up(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Hashes in increasing order, phrases, and (N, 3) document, term and formula frequencies."""
        parts = [self._counting.found(name) for name in self._counting.names]
        hashes, first, gram = np.unique(
            np.concatenate([found.hashes for found in parts]), return_index=True, return_inverse=True
        )
        sums = np.zeros((hashes.size, 3), dtype=np.int64)
        document = [np.bincount(found.pairs[:, 1], minlength=found.hashes.size) for found in parts]
        columns = (document, [found.term for found in parts], [found.formula for found in parts])
        for column, values in enumerate(columns):
            np.add.at(sums[:, column], gram, np.concatenate(values))
        return hashes, np.concatenate([found.phrases for found in parts])[first], sums


def write_blocks(solutions: Iterable[str], folder: Path) -> tuple[str, ...]:
    """Writes solutions into `folder/solutions` in blocks, and returns the blocks' names: number and content."""
    names = []
    for number, block in enumerate(blocks(solutions)):
        content = hashlib.blake2b("\x00".join(block).encode(errors="replace"), digest_size=8).hexdigest()
        names.append(f"{number:05}-{content}")
        path = folder / "solutions" / f"{names[-1]}.parquet"
        if not path.exists():
            table = pa.table({"text": block})
            save_whole(path, lambda part, table=table: pq.write_table(table, part, compression="zstd"))
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


def _save(path: Path, **arrays: np.ndarray) -> None:
    def write(part: Path) -> None:
        with part.open("wb") as file:
            np.savez(file, **arrays)

    save_whole(path, write)


def save_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Writes a file under another name and then renames it: an interruption leaves no half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.stem}.{os.getpid()}.part.npy")
    write(part)
    os.replace(part, path)
