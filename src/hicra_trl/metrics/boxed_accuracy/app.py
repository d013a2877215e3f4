"""Page of the Space."""

from pathlib import Path

import evaluate

from hicra_trl.metrics.space import page


metric = evaluate.load(str(Path(__file__).with_name("boxed_accuracy.py")))
example = {"predictions": [r"so \boxed{0.5}", "so 7"], "references": ["1/2", "7"]}
page(metric, example).launch(show_error=True)
