"""Credit by outcome: what each strategic gram went along with, and rules that pay it for that.

HICRA raises every gram alike, "this approach isn't working, the answer is none" as much as "let me verify". Here a
gram's raise has the sign and the size of what it was seen to go along with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch

from ...grams import Labels
from .rule import CreditBatch, by_token


# Pairs of evidence for and against that every gram begins with, half of each: a Beta prior around "no effect".
PRIOR = 4.0


@dataclass(frozen=True)
class GramOutcomes:
    """
    What G grams went along with, compared within groups only, so that easy problems do not speak for a gram.

    In a group of n completions every pair of a right completion with a gram and a wrong one without it speaks for the
    gram, and every pair of a wrong one with it and a right one without it against it, with weight 1/n. Their ratio
    over many groups is Mantel and Haenszel's common odds ratio.

    Attributes:
        speaks_for, speaks_against (`torch.Tensor` of shape `(G,)`, float64):
            Weights of these pairs; what is older counts less.
        right, wrong (`torch.Tensor` of shape `(G,)`, int64):
            How many right and wrong completions a gram was in, ever.
    """

    speaks_for: torch.Tensor
    speaks_against: torch.Tensor
    right: torch.Tensor
    wrong: torch.Tensor

    @classmethod
    def none(cls, num_grams: int) -> Self:
        """Before anything was seen."""
        weights, counts = torch.zeros(num_grams, dtype=torch.float64), torch.zeros(num_grams, dtype=torch.int64)
        return cls(weights, weights, counts, counts)

    def add(self, present: torch.Tensor, correct: torch.Tensor, groups: torch.Tensor, window: int) -> Self:
        """
        The outcomes with one more generation, of all processes.

        Args:
            present (`torch.Tensor` of shape `(B, G)`, bool):
                Which grams occur in which completion.
            correct (`torch.Tensor` of shape `(B,)`, bool):
                Which of them are right.
            groups (`torch.Tensor` of shape `(B,)`, int64):
                Of which prompt they are; a prompt's completions have to be here all together.
            window (`int`):
                What was there before keeps `1 - 1 / window` of its weight.

        Example:

        ```python
        >>> present, groups = torch.tensor([[True], [True], [False], [False]]), torch.zeros(4, dtype=torch.int64)
        >>> once = GramOutcomes.none(1).add(present, torch.tensor([True, True, True, False]), groups, window=20)
        >>> once.speaks_for, once.speaks_against, once.score()
        (tensor([0.5000], dtype=torch.float64), tensor([0.], dtype=torch.float64), tensor([0.1111]))
        ```
        """
        if not len(groups):
            return self
        _, groups = groups.unique(return_inverse=True)
        of_group = torch.nn.functional.one_hot(groups).double().T
        present, right = present.double(), correct.double().unsqueeze(1)
        with_right, with_wrong = of_group @ (present * right), of_group @ (present * (1 - right))
        all_right, all_wrong = of_group @ right, of_group @ (1 - right)
        size, kept = all_right + all_wrong, 1 - 1 / window
        return type(self)(
            kept * self.speaks_for + (with_right * (all_wrong - with_wrong) / size).sum(dim=0),
            kept * self.speaks_against + (with_wrong * (all_right - with_right) / size).sum(dim=0),
            self.right + with_right.sum(dim=0).long(),
            self.wrong + with_wrong.sum(dim=0).long(),
        )

    def score(self, clusters: torch.Tensor | None = None) -> torch.Tensor:
        """
        What each gram goes along with, from -1 (failure) to 1 (success): tanh of half its log odds ratio, which is
        (for - against) / (for + against), drawn to 0 by [`PRIOR`].

        Args:
            clusters (`torch.Tensor` of shape `(G,)`, int64, *optional*):
                Clusters of the lexicon, from 0; all grams of one get what they have in common.

        Returns:
            `torch.Tensor` of shape `(G,)`, float32.
        """
        speaks_for, speaks_against = self.speaks_for, self.speaks_against
        if clusters is not None and len(clusters):
            none = torch.zeros(int(clusters.max()) + 1, dtype=torch.float64)
            speaks_for = none.index_add(0, clusters, speaks_for)[clusters]
            speaks_against = none.index_add(0, clusters, speaks_against)[clusters]
        return ((speaks_for - speaks_against) / (speaks_for + speaks_against + PRIOR)).float()

    def to_json(self) -> dict[str, list]:
        """What a checkpoint holds; floats come back bit for bit."""
        return {name: values.tolist() for name, values in vars(self).items()}

    @classmethod
    def from_json(cls, saved: dict[str, Sequence]) -> Self:
        """Back from [`~GramOutcomes.to_json`]."""
        kinds = {"speaks_for": torch.float64, "speaks_against": torch.float64}
        return cls(
            **{name: torch.tensor(values, dtype=kinds.get(name, torch.int64)) for name, values in saved.items()}
        )


def outcome(advantages: torch.Tensor, labels: Labels, batch: CreditBatch) -> torch.Tensor:
    """
    Credit by what a gram goes along with: A + alpha |A| s(gram) on its tokens.

    A move that goes with success is raised, one that goes with failure lowered, and at s = 1 this is HICRA. Every
    sign stays as it is.
    """
    plain = by_token(advantages, labels)
    return torch.where(labels.planning_mask, plain + batch.alpha * plain.abs() * _scores(labels, batch), plain)


def plan(advantages: torch.Tensor, labels: Labels, batch: CreditBatch) -> torch.Tensor:
    """
    Credit for a right move under a wrong answer (paper, future work): A + alpha r s(gram) on a gram's tokens, where r
    is the root mean square of the batch's advantages.

    A completion's own advantage says nothing about how much its moves get, so a sign may turn; the change is never
    above alpha r.
    """
    plain = by_token(advantages, labels)
    squares = plain.masked_fill(~batch.mask, 0).float().square()
    total, count = batch.sum_over_ranks(torch.stack([squares.sum(), batch.mask.sum()])).tolist()
    size = (total / max(count, 1)) ** 0.5
    return torch.where(labels.planning_mask, plain + batch.alpha * size * _scores(labels, batch), plain)


def _scores(labels: Labels, batch: CreditBatch) -> torch.Tensor:
    """s (B, T) of the gram that each token is in; what is in none has no meaning."""
    return batch.gram_scores[labels.gram_index.clamp(min=0)]
