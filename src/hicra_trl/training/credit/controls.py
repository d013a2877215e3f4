"""Controls for HICRA: other tokens that could get the planning tokens' credit, as many of them in each completion.

If amplifying these helps as much, it was the amplification that helped and not the planning.
"""

import torch


def random_tokens(planning_mask: torch.Tensor, own_mask: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """
    Draws as many tokens of each completion as it has planning tokens, uniformly and without replacement.

    Args:
        planning_mask (`torch.Tensor` of shape `(B, T)`, bool):
            The planning tokens.
        own_mask (`torch.Tensor` of shape `(B, T)`):
            1 at the model's own tokens, which are the ones to draw from.
        generator (`torch.Generator`):
            Where the randomness comes from, on any device. The global one is not touched.

    Returns:
        `torch.Tensor` of shape `(B, T)`, bool: the drawn tokens.

    Raises:
        `ValueError`: as in [`highest_tokens`].

    Example:

    ```python
    >>> from hicra_trl.training.sampling.seeds import seeded_generator

    >>> planning_mask = torch.tensor([[True, True, False, False, False]])
    >>> random_tokens(planning_mask, torch.tensor([[1, 1, 1, 1, 0]]), seeded_generator(0))
    tensor([[ True, False, False,  True, False]])
    ```
    """
    # In single precision some of the scores of a long completion would be equal.
    scores = torch.rand(planning_mask.shape, generator=generator, device=generator.device, dtype=torch.float64)
    return highest_tokens(scores.to(planning_mask.device), planning_mask, own_mask)


def highest_tokens(scores: torch.Tensor, planning_mask: torch.Tensor, own_mask: torch.Tensor) -> torch.Tensor:
    """
    Picks as many tokens of each completion as it has planning tokens: those with the highest scores.

    Args:
        scores (`torch.Tensor` of shape `(B, T)`):
            What the tokens are ranked by. Of equal ones the earlier comes first; those of masked tokens do not count.
        planning_mask (`torch.Tensor` of shape `(B, T)`, bool):
            The planning tokens.
        own_mask (`torch.Tensor` of shape `(B, T)`):
            1 at the model's own tokens, which are the ones to pick from.

    Returns:
        `torch.Tensor` of shape `(B, T)`, bool: the picked tokens.

    Raises:
        `ValueError`: if the shapes differ, if `planning_mask` is not bool, or if it has a token that `own_mask` has
            not.

    Example:

    ```python
    >>> scores = torch.tensor([[0.1, 2.0, 0.3, 1.0, 9.0]])
    >>> planning_mask = torch.tensor([[True, True, False, False, False]])
    >>> highest_tokens(scores, planning_mask, torch.tensor([[1, 1, 1, 1, 0]]))
    tensor([[False,  True, False,  True, False]])
    ```
    """
    own = own_mask.bool()
    if planning_mask.dtype != torch.bool:
        raise ValueError(f"planning_mask must be a bool tensor, got {planning_mask.dtype}")
    if not scores.shape == planning_mask.shape == own.shape:
        shapes = [tuple(tensor.shape) for tensor in (scores, planning_mask, own)]
        raise ValueError(f"scores, planning_mask and own_mask must have one shape (B, T), got {shapes}")
    if strangers := int((planning_mask & ~own).sum()):
        raise ValueError(f"planning_mask must lie within own_mask, got {strangers} planning tokens outside it")
    order = scores.argsort(dim=1, descending=True, stable=True)
    ranked_own = own.gather(1, order)
    picked = ranked_own & (ranked_own.cumsum(dim=1) <= planning_mask.sum(dim=1, keepdim=True))
    return torch.zeros_like(own).scatter(1, order, picked)
