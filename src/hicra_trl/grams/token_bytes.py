"""The exact bytes behind every token id, read from the tokenizer's own decoder.

A label belongs to a sampled id, so the labeler needs to know which bytes of the text each id wrote. Decoding token by
token cannot tell (half a UTF-8 character decodes to a replacement mark), hence this table.
"""

import json
import re
from typing import Any

from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast


PROBES = (
    "Let's try: x_1 = 3.5,\n\n  so 2·π ≠ 7?",
    "Wait — that can’t be right… naïve café",
    "\\boxed{42}\tπ 中文 🙂🙃 \u00a0end",
)


def _unicode_to_byte() -> dict[str, int]:
    """GPT-2's byte-level alphabet: printable bytes stand for themselves, the others for U+0100 and following."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in printable}
    rest = [byte for byte in range(256) if byte not in set(printable)]
    return table | {chr(0x100 + i): byte for i, byte in enumerate(rest)}


_BYTE = re.compile("<0x([0-9A-Fa-f]{2})>")
_UNICODE_TO_BYTE = _unicode_to_byte()


def _flatten(decoder: dict[str, Any]) -> list[dict[str, Any]]:
    if decoder["type"] == "Sequence":
        return [leaf for part in decoder["decoders"] for leaf in _flatten(part)]
    return [decoder]


def _decoder_family(parts: list[dict[str, Any]]) -> str | None:
    """`"byte-level"` or `"metaspace"`; `None` for a decoder whose bytes cannot be told token by token."""
    types = [part["type"] for part in parts]
    to_space = [p for p in parts if p["type"] == "Replace" and p["pattern"] == {"String": "▁"} and p["content"] == " "]
    # Transformers puts the steps of Llama 2 around the ByteLevel of a GGUF file, whose tokens have nothing for them.
    llama = ["ByteFallback", "Fuse", "Replace", "ByteLevel"]
    if types == ["ByteLevel"] or (to_space and types in (llama, [*llama, "Strip"])):
        return "byte-level"
    spaces = [p for p in parts if p["type"] == "Metaspace" and p.get("replacement", "▁") == "▁"] + to_space
    others = {"ByteFallback", "Fuse", "Strip", "Metaspace", "Replace"}
    if len(spaces) == 1 and types.count("Replace") + types.count("Metaspace") == 1 and set(types) <= others:
        return "metaspace"
    return None


def _byte_level(token: str) -> bytes:
    if all(char in _UNICODE_TO_BYTE for char in token):
        return bytes(_UNICODE_TO_BYTE[char] for char in token)
    return token.encode()  # as the decoder does with a token outside its alphabet


def _metaspace(token: str) -> bytes:
    byte = _BYTE.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else token.replace("▁", " ").encode()


def token_bytes(tokenizer: PreTrainedTokenizerBase) -> list[bytes | None]:
    """
    Bytes of every token id, in id order.

    Args:
        tokenizer ([`~transformers.PreTrainedTokenizerFast`]):
            A tokenizer of the byte-level BPE family (GPT-2, Llama 3, Qwen) or of the `▁` family with byte fallback
            (Llama 2, Gemma).

    Returns:
        `list[bytes | None]`: one entry per id; `None` for special tokens and for ids that no token has.

    Raises:
        `ValueError`: if the decoder is of another kind, if the tokenizer does not give back the text that was put in,
            or if joining the bytes does not give back what the tokenizer itself decodes.

    Example:

    ```python
    >>> table = token_bytes(AutoTokenizer.from_pretrained("Qwen/Qwen3-0.6B"))
    >>> table[tokenizer.convert_tokens_to_ids("Ġwait")]
    b' wait'
    ```
    """
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ValueError(
            f"planning tokens need a fast tokenizer (PreTrainedTokenizerFast), got {type(tokenizer).__name__}"
            + ("; load it with mistral_format=False" if "Mistral" in type(tokenizer).__name__ else "")
        )
    backend = tokenizer.backend_tokenizer
    # Its own state, since that of the whole tokenizer takes a second to write.
    parts = _flatten(json.loads(backend.decoder.__getstate__())) if backend.decoder else []
    family = _decoder_family(parts)
    if family is None:
        names = " + ".join(part["type"] for part in parts) or "none"
        raise ValueError(
            f"cannot tell the bytes of single tokens: got decoder {names}, expected ByteLevel (GPT-2, Llama 3, Qwen) "
            "or Metaspace / Replace('▁') with ByteFallback (Llama 2, Gemma). "
            "WordPiece and SentencePiece without byte fallback lose bytes: train a model with another tokenizer"
        )
    to_bytes = _byte_level if family == "byte-level" else _metaspace
    added = backend.get_added_tokens_decoder()
    vocabulary = backend.get_vocab(with_added_tokens=False)
    table: list[bytes | None] = [None] * (max([*vocabulary.values(), *added], default=-1) + 1)
    for token, index in vocabulary.items():
        if index not in added:
            table[index] = to_bytes(token)
    for index, token in added.items():
        if family == "metaspace" and (not token.special or _BYTE.fullmatch(token.content)):
            table[index] = _metaspace(token.content)
        elif not token.special:
            table[index] = token.content.encode()
    _self_test(tokenizer, table)
    return table


def _self_test(tokenizer: PreTrainedTokenizerFast, table: list[bytes | None]) -> None:
    backend = tokenizer.backend_tokenizer
    # Table and decoder may agree and both be wrong: Transformers gives any folder whose class is LlamaTokenizer the
    # decoder of Llama 2, and a byte-level vocabulary then decodes to "Let'sĠtry". Normalizers change the other probes.
    back = backend.decode(backend.encode(PROBES[0], add_special_tokens=False).ids)
    if back.lstrip(" ") != PROBES[0]:
        raise ValueError(
            f"the tokenizer does not give back the text that was put in: got {back!r}, expected {PROBES[0]!r}. Its "
            f"class {type(tokenizer).__name__} does not fit its file: load it with PreTrainedTokenizerFast, or put "
            "the model's config.json beside it"
        )
    for probe in PROBES:
        ids = [i for i in backend.encode(probe, add_special_tokens=False).ids if table[i] is not None]
        joined = b"".join(table[i] or b"" for i in ids).decode(errors="replace")
        decoded = backend.decode(ids, skip_special_tokens=False)
        # The `▁` decoders drop the space that their normalizer put in front of the text.
        if joined.lstrip(" ") != decoded.lstrip(" "):
            raise ValueError(
                f"the tokenizer decodes {ids[:12]}... to {decoded!r}, but the bytes of its tokens join to {joined!r}"
            )
