"""How good a model is: benchmarks, sampling, pass@k with intervals."""
