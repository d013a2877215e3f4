"""Who gets the credit: HICRA's advantages, its configuration and its trainer."""

from .advantages import hicra_advantages
from .config import HICRAConfig
from .held_out import PassAtKCallback
from .trainer import HICRATrainer


__all__ = ["HICRAConfig", "HICRATrainer", "PassAtKCallback", "hicra_advantages"]
