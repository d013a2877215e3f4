"""Models in GGUF files: dequantized once, into a plain folder that training, evaluation and export take."""

import hashlib
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from httpx import HTTPError
from huggingface_hub import cached_assets_path, hf_hub_download
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import WeakFileLock
from jinja2 import TemplateError
from safetensors import SafetensorError
from tokenizers import AddedToken, decoders, processors
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerFast
from transformers.utils.hub import extract_commit_hash

from .extras import not_installed
from .terminal import first_line, say


# What ends a text in the families; a file names one end, which in a chat is that of a turn.
_ENDS_OF_TEXT = ("<|endoftext|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>", "</s>", "<eos>")
_CONTROL, _USER_DEFINED = 3, 4  # kinds of tokens
_HEAD, _TAIL = 16 << 20, 1 << 20
# What Transformers and gguf raise of a file that they cannot read, depending on where it is broken.
_UNREADABLE = (
    ArithmeticError, AttributeError, ImportError, LookupError, MemoryError, OSError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip


def is_gguf(name: str) -> bool:
    """Whether a model's name means a GGUF file, here or on the Hub."""
    return name.endswith(".gguf")


def find_gguf(name: str, revision: str | None = None) -> Path:
    """The file that `path.gguf` or `user/repo:file.gguf` means; raises `ValueError` if there is none."""
    if Path(name).is_file():
        return Path(name).absolute()
    repository, _, file = name.partition(":")
    if not file:
        raise ValueError(f"no file at {name}: expected one, or a file on the Hub as user/repo:file.gguf")
    try:
        return Path(hf_hub_download(repository, file, revision=revision))
    except (HTTPError, OSError, HFValidationError) as error:
        raise ValueError(f"cannot load {file} of {repository} from the Hub: {first_line(error)}") from error


def commit_of(file: Path) -> str | None:
    """The commit of the Hub that a file from [`find_gguf`] is of; `None` for one that lies elsewhere."""
    return extract_commit_hash(str(file), None)


def fingerprint(file: Path) -> str:
    """16 hexadecimal digits of its size, its head, which holds all but weights, and its end."""
    size = file.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with file.open("rb") as content:
        digest.update(content.read(_HEAD))
        content.seek(max(0, size - _TAIL))
        digest.update(content.read())
    return digest.hexdigest()[:16]


def plain_model(name: str, revision: str | None = None) -> str:
    """
    The plain folder of a model in a GGUF file; any other name as it is.

    The folder is made when it is first asked for, in Hugging Face's cache of assets, and found there again by whoever
    names the same file: other processes, a resumed run, an evaluation, an export.

    Args:
        name (`str`):
            `path.gguf`, `user/repo:file.gguf`, or a model of another kind.
        revision (`str`, *optional*):
            Branch, tag or commit of a file on the Hub.

    Raises:
        `ValueError`: as in [`dequantize`].
    """
    if not is_gguf(name):
        return name
    file = find_gguf(name, revision)
    folder = cached_assets_path("hicra_trl", namespace="gguf") / f"{file.stem}-{fingerprint(file)}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Of several processes one dequantizes and the others wait; the folder appears when it is whole.
    with WeakFileLock(f"{folder}.lock"):
        if not folder.is_dir():
            say(f"dequantizing {name} into {folder}")
            part = folder.with_name(f"{folder.name}.part")
            # What was killed left a part.
            shutil.rmtree(part, ignore_errors=True)
            try:
                dequantize(file, part).rename(folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    return str(folder)


def dequantize(file: Path, folder: Path) -> Path:
    """
    Writes the model of a GGUF file as a plain folder, in float32.

    Args:
        file (`Path`):
            The file, whole.
        folder (`Path`):
            Gets weights, config, generation config, tokenizer and chat template.

    Returns:
        `Path`: the folder.

    Raises:
        `ValueError`: if the package gguf is missing, if the file has no tokenizer, lacks weights, is broken, or is of
            an architecture that Transformers does not read, or if the folder cannot be written.
    """
    _, tokenizer, ends = read_gguf(file)
    try:
        # With output_loading_info they are two, which its types do not say.
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32, output_loading_info=True, **_as_dense()
        )
        model, info = loaded
    except _UNREADABLE as error:
        raise ValueError(f"cannot read {file}: {first_line(error)}") from error
    if missing := sorted(info["missing_keys"]):
        raise ValueError(f"cannot read {file}: it lacks {len(missing)} of the model's weights, such as {missing[0]}")
    # Transformers takes for granted what of a shape it does not read, and takes weights of any other.
    with torch.device("meta"):
        expected = {name: weight.shape for name, weight in type(model)(model.config).state_dict().items()}
    for name, weight in model.state_dict().items():
        if weight.shape != expected[name]:
            got, wanted = list(weight.shape), list(expected[name])
            raise ValueError(f"cannot read {file}: its {name} is {got}, and its config, as it is read, says {wanted}")
    # As loaded, Trainer takes it for a quantized model and refuses it.
    model.hf_quantizer = None
    vars(model.config).pop("quantization_config", None)
    for config in (model.config, model.generation_config):
        config.bos_token_id, config.pad_token_id = tokenizer.bos_token_id, tokenizer.pad_token_id
        config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.eos_token_id = ends
    try:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"cannot write {folder}: {first_line(error)}") from error
    return folder


def read_gguf(file: Path) -> tuple[PreTrainedConfig, PreTrainedTokenizerFast, list[int]]:
    """
    What a GGUF file holds beside weights: config, tokenizer, and the tokens that end a completion.

    Transformers leaves out which tokens are special, and gives byte-level tokens the decoder of Llama 2 as well.

    Raises:
        `ValueError`: as in [`dequantize`].
    """
    if find_spec("gguf") is None:
        raise ValueError(f"{file}: {not_installed('gguf')}")
    from gguf import GGUFReader

    at: Any = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
    try:
        facts = {name: field.contents() for name, field in GGUFReader(file).fields.items()}
        if (parts := facts.get("split.count", 1)) > 1:
            raise ValueError(f"it is one of {parts} parts, expected one file, as 'llama-gguf-split --merge' makes it")
        if "tokenizer.ggml.tokens" not in facts:
            raise ValueError("it holds no tokenizer")
        config = AutoConfig.from_pretrained(**at)
        tokenizer = AutoTokenizer.from_pretrained(**at)
        return config, tokenizer, _repair(tokenizer, facts)
    except _UNREADABLE as error:
        raise ValueError(f"cannot read {file}: {first_line(error)}") from error


def _repair(tokenizer: PreTrainedTokenizerFast, facts: dict[str, Any]) -> list[int]:
    """Sets decoder, added and special tokens as the file has them; returns the tokens that end a completion."""
    tokens, kinds = facts["tokenizer.ggml.tokens"], facts.get("tokenizer.ggml.token_type", ())

    def named(role: str) -> str | None:
        index = facts.get(f"tokenizer.ggml.{role}_token_id")
        return None if index is None else tokens[index]

    control, defined = ([t for t, kind in zip(tokens, kinds) if kind == one] for one in (_CONTROL, _USER_DEFINED))
    backend = tokenizer.backend_tokenizer
    backend.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control])
    backend.add_tokens([AddedToken(token, normalized=False) for token in defined])
    if facts["tokenizer.ggml.model"] == "gpt2":
        backend.decoder = decoders.ByteLevel()
    tokenizer.clean_up_tokenization_spaces = False
    tokenizer.bos_token, tokenizer.eos_token = named("bos"), named("eos")
    start = tokenizer.bos_token
    if start is not None and facts.get("tokenizer.ggml.add_bos_token", facts["tokenizer.ggml.model"] == "llama"):
        special = [(start, tokens.index(start))]
        backend.post_processor = processors.TemplateProcessing(single=[start, "$A"], special_tokens=special)
    of_text = [token for token in _ENDS_OF_TEXT if token in control]
    ends = [_turn_end(tokenizer, control), named("eos"), named("eot"), *of_text]
    ends = list(dict.fromkeys(end for end in ends if end is not None))
    tokenizer.eos_token = next(iter(ends), None)
    # Often the file's padding is the end of a turn, which is to be learned.
    others = [token for token in (named("padding"), *of_text) if token not in (None, tokenizer.eos_token)]
    tokenizer.pad_token = next(iter(others), tokenizer.eos_token)
    return sorted(tokens.index(end) for end in ends)


def _turn_end(tokenizer: PreTrainedTokenizerFast, control: list[str]) -> str | None:
    """The control token that a chat template puts behind what the model wrote."""
    said = "an answer"
    turns = [{"role": "user", "content": "a question"}, {"role": "assistant", "content": said}]
    try:
        text = str(tokenizer.apply_chat_template(turns, tokenize=False)).rpartition(said)[2]
    except (TemplateError, TypeError, ValueError):  # none, or one that wants other turns
        return None
    return min((token for token in control if token in text), key=text.index, default=None)


def _as_dense() -> dict[str, Any]:
    """What makes those versions of Transformers dequantize that could leave weights in their blocks."""
    try:
        from transformers import GgufConfig
    except ImportError:
        return {}
    return {"quantization_config": GgufConfig(dequantize=True)}
