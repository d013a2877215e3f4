"""`hicra view` on many long rollouts: size of the page, seconds to build it, seconds until it can be used in Chromium.

    python benchmarks/viewer.py [--rollouts 2000] [--tokens 4000]

Tokens are drawn by Zipf's law, one by one, so that the page compresses worse than one of real text.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from hicra_trl.analysis.viewer import read_run, write_view
from hicra_trl.training.runs.token_record import RecordedCompletion, RecordHeader, record_file, write_record


sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from chromium import Chromium


VOCABULARY = 30_000
GRAMS = ["let me", "but wait", "so"]
GROUP = 8


def completion(generator, header, step, group, index, tokens, vocabulary):
    ids = generator.choice(len(vocabulary[0]), tokens, p=vocabulary[1]).astype(np.int32)
    texts = [vocabulary[0][token] for token in ids]
    planning = generator.random(tokens) < 0.1
    # Most tokens are certain, some are not.
    entropy = generator.exponential(np.where(generator.random(tokens) < 0.7, 0.02, 0.8))
    reward = float(generator.integers(2))
    return RecordedCompletion(
        header=header,
        step=step,
        rank=0,
        group=group,
        index=index,
        prompt=f"Problem {group} of step {step}: " + "what is asked for here? " * 10,
        completion=b"".join(texts),
        ends=np.cumsum([len(text) for text in texts]).astype(np.int32),
        ids=ids,
        own=np.ones(tokens, dtype=bool),
        planning=planning,
        gram=np.where(planning, generator.integers(len(GRAMS), size=tokens), -1).astype(np.int32),
        advantage=reward - 0.5,
        credited=(reward - 0.5 + 0.1 * planning).astype(np.float32),
        logp=(-entropy * generator.exponential(1, tokens)).astype(np.float16),
        entropy=entropy.astype(np.float16),
        rewards=np.array([reward], dtype=np.float32),
        reward=reward,
        cut=False,
    )


def write_run(run, rollouts, tokens):
    generator = np.random.default_rng(0)
    words = [
        b" " + bytes(generator.integers(97, 123, generator.integers(1, 8)).astype(np.uint8)) for _ in range(VOCABULARY)
    ]
    weights = 1 / np.arange(1, VOCABULARY + 1)
    header = RecordHeader(0.2, "planning", "0" * 16, 1.0, ["accuracy"], GRAMS)
    groups = rollouts // GROUP
    for step in range(0, groups, 10):
        rows = [
            completion(generator, header, step + 1, group, index, tokens, (words, weights / weights.sum()))
            for group in range(min(10, groups - step))
            for index in range(GROUP)
        ]
        write_record(record_file(run, step + 1, 0), rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rollouts", type=int, default=2000)
    parser.add_argument("--tokens", type=int, default=4000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run, page = Path(folder, "run"), Path(folder, "view.html")
        write_run(run, args.rollouts, args.tokens)
        record = sum(file.stat().st_size for file in run.rglob("*.parquet"))
        start = time.perf_counter()
        write_view(page, [read_run(run)])
        built = time.perf_counter() - start
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        print(f"{args.rollouts} rollouts of {args.tokens} tokens, {record / 1e6:.0f} MB of records")
        print(f"page {page.stat().st_size / 1e6:.1f} MB, built in {built:.1f} s, {memory:.0f} MB of memory")
        with Chromium(Path(folder, "profile"), seconds=120) as browser:
            browser.look()
            browser.open(page.as_uri())
            browser.until("document.documentElement?.dataset.usable")
            usable = float(browser.evaluate("document.documentElement.dataset.usable"))
            browser.until("document.readyState === 'complete'")
            whole = browser.evaluate("performance.timing.loadEventEnd - performance.timing.navigationStart")
            start = time.perf_counter()
            browser.press("J", shift=True)
            browser.until("panes[0].meta.textContent.includes('group 1 ')")
            moved = time.perf_counter() - start
            browser.press("/")
            start = time.perf_counter()
            browser.write("found nowhere at all")
            browser.until("document.getElementById('found').textContent === 'Nothing is like this.'")
            searched = time.perf_counter() - start
        print(f"usable after {usable / 1000:.2f} s, loaded after {whole / 1000:.2f} s")
        print(f"another rollout after {moved:.2f} s, everything searched in {searched:.1f} s")


if __name__ == "__main__":
    main()
