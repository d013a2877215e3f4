"""Strategic grams from correct solutions (paper, section 2.1)."""
