"""What a run shows on screen: a bar, one line a log for a reader instead of forty metrics, and what goes wrong."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import ProgressCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..disk import write_whole
from ..dynamics.health import Alarm, Health
from .runs.files import HEALTH_FILE


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


class HealthCallback(TrainerCallback):
    """
    Says in one line, and once, each thing that goes wrong, as [`~hicra_trl.dynamics.health.Health`] finds it.

    The alarms of a run stand in `health.jsonl` in its folder too, and are sent to Trackio where that reports. It keeps
    no state: a resume reads again what was logged before the checkpoint.
    """

    def __init__(self) -> None:
        self._health = Health()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Takes over what was logged before, and says nothing of it again."""
        self._health = Health(state.log_history)
        if state.is_world_process_zero:
            # Not what a run that was ended after the checkpoint, or another one here, has left.
            lines = "".join(_json_line(alarm) for alarm in self._health.alarms)
            write_whole(Path(str(args.output_dir), HEALTH_FILE), lines)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Judges the log, and writes the lines above the bar."""
        if not state.is_world_process_zero:
            return
        for alarm in self._health.add({**(logs or {}), "step": state.global_step}):
            with Path(str(args.output_dir), HEALTH_FILE).open("a", encoding="utf-8") as file:
                file.write(_json_line(alarm))
            tqdm.write(f"warning, {alarm.line()}")
            if "trackio" in (args.report_to or ()):
                import trackio

                trackio.alert(title=alarm.name, text=alarm.line())


def _json_line(alarm: Alarm) -> str:
    return json.dumps(asdict(alarm)) + "\n"
