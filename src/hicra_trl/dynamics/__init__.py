"""What reinforcement learning changes: entropies, perplexities and the diversity of strategies, by token class."""

from .meter import CLASSES, DynamicsMeter
from .statistics import conditional_entropy, following_ngrams, pass_at_k, shannon_entropy


__all__ = ["CLASSES", "DynamicsMeter", "conditional_entropy", "following_ngrams", "pass_at_k", "shannon_entropy"]
