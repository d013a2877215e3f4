"""Hierarchy-aware credit assignment (HICRA) for TRL."""

from .lazy import lazy


__version__ = "0.1.0"

# Resolved on first use: `hicra --help` and the labeler alone must not wait for TRL.
__all__, __getattr__ = lazy(
    __name__,
    {
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
    },
)
