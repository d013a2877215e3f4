"""Benchmarks, their rows, gold answers and images."""
