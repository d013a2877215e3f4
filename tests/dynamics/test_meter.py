import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hicra_trl.analysis.token_record import TokenRecord
from hicra_trl.dynamics import DynamicsMeter
from hicra_trl.grams import Labels, PlanningTokenLabeler


def encode(tokenizer, texts):
    batch = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")
    return batch.input_ids, batch.attention_mask


def test_completions_by_hand(tokenizer, grams):
    labeler = PlanningTokenLabeler(tokenizer, grams)
    ids, mask = encode(tokenizer, [" so wait now", " but"])
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    meter = DynamicsMeter(len(grams))
    meter.add_completions(labeler.label(ids, mask), mask, torch.tensor([[2.0, 4.0, 6.0], [-1.0, 9.0, 9.0]]))
    metrics = meter.compute()
    # "so wait", "now" and "but": all four tokens plan; the padding counts nowhere.
    assert metrics["planning_fraction"] == 1.0
    assert metrics["advantage/planning"] == pytest.approx((2 + 4 + 6 + 1) / 4)
    assert "advantage/execution" not in metrics
    assert metrics["semantic_entropy"] == pytest.approx(math.log(3))
    assert metrics["grams_per_completion"] == 1.5
    assert metrics["distinct_grams"] == 3.0
    assert metrics["conditional_entropy"] == 0.0


def test_tokens_are_pooled_and_not_averaged_over_micro_batches():
    meter = DynamicsMeter(1)
    planning = torch.tensor([[True, False, False]])
    meter.add_tokens(
        torch.tensor([[-1.0, -2.0, -9.0]]), torch.tensor([[0.5, 0.1, 9.0]]), planning, torch.tensor([[1, 1, 0]])
    )
    meter.add_tokens(
        torch.tensor([[-3.0, -4.0, -6.0]]), torch.tensor([[0.7, 0.3, 0.8]]), planning, torch.tensor([[1, 1, 1]])
    )
    metrics = meter.compute()
    assert metrics["entropy/planning"] == pytest.approx((0.5 + 0.7) / 2)
    assert metrics["entropy/execution"] == pytest.approx((0.1 + 0.3 + 0.8) / 3)
    assert metrics["perplexity/planning"] == pytest.approx(math.exp(2))
    assert metrics["perplexity/execution"] == pytest.approx(math.exp(4))


def test_relative_perplexity_is_relative_to_the_first_window():
    meter = DynamicsMeter(1)
    one, planning = torch.ones(1, 1), torch.tensor([[True]])
    for logp, expected in ((-2.0, 1.0), (-1.0, math.exp(-1)), (-3.0, math.exp(1))):
        meter.add_tokens(logp * one, one, planning, one)
        metrics = meter.compute()
        meter.reset()
        assert metrics["relative_perplexity/planning"] == pytest.approx(expected)
    restored = DynamicsMeter(1, meter.baselines)
    restored.add_tokens(-one, one, planning, one)
    assert restored.compute()["relative_perplexity/planning"] == pytest.approx(math.exp(-1))


def test_pass_at_k_by_hand():
    meter = DynamicsMeter(1)
    meter.add_groups(torch.tensor([[True, False, False, False], [False] * 4]))
    metrics = meter.compute()
    assert metrics == {"pass_at_1": 0.125, "pass_at_2": 0.25, "pass_at_4": 0.5}


def test_an_empty_window_has_no_metrics():
    meter = DynamicsMeter(3)
    assert meter.compute() == {}
    meter.add_completions(
        Labels(torch.zeros(1, 2, dtype=torch.bool), torch.full((1, 2), -1), [], []),
        torch.zeros(1, 2),
        torch.zeros(1, 2),
    )
    assert meter.compute() == {}


def test_a_nan_outside_the_mask_does_no_harm():
    meter = DynamicsMeter(1)
    logps = torch.tensor([[-1.0, float("nan")]])
    meter.add_tokens(logps, logps.abs(), torch.tensor([[True, False]]), torch.tensor([[1, 0]]))
    assert meter.compute()["perplexity/planning"] == pytest.approx(math.e)


def test_two_ranks_equal_one_process(model_folder, lexicon_file, tmp_path):
    """The trainer itself, with rollouts that depend on the prompt alone: two ranks must log what one process does."""
    script = Path(__file__).with_name("train_on_ranks.py")
    logs = {}
    for ranks in (1, 2):
        out = tmp_path / f"{ranks}.json"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"]
        done = subprocess.run(
            [*command, script, model_folder, lexicon_file, tmp_path / f"run{ranks}", out],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        logs[ranks] = json.loads(out.read_text())
    assert (logs[1]["world_size"], logs[2]["world_size"]) == (1, 2)
    assert len(logs[1]["history"]) == len(logs[2]["history"]) == 3
    for one, two in zip(logs[1]["history"], logs[2]["history"], strict=True):
        assert one.keys() == two.keys() and len(one) == 18
        for name, value in one.items():
            assert two[name] == pytest.approx(value, rel=1e-4), name
    one, two = (TokenRecord.read(tmp_path / f"run{ranks}") for ranks in (1, 2))
    assert one.steps == two.steps == [1, 2, 3]
    for step in one.steps:
        rows = list(zip(one.rows(step), two.rows(step), strict=True))
        assert [(a.group, a.index, b.group, b.index, b.rank) for a, b in rows] == [
            (group, index, group, index, group // 2) for group in (0, 1, 2) for index in range(4)
        ]
        for a, b in rows:
            assert (a.prompt, a.completion, a.reward, a.advantage) == (b.prompt, b.completion, b.reward, b.advantage)
            for name in ("ids", "ends", "own", "planning", "credited"):
                assert np.array_equal(getattr(a, name), getattr(b, name)), name
            for name in ("logp", "entropy"):
                np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=2e-3, err_msg=name)


def test_a_perplexity_that_fits_in_no_float_is_infinite_and_no_baseline():
    meter, one, planning = DynamicsMeter(1), torch.ones(1, 1), torch.tensor([[True]])
    meter.add_tokens(-800.0 * one, one, planning, one)
    metrics = meter.compute()
    assert metrics["perplexity/planning"] == math.inf and "relative_perplexity/planning" not in metrics
    meter.reset()
    meter.add_tokens(-one, one, planning, one)
    assert meter.compute()["relative_perplexity/planning"] == 1.0


def test_what_was_not_scored_is_not_wrong():
    meter = DynamicsMeter(1)
    correct = torch.tensor([[True, True, False, False], [False] * 4])
    meter.add_groups(correct, torch.tensor([[True, True, False, False], [False] * 4]))
    assert meter.compute() == {"pass_at_1": 1.0, "pass_at_2": 1.0}
