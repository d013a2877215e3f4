"""Strict accuracy of boxed answers, as a module of `evaluate`."""

from typing import Any

import datasets
import evaluate

from hicra_trl.metrics import base
from hicra_trl.paper import PAPER_CITATION
from hicra_trl.rewards import Grader


_DESCRIPTION = r"""
Share of completions whose last balanced \boxed{} holds the right answer. The last box alone decides: an earlier box or
unboxed text never counts, and the same answer in another notation is equal.
"""

_KWARGS_DESCRIPTION = r"""
Args:
    predictions (`list[str]` or `list[list[str]]`): Completions: one per problem, or a list of samples per problem.
    references (`list[str]`): The right answer to each problem, with or without a box.

Returns:
    accuracy (`float`): Mean over problems of the share of their samples that are right (pass@1, avg@n).
    completions (`int`): Completions graded.
    unanswered (`int`): Those without a balanced last box.
    failures (`int`): Those whose comparison could not be finished (time, memory, crash), which counts as wrong.

Examples:
    >>> accuracy = evaluate.load(metric_path("boxed_accuracy"))
    >>> accuracy.compute(predictions=[r"so \boxed{0.5}", "so 7"], references=["1/2", "7"])
    {'accuracy': 0.5, 'completions': 2, 'unanswered': 1, 'failures': 0}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class BoxedAccuracy(base.TextMetric):
    """Strict accuracy of boxed answers."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=PAPER_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=[
                datasets.Features({"predictions": datasets.List(text), "references": text}),
                datasets.Features({"predictions": text, "references": text}),
            ],
        )

    def _compute(self, predictions: list[Any], references: list[str]) -> dict[str, float]:
        samples = [[prediction] if isinstance(prediction, str) else prediction for prediction in predictions]
        golds = [gold for texts, gold in zip(samples, references, strict=True) for _ in texts]
        with Grader() as grader:
            verdicts = grader([text for texts in samples for text in texts], golds)
        correct = iter([verdict.correct for verdict in verdicts])
        shares = [sum(next(correct) for _ in texts) / len(texts) for texts in samples]
        return {
            "accuracy": sum(shares) / len(shares),
            "completions": len(verdicts),
            "unanswered": sum(verdict.answer is None for verdict in verdicts),
            "failures": sum(verdict.failure is not None for verdict in verdicts),
        }
