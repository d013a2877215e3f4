"""Planning-token labeling: tokens per second and correctness, side by side with two obvious alternatives.

    python benchmarks/labeler.py [--traces FOLDER]

All methods run on one thread. The two slow ones and the oracle see the first rows only; their speed is per token.
"""

import argparse
import json
import random
import re
import time
from bisect import bisect_right
from collections import defaultdict
from itertools import accumulate
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from hicra_trl.grams import PlanningTokenLabeler, StrategicGrams
from hicra_trl.grams.token_bytes import token_bytes


TRACES = Path(__file__).parents[2] / "shared" / "data" / "traces"
NUM_ROWS, MIN_TOKENS, MAX_TOKENS = 64, 8_000, 32_000
NUM_SLOW_ROWS = 4
# The pre-tokenizer of Qwen and of Llama 3, but for their limits on runs of digits.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SENTENCES = (
    "{gram} the sum of {a} and {b} is {c}.",
    "{gram}, {a} times {b} gives \\frac{{{c}}}{{{a}}} = {c}, also known from the table.",
    "The angle is ${a}^\\circ$, \\therefore x = {b} − {c}.",
    "Substituting x = {a} into the equation, we get {b}x + {c} = 0.",
    "{gram} divide both sides by {a}:\n\n  {b} = {c}",
    "It’s clear that {gram} {a} ≤ {b}; several cases remain.",
)


def generated(grams, rng):
    """A paragraph of templated reasoning, where no traces are at hand."""
    words = []
    for _ in range(200):
        gram = rng.choice(list(grams)).replace("'", rng.choice("'’"))
        a, b, c = (rng.randint(1, 999) for _ in range(3))
        words.append(
            rng.choice(SENTENCES).format(gram=gram.capitalize() if rng.random() < 0.5 else gram, a=a, b=b, c=c)
        )
    return " ".join(words)


def read_traces(folder):
    return [json.loads(line)["completion"] for file in sorted(folder.glob("*.jsonl")) for line in file.open()]


def train_tokenizer(texts):
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=32_000, initial_alphabet=alphabet, special_tokens=["<pad>"], show_progress=False
    )
    backend.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>")


def make_rows(texts, tokenizer, rng):
    """Rows of 8k to 32k tokens, each of whole texts in random order, as a padded batch with its mask."""
    encoded = [tokenizer.encode(text) for text in texts]
    rows = []
    for _ in range(NUM_ROWS):
        row, size = [], rng.randint(MIN_TOKENS, MAX_TOKENS)
        while len(row) < size:
            row += rng.choice(encoded)
        rows.append(torch.tensor(row[:size]))
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    return ids, torch.arange(ids.shape[1]) < lengths[:, None]


def gram_pattern(gram):
    """A regular expression for one gram, as the documentation defines an occurrence."""
    body = r"\s+".join(re.escape(word).replace("'", "['’]") for word in gram.split(" "))
    left = r"(?<![\w\\])" if re.match(r"\w", gram) else r"(?<!\\)"
    right = r"(?!\w)" if re.search(r"\w\Z", gram) else ""
    return re.compile(left + body + right, re.IGNORECASE)


class RegexPerGram:
    """The oracle: one regular expression a gram over the exact text; slow, and nothing is shared with the labeler
    but the table of token bytes."""

    def __init__(self, tokenizer, grams):
        self.table = token_bytes(tokenizer)
        self.patterns = [gram_pattern(gram) for gram in grams]

    def __call__(self, row):
        pieces = [self.table[i] or b"\0" for i in row.tolist()]
        ends = list(accumulate(map(len, pieces)))
        text = b"".join(pieces).decode()
        offsets = [0, *accumulate(len(char.encode()) for char in text)]
        result = torch.zeros(len(row), dtype=torch.bool)
        for pattern in self.patterns:
            for match in pattern.finditer(text):
                first = bisect_right(ends, offsets[match.start()])
                last = bisect_right(ends, offsets[match.end()] - 1)
                result[first : last + 1] = True
        return result


class DecodeAndRegex:
    """Decodes token by token and searches the text for the union of all grams."""

    def __init__(self, tokenizer, grams):
        self.tokenizer = tokenizer
        longest_first = sorted(grams, key=len, reverse=True)
        self.pattern = re.compile("|".join(gram_pattern(gram).pattern for gram in longest_first), re.IGNORECASE)

    def __call__(self, row):
        pieces = [self.tokenizer.decode([i]) for i in row.tolist()]
        ends = list(accumulate(map(len, pieces)))
        result = torch.zeros(len(row), dtype=torch.bool)
        for match in self.pattern.finditer("".join(pieces)):
            result[bisect_right(ends, match.start()) : bisect_right(ends, match.end() - 1) + 1] = True
        return result


class SlidingWindows:
    """Compares the token ids of every gram with every window of the row, one length at a time."""

    def __init__(self, tokenizer, grams):
        by_length = defaultdict(list)
        for gram in grams:
            ids = tokenizer.encode(gram)
            by_length[len(ids)].append(ids)
        self.grams = {length: torch.tensor(ids) for length, ids in by_length.items()}

    def __call__(self, row):
        result = torch.zeros(len(row), dtype=torch.bool)
        for length, grams in self.grams.items():
            windows = row.unfold(0, length, 1)
            starts = (windows[:, None, :] == grams[None]).all(-1).any(-1).nonzero().squeeze(1)
            for offset in range(length):
                result[starts + offset] = True
        return result


def best_seconds(function, repeats):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=Path, default=TRACES, help="folder of JSONL files with a column `completion`")
    folder = parser.parse_args().traces
    torch.set_num_threads(1)
    rng, grams = random.Random(0), StrategicGrams.paper()
    texts = read_traces(folder) if folder.is_dir() else [generated(grams, rng) for _ in range(300)]
    tokenizer = train_tokenizer(texts)
    ids, mask = make_rows(texts, tokenizer, rng)
    lengths = mask.sum(dim=1)
    rows = [ids[i, : lengths[i]] for i in range(NUM_SLOW_ROWS)]
    few = int(lengths[:NUM_SLOW_ROWS].sum())
    print(
        f"{NUM_ROWS} rows of {int(lengths.min()):,} to {int(lengths.max()):,} tokens, {int(lengths.sum()):,} in all, "
        f"{len(tokenizer):,} entries in the vocabulary; {'real traces' if folder.is_dir() else 'generated text'}"
    )
    labeler = PlanningTokenLabeler(tokenizer, grams)
    oracle = RegexPerGram(tokenizer, grams)
    truth = torch.cat([oracle(row) for row in rows])
    found = labeler(ids, mask)
    labels = torch.cat([found[i, : lengths[i]] for i in range(NUM_SLOW_ROWS)])
    results = {
        "labeler": (int(lengths.sum()) / best_seconds(lambda: labeler(ids, mask), 5), labels),
        "labeler, with occurrences": (int(lengths.sum()) / best_seconds(lambda: labeler.label(ids, mask), 5), labels),
    }
    for name, method in {
        "decode each token + regex": DecodeAndRegex(tokenizer, grams),
        "sliding windows of ids": SlidingWindows(tokenizer, grams),
    }.items():
        masks = [method(row) for row in rows]
        results[name] = (few / best_seconds(lambda method=method: [method(row) for row in rows], 2), torch.cat(masks))
    fastest = results["labeler"][0]
    print(f"{'method':<28}{'Mtokens/s':>10}{'labeler is':>12}{'recall':>9}{'precision':>11}")
    for name, (speed, labeled) in results.items():
        right = (labeled & truth).sum()
        recall, precision = right / truth.sum(), right / labeled.sum()
        print(f"{name:<28}{speed / 1e6:>10.3f}{fastest / speed:>10.1f} x{recall:>9.4f}{precision:>11.4f}")


if __name__ == "__main__":
    main()
