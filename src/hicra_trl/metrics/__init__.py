"""What is measured, as modules of Hugging Face's `evaluate`, which only those who load one need.

`evaluate` loads each folder from the installed package, and from a Space that it was uploaded to.
"""

from pathlib import Path


METRICS = ("boxed_accuracy", "pass_at_k", "semantic_entropy")


def metric_path(name: str) -> str:
    """
    Where a metric of this package is, for `evaluate.load`.

    Args:
        name (`str`):
            `"boxed_accuracy"`, `"pass_at_k"` or `"semantic_entropy"`.

    Returns:
        `str`: its folder.

    Raises:
        `ValueError`: for any other name.

    Example:

    ```python
    >>> import evaluate
    >>> accuracy = evaluate.load(metric_path("boxed_accuracy"))
    >>> accuracy.compute(predictions=[r"so \\boxed{0.5}"], references=["1/2"])["accuracy"]
    1.0
    ```
    """
    if name not in METRICS:
        raise ValueError(f"no metric {name!r}: expected {', '.join(METRICS[:-1])} or {METRICS[-1]}")
    return str(Path(__file__).parent / name)
