"""What the metrics share: their inputs are texts, and wrong ones are named before `evaluate` makes strings of them."""

from collections.abc import Sequence
from typing import Any, Literal

import evaluate


# `evaluate` loads the first metric class that it finds in a module: import this module there, never the class.
class TextMetric(evaluate.Metric):
    """
    A metric of texts, without `None` among them.

    Attributes:
        samples (`str`):
            What a prediction is: `"one"` text, `"several"` in a list, or `"any"` of the two, but not both in a batch.
    """

    samples: Literal["one", "several", "any"] = "any"

    def add_batch(
        self, *, predictions: Sequence[Any] | None = None, references: Sequence[str] | None = None, **kwargs: Any
    ) -> None:
        """Adds predictions, and references where the metric has them."""
        check_texts(predictions, references, self.samples)
        super().add_batch(predictions=predictions, references=references, **kwargs)

    def add(self, *, prediction: Any = None, reference: str | None = None, **kwargs: Any) -> None:
        """Adds one prediction, and its reference where the metric has them."""
        check_texts([prediction], None if reference is None else [reference], self.samples)
        super().add(prediction=prediction, reference=reference, **kwargs)


def check_texts(
    predictions: Sequence[Any] | None,
    references: Sequence[str] | None = None,
    samples: Literal["one", "several", "any"] = "any",
) -> None:
    """Raises `ValueError` unless there are predictions, all of the same allowed kind, and all leaves are texts."""
    if not predictions:
        raise ValueError("a metric needs at least one prediction, got none")
    kinds = {"several" if isinstance(prediction, list | tuple) else "one" for prediction in predictions}
    if len(kinds) > 1:
        raise ValueError("predictions must be all texts or all lists of texts, got both")
    if samples not in ("any", *kinds):
        expected, got = ("a text", "a list") if samples == "one" else ("a list of texts", "no list")
        raise ValueError(f"each prediction must be {expected}, got {got}: {predictions[0]!r:.60}")
    for number, prediction in enumerate(predictions):
        texts = [prediction] if kinds == {"one"} else prediction
        if not texts:
            raise ValueError(f"predictions[{number}] must have at least one completion, got none")
        if wrong := [text for text in texts if not isinstance(text, str)]:
            raise ValueError(f"predictions[{number}] must be text, got {wrong[0]!r:.60}")
    for number, reference in enumerate(references or ()):
        if not isinstance(reference, str):
            raise ValueError(f"references[{number}] must be text, got {reference!r:.60}")
