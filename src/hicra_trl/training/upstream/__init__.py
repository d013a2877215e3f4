"""Repairs of TRL, Transformers and Accelerate."""
