"""How good a model is: benchmarks, sampling, pass@k with intervals."""

from ..dynamics import pass_at_k
from .problems.catalog import BENCHMARKS, Benchmark
from .problems.items import Item, load_items
from .samples.sample import Sample


__all__ = ["BENCHMARKS", "Benchmark", "Item", "Sample", "load_items", "pass_at_k"]
