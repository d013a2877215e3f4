"""The plan of a run, its memory, and the architectures that decide it."""
