"""Diversity of the strategies in completions, as a module of `evaluate`."""

from collections import Counter

import datasets
import evaluate

from hicra_trl.dynamics import shannon_entropy
from hicra_trl.grams import GramMatcher, StrategicGrams
from hicra_trl.grams.matcher import leftmost_longest
from hicra_trl.metrics import base
from hicra_trl.paper import PAPER_CITATION


_DESCRIPTION = """
Semantic entropy of reasoning: the Shannon entropy, in nats, of the frequency distribution of strategic grams, the
phrases with which a model plans ("let's try", "but wait"). It is high where a model's completions use many strategies,
and 0 where they use one or none.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list[str]`): Completions.
    strategic_grams (`str`, defaults to `"paper"`): Lexicon: `"paper"` for the 249 phrases of the paper's Listing 1, a
        text file with one gram a line, a folder with a saved lexicon, or a dataset on the Hub.

Returns:
    semantic_entropy (`float`): Entropy in nats over all completions together, from 0 to ln(distinct_grams).
    distinct_grams (`int`): Grams of the lexicon that occur.
    grams_per_completion (`float`): Occurrences per completion. Where occurrences overlap, the leftmost-longest count.

Examples:
    >>> metric = evaluate.load(metric_path("semantic_entropy"))
    >>> metric.compute(predictions=["Let's denote the side by x. But wait, x > 0.", "Let's denote it by a."])
    {'semantic_entropy': 0.6365141682948128, 'distinct_grams': 2, 'grams_per_completion': 1.5}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class SemanticEntropy(base.TextMetric):
    """Diversity of strategies."""

    samples = "one"

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=PAPER_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": datasets.Value("string")}),
        )

    def _compute(self, predictions: list[str], strategic_grams: str = "paper") -> dict[str, float]:
        matcher = GramMatcher(StrategicGrams.load(strategic_grams))
        counts: Counter[int] = Counter()
        for text in predictions:
            counts.update(leftmost_longest(matcher.find_in_text(text))[:, 0].tolist())
        return {
            "semantic_entropy": shannon_entropy(counts.values()),
            "distinct_grams": len(counts),
            "grams_per_completion": counts.total() / len(predictions),
        }
