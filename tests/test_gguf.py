"""Models in GGUF files: what was written comes back, whole or not at all, and every command takes it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
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
from hicra_trl.grams import PlanningTokenLabeler


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


def test_a_missing_package_is_named_with_what_installs_it(write, monkeypatch):
    monkeypatch.setattr(gguf, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs gguf, which is not installed: pip install 'hicra-trl\[gguf\]'"):
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
