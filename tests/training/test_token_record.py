"""What is recorded of each token is what it was and what it got; and recording changes nothing."""

import copy
import dataclasses
import shutil

import numpy as np
import pytest
import torch

from hicra_trl import HICRATrainer
from hicra_trl.analysis.token_record import TokenRecord
from hicra_trl.training.credit.hicra import hicra_advantages
from hicra_trl.training.runs.token_record import SCHEMA, RecordedCompletion
from hicra_trl.training.token_record import spread

from .helpers import config, vowel_share


class Witness(HICRATrainer):
    """Notes what enters each loss, and what the model makes of it by a forward pass of its own."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.seen = []

    def _compute_loss(self, model, inputs):
        if model.training:
            ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
            attended = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
            length = inputs["completion_ids"].size(1)
            with torch.no_grad():
                logits = model(input_ids=ids, attention_mask=attended).logits[:, -length - 1 : -1]
            logps = torch.log_softmax(logits.float() / self.args.temperature, dim=-1)
            own = inputs["completion_mask"] * inputs.get("tool_mask", 1)
            advantages = inputs["advantages"]
            if advantages.dim() == 1:
                advantages = advantages.unsqueeze(1).expand(own.shape)
            self.seen.append({
                "step": self.state.global_step + 1,
                "ids": inputs["completion_ids"],
                "own": own.bool(),
                "credited": advantages,
                "logp": logps.gather(2, inputs["completion_ids"].unsqueeze(2)).squeeze(2),
                "entropy": -(logps.exp() * logps).sum(dim=-1),
            })  # fmt: skip
        return super()._compute_loss(model, inputs)


def half_silent(prompts, completions, **kwargs):
    """The same for all completions of every second letter."""
    shares = zip(prompts, vowel_share(completions), strict=True)
    return [share if ord(prompt[0]) % 2 else 1.0 for prompt, share in shares]


@pytest.fixture
def build(model, tokenizer, prompts, lexicon_file, tmp_path):
    with torch.no_grad():
        model.lm_head.weight[[tokenizer.encode(word)[0] for word in (" so", " but", " wait", " now")]] *= 20
        model.lm_head.weight[tokenizer.eos_token_id] *= 30

    def make(folder="run", extra=None, reward=vowel_share, **overrides):
        args = config(tmp_path / folder, lexicon_file, **{"token_record": 1, "max_steps": 2, **overrides})
        extra = {"train_dataset": prompts, **(extra or {})}
        return Witness(copy.deepcopy(model), reward, args, processing_class=tokenizer, **extra)

    return make


def rows_seen(trainer):
    """Every row of every loss, in the order of their use."""
    for batch in trainer.seen:
        for row in range(len(batch["ids"])):
            yield {name: value if name == "step" else value[row] for name, value in batch.items()}


def as_rewarded(row, trainer):
    return {
        "prompts": [row.prompt],
        "completions": [trainer._tokenizer.decode(row.ids.tolist(), skip_special_tokens=True)],
    }


def check_rows(rows, trainer):
    """What can be said of a row without having seen the training."""
    tokenizer, labeler = trainer._tokenizer, trainer.labeler
    for row in rows:
        assert row.text == tokenizer.decode(row.ids.tolist())
        pieces = [row.completion[start:end] for start, end in zip([0, *row.ends[:-1].tolist()], row.ends.tolist())]
        assert b"".join(pieces) == row.completion
        ids, own = torch.tensor(row.ids.tolist())[None], torch.tensor(row.own.tolist())[None]
        planning = labeler(ids, own)
        assert row.planning.tolist() == planning[0].tolist()
        expected = ["" for _ in row.ids]
        for gram, first, end in labeler.occurrences(ids, own)[0]:
            expected[first:end] = [gram] * (end - first)
        assert [row.header.grams[gram] if gram >= 0 else "" for gram in row.gram.tolist()] == expected
        credited = hicra_advantages(torch.tensor([row.advantage]), planning, trainer.args.alpha)
        assert np.array_equal(row.credited, credited[0].numpy())
        assert np.array_equal(np.isnan(row.logp), ~row.own) and np.array_equal(np.isnan(row.entropy), ~row.own)
        assert row.cut == (row.ids[-1] not in (*trainer.eos_token_ids, tokenizer.pad_token_id))
        assert row.reward == row.rewards[0] == np.float32(trainer.reward_funcs[0](**as_rewarded(row, trainer))[0])
    groups = {}
    for row in rows:
        groups.setdefault((row.step, row.group), []).append(row)
    for group in groups.values():
        assert [row.index for row in group] == list(range(trainer.num_generations))
        assert len({row.prompt for row in group}) == 1
        rewards = np.array([row.reward for row in group], dtype=np.float32)
        np.testing.assert_allclose([row.advantage for row in group], rewards - rewards.mean(), atol=1e-6)


def check_use(rows, trainer):
    """Each recorded row is the first use of one that entered the loss, with the model's scores of then."""
    first = {}
    for seen in rows_seen(trainer):
        length = int(seen["own"].sum())
        first.setdefault((tuple(seen["ids"][:length].tolist()), seen["credited"][0].item()), seen)
    for row in rows:
        seen = first[tuple(row.ids[row.own].tolist()), row.credited[0].item()]
        own = torch.tensor(row.own.tolist())
        assert seen["step"] >= row.step and torch.equal(seen["own"][: len(own)], own)
        for name in ("logp", "entropy"):
            expected = seen[name][: len(own)][own].half().numpy()
            np.testing.assert_allclose(getattr(row, name)[row.own], expected, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("fields", [
    {},
    {"alpha": 0.0},
    {"temperature": 0.7, "mask_truncated_completions": True, "max_completion_length": 12},
    {"num_iterations": 2, "steps_per_generation": 2, "max_steps": 8, "learning_rate": 1e-2},
    {"gradient_accumulation_steps": 4, "steps_per_generation": 2},
    {"dynamic_sampling_attempts": 3, "per_device_train_batch_size": 16},
], ids=lambda fields: next(iter(fields), "plain"))  # fmt: skip
def test_the_record_is_what_entered_the_loss(fields, build, tmp_path):
    is_dynamic = "dynamic_sampling_attempts" in fields
    trainer = build(reward=half_silent if is_dynamic else vowel_share, **fields)
    trainer.train()
    if is_dynamic:
        assert all(entry["dynamic_sampling/attempts"] > 0 for entry in trainer.state.log_history[:-1])
    record = TokenRecord.read(tmp_path / "run")
    rows = [row for step in record.steps for row in record.rows(step)]
    assert record.steps == ([1, 5] if "num_iterations" in fields else [1, 2])
    # Every completion that was sampled: no run has more than eight groups in a generation.
    assert len(rows) == sum(len(batch["ids"]) for batch in trainer.seen) // trainer.num_iterations
    masked = [row for row in rows if not row.own.any()]
    assert all(row.cut and len(row.ids) == 12 for row in masked)
    assert bool(masked) == ("mask_truncated_completions" in fields)
    check_rows(rows, trainer)
    check_use([row for row in rows if row.own.any()], trainer)
    assert sum(row.planning.sum() for row in rows) > 5
    header = rows[0].header
    assert (header.alpha, header.credit, header.temperature) == (
        trainer.args.alpha,
        "planning",
        trainer.args.temperature,
    )
    assert header.lexicon == trainer.labeler.grams.fingerprint and header.reward_names == trainer.reward_func_names


def test_recording_changes_nothing(build, tmp_path):
    fields = {"num_iterations": 2, "steps_per_generation": 2, "max_steps": 8, "dynamic_sampling_attempts": 1}
    on = build(**fields)
    on.train()
    off = build("off", token_record=0, **fields)
    off.train()
    for (name, a), (_, b) in zip(on.model.named_parameters(), off.model.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    histories = [
        [{name: value for name, value in entry.items() if name != "step_time"} for entry in t.state.log_history[:-1]]
        for t in (on, off)
    ]
    assert histories[0] == histories[1]
    assert (tmp_path / "run" / "token_records").is_dir() and not (tmp_path / "off" / "token_records").exists()


def test_evaluations_are_not_recorded(build, prompts, tmp_path):
    trainer = build(
        eval_strategy="steps", eval_steps=1, num_generations_eval=2, extra={"eval_dataset": prompts.select(range(4))}
    )
    trainer.train()
    assert [len(TokenRecord.read(tmp_path / "run").rows(step)) for step in (1, 2)] == [8, 8]


def test_every_so_many_steps_some_groups_are_recorded(build, tmp_path):
    trainer = build(token_record=3, token_record_groups=2, per_device_train_batch_size=16, max_steps=5)
    trainer.train()
    record = TokenRecord.read(tmp_path / "run")
    assert record.steps == [1, 4]
    rows = record.rows(4)
    assert [(row.group, row.index) for row in rows] == [(group, index) for group in (0, 2) for index in range(4)]
    check_rows(rows, trainer)


@pytest.mark.parametrize("every, generation, expected", [
    (1, 4, [1, 5, 9, 13, 17, 21]), (4, 4, [1, 5, 9, 13, 17, 21]), (10, 4, [1, 13, 21]), (10, 1, [1, 11, 21]),
])  # fmt: skip
def test_a_generation_of_several_steps_is_recorded_once_in_each_stretch(every, generation, expected, build):
    recorder = build(token_record=every, steps_per_generation=generation)._recorder
    assert [step for step in range(1, 23, generation) if recorder.takes(step)] == expected


def test_a_resume_leaves_the_same_record_and_nothing_of_an_earlier_start(build, tmp_path):
    fields = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}
    build("whole", **fields).train()
    shutil.copytree(tmp_path / "whole", tmp_path / "part")
    shutil.rmtree(tmp_path / "part" / "checkpoint-4")
    records = tmp_path / "part" / "token_records"
    before = (records / "step_000001_rank_000.parquet").stat().st_mtime_ns
    # What a killed run with more processes left of a step behind its last checkpoint.
    shutil.copy(records / "step_000003_rank_000.parquet", records / "step_000003_rank_001.parquet")
    build("part", **fields).train(resume_from_checkpoint=str(tmp_path / "part" / "checkpoint-2"))
    files = {file.name: file.read_bytes() for file in (tmp_path / "whole" / "token_records").iterdir()}
    assert len(files) == 4 and files == {file.name: file.read_bytes() for file in records.iterdir()}
    assert before == (records / "step_000001_rank_000.parquet").stat().st_mtime_ns


def test_what_training_ends_before_is_recorded_without_scores(build, tmp_path):
    trainer = build(steps_per_generation=4, max_steps=1)
    trainer.train()
    rows = TokenRecord.read(tmp_path / "run").rows(1)
    scored = [not np.isnan(row.logp).all() for row in rows]
    assert len(rows) == 32 and sum(scored) == 8
    check_use([row for row, has_score in zip(rows, scored) if has_score], trainer)


def test_tokens_of_tools_and_messages(build, tokenizer, prompts, tmp_path):
    def rollout(prompts, trainer):
        encode = trainer._tokenizer.encode
        own, tool = encode(" so wait"), encode(" but now")
        return {
            "prompt_ids": [encode("Hello")] * len(prompts),
            "completion_ids": [own + tool] * len(prompts),
            "logprobs": [[-1.0] * len(own + tool)] * len(prompts),
            "env_mask": [[1] * len(own) + [0] * len(tool)] * len(prompts),
        }

    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 3 + 4? é"}]
    dataset = prompts.select(range(8)).map(lambda row: {"chat": messages}).remove_columns("prompt")
    extra = {"train_dataset": dataset.rename_column("chat", "prompt"), "rollout_func": rollout}
    trainer = build(max_steps=1, extra=extra, reward=lambda completions, **kwargs: [0.5] * len(completions))
    trainer.train()
    rows = TokenRecord.read(tmp_path / "run").rows(1)
    own = len(tokenizer.encode(" so wait"))
    for row in rows:
        assert row.prompt == "What is 3 + 4? é" and row.text == " so wait but now" and row.cut
        assert row.own.tolist() == [True] * own + [False] * (len(row.ids) - own)
    check_rows(rows, trainer)


def test_rewards_that_are_none_and_scores_out_of_range(build, tmp_path, monkeypatch):
    def second(completions, **kwargs):
        return [None] + [2.0] * (len(completions) - 1)

    trainer = build(max_steps=1, reward=[vowel_share, second], reward_weights=[1.0, 0.5])
    recorder = trainer._recorder
    score = recorder.score
    monkeypatch.setattr(recorder, "score", lambda rows, logps, entropies: score(rows, logps - 1e6, entropies))
    trainer.train()
    rows = TokenRecord.read(tmp_path / "run").rows(1)
    assert [np.isnan(row.rewards).tolist() for row in rows] == [[False, True]] + [[False, False]] * 7
    assert rows[0].reward == rows[0].rewards[0] and rows[1].reward == rows[1].rewards[0] + 1
    assert all((row.logp == np.finfo(np.float16).min).all() for row in rows)


def test_chosen_groups_are_apart():
    assert sorted(spread(16, 8)) == list(range(0, 16, 2)) and sorted(spread(5, None)) == sorted(spread(5, 9))


def test_a_row_has_every_column():
    assert [field.name for field in dataclasses.fields(RecordedCompletion)] == ["header", *SCHEMA.names]
