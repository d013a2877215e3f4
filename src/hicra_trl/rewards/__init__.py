"""What is right: strict grading of boxed answers."""

from .accuracy import BoxedAccuracyReward
from .boxed import extract_boxed, grade
from .gold import Gold
from .grader import Grader, Verdict


__all__ = ["BoxedAccuracyReward", "Gold", "Grader", "Verdict", "extract_boxed", "grade"]
