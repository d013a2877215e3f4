"""What is right: strict grading of boxed answers."""

from .accuracy import BoxedAccuracyReward
from .boxed import extract_boxed, grade


__all__ = ["BoxedAccuracyReward", "extract_boxed", "grade"]
