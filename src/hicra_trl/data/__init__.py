"""Prompts and gold answers from any dataset."""
