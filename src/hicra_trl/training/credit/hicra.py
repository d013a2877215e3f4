"""Hierarchy-aware credit assignment (paper, section 3): the whole algorithm."""

import torch

from ...grams import Labels
from .rule import CreditBatch, by_token


def hicra_advantages(advantages: torch.Tensor, planning_mask: torch.Tensor, alpha: float) -> torch.Tensor:
    """
    Raises the advantage of planning tokens by `alpha` times its magnitude.

    In successful completions planning tokens earn more, in failed ones they lose less; every sign stays as it is.

    Args:
        advantages (`torch.Tensor` of shape `(B,)` or `(B, T)`):
            GRPO's advantages, one per completion or one per token.
        planning_mask (`torch.Tensor` of shape `(B, T)`, bool):
            The planning tokens.
        alpha (`float`):
            Amplification, in [0, 1). 0 is GRPO; at 1 a failed completion's planning tokens would get no gradient, and
            above it the wrong sign.

    Returns:
        `torch.Tensor` of shape `(B, T)`: A + alpha |A| on planning tokens, A elsewhere.

    Example:

    ```python
    >>> hicra_advantages(torch.tensor([0.5, -0.5]), torch.tensor([[True, False], [True, False]]), alpha=0.2)
    tensor([[ 0.6000,  0.5000],
            [-0.4000, -0.5000]])
    ```
    """
    if not 0 <= alpha < 1:
        raise ValueError(f"alpha must be in [0, 1), got {alpha}")
    if planning_mask.dtype != torch.bool:
        raise ValueError(f"planning_mask must be a bool tensor, got {planning_mask.dtype}")
    if advantages.dim() == 1:
        advantages = advantages.unsqueeze(1).expand(planning_mask.shape)
    return torch.where(planning_mask, advantages + alpha * advantages.abs(), advantages)


def planning(advantages: torch.Tensor, labels: Labels, batch: CreditBatch) -> torch.Tensor:
    """The paper's credit, as a rule; see [`hicra_advantages`]."""
    return hicra_advantages(advantages, labels.planning_mask, batch.alpha)


def asymmetric(advantages: torch.Tensor, labels: Labels, batch: CreditBatch) -> torch.Tensor:
    """
    HICRA with a strength of its own, `alpha_below`, for completions below the mean of their group.

    At `alpha_below` 0 planning tokens earn more in successful completions and lose as much as others in failed ones;
    below 0 they lose more. `alpha_below` is scaled down with `alpha` where a schedule does so.
    """
    plain = by_token(advantages, labels)
    below = 0.0 if batch.alpha_below is None or batch.alpha == 0 else batch.alpha_below
    strength = torch.where(plain > 0, batch.alpha, below)
    return torch.where(labels.planning_mask, plain + strength * plain.abs(), plain)
