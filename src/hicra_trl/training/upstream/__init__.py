"""Repairs of TRL, Transformers and Accelerate: one a file, whose first line says what and when it can go."""
