"""Page of the Space."""

from pathlib import Path

import evaluate

from hicra_trl.metrics.space import page


metric = evaluate.load(str(Path(__file__).with_name("semantic_entropy.py")))
example = {"predictions": ["Let's denote the side by x. But wait, x > 0."], "strategic_grams": "paper"}
page(metric, example).launch(show_error=True)
