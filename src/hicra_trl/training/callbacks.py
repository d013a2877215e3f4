"""What a run shows on screen: a bar, one line a log for a reader instead of forty metrics, and what goes wrong."""

from collections import Counter
from typing import Any

from tqdm import tqdm
from transformers import ProgressCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments


_COLUMNS = (
    ("reward", "reward", ".3f"),
    ("completions/mean_length", "length", ".1f"),
    ("completions/clipped_ratio", "clipped", ".2f"),
    ("hicra/planning_fraction", "planning", ".2f"),
    ("hicra/semantic_entropy", "semantic entropy", ".2f"),
    ("hicra/entropy/planning", "entropy planning", ".3f"),
    ("hicra/entropy/execution", "execution", ".3f"),
    ("step_time", "seconds", ".1f"),
)


def summary_line(logs: dict[str, float], step: int, max_steps: int) -> str | None:
    """
    One line for one log, or `None` if it holds nothing of a training step or an evaluation.

    Example:

    ```python
    >>> summary_line({"reward": 0.5, "completions/mean_length": 31.0}, step=3, max_steps=60)
    'step  3/60  reward 0.500  length 31.0'
    ```
    """
    head = f"step {step:>{len(str(max_steps))}}/{max_steps}"
    passes = [f"pass@{key.rpartition('_')[2]} {logs[key]:.3f}" for key in logs if key.startswith("held_out/pass_at_")]
    if passes:
        return "  ".join([head, "held out", *passes])
    prefix, label = ("eval_", ["held out"]) if "eval_reward" in logs else ("", [])
    if f"{prefix}reward" not in logs:
        return None
    shown = [(name, logs.get(prefix + key), form) for key, name, form in _COLUMNS]
    cells = [f"{name} {value:{form}}" for name, value, form in shown if value is not None]
    return "  ".join([head, *label, *cells])


class SummaryCallback(ProgressCallback):
    """Transformers' progress bar with [`summary_line`] for every log."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Writes the line above the bar."""
        line = summary_line(logs or {}, state.global_step, state.max_steps)
        if state.is_world_process_zero and line:
            tqdm.write(line)

    def on_prediction_step(self, *args: Any, **kwargs: Any) -> None:
        """No second bar: an evaluation is one line too."""


# Metric, the share above which it is a problem, and what to say; figures of the problem are the reader's to judge.
_PROBLEMS = (
    (
        "frac_reward_zero_std",
        0.5,
        "all rewards were equal in {share:.0%} of the groups, which teach nothing: the problems are too easy or too "
        "hard for the model, or num_generations is too small; dynamic_sampling_attempts replaces them",
    ),
    (
        "completions/clipped_ratio",
        0.2,
        "{share:.0%} of the completions were cut at max_completion_length before they could answer: raise it",
    ),
)
_LOGS_IN_A_ROW = 5


class ProblemCallback(TrainerCallback):
    """Says in one line, and once, what has wasted samples in five logs in a row: no signal, or cut completions."""

    def __init__(self) -> None:
        self._in_a_row: Counter[str] = Counter()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Counts, and writes the line above the bar."""
        for metric, limit, problem in _PROBLEMS:
            share = (logs or {}).get(metric)
            if share is None:
                continue
            self._in_a_row[metric] = self._in_a_row[metric] + 1 if share > limit else 0
            if self._in_a_row[metric] == _LOGS_IN_A_ROW and state.is_world_process_zero:
                tqdm.write(f"warning, step {state.global_step}: {problem.format(share=share)}")
