"""How good a model is: benchmarks, sampling, pass@k with intervals."""

from ..lazy import lazy


# Resolved on first use: `hicra eval show` must wait neither for torch nor for datasets.
__all__, __getattr__ = lazy(
    __name__,
    {
        "BENCHMARKS": "problems.catalog",
        "Benchmark": "problems.catalog",
        "Item": "problems.items",
        "Results": "results",
        "Sample": "samples.sample",
        "load_items": "problems.items",
        "pass_at_k": "statistics.votes",
    },
)
