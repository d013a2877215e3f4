import copy
import json
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl import GRPOTrainer

from hicra_trl import HICRATrainer
from hicra_trl.training.held_out import PassAtKCallback

from .helpers import config, settings, vowel_share


# What the taught model answers; the last problem it answers in two ways.
ANSWERS = {"So what?": ["7"], "Let's add 3 and 4.": ["7"], "But why?": ["30"], "Now 5 times 6.": ["7", "8"]}
TIMES = ("step_time", "train_runtime", "train_samples_per_second", "train_steps_per_second")
ON_RANKS = """
import json, os, sys
from datasets import Dataset
from hicra_trl import HICRAConfig, HICRATrainer
from hicra_trl.training.held_out import PassAtKCallback
from hicra_trl.training.upstream.cpu_ranks import leave_cpu_ranks

class Counted(HICRATrainer):
    sizes = []

    def _generate_single_turn(self, prompt_ids, *args):
        self.sizes.append(len(prompt_ids))
        return super()._generate_single_turn(prompt_ids, *args)

def reward(completions, **kwargs):
    return [float(len(text) % 2) for text in completions]

if __name__ == "__main__":
    model, settings, problems, options, out = json.loads(sys.argv[1])
    prompts = Dataset.from_dict({"prompt": ["Now 5 times 6."] * 8})
    trainer = Counted(model, reward, HICRAConfig(**settings), train_dataset=prompts)
    trainer.add_callback(PassAtKCallback(trainer, Dataset.from_dict(problems), **options))
    trainer.train()
    history = [entry for entry in trainer.state.log_history if "held_out/pass_at_1" in entry]
    with open(f"{out}/{os.environ['RANK']}.json", "w") as file:
        json.dump({"ranks": trainer.accelerator.num_processes, "history": history, "sizes": trainer.sizes}, file)
    trainer.accelerator.end_training()
    leave_cpu_ranks(trainer.accelerator.state)
"""


@pytest.fixture(scope="module")
def taught(base_model, tokenizer):
    """The tiny model, fitted to box ANSWERS."""
    model = copy.deepcopy(base_model)
    rows = [f"{prompt}\\boxed{{{answer}}}<eos>" for prompt, answers in ANSWERS.items() for answer in answers * 2]
    batch = tokenizer(rows, padding=True, padding_side="right", return_tensors="pt")
    labels = batch.input_ids.masked_fill(batch.attention_mask == 0, -100)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(120):
        loss = model(**batch, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


@pytest.fixture
def build(model, tokenizer, prompts, lexicon_file, tmp_path):
    def make(kind=HICRATrainer, model=model, folder=tmp_path / "run", tokenizer=tokenizer, extra=None, **overrides):
        args = config(folder, lexicon_file, **overrides)
        return kind(
            model=copy.deepcopy(model),
            reward_funcs=vowel_share,
            args=args,
            train_dataset=prompts,
            processing_class=tokenizer,
            **(extra or {}),
        )

    return make


@pytest.fixture
def problems():
    return Dataset.from_dict({"prompt": list(ANSWERS)[:3], "solution": ["7", "8", "30.0"]})


def held_out(trainer):
    return [entry for entry in trainer.state.log_history if "held_out/pass_at_1" in entry]


def training_logs(trainer):
    entries = [entry for entry in trainer.state.log_history if "held_out/pass_at_1" not in entry]
    return [{name: value for name, value in entry.items() if name not in TIMES} for entry in entries]


@pytest.mark.parametrize(
    ("kind", "overrides"),
    [
        (HICRATrainer, {"logging_steps": 2}),
        (HICRATrainer, {"num_iterations": 2, "steps_per_generation": 2, "logging_steps": 3, "save_steps": 2}),
        (GRPOTrainer, {}),
    ],
)
def test_training_is_bit_for_bit_the_same_with_and_without_it(kind, overrides, build, problems, tmp_path):
    runs = []
    for measured in (False, True):
        trainer = build(kind, folder=tmp_path / str(measured), max_steps=6, **overrides)
        if measured:
            trainer.add_callback(PassAtKCallback(trainer, problems, steps=2, num_samples=2, at_start=True))
        random.seed(0), np.random.seed(0)
        trainer.train()
        drawn = torch.rand(3).tolist(), random.random(), np.random.rand()
        runs.append((trainer, drawn))
    (plain, drawn), (measured, drawn_measured) = runs
    assert drawn == drawn_measured
    assert [entry["step"] for entry in held_out(measured)] == [0, 2, 4, 6] and not held_out(plain)
    assert len(training_logs(plain)) >= 3 and training_logs(plain) == training_logs(measured)
    if kind is HICRATrainer:
        assert "hicra/entropy/execution" in training_logs(plain)[0]
    for (name, a), (_, b) in zip(plain.model.named_parameters(), measured.model.named_parameters(), strict=True):
        assert torch.equal(a, b), name


def test_strict_grading_decides_and_not_the_reward(build, taught, problems):
    trainer = build(model=taught)
    metrics = PassAtKCallback(trainer, problems, steps=1, num_samples=2, top_p=0.3).measure()
    lengths = [len(trainer._tokenizer(f"\\boxed{{{ANSWERS[p][0]}}}<eos>").input_ids) for p in problems["prompt"]]
    # The first and the third are right (30 is 30.0), and what is right is so in every sample.
    assert metrics == pytest.approx(
        {"pass_at_1": 2 / 3, "pass_at_2": 2 / 3, "mean_length": sum(lengths) / 3, "truncated_fraction": 0.0}
    )


def test_pass_at_k_is_the_unbiased_estimate_of_the_samples(build, taught):
    two_ways = Dataset.from_dict({"prompt": ["Now 5 times 6."], "solution": ["8"]})
    metrics = PassAtKCallback(build(model=taught), two_ways, steps=1, num_samples=8, batch_size=3).measure()
    wrong = 8 * (1 - metrics["pass_at_1"])
    assert 1 <= wrong <= 7
    assert metrics["pass_at_2"] == pytest.approx(1 - wrong * (wrong - 1) / (8 * 7))
    assert metrics["pass_at_8"] == 1.0
    assert list(metrics) == ["mean_length", "truncated_fraction", *(f"pass_at_{k}" for k in (1, 2, 4, 8))]


def test_samples_depend_on_the_seed_and_the_step_alone(build, problems):
    trainer = build()
    callback = PassAtKCallback(trainer, problems, steps=1)
    first = callback._sample(problems["prompt"])
    torch.rand(5)
    assert callback._sample(problems["prompt"]) == first
    assert PassAtKCallback(trainer, problems, steps=1, seed=1)._sample(problems["prompt"]) != first
    trainer.state.global_step = 1
    assert callback._sample(problems["prompt"]) != first


def test_a_token_limit_of_its_own_truncates_and_is_taken_back(build, taught, problems):
    trainer = build(model=taught)
    before = trainer.generation_config
    metrics = PassAtKCallback(trainer, problems, steps=1, max_completion_length=2, temperature=0.5).measure()
    assert (metrics["mean_length"], metrics["truncated_fraction"], metrics["pass_at_4"]) == (2.0, 1.0, 0.0)
    assert trainer.generation_config is before and before.max_new_tokens == 24 and before.temperature == 1.0
    assert trainer.model.training


def test_a_conversation_is_put_through_the_chat_template(build, taught, tokenizer, problems):
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    trainer = build(model=taught, tokenizer=tokenizer)
    conversations = problems.map(lambda row: {"prompt": [{"role": "user", "content": row["prompt"]}]})
    plain, chat = (PassAtKCallback(trainer, data, steps=1).measure() for data in (problems, conversations))
    assert plain == chat and plain["pass_at_1"] > 0.5


def test_the_best_so_far_is_logged_and_a_resumed_run_goes_on_with_it(build, taught, problems, tmp_path):
    overrides = {"model": taught, "save_strategy": "steps", "save_steps": 2, "learning_rate": 0.01}
    whole = build(max_steps=4, folder=tmp_path / "whole", **overrides)
    whole.add_callback(PassAtKCallback(whole, problems, steps=2, num_samples=2, at_start=True))
    whole.train()
    entries = held_out(whole)
    assert [entry["step"] for entry in entries] == [0, 2, 4]
    values = [entry["held_out/pass_at_1"] for entry in entries]
    assert values[-1] < values[0]
    assert [entry["held_out/best_pass_at_1"] for entry in entries] == [max(values[: i + 1]) for i in range(3)]
    resumed = build(max_steps=4, folder=tmp_path / "part", **overrides)
    resumed.add_callback(PassAtKCallback(resumed, problems, steps=2, num_samples=2, at_start=True))
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    assert held_out(resumed) == entries


def test_a_rank_without_problems_adds_nothing(build, problems):
    assert PassAtKCallback(build(), problems, steps=1, num_samples=2)._sums([], []) == [0, 0, 0, 0]


class Stop(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step == 3


def test_where_training_stops_early_is_measured_too(build, problems):
    trainer = build()
    trainer.add_callback(PassAtKCallback(trainer, problems, steps=2, num_samples=1))
    trainer.add_callback(Stop)
    trainer.train()
    assert [entry["step"] for entry in held_out(trainer)] == [2, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps of held-out pass@k must be at least 1, got 0"),
        ({"num_samples": 0}, "num_samples of held-out pass@k must be at least 1, got 0"),
        ({"max_completion_length": 0}, "max_completion_length of held-out pass@k must be at least 1, got 0"),
        ({"temperature": 0.0}, "temperature of held-out pass@k must be above 0, got 0.0"),
        ({"top_p": 1.5}, r"top_p of held-out pass@k must be in \(0, 1\], got 1.5"),
        ({"dataset": {"prompt": ["a"]}}, r"need the columns prompt and solution, got \['prompt'\]"),
        ({"dataset": {"prompt": [], "solution": []}}, "needs at least one problem, got none"),
        ({"dataset": {"prompt": ["a"], "solution": [7]}}, "solution of held-out problem 0 must be text, got 7"),
        ({"dataset": {"prompt": ["a"], "solution": ["1"], "image": [1]}}, "must be text, got a column 'image'"),
    ],
)
def test_wrong_arguments_are_named(options, message, build, problems):
    dataset = Dataset.from_dict(options.pop("dataset")) if "dataset" in options else problems
    with pytest.raises(ValueError, match=message):
        PassAtKCallback(build(), dataset, **{"steps": 1, **options})


def test_a_trainer_with_its_own_rollouts_is_refused(build, problems):
    with pytest.raises(ValueError, match="samples without tools, environments and rollout_func"):
        PassAtKCallback(build(extra={"rollout_func": lambda prompts, trainer: {}}), problems, steps=1)


def test_two_ranks_with_uneven_shares_log_what_one_does(build, taught, tokenizer, problems, lexicon_file, tmp_path):
    options = {"steps": 1, "num_samples": 2, "top_p": 0.3, "batch_size": 3}
    alone = PassAtKCallback(build(model=taught), problems, **options).measure()
    model, script = tmp_path / "model", tmp_path / "ranks.py"
    taught.save_pretrained(model)
    tokenizer.save_pretrained(model)
    script.write_text(ON_RANKS)
    changed = {"strategic_grams": str(lexicon_file), "max_steps": 1, "per_device_train_batch_size": 4}
    sent = [str(model), settings(tmp_path / "run", **changed), problems.to_dict(), options | {"at_start": True}]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    arguments = json.dumps([*sent, str(tmp_path)])
    done = subprocess.run([*command, script, arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    logs = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert [log["ranks"] for log in logs] == [2, 2]
    for log in logs:
        assert [entry["step"] for entry in log["history"]] == [0, 1]
        assert {name: log["history"][0][f"held_out/{name}"] for name in alone} == pytest.approx(alone)
        # As many calls, of the same size, on both ranks: two to measure, one to train, two to measure.
        assert log["sizes"] == [3, 1, 4, 3, 1]
