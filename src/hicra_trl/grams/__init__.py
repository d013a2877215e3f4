"""What counts as planning: the lexicon of strategic grams, its mining, and the labeler that finds them in tokens."""

import importlib
from typing import Any


# Resolved on first use: who looks into a lexicon does not wait for torch.
_HOMES = {
    "Corpus": "mining.corpus",
    "CorpusArguments": "mining.corpus",
    "GramMatcher": "matcher",
    "Labels": "labeler",
    "MiningConfig": "mining.config",
    "PlanningTokenLabeler": "labeler",
    "StrategicGrams": "lexicon",
    "mine_strategic_grams": "mining.mine",
    "prepare_counting": "mining.mine",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
