"""What is kept of a completion beside its text: the verdict, and the planning in it."""

from collections import Counter
from collections.abc import Sequence

import torch
from transformers import PreTrainedTokenizerBase

from ..grams import GramMatcher, PlanningTokenLabeler, StrategicGrams
from ..grams.matcher import leftmost_longest
from ..rewards import Grader
from .engines.engine import Completion
from .samples.sample import Sample


NO_TOKEN = -1  # outside every vocabulary, which the labeler takes for a separator


class Marker:
    """
    Turns completions into samples: grades them, and finds the strategic grams in them.

    Args:
        grader ([`~hicra_trl.rewards.Grader`]):
            Judges the answers.
        grams ([`~hicra_trl.grams.StrategicGrams`]):
            The lexicon.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`], *optional*):
            The tokenizer of the sampled ids. Without one, grams are found in the text and planning tokens are not
            counted.
    """

    def __init__(
        self, grader: Grader, grams: StrategicGrams, tokenizer: PreTrainedTokenizerBase | None = None
    ) -> None:
        self.grader = grader
        self.grams = grams
        self._tokenizer = tokenizer
        self._labeler = None if tokenizer is None else PlanningTokenLabeler(tokenizer, grams)
        self._matcher = GramMatcher(grams)

    def __call__(self, completions: Sequence[Completion]) -> list[Sample]:
        """One sample per completion, in order."""
        items = [completion.request.prompt.item for completion in completions]
        verdicts = self.grader([completion.text for completion in completions], [item.gold for item in items])
        planning = self._planning(completions)
        return [
            Sample(
                item=item.id,
                index=completion.request.index,
                prompt=completion.request.prompt.shown,
                completion=completion.text,
                tokens=completion.tokens,
                finish_reason=completion.finish_reason,
                answer=verdict.answer,
                correct=verdict.correct,
                failure=verdict.failure,
                planning_tokens=tokens,
                grams=counts,
                seed=completion.seed,
                group=item.group,
                labelled_tokens=labelled,
            )
            for item, completion, verdict, (tokens, labelled, counts) in zip(
                items, completions, verdicts, planning, strict=True
            )
        ]

    def _planning(self, completions: Sequence[Completion]) -> list[tuple[int | None, int | None, dict[str, int]]]:
        """Planning tokens, what they are among where no ids are told, and occurrences of each gram."""
        if self._labeler is None or self._tokenizer is None:
            found = (leftmost_longest(self._matcher.find_in_text(completion.text)) for completion in completions)
            return [(None, None, self._counts(matches[:, 0].tolist())) for matches in found]
        rows = [
            self._tokenizer(c.text, add_special_tokens=False, verbose=False).input_ids if c.ids is None else c.ids
            for c in completions
        ]
        batch = torch.full((len(rows), max(map(len, rows), default=0)), NO_TOKEN)
        for row, ids in zip(batch, rows, strict=True):
            row[: len(ids)] = torch.tensor(ids, dtype=torch.long)
        labels = self._labeler.label(batch)
        tokens = labels.planning_mask.sum(dim=1).tolist()
        among = [len(row) if c.ids is None else None for c, row in zip(completions, rows, strict=True)]
        counts = [self._counts(spans[:, 0].tolist()) for spans in labels.spans]
        return list(zip(tokens, among, counts, strict=True))

    def _counts(self, found: Sequence[int]) -> dict[str, int]:
        return {self.grams[gram]: count for gram, count in sorted(Counter(found).items())}
