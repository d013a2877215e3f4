"""Hierarchy-aware credit assignment (paper, section 3): the whole algorithm."""

import torch


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
