"""Controls for HICRA: other tokens that could get the planning tokens' credit, as many of them in each completion.

If amplifying these helps as much, it was the amplification that helped and not the planning.
"""

import torch

from ...grams import Labels
from .hicra import hicra_advantages
from .rule import CreditBatch


def random(advantages: torch.Tensor, labels: Labels, batch: CreditBatch) -> torch.Tensor:
    """HICRA's raise for as many tokens of each completion as it has planning tokens, drawn uniformly."""
    # In single precision some of the scores of a long completion would be equal.
    scores = torch.rand(
        batch.mask.shape, generator=batch.generator, device=batch.generator.device, dtype=torch.float64
    )
    picked = highest_tokens(scores.to(batch.mask.device), labels.planning_mask.sum(dim=1), batch.mask)
    return hicra_advantages(advantages, picked, batch.alpha)


def high_entropy(advantages: torch.Tensor, labels: Labels, batch: CreditBatch) -> torch.Tensor:
    """HICRA's raise for as many tokens of each completion as it has planning tokens: those of highest entropy."""
    _, entropies = batch.scores
    picked = highest_tokens(entropies, labels.planning_mask.sum(dim=1), batch.mask)
    return hicra_advantages(advantages, picked, batch.alpha)


def execution(advantages: torch.Tensor, labels: Labels, batch: CreditBatch) -> torch.Tensor:
    """
    The inverse of HICRA: its raise for as many tokens of each completion as it has planning tokens, those of lowest
    entropy outside of planning; of all of them where there are fewer.
    """
    _, entropies = batch.scores
    picked = highest_tokens(-entropies, labels.planning_mask.sum(dim=1), batch.mask & ~labels.planning_mask)
    return hicra_advantages(advantages, picked, batch.alpha)


def highest_tokens(scores: torch.Tensor, counts: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """
    Picks the tokens with the highest scores, so many of each completion.

    Args:
        scores (`torch.Tensor` of shape `(B, T)`):
            What the tokens are ranked by. Of equal ones the earlier comes first; those of masked tokens do not count.
        counts (`torch.Tensor` of shape `(B,)`, int):
            How many to pick; of a completion with fewer tokens, all.
        mask (`torch.Tensor` of shape `(B, T)`, bool):
            The tokens to pick from.

    Returns:
        `torch.Tensor` of shape `(B, T)`, bool: the picked tokens.

    Example:

    ```python
    >>> scores = torch.tensor([[0.1, 2.0, 0.3, 1.0, 9.0]])
    >>> highest_tokens(scores, torch.tensor([2]), torch.tensor([[True, True, True, True, False]]))
    tensor([[False,  True, False,  True, False]])
    ```
    """
    order = scores.argsort(dim=1, descending=True, stable=True)
    ranked = mask.gather(1, order)
    picked = ranked & (ranked.cumsum(dim=1) <= counts.unsqueeze(1))
    return torch.zeros_like(mask).scatter(1, order, picked)
