"""What a run trained as one plain folder, whatever the form in which it lies there; real runs, real shards."""

import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from peft import PeftModel
from safetensors.torch import load_file
from torch.distributed import checkpoint as distributed_checkpoint
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from hicra_trl import HICRATrainer, StrategicGrams
from hicra_trl.cli import main
from hicra_trl.training import run
from hicra_trl.training.export.export import export
from hicra_trl.training.export.weights import find_trained
from loopback_hub import LoopbackHub
from training.helpers import config, settings
from vision import IMAGE_TOKEN, image_prompts, picture, save_vlm


pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
ACCELERATE_CONFIGS = Path(__file__).parents[3] / "accelerate_configs"
LORA = {"use_peft": True, "lora_r": 4, "lora_target_modules": ["q_proj", "v_proj"], "lora_alpha": 64}
IDS = torch.arange(2, 30)[None]


def logits(model):
    with torch.no_grad():
        return model.eval()(IDS).logits


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto")


def names(folder):
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def same_weights(folder, model):
    ours, theirs = load(folder).state_dict(), model.state_dict()
    return ours.keys() == theirs.keys() and all(
        torch.equal(ours[name], theirs[name]) and ours[name].dtype == theirs[name].dtype for name in ours
    )


@pytest.fixture(scope="module")
def recipe(lexicon_file, tmp_path_factory):
    """Writes the recipe of a run of four steps with a checkpoint after each two; returns it and the run's folder."""
    folder = tmp_path_factory.mktemp("runs")
    rows = [{"problem": f"{number} + 1?", "answer": number} for number in range(8)]
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def write(name, model, **fields):
        content = {
            "model_name_or_path": str(model),
            "dataset_name": str(folder / "problems.jsonl"),
            "prompt_format": "text",
            "reward_funcs": ["training.helpers.vowel_share"],
            "strategic_grams": str(lexicon_file),
            **settings(folder / name, **{"save_strategy": "steps", "save_steps": 2, "max_steps": 4, **fields}),
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
        return folder / f"{name}.yaml", folder / name

    return write


@pytest.fixture(scope="module")
def train(recipe):
    def train(*args, **fields):
        file, folder = recipe(*args, **fields)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["hicra", "--config", str(file)])
            run.main()
        return folder

    return train


@pytest.fixture(scope="module")
def base(base_model, tokenizer, tmp_path_factory):
    """The tiny model in bfloat16, with a chat template and a generation config of its own."""
    folder = tmp_path_factory.mktemp("base")
    model = copy.deepcopy(base_model).to(torch.bfloat16)
    model.generation_config.top_p = 0.9
    model.generation_config.do_sample = True
    model.save_pretrained(folder)
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}:"
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter_run(train, base):
    return train("adapter", base, dtype="float32", **LORA)


@pytest.fixture(scope="module")
def whole_run(train, model_folder):
    return train("whole", model_folder)


@pytest.fixture
def copied(whole_run, tmp_path):
    """A copy of a run, to be damaged."""
    return shutil.copytree(whole_run, tmp_path / "copied")


@pytest.fixture(scope="module")
def merged(adapter_run, tmp_path_factory):
    """The exported folder of a run with an adapter, by the command line."""
    folder = tmp_path_factory.mktemp("exported") / "models" / "mine"
    assert main.main(["export", str(adapter_run), "--output_dir", str(folder)]) == 0
    return folder


def test_an_adapter_is_added_to_its_base(merged, adapter_run, base):
    trained = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype="float32"), adapter_run)
    exported = AutoModelForCausalLM.from_pretrained(merged, dtype="float32")
    # Half a unit in the last place of bfloat16, in which the base is stored and the sum is too.
    torch.testing.assert_close(logits(exported), logits(trained), atol=2e-3, rtol=2e-2)
    assert (logits(trained) - logits(load(base).float())).abs().max() > 1e-2
    bfloat16 = PeftModel.from_pretrained(load(base), adapter_run).merge_and_unload(safe_merge=True)
    assert same_weights(merged, bfloat16) and load(merged).dtype == torch.bfloat16


def test_the_folder_has_all_that_a_model_needs_and_nothing_of_the_training(merged, adapter_run, base, grams):
    lexicon = {f"strategic_grams/{name}" for name in ("strategic_grams.parquet", "provenance.json", "README.md")}
    weights = {"model.safetensors", "config.json", "generation_config.json"}
    tokenizer = {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
    record = {"README.md", "dynamics.png", "resolved_config.yaml", "manifest.json"}
    assert names(merged) == lexicon | weights | tokenizer | record
    assert StrategicGrams.load(merged / "strategic_grams") == grams
    ours, theirs = AutoTokenizer.from_pretrained(merged), AutoTokenizer.from_pretrained(base)
    assert (ours.get_vocab(), ours.chat_template) == (theirs.get_vocab(), theirs.chat_template)
    assert json.loads((merged / "generation_config.json").read_text())["top_p"] == 0.9
    for name in ("dynamics.png", "resolved_config.yaml", "manifest.json"):
        assert (merged / name).read_bytes() == (adapter_run / name).read_bytes()


def test_the_card_says_where_the_weights_come_from(merged, adapter_run, base, grams):
    card = ModelCard.load(merged / "README.md")
    assert "These are the weights after step 4 of the run `adapter`, in torch.bfloat16." in card.text
    assert f"its base was `{base.name}`" in card.text and str(base) not in card.content
    assert grams.fingerprint in card.text and card.text.index("## Export") < card.text.index("### Framework versions")
    assert card.data.library_name == "transformers" and {"hicra", "grpo"} <= set(card.data.tags)
    assert "lora" not in card.data.tags
    assert "## Export" not in (adapter_run / "README.md").read_text()


def test_an_evaluation_takes_the_exported_folder_and_not_the_adapter(merged, adapter_run, tmp_path, capsys):
    (tmp_path / "mine.jsonl").write_text(json.dumps({"problem": "1 + 1?", "answer": "2"}) + "\n")
    command = ["eval", "--benchmarks", "mine", "--override", f"mine.dataset={tmp_path / 'mine.jsonl'}"]
    command += ["--prompt_format", "text", "--max_tokens", "4", "--output_dir", str(tmp_path / "eval"), "--model"]
    assert main.main([*command, str(merged)]) == 0
    assert "mine" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        main.main([*command[:-2], str(tmp_path / "other"), "--model", str(adapter_run)])
    assert stopped.value.code == 2


def test_whole_weights_are_copied_bit_for_bit(whole_run, tmp_path):
    folder = export(find_trained(whole_run), tmp_path / "exported")
    for name in ("model.safetensors", "config.json", "generation_config.json"):
        assert (folder / name).read_bytes() == (whole_run / name).read_bytes()
    assert not {"optimizer.pt", "training_args.bin", "trainer_state.json"} & names(folder)


def test_weights_in_several_files_are_copied_with_their_index(copied, tmp_path):
    expected = load(copied)
    (copied / "model.safetensors").unlink()
    expected.save_pretrained(copied, max_shard_size="20KB")
    folder = export(find_trained(copied), tmp_path / "exported")
    assert len(list(folder.glob("*.safetensors"))) > 1 and same_weights(folder, expected)
    next(copied.glob("model-00002*")).unlink()
    with pytest.raises(ValueError, match=r"cannot read .*model-00002"):
        find_trained(copied)


def test_a_checkpoint_is_named_by_its_step_or_by_its_folder(whole_run, tmp_path, capsys):
    second = whole_run / "checkpoint-2"
    assert find_trained(second) == find_trained(whole_run, 2)
    assert find_trained(second).folder == second and find_trained(second).run == whole_run
    assert main.main(["export", str(whole_run), "--checkpoint", "2", "--output_dir", str(tmp_path / "two")]) == 0
    assert f"exported step 2 of whole: {tmp_path / 'two'}" in capsys.readouterr().out
    assert same_weights(tmp_path / "two", load(second)) and not same_weights(tmp_path / "two", load(whole_run))
    assert "after step 2" in (tmp_path / "two" / "README.md").read_text()


def test_the_last_whole_weights_are_taken(copied):
    assert find_trained(copied).folder == copied
    manifest = json.loads((copied / "manifest.json").read_text())
    (copied / "manifest.json").write_text(json.dumps(manifest | {"finished": None}))
    assert find_trained(copied).folder == copied / "checkpoint-4"
    (copied / "checkpoint-4" / "hicra_state.json").unlink()
    assert find_trained(copied).folder == copied / "checkpoint-2"
    with pytest.raises(ValueError, match=r"cannot export .*checkpoint-4: it is half-written, without hicra_state"):
        find_trained(copied, 4)
    (copied / "checkpoint-2" / "hicra_state.json").unlink()
    with pytest.raises(ValueError, match=r"nothing to export in .*: expected a finished run"):
        find_trained(copied)


def test_a_dry_run_says_what_it_would_do(adapter_run, base, tmp_path, capsys):
    command = ["export", str(adapter_run), "--output_dir", str(tmp_path / "out"), "--push_to", "me/it", "--dry_run"]
    assert main.main(command) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"run        {adapter_run}",
        "weights    adapter, step 4: an adapter, to be added to its base",
        f"base       {base}",
        f"output     {tmp_path / 'out'}",
        "pushed to  me/it",
    ]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no/run"], "no run at no/run: expected the output_dir of a run"),
        (["RUN", "--checkpoint", "3"], "has no checkpoint 3: expected one of [2, 4]"),
        (["RUN/checkpoint-2", "--checkpoint", "4"], "is a checkpoint already: expected no other one, got 4"),
        (["RUN", "--output_dir", "RUN"], "exists already: expected a new folder"),
        (["EMPTY"], "nothing to export in EMPTY: expected a finished run"),
        (["RUN", "--unknown", "1"], "unknown arguments: --unknown 1"),
        (["--dry_run"], "expected a run: hicra export RUN"),
    ],
)
def test_what_is_wrong_is_one_line(arguments, message, whole_run, tmp_path, capsys):
    def place(text):
        return text.replace("RUN/", f"{whole_run}/").replace("EMPTY", str(tmp_path))

    arguments = [str(whole_run) if argument == "RUN" else place(argument) for argument in arguments]
    with pytest.raises(SystemExit) as stopped:
        main.main(["export", *arguments])
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and len(error.splitlines()) == 1
    assert error.startswith("hicra export: ") and place(message) in error


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("resolved_config.yaml", "a: [1"),
        ("resolved_config.yaml", "- a\n"),
        ("manifest.json", "{}"),
        ("manifest.json", "{"),
        ("trainer_state.json", "[]"),
        ("trainer_state.json", '{"global_step": "4"}'),
        ("README.md", "---\na: [\n---\n"),
        ("README.md", "---\n- a\n---\n"),
        ("tokenizer.json", ""),
        ("tokenizer_config.json", "{"),
    ],
)
def test_a_broken_file_of_a_run_gets_one_line_that_names_it(name, content, copied, tmp_path, capsys):
    (copied / name).write_text(content)
    with pytest.raises(SystemExit) as ended:
        main.main(["export", "--run", str(copied), "--output_dir", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.count("\n") == 1, said
    assert name in said or (name.startswith("tokenizer") and f"cannot read {copied} by AutoProcessor" in said)
    assert not (tmp_path / "out").exists()


def test_a_failed_export_leaves_nothing(adapter_run, tmp_path):
    copied = shutil.copytree(adapter_run, tmp_path / "run")
    description = json.loads((copied / "adapter_config.json").read_text())
    description["base_model_name_or_path"] = "no/model"
    (copied / "adapter_config.json").write_text(json.dumps(description))
    with pytest.raises(ValueError, match="cannot load the base 'no/model': "):
        export(find_trained(copied), tmp_path / "exported")
    assert names(tmp_path) == {f"run/{name}" for name in names(copied)}


def test_another_base_in_the_same_place_is_refused(adapter_run, base, tmp_path):
    copied = shutil.copytree(adapter_run, tmp_path / "run")
    changed = shutil.copytree(base, tmp_path / "base")
    (changed / "config.json").write_text((base / "config.json").read_text() + "\n")
    description = json.loads((copied / "adapter_config.json").read_text())
    (copied / "adapter_config.json").write_text(json.dumps(description | {"base_model_name_or_path": str(changed)}))
    with pytest.raises(ValueError, match=r"the base in .* has changed since the run began: expected fingerprint \w+"):
        export(find_trained(copied), tmp_path / "exported")


def test_an_adapter_that_does_not_fit_its_base_is_named(adapter_run, tmp_path):
    copied = shutil.copytree(adapter_run, tmp_path / "run")
    description = json.loads((copied / "adapter_config.json").read_text())
    (copied / "adapter_config.json").write_text(json.dumps(description | {"target_modules": ["q_proj", "k_proj"]}))
    with pytest.raises(
        ValueError, match=r"expected the 8 tensors of the adapter, got 4 of them: .*k_proj.* is missing"
    ):
        export(find_trained(copied), tmp_path / "exported")


def test_cut_weights_are_named(copied):
    file = copied / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match=f"cannot read {file}: "):
        find_trained(copied)


def test_the_base_is_read_at_the_commit_that_was_trained(adapter_run, tmp_path):
    copied = shutil.copytree(adapter_run, tmp_path / "run")
    recipe = yaml.safe_load((copied / "resolved_config.yaml").read_text())
    (copied / "resolved_config.yaml").write_text(yaml.safe_dump(recipe | {"model_revision": "abc"}))
    description = json.loads((copied / "adapter_config.json").read_text())
    (copied / "adapter_config.json").write_text(json.dumps(description | {"revision": None}))
    assert find_trained(copied).base[1] == "abc"
    (copied / "adapter_config.json").write_text(json.dumps(description | {"revision": "def"}))
    assert find_trained(copied).base[1] == "def"
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["model"]["commit"] = "fed"
    (copied / "manifest.json").write_text(json.dumps(manifest))
    assert find_trained(copied).base[1] == "fed"


def test_an_adapter_of_a_model_that_sees_is_added(tokenizer, lexicon_file, tmp_path):
    vlm = save_vlm(tmp_path / "vlm", tokenizer)
    trainer = HICRATrainer(
        model=str(vlm),
        reward_funcs=lambda completions, **kwargs: [float(len(turns[0]["content"])) for turns in completions],
        args=config(tmp_path / "run", lexicon_file, max_steps=1, save_strategy="steps", save_steps=1),
        train_dataset=image_prompts([("So what?", ["red"]), ("But why?", ["blue", "green"])] * 4),
        peft_config=run.get_peft_config(run.ModelConfig(**LORA)),
    )
    trainer.train()
    folder = export(find_trained(tmp_path / "run"), tmp_path / "exported")
    processor = AutoProcessor.from_pretrained(folder)
    inputs = processor(images=[picture("red")], text=[f"{IMAGE_TOKEN}So what?"], return_tensors="pt")
    exported, untrained = (AutoModelForImageTextToText.from_pretrained(path) for path in (folder, vlm))
    with torch.no_grad():
        expected = trainer.model.eval()(**inputs).logits
        torch.testing.assert_close(exported(**inputs).logits, expected, atol=1e-5, rtol=1e-4)
    before, after = untrained.state_dict(), exported.state_dict()
    assert {name.split(".")[1] for name in before if not torch.equal(before[name], after[name])} == {
        "vision_tower",
        "language_model",
    }


def shard(folder, state):
    """Saves a state as Accelerate does where FSDP's state is sharded."""
    for file in [*folder.glob("*.safetensors"), *folder.glob("*config.json")]:
        file.unlink()
    distributed_checkpoint.save({"model": state}, checkpoint_id=folder / "pytorch_model_fsdp_0", no_dist=True)


def test_shards_of_fsdp_are_put_together(copied, base_model, tmp_path):
    checkpoint = copied / "checkpoint-4"
    expected = load(checkpoint)
    shard(checkpoint, expected.state_dict())
    folder = export(find_trained(copied, 4), tmp_path / "exported")
    assert same_weights(folder, expected)
    assert AutoTokenizer.from_pretrained(folder).get_vocab() == AutoTokenizer.from_pretrained(copied).get_vocab()
    assert "put together from the shards of FSDP" in (folder / "README.md").read_text()


def test_shards_of_an_adapter_are_put_together(adapter_run, merged, tmp_path):
    copied = shutil.copytree(adapter_run, tmp_path / "run")
    shard(copied / "checkpoint-4", load_file(copied / "checkpoint-4" / "adapter_model.safetensors"))
    folder = export(find_trained(copied, 4), tmp_path / "exported")
    assert same_weights(folder, load(merged))


def test_missing_shards_are_named(copied, tmp_path):
    checkpoint = copied / "checkpoint-4"
    state = load(checkpoint).state_dict()
    shard(checkpoint, {name: state[name] for name in list(state)[1:]})
    with pytest.raises(ValueError, match=r"got 1 of them not, and 0 others, such as model.embed_tokens.weight"):
        export(find_trained(copied, 4), tmp_path / "exported")
    for file in (checkpoint / "pytorch_model_fsdp_0").glob("*.distcp"):
        file.unlink()
    with pytest.raises(ValueError, match=r"cannot put the FSDP checkpoint .* together"):
        export(find_trained(copied, 4), tmp_path / "exported")


def test_shards_of_two_ranks_of_zero_are_put_together(recipe, model_folder, tmp_path):
    pytest.importorskip("deepspeed")
    file, folder = recipe("zero", model_folder, per_device_train_batch_size=4, max_steps=2)
    launch = ["accelerate.commands.launch", "--config_file", str(ACCELERATE_CONFIGS / "cpu_zero3.yaml")]
    command = [sys.executable, "-m", *launch, "-m", "hicra_trl.training.run", "--config", str(file)]
    path = os.pathsep.join(sys.path)
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    expected = load(folder / "checkpoint-2")
    assert len(list((folder / "checkpoint-2" / "global_step2").glob("*optim_states.pt"))) == 2
    (folder / "checkpoint-2" / "model.safetensors").unlink()
    assert find_trained(folder, 2).form == "zero"
    assert same_weights(export(find_trained(folder, 2), tmp_path / "exported"), expected)
    assert not same_weights(tmp_path / "exported", load(model_folder))
    next((folder / "checkpoint-2" / "global_step2").glob("*rank_1*optim_states.pt")).unlink()
    with pytest.raises(ValueError, match=r"cannot put the ZeRO checkpoint .* together"):
        export(find_trained(folder, 2), tmp_path / "again")


PUSH = """
import sys
from hicra_trl.cli.main import main

run, folder = sys.argv[1:]
main(["export", run, "--push_to", "tester/mine", "--output_dir", f"{folder}/mine"])
main(["export", run, "--push_to", "other/theirs", "--output_dir", f"{folder}/theirs"])
"""


def test_an_export_is_pushed_in_the_place_of_the_adapter(adapter_run, tmp_path):
    with LoopbackHub() as hub:
        before = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"", "notes.md": b"n"}
        hub.put("tester/mine", "model", before)
        done = subprocess.run(
            [sys.executable, "-c", PUSH, str(adapter_run), str(tmp_path)],
            env={**os.environ, **hub.environment(tmp_path / "home")},
            capture_output=True,
            text=True,
        )
        sha, _ = hub.commits("tester/mine")[-1]
        files = hub.files("tester/mine")
    assert f"published: tester/mine@{sha}" in done.stdout
    assert files.keys() == names(tmp_path / "mine") | {"notes.md"}
    assert all((tmp_path / "mine" / name).read_bytes() == files[name] for name in names(tmp_path / "mine"))
    assert done.returncode == 2 and "cannot push to 'other/theirs': " in done.stderr.splitlines()[-1]
    assert not (tmp_path / "theirs").exists()
