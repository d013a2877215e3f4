"""Who gets the credit: HICRA's advantages, its configuration and its trainer."""

from .advantages import hicra_advantages
from .config import HICRAConfig
from .trainer import HICRATrainer


__all__ = ["HICRAConfig", "HICRATrainer", "hicra_advantages"]
