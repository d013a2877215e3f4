"""Models in GGUF files: what was written comes back, whole or not at all, and every command takes it."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from tokenizers import decoders
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from gguf_files import merges, write_gguf
from hicra_trl import gguf
from hicra_trl.cli import eval as eval_command
from hicra_trl.cli import main, train
from hicra_trl.grams import PlanningTokenLabeler
from loopback_hub import LoopbackHub
from training.tiny_run import train_here, write_recipe


TEMPLATE = "{% for turn in messages %}<pad>{{ turn.role }}:{{ turn.content }}<pad>\n{% endfor %}"


@pytest.fixture(scope="module")
def models(tokenizer):
    shape = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
    }  # fmt: skip
    torch.manual_seed(1)
    # Of Qwen3's heads Transformers reads no other size from a file.
    return {
        "qwen3": Qwen3ForCausalLM(Qwen3Config(**shape, head_dim=128)),
        "llama": LlamaForCausalLM(LlamaConfig(**shape)),
    }


@pytest.fixture
def write(models, tokenizer, tmp_path, monkeypatch):
    """Writes a file; plain folders go to `tmp_path / "assets"`."""
    monkeypatch.setattr("huggingface_hub.utils._cache_assets.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    monkeypatch.setenv("HF_ASSETS_CACHE", str(tmp_path / "assets"))

    def write(model="llama", **changes):
        return write_gguf(tmp_path / "tiny.gguf", models[model], tokenizer, **changes)

    return write


@pytest.mark.parametrize("name", ["qwen3", "llama"])
def test_weights_tokens_and_text_come_back(name, write, models, tokenizer, grams, tmp_path):
    folder = gguf.dequantize(write(name), tmp_path / "plain")
    model, ids = AutoModelForCausalLM.from_pretrained(folder), torch.arange(2, 40)[None]
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, models[name](ids).logits, atol=1e-5, rtol=1e-5)
    assert model.dtype == torch.float32 and "quantization_config" not in model.config.to_dict()
    read = AutoTokenizer.from_pretrained(folder)
    text = "So wait, let's add them, but now.<eos>"
    assert read(text).input_ids == tokenizer(text).input_ids
    assert read.decode(read("so , wait").input_ids) == "so , wait"
    assert isinstance(read.backend_tokenizer.decoder, decoders.ByteLevel)
    ids = torch.tensor([tokenizer(text).input_ids])
    labels = PlanningTokenLabeler(tokenizer, grams)(ids)
    assert torch.equal(PlanningTokenLabeler(read, grams)(ids), labels) and labels.any() and not labels.all()


def ends_of(file):
    _, tokenizer, ends = gguf.read_gguf(file)
    return tokenizer.eos_token, tokenizer.pad_token, tokenizer.convert_ids_to_tokens(ends)


def test_a_completion_ends_where_the_template_ends_a_turn_and_where_the_file_says(write, tmp_path, tokenizer):
    assert ends_of(write()) == ("<eos>", "<pad>", ["<eos>"])
    # The end of a turn as padding would not be learned.
    assert ends_of(write(padding_token_id=1)) == ("<eos>", "<eos>", ["<eos>"])
    file = write(**{"tokenizer.chat_template": TEMPLATE})
    assert ends_of(file) == ("<pad>", "<eos>", ["<pad>", "<eos>"])
    folder = gguf.dequantize(file, tmp_path / "plain")
    model, read = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.generation_config.eos_token_id == [0, 1] and model.config.eos_token_id == read.eos_token_id == 0
    assert model.generation_config.pad_token_id == model.config.pad_token_id == read.pad_token_id == 1
    said = read.apply_chat_template([{"role": "user", "content": "So?"}], tokenize=False)
    assert said == "<pad>user:So?<pad>\n" and read(said).input_ids[0] == 0


@pytest.mark.parametrize("opens", [False, True])
def test_a_text_begins_as_the_file_says(opens, write, tmp_path):
    read = AutoTokenizer.from_pretrained(gguf.dequantize(write(add_bos_token=opens), tmp_path / "plain"))
    assert read("so").input_ids[:-1] == ([0] if opens else [])
    assert read("so", add_special_tokens=False).input_ids[:-1] == []


def test_tokens_of_a_users_own_are_whole_in_a_prompt(write, tokenizer):
    index = tokenizer.convert_tokens_to_ids("Ġwait")
    kinds = [3, 3, *[1] * (len(tokenizer) - 2)]
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    kinds[index], tokens[index] = 4, "<think>"
    _, read, _ = gguf.read_gguf(write(tokens=tokens, token_type=kinds, merges=merges(tokenizer)[:2]))
    assert index in read("so<think>but").input_ids and index not in read.all_special_ids


def cut(share):
    def damage(file):
        os.truncate(file, int(file.stat().st_size * share))

    return damage


def overwrite(file):
    data = bytearray(file.read_bytes())
    data[24:1024:7] = b"\xff" * len(data[24:1024:7])
    file.write_bytes(data)


BROKEN = [
    ({"architecture": "mamba9"}, None, "GGUF model with architecture mamba9 is not supported yet."),
    ({"without": ["tokens"]}, None, "it holds no tokenizer"),
    ({"without": ["model"]}, None, "'tokenizer.ggml.model'"),
    ({"without": ["blk.0.ffn_up.weight"]}, None, "lacks 1 of the model's weights, such as model.layers.0.mlp.up_proj"),
    ({"llama.embedding_length": 64}, None, "its model.embed_tokens.weight is [300, 32], and its config"),
    ({"split.count": 3}, None, "it is one of 3 parts, expected one file"),
    ({}, lambda file: file.write_text("version https://git-lfs.github.com/spec/v1"), "cannot read"),
    ({}, lambda file: file.write_bytes(b""), "cannot read"),
    ({}, overwrite, "cannot read"),
    *(({}, cut(share), "cannot read") for share in (0.0001, 0.01, 0.1, 0.5, 0.99)),
]


@pytest.mark.parametrize("changes, damage, said", BROKEN)
def test_what_cannot_be_read_is_said_in_one_line_and_leaves_nothing(changes, damage, said, write, tmp_path):
    file = write(**changes)
    if damage is not None:
        damage(file)
    with pytest.raises(ValueError) as refused:
        gguf.plain_model(str(file))
    assert str(refused.value).startswith(f"cannot read {file}: ") and said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not [path for path in (tmp_path / "assets").rglob("*") if path.is_dir() and path.name.startswith("tiny")]


def test_a_full_disk_is_said_in_one_line_and_leaves_nothing(write, tmp_path):
    file, limits = write(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(ValueError, match=r"cannot write .*tiny-") as refused:
            gguf.plain_model(str(file))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(refused.value) and not [*(tmp_path / "assets").rglob("*.part")]
    Path(gguf.plain_model(str(file)), "model.safetensors").stat()


def test_a_missing_package_is_named_with_what_installs_it(write, monkeypatch):
    monkeypatch.setattr(gguf, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'gguf is not installed: pip install "hicra-trl\[gguf\]"'):
        gguf.plain_model(str(write()))


def test_a_name_means_a_file_here_or_on_the_hub():
    assert gguf.plain_model("user/model") == "user/model"
    for name, said in {
        "nowhere.gguf": "no file at nowhere.gguf: expected one, or a file on the Hub as user/repo:file.gguf",
        "no/such/place:x.gguf": "cannot load x.gguf of no/such/place from the Hub: Repo id must be",
        "user/repo:x.gguf": "cannot load x.gguf of user/repo from the Hub: An error happened",
    }.items():
        with pytest.raises(ValueError, match=said):
            gguf.plain_model(name)


def test_of_several_processes_one_dequantizes(write):
    command = [sys.executable, "-c", "import sys; from hicra_trl.gguf import plain_model as p; print(p(sys.argv[1]))"]
    file = str(write())
    started = [
        subprocess.Popen([*command, file], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    outs, errs = zip(*(process.communicate() for process in started))
    assert outs[0] == outs[1] and Path(outs[0].strip(), "model.safetensors").is_file()
    assert sum(err.count(f"dequantizing {file} into") for err in errs) == 1
    assert gguf.plain_model(file) == outs[0].strip()


LORA = {"use_peft": True, "lora_r": 4, "lora_target_modules": ["q_proj", "v_proj"], "max_steps": 2, "save_steps": 2}


@pytest.fixture
def checked(write, lexicon_file, tmp_path, monkeypatch, capsys):
    """What `hicra train` says of a recipe with a GGUF file as its base; nothing is launched."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "launch", lambda job: 0)
    monkeypatch.syspath_prepend(Path(__file__).parent / "training")

    def check(*argv, **fields):
        write_recipe(tmp_path, "tiny.gguf", lexicon_file, **{**LORA, **fields})
        try:
            status = train.run(["--config", "recipe.yaml", *argv])
        except SystemExit as stopped:
            status = stopped.code
        said = capsys.readouterr()
        return status, said.out, said.err

    return check


def test_a_run_from_a_file_is_trained_recorded_and_exported(write, checked, tmp_path, monkeypatch):
    write()
    status, _, said = checked()
    assert status == 0 and "dequantizing tiny.gguf into" in said
    train_here(monkeypatch, tmp_path, "--config", "recipe.yaml")
    recipe = yaml.safe_load(Path("run/resolved_config.yaml").read_text())
    assert recipe["model_name_or_path"] == "tiny.gguf"
    # Again after its plain folder is gone: checked by what it was when the run began.
    folder = Path(gguf.plain_model("tiny.gguf"))
    shutil.rmtree(folder)
    status, _, said = checked(
        "--output_dir", "run", "--resume_from_checkpoint", "run/checkpoint-2", "--max_steps", "4"
    )
    assert status == 0 and "dequantizing" in said and folder.is_dir()
    shutil.rmtree(folder)
    assert main.main(["export", "run", "--output_dir", "exported"]) == 0
    exported, base = (AutoModelForCausalLM.from_pretrained(path).state_dict() for path in ("exported", folder))
    changed = [name for name in base if not torch.equal(base[name], exported[name])]
    assert len(changed) == 4 and all("q_proj" in name or "v_proj" in name for name in changed)


def test_a_file_that_changed_is_not_gone_on_with(write, checked, models, monkeypatch, tmp_path):
    write()
    checked()
    train_here(monkeypatch, tmp_path, "--config", "recipe.yaml")
    monkeypatch.setitem(models, "llama", LlamaForCausalLM(models["llama"].config))
    write()
    status, _, said = checked("--resume_from_checkpoint", "run/checkpoint-2", "--max_steps", "4")
    assert status == 2 and "has changed since the run began: expected fingerprint" in said.splitlines()[-1]


def test_a_dry_run_reads_the_file_and_dequantizes_nothing(write, checked, tmp_path, models):
    write()
    status, said, _ = checked("--dry_run")
    parameters = models["llama"].num_parameters() / 1e9
    assert status == 0 and f"tiny.gguf, {parameters:.2f} billion parameters, LoRA of" in said
    assert next(line.split() for line in said.splitlines() if line.startswith("download")) == ["download", "nothing"]
    assert not (tmp_path / "assets").exists()


@pytest.mark.parametrize("command", ["train", "eval"])
@pytest.mark.parametrize("changes, fields, said", [
    ({"without": ["tokens"]}, {}, "it holds no tokenizer"),
    ({"architecture": "mamba9"}, {}, "architecture mamba9 is not supported yet"),
    ({}, {"prompt_format": "chat"}, "has no chat template: expected one, or"),
])  # fmt: skip
def test_a_command_says_in_one_line_what_is_wrong_with_a_file(
    command, changes, fields, said, write, checked, capsys, tmp_path
):
    write(**changes)
    if command == "train":
        status, _, err = checked(**fields)
    else:
        write_recipe(tmp_path, "tiny.gguf", "paper")
        with pytest.raises(SystemExit) as stopped:
            eval_command.run(evaluation(**fields))
        status, err = stopped.value.code, capsys.readouterr().err
    assert status == 2 and err.splitlines()[-1].startswith(f"hicra {command}: ") and said in err.splitlines()[-1]
    assert not (tmp_path / "run").exists() and not (tmp_path / "evaluated").exists()


def evaluation(**fields):
    fields = {
        "model": "tiny.gguf", "benchmarks": "sums", "override": "sums.dataset=problems.jsonl", "max_items": 3,
        "prompt_format": "text", "max_tokens": 4, "output_dir": "evaluated", **fields,
    }  # fmt: skip
    return [part for name, value in fields.items() for part in (f"--{name}", str(value))]


def test_a_file_is_evaluated_as_its_plain_folder_is(write, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write()
    write_recipe(tmp_path, "tiny.gguf", "paper")
    assert eval_command.run([*evaluation(), "--dry_run", "true"]) == 0
    shown = capsys.readouterr().out
    assert "first prompt:\n0 + 1?" in shown and "tiny.gguf, from the Hub" not in shown
    assert not (tmp_path / "assets").exists()
    assert eval_command.run(evaluation()) == 0
    assert eval_command.run(evaluation(model=gguf.plain_model("tiny.gguf"), output_dir="plain")) == 0
    sampled = [(tmp_path / folder / "samples" / "sums.jsonl").read_text() for folder in ("evaluated", "plain")]
    assert sampled[0] == sampled[1] and sampled[0].count("\n") == 3
    # Nothing is left to be sampled, so nothing is loaded.
    shutil.rmtree(tmp_path / "assets")
    assert eval_command.run(evaluation()) == 0
    assert not (tmp_path / "assets").exists()


PINNED = """
import json, sys
from hicra_trl.cli import train
from hicra_trl.gguf import plain_model

job = train.resolve(train.parse(["--config", "recipe.yaml"]))
print(json.dumps([job.recipe["model_name_or_path"], job.recipe["model_revision"], job.model_args.model_revision]))
print(plain_model("tester/models:small/tiny.gguf"))
"""


def test_a_file_on_the_hub_is_taken_at_the_commit_at_which_the_run_begins(write, lexicon_file, tmp_path):
    content = write().read_bytes()
    write_recipe(tmp_path, "tester/models:small/tiny.gguf", lexicon_file)
    with LoopbackHub() as hub:
        commit = hub.put("tester/models", "model", {"small/tiny.gguf": content})
        environment = {**os.environ, **hub.environment(tmp_path / "home"), "HF_ASSETS_CACHE": str(tmp_path / "assets")}
        done = subprocess.run(
            [sys.executable, "-c", PINNED], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr[-3000:]
    recipe, folder = done.stdout.splitlines()
    assert json.loads(recipe) == ["tester/models:small/tiny.gguf", commit, commit]
    assert Path(folder, "model.safetensors").is_file()
