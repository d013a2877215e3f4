"""How good a model is: benchmarks, sampling, pass@k with intervals."""

import importlib
from typing import Any


# Resolved on first use: `hicra eval show` must wait neither for torch nor for datasets.
_HOMES = {
    "BENCHMARKS": "problems.catalog",
    "Benchmark": "problems.catalog",
    "Item": "problems.items",
    "Results": "results",
    "Sample": "samples.sample",
    "load_items": "problems.items",
    "pass_at_k": "statistics.votes",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
