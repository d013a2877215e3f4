"""Groups that teach nothing are replaced by fresh ones, whole, in a bounded number of attempts."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset, IterableDataset

from hicra_trl import HICRAConfig
from hicra_trl.analysis.token_record import TokenRecord
from hicra_trl.training.sampling.dynamic_sampling import FreshPrompts, put_rows, silent_groups, take_rows
from training.helpers import config

from .dynamic_sampling_on_ranks import PROMPTS, Recorder, reward


def test_only_groups_of_exactly_equal_rewards_are_silent():
    third = torch.tensor([1 / 3] * 4 + [1 / 3] * 3 + [1 / 3 + 1e-7])
    assert silent_groups(third, 4).tolist() == [True, False]
    # The standard deviation of these equal numbers is not 0.
    equal = torch.tensor([0.1] * 6)
    assert silent_groups(equal, 6).tolist() == [True]
    nan = float("nan")
    assert silent_groups(torch.tensor([nan, nan, 1.0, nan, 1.0, 0.0]), 2).tolist() == [True, True, False]


def test_fresh_prompts_come_in_permutations_that_can_be_continued():
    dataset = Dataset.from_dict({"prompt": [f"{i}" for i in range(7)]})
    stream = FreshPrompts(dataset, seed=1)
    first = [row["prompt"] for row in stream.draw(5) + stream.draw(9)]
    assert sorted(first[:7]) == sorted(first[7:]) == [f"{i}" for i in range(7)] and first[:7] != first[7:]
    again = FreshPrompts(dataset, seed=1)
    again.drawn = 5
    assert [row["prompt"] for row in again.draw(9)] == first[5:]
    assert [row["prompt"] for row in FreshPrompts(dataset, seed=2).draw(7)] != first[:7]


@pytest.mark.parametrize("wider", ["batch", "row"])
def test_rows_keep_what_they_hold_whatever_the_widths(wider):
    def batch(rows, prompt, completion, seed):
        make = torch.Generator().manual_seed(seed)
        return {
            "prompt_ids": torch.randint(2, 9, (rows, prompt), generator=make),
            "prompt_mask": torch.ones(rows, prompt, dtype=torch.long),
            "completion_ids": torch.randint(2, 9, (rows, completion), generator=make),
            "completion_mask": torch.ones(rows, completion, dtype=torch.long),
            "old_per_token_logps": torch.rand(rows, completion, generator=make),
            "importance_sampling_ratio": torch.rand(rows, 1, generator=make),
            "advantages": torch.rand(rows, generator=make),
            "num_items_in_batch": torch.tensor(3.0),
        }

    narrow, wide = (2, 3), (4, 6)
    old = batch(3, *(wide if wider == "batch" else narrow), seed=0)
    fresh = batch(2, *(narrow if wider == "batch" else wide), seed=1)
    mixed = put_rows(old, {1: take_rows(fresh, [0])[0]}, pad_token_id=1)
    for place, source, row in ((0, old, 0), (1, fresh, 0), (2, old, 2)):
        for name in ("prompt_ids", "completion_ids"):
            mask = mixed[name.replace("ids", "mask")][place].bool()
            assert torch.equal(mixed[name][place][mask], source[name][row])
            assert (mixed[name][place][~mask] == 1).all()
        width = source["completion_ids"].size(1)
        assert torch.equal(mixed["old_per_token_logps"][place][:width], source["old_per_token_logps"][row])
        assert mixed["advantages"][place] == source["advantages"][row]
        assert mixed["importance_sampling_ratio"][place] == source["importance_sampling_ratio"][row]
    left = mixed["prompt_mask"][1 if wider == "batch" else 0]
    assert left.tolist() == [0, 0, 1, 1], "prompts are padded on the left"


def check(record, history):
    """Every group is whole, has signal and the advantages of its own completions; the counts are right."""
    for batch in record:
        groups = [batch["rows"][at : at + 4] for at in range(0, len(batch["rows"]), 4)]
        for group in groups:
            assert len({row["prompt"] for row in group}) == 1 and group[0]["prompt"][0] in "BL"
            mean = sum(row["length"] for row in group) / 400
            assert [row["advantage"] for row in group] == pytest.approx(
                [row["length"] / 100 - mean for row in group], abs=1e-6
            )
        assert batch["items"] == sum(row["tokens"] for row in batch["rows"])
    for entry in history:
        kept, tried = entry["dynamic_sampling/groups_kept"], entry["dynamic_sampling/groups_tried"]
        assert kept == len(record[0]["rows"]) // 4 < tried
        assert entry["dynamic_sampling/attempts"] >= 1 and entry["dynamic_sampling/tokens_tried"] > 0
        assert entry["loss"] != 0 or entry["grad_norm"] > 0


@pytest.fixture
def build(model, tokenizer, lexicon_file, tmp_path):
    def make(function=reward, folder="run", dataset=None, **overrides):
        fields = {"alpha": 0.0, "dynamic_sampling_attempts": 8, "max_completion_length": 16, "max_steps": 3}
        args = config(tmp_path / folder, lexicon_file, **{**fields, **overrides})
        dataset = dataset or Dataset.from_dict({"prompt": PROMPTS * 6})
        return Recorder(copy.deepcopy(model), function, args, train_dataset=dataset, processing_class=tokenizer)

    return make


def test_silent_groups_are_replaced_and_everything_tried_is_logged(build, tmp_path):
    trainer = build(per_device_train_batch_size=16, log_completions=True)
    trainer.train()
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    check(trainer.record, history)
    for step, entry in enumerate(history, start=1):
        table = pd.read_parquet(tmp_path / "run" / "completions" / f"completions_{step:05d}.parquet")
        assert len(table) == 4 * entry["dynamic_sampling/groups_tried"]


def test_attempts_are_bounded_and_what_stays_silent_stays(build):
    trainer = build(lambda completions, **kwargs: [0.5] * len(completions), dynamic_sampling_attempts=2, max_steps=1)
    trainer.train()
    entry = trainer.state.log_history[0]
    assert (entry["dynamic_sampling/attempts"], entry["dynamic_sampling/groups_kept"]) == (2, 0)
    assert entry["dynamic_sampling/groups_tried"] == 6 and entry["grad_norm"] == 0
    assert all(row["advantage"] == 0 for row in trainer.record[0]["rows"])


def test_without_silent_groups_nothing_is_sampled_again(build):
    def distinct(completions, **kwargs):
        return [number / 7 for number in range(len(completions))]

    on = build(distinct)
    on.train()
    off = build(distinct, folder="off", dynamic_sampling_attempts=0)
    off.train()
    assert {entry["dynamic_sampling/attempts"] for entry in on.state.log_history if "loss" in entry} == {0}
    for (name, a), (_, b) in zip(on.model.named_parameters(), off.model.named_parameters(), strict=True):
        assert torch.equal(a, b), name


def test_a_resumed_run_draws_on_where_it_stopped(build, tmp_path):
    saving = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}
    whole = build(**saving)
    whole.train()
    resumed = build(folder="resumed", **saving)
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2"))
    assert resumed.record == whole.record[2:]
    for (name, a), (_, b) in zip(whole.model.named_parameters(), resumed.model.named_parameters(), strict=True):
        assert torch.equal(a, b), name


def test_a_stream_and_a_negative_number_are_refused(build, tmp_path):
    stream = IterableDataset.from_generator(lambda: iter([{"prompt": "So what?"}] * 50))
    with pytest.raises(ValueError, match="needs a dataset that can be indexed, got IterableDataset"):
        build(dataset=stream)
    with pytest.raises(ValueError, match="dynamic_sampling_attempts must be at least 0, got -1"):
        HICRAConfig(str(tmp_path), use_cpu=True, bf16=False, dynamic_sampling_attempts=-1)


def test_groups_may_lie_across_ranks(model_folder, lexicon_file, tmp_path):
    script = Path(__file__).with_name("dynamic_sampling_on_ranks.py")
    out = tmp_path / "record.json"
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    subprocess.run(
        [sys.executable, *launch, script, model_folder, lexicon_file, tmp_path / "run", out],
        check=True,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    found = json.loads(out.read_text())
    assert found["world_size"] == 2 and len(found["record"][0]["rows"]) == 12
    check(found["record"], found["history"])
    record = TokenRecord.read(tmp_path / "run")
    assert record.steps == [1, 2, 3]
    for step, batch in zip(record.steps, found["record"], strict=True):
        rows = record.rows(step)
        assert [row.rank for row in rows] == [0] * 6 + [1] * 6
        for place, (row, sampled) in enumerate(zip(rows, batch["rows"], strict=True)):
            assert (row.group, row.index) == divmod(place, 4)
            text = row.text.replace("<eos>", "").replace("<pad>", "")
            assert (row.prompt, len(text), len(row.ids)) == (sampled["prompt"], sampled["length"], sampled["tokens"])
            assert row.advantage == sampled["advantage"] and row.reward == pytest.approx(len(text) / 100)
            assert row.own.all() and not np.isnan(row.logp).any()
