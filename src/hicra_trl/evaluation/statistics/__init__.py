"""Votes, intervals, summaries and comparisons of samples."""
