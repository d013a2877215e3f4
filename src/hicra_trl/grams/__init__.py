"""What counts as planning: the lexicon of strategic grams, its mining, and the labeler that finds them in tokens."""

from ..lazy import lazy


# Resolved on first use: who looks into a lexicon does not wait for torch.
__all__, __getattr__ = lazy(
    __name__,
    {
        "Corpus": "mining.corpus",
        "CorpusArguments": "mining.corpus",
        "GramMatcher": "matcher",
        "Labels": "labeler",
        "MiningConfig": "mining.config",
        "PlanningTokenLabeler": "labeler",
        "StrategicGrams": "lexicon",
        "mine_strategic_grams": "mining.mine",
        "prepare_counting": "mining.mine",
    },
)
