"""Repairs of TRL, Transformers and Accelerate: one a file, whose first line says what it repairs and when it can go."""
