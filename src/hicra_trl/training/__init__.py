"""Who gets the credit: HICRA's advantages, its configuration and its trainer."""

from .config import HICRAConfig
from .credit.hicra import hicra_advantages
from .held_out import PassAtKCallback
from .trainer import HICRATrainer


__all__ = ["HICRAConfig", "HICRATrainer", "PassAtKCallback", "hicra_advantages"]
