"""What counts as planning: the lexicon of strategic grams, its mining, and the labeler that finds them in tokens."""

from .labeler import Labels, PlanningTokenLabeler
from .lexicon import StrategicGrams
from .matcher import GramMatcher
from .mining.config import MiningConfig
from .mining.corpus import Corpus, CorpusArguments
from .mining.mine import mine_strategic_grams, prepare_counting


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
