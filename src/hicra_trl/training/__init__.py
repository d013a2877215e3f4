"""Who gets the credit: HICRA's advantages, its configuration and its trainer."""

from ..lazy import lazy


# Resolved on first use: who only reads what a run has left must not wait for TRL.
__all__, __getattr__ = lazy(
    __name__,
    {
        "HICRAConfig": "config",
        "HICRATrainer": "trainer",
        "PassAtKCallback": "held_out",
        "hicra_advantages": "credit.hicra",
    },
)
