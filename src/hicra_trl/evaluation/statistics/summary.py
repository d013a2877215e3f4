"""The numbers of one benchmark, each with its interval."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from scipy.special import entr

from ..samples.sample import Sample
from .intervals import Estimate, jackknife, shares
from .votes import count_votes, majority_at_k, pass_at_k, subset_sizes


@dataclass(frozen=True)
class Summary:
    """
    What the samples of a benchmark, or of one of its groups, say.

    Attributes:
        benchmark (`str`):
            Its name.
        num_items (`int`):
            Problems.
        num_samples (`int`):
            Samples per problem.
        metrics (`dict[str, Estimate | None]`):
            By name: `pass@k` and, from k = 2, `maj@k` for each k of
            [`~hicra_trl.evaluation.statistics.votes.subset_sizes`]; the shares of samples that are `truncated`,
            `unanswered` and `grading_failures`; `mean_length` in tokens, `planning_fraction` (`None` where the sampled
            ids are not known) and `semantic_entropy` in nats. With n samples per problem `pass@1` is what others call
            avg@n: the mean over problems of the mean over samples.
        groups (`dict[str, Summary]`):
            The same by group, where samples have one.
    """

    benchmark: str
    num_items: int
    num_samples: int
    metrics: dict[str, Estimate | None]
    groups: dict[str, "Summary"] = field(default_factory=dict)

    def __getitem__(self, metric: str) -> Estimate:
        """A metric that is known."""
        estimate = self.metrics[metric]
        assert estimate is not None
        return estimate


def by_item(benchmark: str, samples: Iterable[Sample], num_items: int, num_samples: int) -> dict[str, list[Sample]]:
    """
    Samples of each problem in the order of their numbers, problems in the order of their ids.

    Args:
        benchmark (`str`):
            Name in messages.
        samples (`Iterable[Sample]`):
            In any order.
        num_items (`int`):
            Problems that there must be.
        num_samples (`int`):
            Samples that each must have, numbered from 0.

    Raises:
        `ValueError`: if any are missing, too many or there twice: an average over those that happened to finish first
            would be biased.
    """
    found: dict[str, dict[int, Sample]] = {}
    for sample in samples:
        of_item = found.setdefault(sample.item, {})
        if sample.index in of_item:
            raise ValueError(
                f"{benchmark}: sample {sample.index} of item {sample.item!r} is there twice, expected once"
            )
        of_item[sample.index] = sample
    count = sum(len(of_item) for of_item in found.values())
    complete = set(range(num_samples))
    broken = [
        f"item {item!r} {f'lacks sample {min(lacking)}' if lacking else f'has sample {max(of_item)}'}"
        for item, of_item in found.items()
        if (lacking := complete - of_item.keys()) or of_item.keys() != complete
    ]
    if broken or len(found) != num_items or not found:
        expected = f"{num_items} items x {num_samples} samples = {num_items * num_samples}"
        got = "; ".join([f"{count} of {len(found)} items", *broken[:1]])
        raise ValueError(f"{benchmark}: expected {expected}, got {got}")
    return {item: [found[item][index] for index in range(num_samples)] for item in sorted(found)}


def summarize(benchmark: str, samples: Iterable[Sample], num_items: int, num_samples: int) -> Summary:
    """The numbers of a complete benchmark; arguments and errors are those of [`by_item`]."""
    items = list(by_item(benchmark, samples, num_items, num_samples).values())
    groups: dict[str, list[list[Sample]]] = {}
    for item in items:
        if item[0].group is not None:
            groups.setdefault(item[0].group, []).append(item)
    parts = {name: Summary(benchmark, len(part), num_samples, _metrics(part)) for name, part in sorted(groups.items())}
    return Summary(benchmark, num_items, num_samples, _metrics(items), parts)


def item_shares(items: list[list[Sample]]) -> dict[str, np.ndarray]:
    """The metrics that are means of one number in [0, 1] per problem, as that number of each problem."""
    sizes = subset_sizes(len(items[0]))
    correct_I = [sum(s.correct for s in item) for item in items]
    votes_I = [count_votes([s.answer for s in item], [s.correct for s in item]) for item in items]
    values = {f"pass@{k}": [pass_at_k(len(item), right, k) for item, right in zip(items, correct_I)] for k in sizes}
    for k in sizes[1:]:
        values[f"maj@{k}"] = [majority_at_k(len(item), *votes, k) for item, votes in zip(items, votes_I)]
    values["truncated"] = [sum(s.finish_reason == "length" for s in item) / len(item) for item in items]
    values["unanswered"] = [sum(s.answer is None for s in item) / len(item) for item in items]
    values["grading_failures"] = [sum(s.failure is not None for s in item) / len(item) for item in items]
    return {name: np.array(column) for name, column in values.items()}


def _metrics(items: list[list[Sample]]) -> dict[str, Estimate | None]:
    columns = item_shares(items)
    metrics: dict[str, Estimate | None] = dict(zip(columns, shares(np.stack(list(columns.values()), 1)), strict=True))
    tokens_I = np.array([sum(s.tokens for s in item) for item in items], float)
    lengths = np.stack([tokens_I, [len(item) for item in items]], 1)
    metrics["mean_length"] = jackknife(lengths, _ratio)
    metrics["planning_fraction"] = _planning_fraction(items)
    metrics["semantic_entropy"] = jackknife(_gram_counts(items), _entropy)
    return metrics


def _planning_fraction(items: list[list[Sample]]) -> Estimate | None:
    among = [[s.tokens if s.labelled_tokens is None else s.labelled_tokens for s in item] for item in items]
    tokens_I = np.array([sum(of_item) for of_item in among], float)
    if any(s.planning_tokens is None for item in items for s in item) or not tokens_I.any():
        return None
    planning_I = [sum(s.planning_tokens or 0 for s in item) for item in items]
    return jackknife(np.stack([planning_I, tokens_I], 1), _ratio)


def _gram_counts(items: list[list[Sample]]) -> np.ndarray:
    """Occurrences by item and gram."""
    counts = [sum((Counter(s.grams) for s in item), Counter()) for item in items]
    column = {gram: number for number, gram in enumerate(sorted(set().union(*counts)))}
    table = np.zeros((len(items), len(column)))
    for row, occurrences in zip(table, counts):
        for gram, count in occurrences.items():
            row[column[gram]] = count
    return table


def _ratio(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / np.maximum(sums[..., 1], 1)


def _entropy(counts: np.ndarray) -> np.ndarray:
    """[`~hicra_trl.dynamics.shannon_entropy`] of each row."""
    return entr(counts / np.maximum(counts.sum(-1, keepdims=True), 1)).sum(-1)
