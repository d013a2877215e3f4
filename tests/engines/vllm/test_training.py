"""One run with a colocated engine and large updates: what it trains on is right, and the engine follows the policy."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from engines.vllm.recording import logs, probe
from hicra_trl.analysis.token_record import TokenRecord


ALPHA = 0.5


@pytest.fixture(scope="module")
def run(colocated):
    with colocated(alpha=ALPHA, learning_rate=3e-2, max_steps=8, save_strategy="no", token_record=1) as trainer:
        trainer.probes = [probe(trainer)]
        trainer.train()
        trainer.vllm_generation.sync_weights()
        trainer.probes.append(probe(trainer))
        yield trainer


def test_planning_tokens_are_those_of_the_sampled_ids(run):
    for batch in run.batches:
        mask = batch["completion_mask"]
        assert torch.equal(batch["planning_mask"], run.labeler(batch["completion_ids"], mask))
    assert sum(batch["planning_mask"].sum() for batch in run.batches) > 10


def test_advantages_are_those_of_the_groups_rewards_amplified_on_planning_tokens(run):
    for batch in run.batches:
        texts = run.processing_class.batch_decode(batch["completion_ids"], skip_special_tokens=True)
        rewards = torch.tensor(run.reward_funcs[0](texts)).view(-1, run.num_generations)
        base = (rewards - rewards.mean(dim=1, keepdim=True)).view(-1, 1)
        expected = base + ALPHA * base.abs() * batch["planning_mask"]
        torch.testing.assert_close(batch["advantages"], expected)


def test_metrics_are_those_of_the_sampled_tokens(run):
    entries = logs(run)
    assert len(entries) == len(run.batches) == 8
    for entry, batch in zip(entries, run.batches):
        planning, own = batch["planning_mask"].sum(), batch["completion_mask"].sum()
        assert entry["hicra/planning_fraction"] == pytest.approx(planning / own)
        assert entry["completions/mean_length"] == pytest.approx(own / len(batch["completion_mask"]))
        assert entry["grad_norm"] > 0
    assert len({entry["hicra/entropy/execution"] for entry in entries}) == 8


def test_the_token_record_is_of_what_was_sampled(run):
    record = TokenRecord.read(run.args.output_dir)
    assert record.steps == list(range(1, 9))
    for step, batch in zip(record.steps, run.batches, strict=True):
        rows = record.rows(step)
        assert len(rows) == len(batch["completion_ids"])
        for place, row in enumerate(rows):
            own = batch["completion_mask"][place].bool()
            assert row.ids.tolist() == batch["completion_ids"][place][own].tolist()
            assert row.planning.tolist() == batch["planning_mask"][place][own].tolist()
            assert np.array_equal(row.credited, batch["advantages"][place][own].numpy())
            # What TRL scores when it has sampled is what the loss scores first.
            np.testing.assert_allclose(row.logp, batch["old_per_token_logps"][place][own], rtol=2e-3, atol=1e-4)


def test_the_engine_follows_the_policy_through_large_updates(run):
    for entry in logs(run):
        # The engine computes in bf16, the policy in float32.
        assert entry["sampling/sampling_logp_difference/max"] < 0.15
        assert abs(entry["sampling/importance_sampling_ratio/mean"] - 1) < 0.05
    last = run.batches[-1]
    ids = torch.cat([last["prompt_ids"], last["completion_ids"]], dim=1)
    mask = torch.cat([last["prompt_mask"], last["completion_mask"]], dim=1)
    width = last["completion_ids"].size(1)
    base = AutoModelForCausalLM.from_pretrained(run.model.name_or_path)
    with torch.no_grad():
        logps = base(ids, attention_mask=mask).logits[:, -width - 1 : -1].log_softmax(-1)
    stale = logps.gather(-1, last["completion_ids"][..., None]).squeeze(-1)
    difference = (stale - last["sampling_per_token_logps"]).abs() * last["completion_mask"]
    assert difference.max() > 0.5, "with the weights of the beginning, the ratios would be far from 1"


def test_the_engines_log_probabilities_change_with_the_weights(run):
    for engine, policy in run.probes:
        torch.testing.assert_close(engine, policy, atol=0.02, rtol=0)
    (before, _), (after, _) = run.probes
    assert (before - after).abs().max() > 0.2
