"""What counts as planning: the lexicon of strategic grams and the labeler that finds them in sampled tokens."""

from .labeler import Labels, PlanningTokenLabeler
from .lexicon import StrategicGrams
from .matcher import GramMatcher


__all__ = ["GramMatcher", "Labels", "PlanningTokenLabeler", "StrategicGrams"]
