"""What reinforcement learning changes: entropies, perplexities and the diversity of strategies, by token class."""

from typing import Any

from .statistics import conditional_entropy, following_ngrams, pass_at_k, shannon_entropy


__all__ = ["CLASSES", "DynamicsMeter", "conditional_entropy", "following_ngrams", "pass_at_k", "shannon_entropy"]


def __getattr__(name: str) -> Any:
    # The meter alone needs torch.
    if name not in ("CLASSES", "DynamicsMeter"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import meter

    return getattr(meter, name)
