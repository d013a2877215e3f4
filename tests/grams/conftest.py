"""One `Case` per tokenizer: the labeler and the oracle of each lexicon, and the ways to spell a text in tokens."""

import os
from collections import defaultdict

import pytest
import torch

from hicra_trl.grams import PlanningTokenLabeler, StrategicGrams

from .oracle import Oracle, to_bytes
from .tokenizers import BYTE_LEVEL, FAMILIES, SPECIAL, tokenizer_of


os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# Nested, overlapping themselves, of punctuation only, in other scripts, and the pieces of other grams
TRICKY = (
    *("so", "so so", "let's try", "let's", "try something", "let me", "me try something", "me try"),
    *("therefore", "wait, but why", "wait", "but", "hmm,", "## step", "# step two", "'s", "a b a", "b a b"),
    *("...", "?!", "why?", "(so", "so)", "_so", "2 so", "it's so", "ok"),
    *("é so", "итак", "давайте проверим", "άρα", "ας δούμε", "因此", "因此 我们"),
    *("cafe\u0301", "πως", "אז", "तो", "अब", "แต่", "ดังนั้น", "し゛", "ｶﾅ", "〇", "İşte", "straẞe", "Ⱥx", "가", "x ="),
)


class Case:
    def __init__(self, family):
        self.tokenizer = tokenizer_of(family)
        self.byte_level = family in BYTE_LEVEL
        self.labelers, self.oracles = {}, {}
        self.add("paper", StrategicGrams.paper())
        self.add("tricky", StrategicGrams(TRICKY))
        self.bytes_of = self.oracles["tricky"].bytes_of
        self.ids_of = defaultdict(list)
        for i, data in self.bytes_of.items():
            self.ids_of[data].append(i)
        self.longest = max(map(len, self.ids_of))
        self.pad, self.special = self.tokenizer.pad_token_id, self.tokenizer.convert_tokens_to_ids(list(SPECIAL))

    def add(self, lexicon, grams):
        self.labelers[lexicon] = PlanningTokenLabeler(self.tokenizer, grams)
        self.oracles[lexicon] = Oracle(self.tokenizer, self.byte_level, grams)

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False)

    def spell(self, text):
        """One token per byte; a surrogate of U+DC80..U+DCFF stands for a byte that is no UTF-8."""
        return [self.ids_of[bytes([byte])][0] for byte in to_bytes(text)]

    def segment(self, data, rng):
        """`data` cut into tokens at random, through the middle of words and of characters."""
        ids, at = [], 0
        while at < len(data):
            sizes = range(1, min(self.longest, len(data) - at) + 1)
            size = rng.choice([size for size in sizes if data[at : at + size] in self.ids_of])
            ids.append(rng.choice(self.ids_of[data[at : at + size]]))
            at += size
        return ids

    def label(self, ids, lexicon="tricky", mask=None):
        mask = None if mask is None else torch.tensor([mask])
        return self.labelers[lexicon](torch.tensor([ids], dtype=torch.int64), mask)[0].tolist()

    def occurrences(self, ids, lexicon="tricky", mask=None):
        mask = None if mask is None else torch.tensor([mask])
        return [tuple(o) for o in self.labelers[lexicon].occurrences(torch.tensor([ids]), mask)[0]]


@pytest.fixture(scope="session", params=FAMILIES)
def case(request):
    return Case(request.param)
