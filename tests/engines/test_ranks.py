"""
The engines for real: two processes on the CPU train through DDP, ZeRO and FSDP as one process does.

Every run is `hicra train` with a configuration that is shipped. See `ranks/seeded_sampling.py` for how two ranks come
to sample what one process samples; all else is what any run does.
"""

import copy
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from hicra_trl.analysis.token_record import TokenRecord
from hicra_trl.cli.launch import config_folder
from hicra_trl.training.runs.launch import saved_engine
from hicra_trl.training.runs.token_record import record_files
from vision import save_qwen_vl, save_virl


REPOSITORY = Path(__file__).parents[2]
# Words of the tests' tokenizer with which grams of their lexicon begin.
PLANS = (" so", " but", " wait", " now", " next", " thus")
COMMAND = (sys.executable, "-m", "hicra_trl.cli.main", "train")
ALONE = ("--per_device_train_batch_size", 8)
ENGINES = ("cpu_ddp", "cpu_zero2", "cpu_zero3", "cpu_fsdp2")


@pytest.fixture(scope="module")
def world(base_model, tokenizer, lexicon_file, tmp_path_factory):
    """A recipe of four steps of 16 completions, for a model that plans often and has an opinion on what comes next."""
    folder = tmp_path_factory.mktemp("world")
    model = copy.deepcopy(base_model)
    with torch.no_grad():
        model.lm_head.weight *= 10
        model.lm_head.weight[[tokenizer.encode(word)[0] for word in PLANS]] *= 3
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    problems = [{"problem": f"Problem {i}" + " and so on" * (i % 3), "answer": i} for i in range(16)]
    (folder / "problems.jsonl").write_text("".join(json.dumps(problem) + "\n" for problem in problems))
    recipe = {
        "model_name_or_path": str(folder / "model"),
        "dataset_name": str(folder / "problems.jsonl"),
        "prompt_format": "text",
        "reward_funcs": ["seeded_sampling.vowel_share"],
        "strategic_grams": str(lexicon_file),
        "num_generations": 4,
        "max_completion_length": 24,
        "top_k": 1,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "learning_rate": 1e-3,
        "max_grad_norm": 0.01,
        "max_steps": 4,
        "save_steps": 2,
        "held_out_dataset_name": str(folder / "problems.jsonl"),
        "held_out_steps": 2,
        "held_out_samples": 2,
        "logging_steps": 1,
        "token_record": 1,
        "token_record_groups": 3,
        "report_to": "none",
        "bf16": False,
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder


def run(world, command, output, *flags, **environment):
    modules = [str(Path(__file__).with_name("ranks")), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [*command, "--config", str(world / "recipe.yaml"), "--output_dir", str(output), *map(str, flags)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(modules), **environment},
    )
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.fixture(scope="module")
def train(world, tmp_path_factory):
    runs = {}

    def train_once(config, *flags):
        if (config, flags) not in runs:
            runs[config, flags] = tmp_path_factory.mktemp("runs") / config
            launch = ("--accelerate_config", config, "--main_process_port", 0)
            run(world, COMMAND, runs[config, flags], *launch, *flags)
        return runs[config, flags]

    return train_once


@pytest.fixture(scope="module")
def alone(train):
    """One process with the batch of two."""
    return train("cpu", *ALONE)


@pytest.fixture(scope="module")
def see(world, tokenizer, tmp_path_factory):
    """Trains a model that sees, of the paper's architecture, with one or two images in every prompt."""
    folder = tmp_path_factory.mktemp("seeing")
    images = (["red"], ["blue", "green"], ["black"], ["white"])
    rows = [(f"Problem {number}", r"\boxed{7}", colors) for number, colors in enumerate(images * 4)]
    recipe = yaml.safe_load((world / "recipe.yaml").read_text())
    recipe |= {
        "model_name_or_path": str(save_qwen_vl(folder / "model", tokenizer)),
        "trust_remote_code": True,
        "dataset_name": "virl39k",
        "dataset_path": [str(save_virl(folder / "virl", rows))],
        "prompt_format": "chat",
        "max_steps": 2,
        "save_strategy": "no",
        "held_out_dataset_name": None,
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))

    def train(config, *flags):
        run(folder, COMMAND, folder / config, "--accelerate_config", config, "--main_process_port", 0, *flags)
        return folder / config

    return train


@pytest.fixture(scope="module")
def seen_alone(see):
    return see("cpu", *ALONE)


def history(run, of="loss"):
    """What was logged at each step, but for how long it took."""
    logged = json.loads((run / "trainer_state.json").read_text())["log_history"]
    return [{name: value for name, value in entry.items() if "time" not in name} for entry in logged if of in entry]


def weights(folder):
    return load_file(folder / "model.safetensors")


def weights_that_see(folder):
    # Not those of the file: an engine may give it other names, which a model reads too.
    return AutoModelForImageTextToText.from_pretrained(folder).state_dict()


def assert_same_training(run, reference, weights=weights):
    for logged, expected in zip(history(run), history(reference), strict=True):
        assert logged.keys() == expected.keys() and sum(name.startswith("hicra/") for name in expected) >= 16
        for name, value in expected.items():
            assert logged[name] == pytest.approx(value, rel=1e-5, abs=1e-8), (expected["step"], name)
    assert_close(weights(run), weights(reference))
    assert_same_record(TokenRecord.read(run), TokenRecord.read(reference))


def assert_same_record(record, reference):
    """But for the process that had a completion."""
    assert record.steps == reference.steps == list(range(1, len(record.steps) + 1))
    for step in record.steps:
        rows = record.rows(step)
        assert len(rows) == 12 and {row.rank for row in rows} == {0, 1}
        for row, expected in zip(rows, reference.rows(step), strict=True):
            for name in ("group", "index", "prompt", "completion", "reward"):
                assert getattr(row, name) == getattr(expected, name), (step, name)
            grams, expected_grams = (
                [one.header.grams[gram] for gram in one.gram[one.gram >= 0]] for one in (row, expected)
            )
            assert grams == expected_grams
            for name in ("ids", "own", "planning", "ends"):
                np.testing.assert_array_equal(getattr(row, name), getattr(expected, name), err_msg=name)
            for name in ("credited", "logp", "entropy"):
                np.testing.assert_allclose(getattr(row, name), getattr(expected, name), rtol=2e-3, atol=1e-4)


def assert_close(got, expected, atol=1e-5):
    assert got.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(got[name], tensor, rtol=0, atol=atol, msg=name)


def test_the_reference_learns_and_plans_and_is_clipped(world, alone):
    before, after = weights(world / "model"), weights(alone)
    assert max((after[name] - before[name]).abs().max() for name in after) > 2e-3
    for step in history(alone):
        assert step["grad_norm"] > 0.01 and step["loss"] != 0
        assert 0.1 < step["hicra/planning_fraction"] < 0.9


@pytest.mark.parametrize("config", ENGINES)
def test_two_ranks_train_as_one_process(config, train, alone):
    run = train(config)
    assert_same_training(run, alone)
    # Files that only this engine leaves: it was at work.
    assert saved_engine(run / "checkpoint-2") == config.removeprefix("cpu_")
    held_out = history(run, "held_out/pass_at_2")
    assert [entry["step"] for entry in held_out] == [0, 2, 4]
    assert held_out == history(alone, "held_out/pass_at_2")


@pytest.mark.parametrize("config", ENGINES)
def test_two_ranks_that_see_train_as_one_process(config, see, seen_alone):
    assert_same_training(see(config), seen_alone, weights_that_see)
    before, after = weights_that_see(seen_alone.parent / "model"), weights_that_see(seen_alone)
    for part in ("lm_head", "language_model", "visual.merger", "visual.blocks"):
        assert max((after[name] - before[name]).abs().max() for name in after if part in name) > 1e-3


@pytest.mark.parametrize("config", ENGINES)
def test_a_resumed_run_ends_as_the_uninterrupted_one(config, train):
    run = train(config)
    resumed = train(config, "--resume_from_checkpoint", run / "checkpoint-2")
    for logged, expected in zip(history(resumed)[-2:], history(run)[-2:], strict=True):
        assert logged == expected
    assert_close(weights(resumed), weights(run), atol=0)
    records, again = record_files(run), record_files(resumed)
    for step in (3, 4):
        assert [file.read_bytes() for file in again[step]] == [file.read_bytes() for file in records[step]]


def credit_state(checkpoint):
    """What the credit of a run remembers."""
    return json.loads((checkpoint / "hicra_state.json").read_text())["credit"]


# What remembers: outcomes of grams, and an alpha that grows; and what asks for a forward pass of its own.
REMEMBERS = ("--credit", "plan", "--alpha_schedule", "linear", "--pass_threshold", 0.2)
ASKS = ("--credit", "execution", "--alpha", 0.5, "--pass_threshold", 0.2)


@pytest.mark.parametrize("flags", [REMEMBERS, ASKS], ids=["plan", "execution"])
@pytest.mark.parametrize("config", ["cpu_ddp", "cpu_zero3", "cpu_fsdp2"])
def test_other_credit_is_the_same_on_two_ranks_and_resumed(config, flags, train):
    run = train(config, *flags)
    if flags is REMEMBERS:
        alone = train("cpu", *ALONE, *flags)
        # Later steps sample with weights that differ by rounding.
        assert credit_state(run / "checkpoint-2") == credit_state(alone / "checkpoint-2")
        for logged, expected in zip(history(run)[:2], history(alone)[:2], strict=True):
            for name in expected.keys() & {"hicra/alpha", "hicra/mass_moved/positive", "hicra/mass_moved/negative"}:
                assert logged[name] == pytest.approx(expected[name], rel=1e-4), name
    resumed = train(config, *flags, "--resume_from_checkpoint", run / "checkpoint-2")
    assert history(resumed)[-2:] == history(run)[-2:]
    assert_close(weights(resumed), weights(run), atol=0)
    assert credit_state(resumed / "checkpoint-4") == credit_state(run / "checkpoint-4")
    outcomes = credit_state(run / "checkpoint-4")["outcomes"]
    assert sum(outcomes["right"]) > 0 < sum(outcomes["wrong"])


@pytest.mark.parametrize("config", ENGINES)
def test_checkpoints_load_as_plain_models(config, train, alone):
    run = train(config)
    for folder in ("checkpoint-2", "."):
        loaded = AutoModelForCausalLM.from_pretrained(run / folder).state_dict()
        assert_close(loaded, AutoModelForCausalLM.from_pretrained(alone / folder).state_dict())


SRUN = """#!/usr/bin/env bash
test "$1" = --kill-on-bad-exit=1 && shift
SLURM_NODEID=1 "$@" &
SLURM_NODEID=0 "$@" && wait $!
"""


def test_two_machines_meet_through_the_slurm_script_and_train_as_one_process(world, alone, tmp_path):
    """Two launchers on the loopback device, one rank each, and the configuration for two machines but for its GPUs."""
    config = yaml.safe_load((config_folder() / "two_nodes.yaml").read_text())
    small = {"num_processes": 2, "mixed_precision": "no", "use_cpu": True}
    (tmp_path / "two_nodes.yaml").write_text(yaml.safe_dump({**config, **small}))
    # What SLURM has on its nodes: it starts the command on each.
    for name, script in (("srun", SRUN), ("scontrol", "#!/bin/sh\necho 127.0.0.1\n")):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run(
        world,
        ("bash", str(REPOSITORY / "slurm" / "train.sbatch")),
        tmp_path / "run",
        *("--accelerate_config", tmp_path / "two_nodes.yaml", "--save_strategy", "no"),
        PATH=os.pathsep.join([str(tmp_path), str(Path(sys.executable).parent), os.environ["PATH"]]),
        SLURM_JOB_NODELIST="node[1-2]",
        SLURM_JOB_ID="1",
        MAIN_PORT=str(port),
    )
    assert_same_training(tmp_path / "run", alone)
