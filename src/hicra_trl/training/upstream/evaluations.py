"""Repairs completions logs that evaluations overwrite; can go when TRL keeps those of each dataset apart."""

from collections import defaultdict, deque
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel
from transformers.trainer_utils import EvalLoopOutput
from trl import GRPOTrainer


class EvaluationsTrainer(GRPOTrainer):
    """
    Keeps the completions of an evaluation apart from those of the training, in `evaluations/` and a folder for each
    dataset, `eval` or `eval_<name>`, as a run has them.

    Args:
        *args, **kwargs:
            As in [`~trl.GRPOTrainer`].
    """

    model: PreTrainedModel

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What is evaluated, or was last; and what was sampled for it.
        self._evaluated = "eval"
        self._sampled = unbounded(self._logs)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """Evaluates with a log of completions of its own."""
        self._evaluated = kwargs.get("metric_key_prefix", "eval")
        training, self._logs = self._logs, unbounded(self._logs)
        try:
            return super().evaluation_loop(*args, **kwargs)
        finally:
            self._sampled, self._logs = self._logs, training

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Logs as TRL does; an evaluation's completions go into its own folder."""
        if self.model.training:
            super().log(logs, start_time)
            return
        before = self._logs, self.log_completions, self.args.output_dir
        folder = Path(str(self.args.output_dir), "evaluations", self._evaluated)
        # A run that was resumed at its end logs without having sampled.
        self._logs, self.log_completions = self._sampled, self.log_completions and bool(self._sampled["prompt"])
        if self.log_completions and self.accelerator.is_main_process:
            Path(folder, "completions").mkdir(parents=True, exist_ok=True)
        self.args.output_dir = str(folder)
        try:
            super().log(logs, start_time)
        finally:
            self._logs, self.log_completions, self.args.output_dir = before


def unbounded(logs: dict[str, Any]) -> dict[str, Any]:
    """Empty logs of completions like TRL's, which keep all: TRL's own keep those of one sampling."""
    return {name: deque() if isinstance(kept, deque) else defaultdict(deque) for name, kept in logs.items()}
