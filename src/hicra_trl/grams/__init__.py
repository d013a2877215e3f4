"""What counts as planning: the lexicon of strategic grams, its mining, and the labeler that finds them in tokens."""

from .corpus import Corpus, CorpusArguments
from .labeler import Labels, PlanningTokenLabeler
from .lexicon import StrategicGrams
from .matcher import GramMatcher
from .mining import mine_strategic_grams, prepare_counting
from .mining_config import MiningConfig


__all__ = [
    "Corpus",
    "CorpusArguments",
    "GramMatcher",
    "Labels",
    "MiningConfig",
    "PlanningTokenLabeler",
    "StrategicGrams",
    "mine_strategic_grams",
    "prepare_counting",
]
