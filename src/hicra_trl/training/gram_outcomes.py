"""Saves what the grams of a training go along with, whatever its credit: which moves pay."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..grams import StrategicGrams
from .assigner import CreditAssigner
from .runs.gram_outcomes import GramOutcome, add_gram_outcomes


class GramOutcomesRecorder(TrainerCallback):
    """
    Writes what a training's grams went along with, of those that occurred, with every checkpoint and at the end.

    The checkpoint is what a run is safe up to: what was counted after it is counted again by a resume.

    Args:
        credit ([`~hicra_trl.training.assigner.CreditAssigner`]):
            Counts.
        grams ([`~hicra_trl.grams.StrategicGrams`]):
            The lexicon.
    """

    def __init__(self, credit: CreditAssigner, grams: StrategicGrams) -> None:
        self._credit, self._grams = credit, grams

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Writes what is known after this step, and drops what an earlier start knew of this and later ones."""
        if not state.is_world_process_zero:
            return
        outcomes = self._credit.outcomes
        counts = zip(self._grams, outcomes.right.tolist(), outcomes.wrong.tolist(), self._credit.gram_scores.tolist())
        rows = [GramOutcome(gram, right + wrong, right, wrong, s) for gram, right, wrong, s in counts if right + wrong]
        add_gram_outcomes(str(args.output_dir), state.global_step, rows)

    # A run that goes on writes what its checkpoint knows: it may have been killed between the two.
    on_train_begin = on_train_end = on_save
