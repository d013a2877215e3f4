"""pass@k with strict grading of boxed answers, as a module of `evaluate`."""

from collections.abc import Sequence

import datasets
import evaluate

from hicra_trl.dynamics import pass_at_k
from hicra_trl.metrics import base
from hicra_trl.paper import PAPER_CITATION
from hicra_trl.rewards import Grader


_DESCRIPTION = r"""
Chance that at least one of k sampled completions answers a problem, estimated without bias from n >= k samples per
problem: the mean over problems of 1 - C(n - c, k) / C(n, k), where c of its n samples are right. A sample is right if
its last balanced \boxed{} holds the right answer.
"""

_KWARGS_DESCRIPTION = r"""
Args:
    predictions (`list[list[str]]`): The sampled completions of each problem, at least as many as the largest k.
    references (`list[str]`): The right answer to each problem, with or without a box.
    k (`list[int]`, defaults to `[1]`): Sizes of the subset.

Returns:
    pass_at_k (`float`), one for each k, under the keys pass_at_1, pass_at_2, and so on.

Examples:
    >>> metric = evaluate.load(metric_path("pass_at_k"))
    >>> samples = [r"\boxed{6}", r"\boxed{7}", r"\boxed{8}", "no idea"]
    >>> metric.compute(predictions=[samples], references=["7"], k=[1, 2, 4])
    {'pass_at_1': 0.25, 'pass_at_2': 0.5, 'pass_at_4': 1.0}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class PassAtK(base.TextMetric):
    """pass@k of boxed answers."""

    samples = "several"

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=PAPER_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": datasets.List(text), "references": text}),
        )

    def _compute(
        self, predictions: list[list[str]], references: list[str], k: Sequence[int] = (1,)
    ) -> dict[str, float]:
        fewest = min(len(samples) for samples in predictions)
        if not isinstance(k, list | tuple) or not k or not all(isinstance(size, int) and size >= 1 for size in k):
            raise ValueError(f"k must be a list of numbers of at least 1, got {k!r}")
        if max(k) > fewest:
            raise ValueError(f"pass@{max(k)} needs {max(k)} samples of every problem, got {fewest} of one")
        golds = [gold for samples, gold in zip(predictions, references, strict=True) for _ in samples]
        with Grader() as grader:
            verdicts = iter(grader([text for samples in predictions for text in samples], golds))
        counts = [(len(samples), sum(next(verdicts).correct for _ in samples)) for samples in predictions]
        return {f"pass_at_{size}": sum(pass_at_k(n, c, size) for n, c in counts) / len(counts) for size in k}
