"""Evaluation: seconds of everything but sampling, per 10,000 samples.

    python benchmarks/evaluation.py [--traces FOLDER] [--benchmarks FOLDER]

The samples are real traces on real problems, 32 of each, in batches of 32 as an engine hands them over; each ends with
a box: the right answer, another problem's, or one that only algebra can read; none hangs.
"""

import argparse
import random
import tempfile
import time
from pathlib import Path

from hicra_trl.evaluation import Benchmark, load_items
from hicra_trl.evaluation.engines.engine import Completion, Prompt, Request
from hicra_trl.evaluation.judging import Marker
from hicra_trl.evaluation.report.tables import results_text
from hicra_trl.evaluation.samples.storage import SampleFile, read_samples, samples_file
from hicra_trl.evaluation.statistics.summary import summarize
from hicra_trl.grams import StrategicGrams
from hicra_trl.rewards import Grader
from labeler import read_traces, train_tokenizer


SHARED = Path(__file__).parents[2] / "shared" / "data"
ITEMS, SAMPLES, BATCH = 312, 32, 32
HARD = (r"\frac{\sqrt{2}}{2}+x", r"x^2+2x+1", r"2\sqrt{3}-1", r"\left(\frac{\pi}{3}, 2\right)")


def completions(items, texts, tokenizer, rng):
    """Every sample as an engine would hand it over."""
    encoded = {}
    golds = [item.gold.answer for item in items]
    for item in items:
        prompt = Prompt(item, item.problem)
        for index in range(SAMPLES):
            at = rng.randrange(len(texts))
            answer = rng.choices([item.gold.answer, rng.choice(golds), rng.choice(HARD)], [70, 28, 2])[0]
            end = f"\n\nThe answer is $\\boxed{{{answer}}}$."
            if at not in encoded:
                encoded[at] = tokenizer.encode(texts[at])
            ids = encoded[at] + tokenizer.encode(end)
            yield Completion(Request(prompt, index), texts[at] + end, ids, len(ids), "stop", index)


def main(traces, benchmarks):
    rng = random.Random(0)
    texts = read_traces(traces)
    tokenizer = train_tokenizer(texts)
    items = load_items(Benchmark("math500", str(benchmarks / "math500.jsonl")))[:ITEMS]
    drawn = list(completions(items, texts, tokenizer, rng))
    batches = [drawn[start : start + BATCH] for start in range(0, len(drawn), BATCH)]
    grams = StrategicGrams.paper()
    seconds = dict.fromkeys(("grading", "labeling", "storing", "reading", "results"), 0.0)

    def timed(name, function, *args):
        start = time.perf_counter()
        result = function(*args)
        seconds[name] += time.perf_counter() - start
        return result

    with tempfile.TemporaryDirectory() as folder, Grader() as grader, SampleFile(folder, "math500") as stored:

        def grade(texts, golds):
            return timed("grading", grader, texts, golds)

        marker = Marker(grade, grams, tokenizer)
        for batch in batches:
            samples = timed("labeling", marker, batch)
            timed("storing", stored.append, samples)
        seconds["labeling"] -= seconds["grading"]
        samples = timed("reading", read_samples, samples_file(folder, "math500"))
        summary = timed("results", summarize, "math500", samples, ITEMS, SAMPLES)
        timed("results", results_text, [summary])
    tokens = sum(sample.tokens for sample in samples)
    failures = sum(sample.failure is not None for sample in samples)
    right = summary.metrics["pass@1"].value
    print(f"{len(samples):,} samples of {ITEMS} problems, {tokens:,} tokens; {right:.1%} right")
    print(f"{failures} gradings not finished")
    print(f"{'step':<10}{'seconds per 10,000 samples':>28}")
    for name, spent in (*seconds.items(), ("together", sum(seconds.values()))):
        print(f"{name:<10}{spent * 10_000 / len(samples):>28.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=Path, default=SHARED / "traces")
    parser.add_argument("--benchmarks", type=Path, default=SHARED / "benchmarks")
    arguments = parser.parse_args()
    main(arguments.traces, arguments.benchmarks)
