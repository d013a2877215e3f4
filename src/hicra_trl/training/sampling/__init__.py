"""Rollouts, dynamic sampling, staged context and seeds."""
