"""Page of the Space."""

from pathlib import Path

import evaluate

from hicra_trl.metrics.space import page


metric = evaluate.load(str(Path(__file__).with_name("pass_at_k.py")))
example = {"predictions": [[r"\boxed{6}", r"\boxed{7}"]], "references": ["7"], "k": [1, 2]}
page(metric, example).launch(show_error=True)
