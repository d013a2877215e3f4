"""A run that pushes its model to the Hub, by the command line: what is there then, and what is left if the push fails.

The Hub is a server on this machine; whoever talks to it is a process, because the libraries read HF_ENDPOINT when
imported.
"""

import json
import os
import subprocess
import sys

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from transformers import AutoModelForCausalLM, AutoTokenizer

from hicra_trl.grams import StrategicGrams
from loopback_hub import LoopbackHub


COMMAND = ("hicra_trl.cli.main", "train")
PROCESS = ("hicra_trl.training.run",)  # what the command launches, without the seconds of launching it
REWARD = """
def vowels(completions, **kwargs):
    return [sum(char in "aeiou" for char in text) / (1 + len(text)) for text in completions]
"""

# The disk takes its time behind the place where Transformers pushes a checkpoint.
SLOW_REWARD = """
import time
import transformers.trainer
from reward import vowels

transformers.trainer.rotate_checkpoints = lambda **kwargs: time.sleep(1)
"""

LOAD_BACK = """
import json, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

text, sources, logits, ids = "So what? Let's add 3 and 4.", sys.argv[1:], [], []
for source in sources:
    ids.append(AutoTokenizer.from_pretrained(source)(text, return_tensors="pt").input_ids)
    with torch.no_grad():
        logits.append(AutoModelForCausalLM.from_pretrained(source)(ids[-1]).logits)
print(json.dumps({"same_tokens": torch.equal(*ids), "same_logits": torch.equal(*logits)}))
"""


@pytest.fixture(scope="module")
def hub():
    with LoopbackHub() as hub:
        yield hub


@pytest.fixture(scope="module")
def lexicon(hub, grams, tmp_path_factory):
    """The commit that `tester/lexicon` is at."""
    folder = grams.save(tmp_path_factory.mktemp("lexicon"))
    return hub.put("tester/lexicon", "dataset", {file.name: file.read_bytes() for file in folder.iterdir()})


@pytest.fixture(scope="module")
def train(hub, lexicon, model_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    data = [{"problem": f"{i} + 1?", "answer": i + 1} for i in range(16)]
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in data))
    (folder / "reward.py").write_text(REWARD)
    (folder / "slow_reward.py").write_text(SLOW_REWARD)
    common = {
        "model_name_or_path": str(model_folder),
        "dataset_name": "problems.jsonl",
        "prompt_format": "text",
        "reward_funcs": ["reward.vowels"],
        "strategic_grams": "tester/lexicon",
        "learning_rate": 1e-3,
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_completion_length": 16,
        "max_steps": 2,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "push_to_hub": True,
    }

    def train(output_dir, command=COMMAND, environment=(), **fields):
        (folder / "recipe.yaml").write_text(yaml.safe_dump({**common, "output_dir": output_dir, **fields}))
        done = subprocess.run(
            [sys.executable, "-m", *command, "--config", "recipe.yaml"],
            env={**os.environ, **hub.environment(folder / "home"), **dict(environment)},
            cwd=folder,
            capture_output=True,
            text=True,
        )
        return done, folder / output_dir

    return train


@pytest.fixture(scope="module")
def pushed(hub, train):
    """A run whose push succeeds with the token of its recipe."""
    token = hub.environment("")["HF_TOKEN"]
    done, folder = train("pushed", environment={"HF_TOKEN": ""}, hub_model_id="tester/tiny", hub_token=token)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def checkpoints_pushed(hub, train):
    """A run that pushes each checkpoint, and waits for it."""
    checkpoints = {"save_strategy": "steps", "save_steps": 1, "hub_strategy": "checkpoint", "hub_always_push": True}
    done, folder = train(
        "each", command=PROCESS, hub_model_id="tester/each", reward_funcs=["slow_reward.vowels"], **checkpoints
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def interrupted(hub, lexicon, train):
    """A run that pushes its checkpoints and itself while every upload fails, with a pinned lexicon."""
    checkpoints = {"save_strategy": "steps", "save_steps": 1, "hub_strategy": "checkpoint"}
    hub.fail_uploads = True
    try:
        return train(
            "interrupted", hub_model_id="tester/lost", strategic_grams=f"tester/lexicon@{lexicon[:8]}", **checkpoints
        )
    finally:
        hub.fail_uploads = False


@pytest.fixture(scope="module")
def refused(hub, train):
    """A run that pushes into a repository that is somebody else's: the Hub refuses only when something is uploaded."""
    hub.put("other/theirs", "model", {"README.md": b"Theirs"})
    return train("refused", command=PROCESS, hub_model_id="other/theirs")


def names(folder):
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def weights(folder):
    return AutoModelForCausalLM.from_pretrained(folder).state_dict()


def test_the_repository_has_the_model_its_lexicon_and_what_made_it(hub, pushed):
    files = hub.files("tester/tiny")
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md"} <= files.keys()
    assert {"manifest.json", "resolved_config.yaml", "trainer_state.json"} <= files.keys()
    lexicon = {f"strategic_grams/{name}" for name in ("strategic_grams.parquet", "provenance.json", "README.md")}
    assert lexicon <= files.keys()
    assert all((pushed / name).read_bytes() == content for name, content in files.items())


def test_the_card_says_how_the_credit_was_assigned(hub, pushed, grams):
    card = ModelCard(hub.files("tester/tiny")["README.md"].decode())
    assert {"trl", "grpo", "hicra"} <= set(card.data.tags)
    assert card.text.count("## Hierarchy-aware credit assignment") == 1
    assert f"alpha = 0.2 times its magnitude. Planning tokens are those inside one of {len(grams)}" in card.text
    assert f"fingerprint `{grams.fingerprint}`" in card.text
    assert "](dynamics.png)" in card.text and "dynamics.png" in hub.files("tester/tiny")


def test_the_model_on_the_hub_is_the_trained_one_bit_for_bit(hub, pushed, base_model, tmp_path):
    command = [sys.executable, "-c", LOAD_BACK, "tester/tiny", str(pushed)]
    environment = {**os.environ, **hub.environment(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == {"same_tokens": True, "same_logits": True}
    before, after = base_model.state_dict(), weights(pushed)
    assert not torch.equal(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])


def test_the_manifest_says_which_revision_of_the_lexicon_was_loaded(pushed, interrupted, lexicon, grams):
    loaded = {"revision": lexicon, "fingerprint": grams.fingerprint, "size": len(grams)}
    sources = {pushed: "tester/lexicon", interrupted[1]: f"tester/lexicon@{lexicon[:8]}"}
    for folder, source in sources.items():
        assert json.loads((folder / "manifest.json").read_text())["lexicon"] == {"source": source, **loaded}


def test_no_file_of_a_run_holds_the_token(hub, pushed):
    token = hub.environment("")["HF_TOKEN"].encode()
    assert [name for name, content in hub.files("tester/tiny").items() if token in content] == []


def test_a_checkpoint_is_pushed_when_it_is_whole(hub, checkpoints_pushed):
    commits = [hub.files("tester/each", revision=sha) for sha, _ in hub.commits("tester/each")]
    found = [files for files in commits if "last-checkpoint/trainer_state.json" in files]
    steps = [json.loads(files["last-checkpoint/trainer_state.json"])["global_step"] for files in found]
    assert sorted(set(steps)) == [1, 2]
    for step, files in zip(steps, found):
        for name in ("hicra_state.json", "optimizer.pt", "model.safetensors"):
            whole = (checkpoints_pushed / f"checkpoint-{step}" / name).read_bytes()
            assert files[f"last-checkpoint/{name}"] == whole, (step, name)


def test_a_push_that_is_interrupted_ends_in_one_line_and_is_no_success(interrupted):
    done, folder = interrupted
    assert done.returncode != 0 and "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("hicra train: the push to the Hub failed (") and folder.name in line


def test_a_push_that_is_refused_ends_in_one_line_that_says_why(hub, refused):
    done, folder = refused
    assert done.returncode != 0 and "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("hicra train: the push to the Hub failed (") and folder.name in line
    assert "tester may not write to 'other/theirs'" in line
    assert hub.files("other/theirs") == {"README.md": b"Theirs"}


@pytest.mark.parametrize("run", ["interrupted", "refused"])
def test_a_run_whose_push_failed_keeps_all_that_it_trained(run, request, pushed, grams):
    _, folder = request.getfixturevalue(run)
    assert names(pushed) <= names(folder)
    expected, kept = weights(pushed), weights(folder)
    assert expected.keys() == kept.keys() and all(torch.equal(expected[name], kept[name]) for name in expected)
    assert AutoTokenizer.from_pretrained(folder).get_vocab() == AutoTokenizer.from_pretrained(pushed).get_vocab()
    assert StrategicGrams.load(folder / "strategic_grams") == grams
    assert json.loads((folder / "trainer_state.json").read_text())["global_step"] == 2
    assert "Hierarchy-aware credit assignment" in (folder / "README.md").read_text()


def test_checkpoints_are_complete_though_their_push_failed(interrupted):
    _, folder = interrupted
    for step in (1, 2):
        checkpoint = names(folder / f"checkpoint-{step}")
        assert {"model.safetensors", "optimizer.pt", "trainer_state.json", "hicra_state.json"} <= checkpoint
    final, last = weights(folder), weights(folder / "checkpoint-2")
    assert all(torch.equal(final[name], last[name]) for name in final)


def test_a_repository_that_cannot_be_made_is_told_before_the_training(train):
    done, folder = train("early", hub_model_id="other/new")
    assert done.returncode != 0 and "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("hicra train: ") and "other/new" in line
    assert "step 1/2" not in done.stdout and not (folder / "model.safetensors").exists()
