"""Figures and pages of what runs left behind."""
