"""The page of a metric's Space. Needs gradio, which a Space has; `evaluate`'s own page needs a gradio of 2023."""

import json
from typing import Any

import evaluate
import gradio


def page(metric: evaluate.EvaluationModule, example: dict[str, Any]) -> gradio.Interface:
    """
    A page that computes a metric.

    Args:
        metric ([`~evaluate.EvaluationModule`]):
            The metric.
        example (`dict[str, Any]`):
            Arguments of its `compute`. Each gets a field that takes JSON, filled with the example's value.

    Returns:
        [`~gradio.Interface`]: the page, to be launched.
    """

    def compute(*fields: str) -> dict[str, Any]:
        return metric.compute(**{name: json.loads(field) for name, field in zip(example, fields, strict=True)})

    return gradio.Interface(
        compute,
        [gradio.Textbox(json.dumps(value), label=f"{name} (JSON)") for name, value in example.items()],
        gradio.JSON(label="result"),
        title=metric.name,
        description=metric.description,
        api_name="compute",
    )
