"""Mines strategic grams from correct solutions (paper, section 2.1).

1. Semantic clustering: word n-grams are embedded and clustered.
2. Identification by frequency: a cluster's document frequency is the number of solutions that contain any of its
   n-grams.
3. Construction: the n-grams of the clusters with the highest frequency are the lexicon.
"""

import hashlib
import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ...disk import save_whole
from ..lexicon import MAX_GRAM_CHARACTERS, StrategicGrams
from ..matcher import GramMatcher
from .clusters import embed, kmeans, load_embedding_model
from .config import MiningConfig
from .corpus import Corpus
from .counting import Candidates, Counting, run_map, write_blocks
from .ngrams import Rules


_PHRASES_AT_ONCE = 8192
_CONTEXT_CHARACTERS = 60


def mine_strategic_grams(
    solutions: Iterable[str],
    config: MiningConfig | None = None,
    *,
    num_proc: int = 1,
    work_folder: str | Path | None = None,
) -> StrategicGrams:
    """
    Mines a lexicon from correct solutions. The same solutions and config give the same lexicon, on any number of
    processes.

    Args:
        solutions (`Iterable[str]`):
            Texts of correct solutions, such as a [`Corpus`]; read once. Only one block of them is held in memory.
            Duplicates are dropped.
        config ([`MiningConfig`], *optional*):
            How to mine.
        num_proc (`int`, *optional*, defaults to `1`):
            Processes that count.
        work_folder (`str` or `Path`, *optional*):
            Where intermediate results are kept, so that an interrupted mining goes on where it stopped.

    Returns:
        [`StrategicGrams`]: the lexicon in the order of its clusters' ranks, with statistics and provenance.

    Raises:
        `ValueError`: if there are fewer than two different solutions, or no n-gram is in enough of them.
    """
    config = config or MiningConfig()
    if num_proc < 1:
        raise ValueError(f"num_proc must be at least 1, got {num_proc}")
    with nullcontext(work_folder) if work_folder else tempfile.TemporaryDirectory() as folder:
        unique = _Unique(solutions)
        counting = prepare_counting(unique, config, folder)
        for title, function in counting.maps.items():
            run_map(function, counting.names, title, num_proc)
        candidates = Candidates(counting)
        eligible = _eligible(candidates, config)
        if not eligible.any():
            raise ValueError(
                f"no n-gram of {config.min_n} to {config.max_n} words is in at least {counting.least} of "
                f"{unique.kept} solutions: expected a larger corpus, a smaller min_document_frequency, or a language "
                "that writes spaces between words"
            )
        labels = np.full(eligible.size, -1)
        labels[eligible] = _cluster([candidates.phrases[i] for i in np.flatnonzero(eligible)], config, Path(folder))
        document = candidates.cluster_document_frequency(labels)
        clusters = _best(candidates, labels, document, config, unique.kept)
        statistics = _statistics(candidates, labels, document, clusters)
    provenance = {
        "source": "mined by hicra-trl",
        "corpus": {
            **(solutions.describe() if isinstance(solutions, Corpus) else {}),
            "solutions": unique.kept,
            "duplicates": unique.duplicates,
        },
        "counts": {
            "enough solutions": counting.least,
            "n-grams in enough solutions": len(candidates.phrases),
            "n-grams clustered": int(eligible.sum()),
            "clusters": int(labels.max()) + 1,
            "clusters kept": len(clusters),
        },
        "config": asdict(config),
        "versions": {name: version(name) for name in ("hicra-trl", "sentence-transformers", "faiss-cpu", "torch")},
    }
    return StrategicGrams(statistics.pop("gram"), provenance, statistics)


def prepare_counting(solutions: Iterable[str], config: MiningConfig, work_folder: str | Path) -> Counting:
    """
    Writes solutions into a work folder, in blocks, and returns what is to be counted there.

    [`mine_strategic_grams`] does all of it. This is for those who count on many machines first;
    `mine_strategic_grams` with the same solutions and work folder then goes on.

    Args:
        solutions (`Iterable[str]`):
            Texts of correct solutions; duplicates are dropped.
        config ([`MiningConfig`]):
            How to mine.
        work_folder (`str` or `Path`):
            Folder that all machines see.

    Raises:
        `ValueError`: if there are fewer than two different solutions.

    Example:

    ```python
    from datatrove.executor import SlurmPipelineExecutor  # or LocalPipelineExecutor
    from hicra_trl.grams import Corpus, CorpusArguments, MiningConfig, mine_strategic_grams, prepare_counting
    from hicra_trl.grams.mining.distributed import CountBlocks, LocateBlocks

    corpus, config = Corpus(CorpusArguments("user/solutions")), MiningConfig()
    counting = prepare_counting(corpus, config, "/shared/work")
    slurm = {"tasks": 64, "time": "01:00:00", "partition": "cpu"}
    count = SlurmPipelineExecutor([CountBlocks(counting)], job_name="count", logging_dir="/shared/c", **slurm)
    locate = SlurmPipelineExecutor(
        [LocateBlocks(counting)], job_name="locate", logging_dir="/shared/l", depends=count, **slurm
    )
    locate.run()
    # Once both are through:
    grams = mine_strategic_grams(corpus, config, work_folder="/shared/work")
    ```
    """
    unique = solutions if isinstance(solutions, _Unique) else _Unique(solutions)
    bar = tqdm(unique, desc="Reading solutions", unit=" solutions", disable=None)
    names = write_blocks(bar, Path(work_folder))
    if unique.kept < 2:
        raise ValueError(
            f"mining needs at least 2 different solutions, got {unique.kept} ({unique.duplicates} duplicates)"
        )
    least = max(2, math.ceil(_exact(config.min_document_frequency) * unique.kept))
    rules = Rules(config.min_n, config.max_n, config.short_clauses, config.digits_break)
    return Counting(Path(work_folder), names, rules, least)


def _exact(share: float) -> Fraction:
    """The share that was meant: 7/100 for 0.07 and 7/11 for 7 / 11, which as floats are a little more."""
    return Fraction(share).limit_denominator(1_000_000)


class _Unique:
    """Passes each different text once, and counts."""

    def __init__(self, solutions: Iterable[str]) -> None:
        self._solutions = solutions
        self.kept = self.duplicates = 0

    def __iter__(self) -> Iterator[str]:
        seen: set[bytes] = set()
        for solution in self._solutions:
            data = solution.strip().encode(errors="replace")
            digest = hashlib.blake2b(data, digest_size=16).digest()
            if digest in seen:
                self.duplicates += 1
                continue
            seen.add(digest)
            self.kept += 1
            yield data.decode()


def _eligible(candidates: Candidates, config: MiningConfig) -> np.ndarray:
    """Which n-grams are clustered (N,): used sparingly, and not procedural."""
    eligible = np.array([len(phrase) <= MAX_GRAM_CHARACTERS for phrase in candidates.phrases], dtype=bool)
    if config.max_term_ratio is not None:
        eligible &= candidates.term <= config.max_term_ratio * candidates.document + 1e-9
    if config.drop_formulaic and eligible.any():
        share = candidates.formula / candidates.term
        ordered = np.sort(share[eligible])
        eligible &= share <= ordered[ordered.size - 1 - math.floor(_exact(config.drop_formulaic) * ordered.size)]
    return eligible


def _cluster(phrases: list[str], config: MiningConfig, folder: Path) -> np.ndarray:
    if config.clustering == "none":
        return np.arange(len(phrases))
    num_clusters = min(config.num_clusters or min(max(1, len(phrases) // 5), 1000), len(phrases))
    return kmeans(_embeddings(phrases, config.embedding_model, folder), num_clusters, config.seed)


def _embeddings(phrases: list[str], model_name: str, folder: Path) -> np.ndarray:
    """Embeddings (N, d), of which those in `folder` are not made again."""
    model, parts = None, []
    with tqdm(total=len(phrases), desc="Embedding n-grams", unit=" n-grams", disable=None) as progress:
        for start in range(0, len(phrases), _PHRASES_AT_ONCE):
            some = phrases[start : start + _PHRASES_AT_ONCE]
            key = hashlib.blake2b("\n".join([model_name, *some]).encode(), digest_size=8).hexdigest()
            path = folder / "embeddings" / f"{key}.npy"
            if not path.exists():
                model = model or load_embedding_model(model_name)
                vectors = embed(some, model, progress)
                save_whole(path, lambda part, vectors=vectors: np.save(part, vectors))
            parts.append(np.load(path))
            progress.update(start + len(some) - progress.n)
    return np.concatenate(parts)


def _best(
    candidates: Candidates, labels: np.ndarray, document: np.ndarray, config: MiningConfig, num_solutions: int
) -> np.ndarray:
    """Clusters that are kept, best first."""
    inside = labels >= 0
    sizes = np.bincount(labels[inside])
    if config.rank_by == "cluster":
        score = document
    elif config.rank_by == "mean":
        score = np.bincount(labels[inside], candidates.document[inside]) / sizes
    else:
        score = np.zeros(sizes.size)
        np.maximum.at(score, labels[inside], candidates.document[inside])
    order = np.argsort(-score, kind="stable")
    stays = np.arange(order.size) < max(1, round(_exact(config.top_clusters) * order.size))
    if config.common is not None:
        stays |= score[order] >= float(_exact(config.common) * num_solutions)
    return order[stays]


def _statistics(
    candidates: Candidates, labels: np.ndarray, document: np.ndarray, clusters: np.ndarray
) -> dict[str, list[Any]]:
    """Columns of the lexicon: grams by rank of their cluster, then by document frequency."""
    rank = np.full(document.size, -1)
    rank[clusters] = np.arange(clusters.size)
    rows = np.flatnonzero((labels >= 0) & (rank[labels] >= 0))
    rows = rows[np.lexsort((-candidates.document[rows], rank[labels[rows]]))]
    return {
        "gram": [candidates.phrases[row] for row in rows],
        "document_frequency": candidates.document[rows].tolist(),
        "term_frequency": candidates.term[rows].tolist(),
        "cluster": labels[rows].tolist(),
        "cluster_document_frequency": document[labels[rows]].tolist(),
        "rank": (rank[labels[rows]] + 1).tolist(),
        "example": _in_context([candidates.phrases[row] for row in rows], candidates.examples(rows)),
    }


def in_context(phrase: str, text: str) -> str:
    """
    The first occurrence of a phrase in a text, with up to 60 characters on either side.

    Example:

    ```python
    >>> in_context("let's try", "That fails. Let’s\\ntry 3.")
    'That fails. Let’s try 3.'
    ```
    """
    return _in_context([phrase], [text])[0]


def _in_context(phrases: Sequence[str], texts: Sequence[str]) -> list[str]:
    """[`in_context`] of each phrase in its text; a text that several have is searched once."""
    rows: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        rows.setdefault(text, []).append(row)
    contexts = [""] * len(phrases)
    for text, of_text in rows.items():
        data = text.encode(errors="replace")
        matches = GramMatcher(StrategicGrams([phrases[row]])[0] for row in of_text).find_in_text(text)
        grams, first = np.unique(matches[:, 0], return_index=True)
        for gram, (start, end) in zip(grams.tolist(), matches[first, 3:].tolist()):
            contexts[of_text[gram]] = _around(data, start, end)
    return contexts


def _around(data: bytes, start: int, end: int) -> str:
    # A character has four bytes at most; one that is cut in two is beyond what is shown.
    reach = 4 * (_CONTEXT_CHARACTERS + 2)
    before = data[max(0, start - reach) : start].decode(errors="ignore")
    after = data[end : end + reach].decode(errors="ignore")
    if len(before) > _CONTEXT_CHARACTERS:
        before = before[-_CONTEXT_CHARACTERS:]
        before = before.partition(" ")[2] if " " in before else before
    if len(after) > _CONTEXT_CHARACTERS:
        after = after[:_CONTEXT_CHARACTERS]
        after = after.rpartition(" ")[0] if " " in after else after
    return " ".join(f"{before}{data[start:end].decode()}{after}".split())
