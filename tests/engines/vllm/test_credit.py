"""Every kind of credit with what a colocated engine sampled."""

import math

from transformers import TrainerCallback

from engines.vllm.recording import logs
from hicra_trl.training.credit import RULES


class TakeTurns(TrainerCallback):
    """Another rule in each step, of one trainer: an engine takes long to start."""

    def __init__(self, assigner):
        self.assigner = assigner

    def on_step_begin(self, args, state, control, **kwargs):
        self.assigner.rule = list(RULES.values())[state.global_step]


def test_every_credit_trains(colocated):
    settings = {"alpha": 0.5, "max_steps": len(RULES), "pass_threshold": 0.1, "save_strategy": "no"}
    with colocated(credit="asymmetric", alpha_below=0.2, **settings) as trainer:
        trainer.add_callback(TakeTurns(trainer._credit))
        trainer.train()
        for rule, entry, batch in zip(RULES, logs(trainer), trainer.batches, strict=True):
            # What a gram goes along with is not known before the first generation has been seen.
            assert 0 < entry["hicra/mass_moved/positive"] + entry["hicra/mass_moved/negative"] < 1, rule
            assert math.isfinite(entry["grad_norm"]) and entry["grad_norm"] > 0, rule
            assert batch["advantages"].shape == batch["completion_ids"].shape, rule
