"""Five small tokenizers, trained in the test session, for the two families of decoders that the labeler supports.

Their vocabularies are small, so that grams fall apart in odd ways, and hold tokens that no trainer would make: tokens
that cross a word boundary, that hold half of a UTF-8 character, or no byte at all. Special and added tokens stand in
the middle of the id range, behind ids that no token has, so `len(tokenizer)` is less than the highest id.
"""

import functools
import json
import random
import re
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode


BYTE_LEVEL = ("gpt2", "qwen")
FAMILIES = (*BYTE_LEVEL, "llama2", "gemma", "unigram")
SPECIAL = ("<unk>", "<pad>", "<|endoftext|>", "<|im_end|>", "<|wait|>", "endofturn")
# "é" is also how byte-level tokenizers spell the byte E9: an added token is text, not such a spelling
ADDED = ("<think>", "wait,so", "voilé", "é let’s ")
SPELLING = bytes_to_unicode()
PAPER_GRAMS = Path(__file__).parents[2] / "src/hicra_trl/grams/paper.txt"
# Bytes, because some are no text. Each meets a gram (so, let's, let me, wait, therefore) in the middle of a token
ODD = [
    *("so", ".So", "x so", "s. Let", "\n\nso", "also", " so ", "so so", "e m", "t me", "’s"),
    *("\\s", "\\there", "é s", "oé"),
    *(b"\x80\x99s", b"t\xe2\x80", b" \xe3", b"\x80\x80", b"so\xc3", b"\xa9so", b"\xa0m", b"t\xc2", b"\x99", b"o\xf0"),
]
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def corpus():
    """Short lines of made-up reasoning: every gram of the paper, between words, formulas and other scripts."""
    rng = random.Random(0)
    grams = PAPER_GRAMS.read_text(encoding="utf-8").split("\n")
    filler = re.split(
        " ",
        "the sum of x and y is also equal to 12,  soap is sold for $3.50 \\therefore \\so \\frac{a}{b} = 2.\n\n "
        "reasoning lets someone wait a while, étude café naïve 因此 我们 所以 итак давайте проверим άρα ας δούμε 😀 "
        "is not resolved so far; this\tanswer\u00a0was wrong. Let’s It’s soé éso",
    )
    lines = []
    for gram in grams * 3:
        words = rng.choices(filler, k=6)
        words.insert(rng.randrange(6), rng.choice([gram, gram.capitalize(), gram.replace("'", "’"), gram.upper()]))
        lines.append(" ".join(words) + rng.choice([".", "\n", "?", ", "]))
    return lines


def byte_level_piece(data):
    return "".join(SPELLING[byte] for byte in data)


def with_odd_tokens(trained, odd):
    """`trained` with `odd` pieces, the special and the added tokens in the middle of its ids, behind a hole."""
    state = json.loads(trained.to_str())
    model = state["model"]
    unigram = model["type"] == "Unigram"
    pieces = [p for p, _ in model["vocab"]] if unigram else sorted(model["vocab"], key=model["vocab"].get)
    extra = [piece for piece in dict.fromkeys([*odd, *ADDED, *SPECIAL]) if piece not in pieces]
    middle = len(pieces) // 2
    if unigram:  # its ids are places in a list: no holes
        model["vocab"][middle:middle] = [[piece, -30.0] for piece in extra]
        model["byte_fallback"] = True
        model["unk_id"] = next(i for i, (piece, _) in enumerate(model["vocab"]) if piece == "<unk>")
    else:
        pieces[middle:middle] = [None] * 5 + extra + [None]
        model["vocab"] = {piece: i for i, piece in enumerate(pieces) if piece is not None}
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in ADDED])
    return tokenizer


def train_byte_level(pre_tokenizer):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizer, decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    odd = [byte_level_piece(piece.encode() if isinstance(piece, str) else piece) for piece in ODD]
    return with_odd_tokens(tokenizer, ["", *odd])


def train_byte_fallback(model, decoder, normalizer=None, pre_tokenizer=None):
    tokenizer = Tokenizer(model)
    tokenizer.decoder = decoder
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    if isinstance(model, models.Unigram):
        trainer = trainers.UnigramTrainer(vocab_size=400, unk_token="<unk>", special_tokens=["<unk>"])
    else:  # without a pre-tokenizer a line is one word, so some tokens cross the boundaries of words
        trainer = trainers.BpeTrainer(vocab_size=500, limit_alphabet=70, show_progress=False)
    trainer.show_progress = False
    tokenizer.train_from_iterator(corpus(), trainer)
    odd = [piece.replace(" ", "▁") for piece in ODD if isinstance(piece, str)]
    return with_odd_tokens(tokenizer, [f"<0x{byte:02X}>" for byte in range(256)] + odd)


def fallback_bpe():
    return models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True)


@functools.cache
def tokenizer_of(family):
    to_space, from_bytes, fuse = decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()
    spaces = normalizers.Replace(" ", "▁")
    if family == "gpt2":
        backend = train_byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))
    elif family == "qwen":
        split = pre_tokenizers.Split(Regex(QWEN_SPLIT), "isolated")
        to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        backend = train_byte_level(pre_tokenizers.Sequence([split, to_bytes]))
    elif family == "llama2":
        decoder = decoders.Sequence([to_space, from_bytes, fuse, decoders.Strip(" ", 1, 0)])
        normalizer = normalizers.Sequence([normalizers.Prepend("▁"), spaces])
        backend = train_byte_fallback(fallback_bpe(), decoder, normalizer)
    elif family == "gemma":
        decoder = decoders.Sequence([to_space, from_bytes, fuse])
        backend = train_byte_fallback(fallback_bpe(), decoder, spaces)
    else:
        decoder = decoders.Sequence([from_bytes, decoders.Metaspace()])
        backend = train_byte_fallback(models.Unigram(), decoder, None, pre_tokenizers.Metaspace())
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="<|endoftext|>", unk_token="<unk>"
    )
