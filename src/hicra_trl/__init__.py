"""Hierarchy-aware credit assignment (HICRA) for TRL."""

import importlib
from typing import Any


__version__ = "0.1.0"

# Resolved on first use: `hicra --help` and the labeler alone must not wait for TRL.
_HOMES = {
    "BoxedAccuracyReward": "rewards",
    "HICRAConfig": "training",
    "HICRATrainer": "training",
    "MiningConfig": "grams",
    "PassAtKCallback": "training",
    "PlanningTokenLabeler": "grams",
    "StrategicGrams": "grams",
    "extract_boxed": "rewards",
    "grade": "rewards",
    "hicra_advantages": "training",
    "mine_strategic_grams": "grams",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
