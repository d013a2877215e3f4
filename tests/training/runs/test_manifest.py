"""What a run records of itself."""

import json
import os
import shutil
import subprocess
import sys

import PIL.Image
import pytest
import yaml
from datasets import Dataset, Features, Image, List
from trl import ModelConfig, TrlParser

from hicra_trl import HICRAConfig
from hicra_trl.disk import fingerprint
from hicra_trl.grams import StrategicGrams
from hicra_trl.training.arguments import RunArguments
from hicra_trl.training.preflight import check
from hicra_trl.training.runs.manifest import launch_record, read_manifest, resolved_recipe
from hicra_trl.training.runs.provenance import code_record, data_fingerprint
from loopback_hub import LoopbackHub
from training.tiny_run import TESTS, train_here, write_recipe


TYPES = (RunArguments, HICRAConfig, ModelConfig)


@pytest.fixture(scope="module")
def folder(model_folder, lexicon_file, tmp_path_factory):
    """A recipe and its run, resumed once to go further."""
    folder = tmp_path_factory.mktemp("manifest")
    model = shutil.copytree(model_folder, folder / "model")
    write_recipe(folder, model, lexicon_file, max_steps=2, data_seed=7, hub_token="hf_secret", eval_strategy="no")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", "")
        train_here(patch, folder, "--config", "recipe.yaml")
        record = launch_record(["hicra", "train", "--hub_token", "hf_secret"], ["--num_machines", "1"], None, True)
        patch.setenv(*next(iter(record.items())))
        argv = ("--resume_from_checkpoint", "run/checkpoint-2", "--max_steps", 4, "--hub_token", "hf_secret")
        train_here(patch, folder, "--config", "run/resolved_config.yaml", *argv)
    return folder


def parsed(*argv):
    return TrlParser(TYPES).parse_args_and_config([*map(str, argv)])


def test_a_manifest_names_every_seed_version_commit_and_fingerprint(folder, lexicon_file):
    manifest = read_manifest(folder / "run")
    assert (manifest["seed"], manifest["data_seed"]) == (42, 7)
    assert {"hicra-trl", "trl", "transformers", "accelerate", "torch", "peft", "datasets"} <= manifest[
        "versions"
    ].keys()
    assert manifest["code"] == code_record() and len(code_record()["commit"]) == 40
    assert manifest["model"]["fingerprint"] == fingerprint(folder / "model")
    assert manifest["lexicon"]["fingerprint"] == StrategicGrams.load(lexicon_file).fingerprint
    assert {role: record["rows"] for role, record in manifest["data"].items()} == {"train": 24, "held_out": 24}
    assert manifest["batch"] == {"completions_per_step": 8, "generation_batch_size": 16}


def test_a_resumed_run_keeps_its_manifest_and_adds_what_changed(folder):
    manifest = read_manifest(folder / "run")
    (entry,) = manifest["resumed"]
    assert entry["checkpoint"] == "checkpoint-2" and entry["flags"] == ["--num_machines", "1"]
    assert entry["changed"] == {"max_steps": [2, 4]}
    assert manifest["started"] <= entry["started"] <= manifest["finished"]


def test_no_secret_is_written(folder):
    for file in (folder / "run").rglob("*"):
        assert not file.is_file() or b"hf_secret" not in file.read_bytes(), file
    assert read_manifest(folder / "run")["resumed"][0]["command"] == "hicra train --hub_token '***'"


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"completions_per_step": 32, "generation_batch_size": 64, "steps_per_generation": None},
        {"use_peft": True, "lora_r": 4, "dtype": "bfloat16", "lr_scheduler_kwargs": {"num_cycles": 2}},
        {
            "dataset_name": "dapo",
            "extra_datasets": ["deepscaler"],
            "save_strategy": "epoch",
            "report_to": ["tensorboard"],
        },
    ],
)
def test_a_resolved_recipe_reads_back_as_itself(overrides, folder, tmp_path, monkeypatch):
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    fields = {name: value for name, value in {**recipe, **overrides}.items() if value is not None}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(fields))
    once = resolved_recipe(*parsed("--config", tmp_path / "recipe.yaml"))
    (tmp_path / "resolved.yaml").write_text(yaml.safe_dump(once))
    assert resolved_recipe(*parsed("--config", tmp_path / "resolved.yaml")) == once
    assert once["alpha"] == 0.4 and "hub_token" not in once
    for value in (True, False):
        changed = parsed("--config", tmp_path / "resolved.yaml", "--gradient_checkpointing", str(value))
        assert changed[1].gradient_checkpointing is value


def test_a_fingerprint_is_of_rows_and_their_order_alone(tmp_path):
    rows = [{"prompt": f"{i} + 1?", "solution": str(i + 1)} for i in range(5)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    here = Dataset.from_list(rows)
    there = Dataset.from_json(str(tmp_path / "rows.jsonl"), cache_dir=str(tmp_path))
    assert data_fingerprint(here) == data_fingerprint(there)
    assert data_fingerprint(here) != data_fingerprint(here.select([1, 0, 2, 3, 4]))
    assert data_fingerprint(here) != data_fingerprint(Dataset.from_list([*rows[:4], {**rows[4], "solution": "6"}]))


FIND_COMMITS = """
from transformers import AutoConfig
from hicra_trl.data.prompts import DataArguments, load_training_prompts
from hicra_trl.disk import commit
from hicra_trl.training.runs.provenance import data_record

prompts = load_training_prompts(DataArguments(dataset_name="tester/problems", extra_datasets=["problems.jsonl"]))
print(data_record(prompts, [])["commits"]["tester/problems"])
AutoConfig.from_pretrained("tester/model")
print(commit("tester/model"))
"""


def test_commits_on_the_hub_are_found(model_folder, tmp_path):
    row = '{"problem": "%d + 1?", "answer": %d}\n'
    (tmp_path / "problems.jsonl").write_text(row % (1, 2))
    with LoopbackHub() as hub:
        commits = [
            hub.put("tester/problems", "dataset", {"train.jsonl": (row % (2, 3)).encode()}),
            hub.put("tester/model", "model", {file.name: file.read_bytes() for file in model_folder.iterdir()}),
        ]
        # The libraries read where the Hub is when they are imported.
        found = subprocess.run(
            [sys.executable, "-c", FIND_COMMITS],
            env={**os.environ, **hub.environment(tmp_path / "home")},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
    assert found.stdout.split() == commits, found.stderr[-3000:]


def test_images_count_by_name_and_size(tmp_path):
    def fingerprint(folder, shade, side=2):
        folder.mkdir(exist_ok=True)
        PIL.Image.new("L", (side, side), shade).save(folder / "a.bmp")
        rows = {"images": [[str(folder / "a.bmp")], []], "image": [str(folder / "a.bmp"), None]}
        features = Features({"images": List(Image()), "image": Image()})
        return data_fingerprint(Dataset.from_dict(rows, features=features))

    assert fingerprint(tmp_path / "one", 0) == fingerprint(tmp_path / "other", 255)
    assert fingerprint(tmp_path / "one", 0) != fingerprint(tmp_path / "one", 0, side=20)


def test_a_run_does_not_go_on_with_other_data_another_model_or_another_batch(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(TESTS)

    def check_with(*argv):
        argv = ("--config", "run/resolved_config.yaml", "--resume_from_checkpoint", "run/checkpoint-4", *argv)
        run_args, config, model_args = parsed(*argv)
        return check(run_args, config, model_args, StrategicGrams.load(config.strategic_grams))

    assert check_with().name == "checkpoint-4"
    with pytest.raises(ValueError, match="the run has completions_per_step 8, got 16: keep it to go on"):
        check_with("--gradient_accumulation_steps", 2)
    problems = folder / "problems.jsonl"
    rows = problems.read_text()
    problems.write_text(rows.replace("3 + 1?", "3 + 2?"))
    with pytest.raises(ValueError, match=r"problems.jsonl \(train\) has changed since the run began: expected 24"):
        check_with()
    problems.write_text(rows)
    config = folder / "model" / "config.json"
    text = config.read_text()
    config.write_text(text + "\n")
    with pytest.raises(ValueError, match=r"the model in .* has changed since the run began"):
        check_with()
    config.write_text(text)
    assert check_with().name == "checkpoint-4"
