"""A real pretrained model, SmolLM2-135M-Instruct, from its GGUF file through every command."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch
import yaml
from datasets import Dataset
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessorList

from conftest import OUR_DATA
from hicra_trl import HICRATrainer
from hicra_trl.cli import eval as eval_command
from hicra_trl.cli import main
from hicra_trl.evaluation.engines.engine import Request
from hicra_trl.evaluation.engines.transformers_engine import TransformersEngine
from hicra_trl.evaluation.problems.items import Item
from hicra_trl.evaluation.settings import EvalArguments
from hicra_trl.grams import PlanningTokenLabeler, StrategicGrams
from hicra_trl.rewards import Gold
from hicra_trl.training.runs.manifest import read_manifest
from smollm2 import ANSWERS, answers, gguf_file, plain_folder
from training.helpers import config, vowel_share
from training.tiny_run import assert_equal, environment


ENDS = ("<|im_end|>", "<|endoftext|>")


@pytest.fixture(scope="module")
def plain():
    return plain_folder()


@pytest.fixture(scope="module")
def smol_tokenizer(plain):
    return AutoTokenizer.from_pretrained(plain)


COMMAND = ("hicra_trl.cli.main", "train")
PROCESS = ("hicra_trl.training.run",)  # what the command launches, without the seconds of launching it


def start(folder, *argv, command=COMMAND):
    return subprocess.Popen(
        [sys.executable, "-m", *command, *argv],
        env=environment(),
        cwd=folder,
        stdout=(folder / "output").open("a"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def whole(plain, tmp_path_factory):
    """A run of two steps on rows of GSM8K, which nothing has stopped."""
    folder = tmp_path_factory.mktemp("runs")
    recipe = {
        "model_name_or_path": str(gguf_file()),
        "dataset_name": str(OUR_DATA / "gsm8k_train.jsonl"),
        "gold_marker": "####",
        "reward_funcs": ["boxed_accuracy", "helpers.vowel_share"],
        "use_peft": True,
        "lora_r": 4,
        "lora_target_modules": ["q_proj", "v_proj"],
        "learning_rate": 1e-3,
        "per_device_train_batch_size": 4,
        "num_generations": 4,
        "max_completion_length": 16,
        "max_steps": 2,
        "save_steps": 1,
        "logging_steps": 1,
        "log_completions": True,
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    process = start(folder, "--config", "recipe.yaml", "--output_dir", "whole")
    assert process.wait() == 0, (folder / "output").read_text()[-3000:]
    return folder / "whole"


def history(run):
    entries = json.loads((run / "trainer_state.json").read_text())["log_history"]
    # The last entry sums up one process, not the run.
    return [{name: value for name, value in entry.items() if name != "step_time"} for entry in entries[:-1]]


def test_it_says_what_it_is_known_to_say(plain):
    assert answers(plain) == ANSWERS


def test_two_steps_of_lora_train_on_gsm8k(whole):
    entries = history(whole)
    assert len(entries) == 2
    for entry in entries:
        assert entry["grad_norm"] > 0 and all(math.isfinite(value) for value in entry.values())
        assert 0 <= entry["hicra/planning_fraction"] < 1 and entry["hicra/entropy/execution"] > 0
    weights = load_file(whole / "adapter_model.safetensors")
    assert all(weight.abs().max() > 0 for name, weight in weights.items() if "lora_B" in name)
    logged = pd.concat(pd.read_parquet(file) for file in sorted((whole / "completions").glob("*.parquet")))
    assert len(logged) == 8 and logged["completion"].str.len().min() > 0
    assert logged["prompt"].str.endswith("<|im_start|>assistant\n").all()


def test_killed_and_resumed_it_ends_as_if_it_had_not_been(whole):
    folder, run = whole.parent, whole.parent / "run"
    process = start(folder, "--config", "recipe.yaml", "--output_dir", "run", command=PROCESS)
    while not (run / "checkpoint-1" / "hicra_state.json").is_file():
        assert process.poll() is None, (folder / "output").read_text()[-3000:]
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert read_manifest(run)["finished"] is None
    process = start(folder, "--resume", "run")
    assert process.wait() == 0, (folder / "output").read_text()[-3000:]
    assert read_manifest(run)["resumed"][0]["checkpoint"] == "checkpoint-1"
    for ended in (run, run / "checkpoint-2"):
        name = ended.relative_to(run) / "adapter_model.safetensors"
        assert_equal(load_file(run / name), load_file(whole / name))
    assert_equal(*(torch.load(one / "checkpoint-2" / "optimizer.pt") for one in (run, whole)))
    assert_equal(history(run), history(whole))


def test_an_export_has_the_logits_of_base_and_adapter(whole, plain, smol_tokenizer, tmp_path):
    assert main.main(["export", str(whole), "--output_dir", str(tmp_path / "exported")]) == 0
    ids = smol_tokenizer("First, 12 + 9 = 21. Then, let's check.", return_tensors="pt").input_ids

    @torch.no_grad()
    def logits(model):
        return model.eval()(ids).logits

    base = AutoModelForCausalLM.from_pretrained(plain)
    of_base = logits(base)
    trained = PeftModel.from_pretrained(base, whole)
    of_trained = logits(trained)
    exported = logits(AutoModelForCausalLM.from_pretrained(tmp_path / "exported"))
    torch.testing.assert_close(exported, of_trained, atol=1e-3, rtol=1e-4)
    assert torch.equal(exported, logits(trained.merge_and_unload(safe_merge=True)))
    assert (exported - of_base).abs().max() > 1e-2
    assert AutoTokenizer.from_pretrained(tmp_path / "exported").chat_template == smol_tokenizer.chat_template


def test_four_problems_of_math500_are_evaluated(plain, smol_tokenizer, tmp_path):
    given = {
        "model": gguf_file(), "benchmarks": "math500", "max_items": 4, "temperature": 0, "max_tokens": 12,
        "override": f"math500.dataset={OUR_DATA}/benchmarks/math500.jsonl", "batch_size": 1,
        "output_dir": tmp_path / "evaluated",
    }  # fmt: skip
    assert eval_command.run([part for name, value in given.items() for part in (f"--{name}", str(value))]) == 0
    samples = [json.loads(line) for line in (tmp_path / "evaluated/samples/math500.jsonl").open()]
    assert len(samples) == 4 and all(0 < sample["tokens"] <= 12 for sample in samples)
    model = AutoModelForCausalLM.from_pretrained(plain)
    for sample in samples[:2]:
        assert sample["prompt"].startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
        ids = smol_tokenizer(sample["prompt"], return_tensors="pt").input_ids
        with torch.no_grad():
            written = model.generate(ids, do_sample=False, max_new_tokens=12)[0, ids.shape[1] :]
        assert smol_tokenizer.decode(written, skip_special_tokens=True) == sample["completion"]


def test_only_what_the_model_wrote_is_planning(smol_tokenizer, tmp_path):
    (tmp_path / "grams.txt").write_text("helpful ai assistant\nassistant\nuser\nwait\nlet's check\n")
    labeler = PlanningTokenLabeler(smol_tokenizer, StrategicGrams.load(tmp_path / "grams.txt"))
    turns = [
        {"role": "user", "content": "Wait, let's check: what is 17 + 25?"},
        {"role": "assistant", "content": "Wait. Let's check the sum: 17 + 25 = 42."},
    ]
    text = smol_tokenizer.apply_chat_template(turns, tokenize=False)
    asked = smol_tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
    assert text.startswith(asked)
    written = len(smol_tokenizer(asked).input_ids)
    ids = torch.tensor([smol_tokenizer(text).input_ids])
    everywhere = labeler(ids)[0]
    assert everywhere[:written].sum() > 8
    assert not everywhere[torch.isin(ids[0], torch.tensor(smol_tokenizer.all_special_ids))].any()
    own = labeler(ids, torch.arange(ids.shape[1])[None] >= written)[0]
    assert not own[:written].any() and torch.equal(own[written:], everywhere[written:])
    assert smol_tokenizer.decode(ids[0][own]) == "Wait Let's check"


def force_ends(model, tokenizer):
    """Makes the third token of each row an end: of a turn, of the text, and so on in turns."""
    ends, generate = tokenizer.convert_tokens_to_ids(ENDS), model.generate

    def forced(*args, **kwargs):
        width = kwargs["input_ids"].shape[1]

        def force(ids, scores):
            if ids.shape[1] == width + 2:
                scores = torch.full_like(scores, -torch.inf)
                for row in range(len(scores)):
                    scores[row, ends[row % 2]] = 0.0
            else:
                scores[:, ends] = -torch.inf
            return scores

        return generate(*args, **kwargs, logits_processor=LogitsProcessorList([force]))

    model.generate = forced


def test_the_ends_of_turn_and_text_both_end_a_sampled_completion(plain, smol_tokenizer, tmp_path, lexicon_file):
    prompts = [[{"role": "user", "content": "What is 17 + 25?"}]] * 4
    trainer = HICRATrainer(
        model=plain,
        reward_funcs=vowel_share,
        args=config(tmp_path, lexicon_file, per_device_train_batch_size=4, max_completion_length=6, max_steps=1),
        train_dataset=Dataset.from_dict({"prompt": prompts}),
        peft_config=LoraConfig(r=4, target_modules=["q_proj"]),
    )
    assert sorted(trainer.eos_token_ids) == sorted(smol_tokenizer.convert_tokens_to_ids(ENDS))
    force_ends(trainer.model, smol_tokenizer)
    trainer.train()
    [entry] = [entry for entry in trainer.state.log_history if "reward" in entry]
    assert entry["completions/clipped_ratio"] == 0 and entry["completions/mean_terminated_length"] == 3


def test_both_end_an_evaluated_completion(plain, smol_tokenizer):
    args = EvalArguments(model=plain, benchmarks=["mine"], max_tokens=6)
    engine = TransformersEngine(args, images=False)
    force_ends(engine._load(), smol_tokenizer)
    prompt = engine.prompt(Item("0", "What is 17 + 25?", Gold("42")))
    [completions] = engine.sample("mine", [Request(prompt, index) for index in range(2)], ())
    assert [completion.ids[-1] for completion in completions] == smol_tokenizer.convert_tokens_to_ids(ENDS)
    assert [(completion.tokens, completion.finish_reason) for completion in completions] == [(3, "stop")] * 2
    assert not any(end in completion.text for completion in completions for end in ENDS)
