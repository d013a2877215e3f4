"""Where the time of a training run goes: every moment belongs to exactly one phase, so that the phases add up."""

import time
from collections import Counter

import torch
from transformers import TrainerCallback


REST = "rest"
# What HICRATrainer does and GRPOTrainer does not.
OWN_PHASES = ("labeling", "credit", "measuring", "recording")


class Stopwatch:
    """
    Seconds by phase. The time of a wrapped method is its phase's, but for the wrapped methods that it calls.

    A GPU works on after a method returns, so each change of phase waits for it.
    """

    def __init__(self):
        self._phases = [REST]
        self.restart()

    def restart(self):
        self.seconds = Counter()
        self._since = time.perf_counter()

    def read(self):
        """Credits the current phase with the time until now, and returns the seconds of all."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds[self._phases[-1]] += now - self._since
        self._since = now
        return self.seconds

    def begin(self, phase):
        self.read()
        self._phases.append(phase)

    def end(self):
        self.read()
        self._phases.pop()

    def wrap(self, phase, owner, *names):
        for name in names:
            setattr(owner, name, self._timed(phase, getattr(owner, name)))

    def _timed(self, phase, method):
        def timed(*args, **kwargs):
            self.begin(phase)
            try:
                return method(*args, **kwargs)
            finally:
                self.end()

        return timed


class OptimizerPhase(TrainerCallback):
    """The optimizer is there only once training begins."""

    def __init__(self, stopwatch):
        self.stopwatch = stopwatch

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        self.stopwatch.begin("optimizer")

    def on_optimizer_step(self, args, state, control, **kwargs):
        self.stopwatch.end()


def take_apart(trainer, stopwatch):
    """Wraps what a step of a HICRATrainer is made of. Only what nothing here names is left to the rest."""
    wrap = stopwatch.wrap
    wrap("forward and backward", trainer, "training_step", "_get_per_token_logps_and_entropies")
    wrap(REST, trainer, "_prepare_inputs")
    wrap("generation", trainer, "_generate")
    if trainer.use_vllm:
        wrap("weight sync", trainer.vllm_generation, "sync_weights")
    wrap("rewards", trainer, "_calculate_rewards")
    wrap("optimizer", trainer, "_clip_grad_norm")
    trainer.add_callback(OptimizerPhase(stopwatch))
    wrap("labeling", trainer.labeler, "label")
    wrap("credit", trainer._credit, "ride", "assign", "score")
    wrap("measuring", trainer.dynamics["train"], "add_completions", "add_tokens", "add_groups", "compute")
    wrap("recording", trainer._recorder, "describe", "ride", "begin", "score", "write")
