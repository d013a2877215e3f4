"""What is right: strict grading of boxed answers."""

from .boxed import extract_boxed
from .boxed_accuracy import BoxedAccuracyReward
from .gold import Gold
from .grader import Grader, Verdict, grade
from .overlong import OverlongPenalty


__all__ = ["BoxedAccuracyReward", "Gold", "Grader", "OverlongPenalty", "Verdict", "extract_boxed", "grade"]
