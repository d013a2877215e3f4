r"""Grading: pairs per second and the slowest pairs, side by side with math-verify called in process.

    python benchmarks/grading.py [--traces FOLDER] [--rounds 3]

Three mixes: what training sees (groups of 16 completions, most answers integers, the same answers again and again),
distinct expressions that only algebra can compare, and one hostile answer in eight. Both grade the same whole
completions in the same run. Ours keeps no verdicts from call to call; math-verify keeps its own time limit of 5 s for
each parse and each comparison, and is stopped after a minute a mix.
"""

import argparse
import json
import logging
import multiprocessing
import random
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from hicra_trl.rewards import Grader


TRACES = Path(__file__).parents[2] / "shared" / "data" / "traces"
GROUPS, GROUP = 32, 16
MAX_SECONDS = 60.0
FILLER = "Let us set $x = 3$ and look at \\frac{a}{b} again: wait, that gives 12, so the other case has to hold. "
SYMBOLIC = (
    (r"\frac{{\sqrt{{{b}}}}}{{{a}}}", r"\frac{{{b}}}{{{a}\sqrt{{{b}}}}}"),
    (r"(x+{a})(x-{b})", r"x^2 + {d}x - {c}"),
    (r"{a}\pi + {b}", r"{b} + {a} \cdot \pi"),
    (r"\left( {a}, \frac{{\sqrt{{{b}}}}}{{2}} \right)", r"({a}, \sqrt{{{b}/4}})"),
    (r"y = {a}x + {b}", r"{a}x - y + {b} = 0"),
    (r"{a} + {b}\sqrt{{2}}", r"{b}\sqrt{{2}} + {a}"),
)
HOSTILE = (
    "9^{9^{9^{9}}} + x",
    "10^{10^{10}} - y",
    "2^{2^{100}} + z",
    r"\sum_{k=1}^{1000000000} \frac{1}{k^2 + x}",
    r"\int_0^1 \sin(x^x) e^{x^2} dx",
    r"\binom{10000000}{5000000} + x",
    "(x+1)^{5000} (x-1)^{5000}",
    "(" * 40 + "x" + "+1)" * 40,
    "9999999999! + x",
)


class Mix(NamedTuple):
    """Completions, golds, and which of them have a benign answer, and so a verdict that is known: all are right."""

    completions: list[str]
    golds: list[str]
    benign: list[bool]


class Speed(NamedTuple):
    """What one round measured: pairs in a second, seconds of each pair, verdicts, and whether it came to an end."""

    pairs_per_second: float
    latencies: list[float]
    verdicts: list[bool]
    ended: bool = True


def reasoning(folder: Path) -> list[str]:
    if not folder.is_dir():
        return [FILLER * 60]
    texts = [json.loads(line)["completion"] for file in sorted(folder.glob("*.jsonl")) for line in file.open()]
    return [text.replace("\\boxed", "") for text in texts]


def boxed(texts: list[str], answer: str, rng: random.Random) -> str:
    return f"{rng.choice(texts)}\n\n**Final answer**\n\\[\\boxed{{{answer}}}\\]"


def training_mix(texts: list[str], rng: random.Random) -> Mix:
    """Three prompts in four have an integer answer; a group has a few wrong answers that come again."""
    completions, golds, benign = [], [], []
    for _ in range(GROUPS):
        top, bottom = rng.randint(2, 999), rng.choice([7, 11, 13])
        integer = rng.random() < 0.75
        gold = str(top) if integer else rf"\frac{{{top}}}{{{bottom}}}"
        right = [gold, f"x = {gold}", f"{top}.0" if integer else rf"\dfrac{{{top}}}{{{bottom}}}"]
        wrong = [str(top + rng.randint(1, 20)) for _ in range(3)] + [rf"{top}\sqrt{{2}}"]
        for _ in range(GROUP):
            is_right = rng.random() < 0.5
            completions.append(boxed(texts, rng.choice(right if is_right else wrong), rng))
            golds.append(gold)
            benign.append(is_right)
    return Mix(completions, golds, benign)


def symbolic_mix(texts: list[str], rng: random.Random) -> Mix:
    completions, golds = [], []
    for at in range(192):
        a, b = rng.randint(2, 9), rng.randint(10, 99)
        numbers = {"a": b, "b": a, "c": a * b, "d": b - a}
        gold, answer = (text.format(**numbers) for text in SYMBOLIC[at % len(SYMBOLIC)])
        completions.append(boxed(texts, answer, rng))
        golds.append(gold)
    return Mix(completions, golds, [True] * len(golds))


def hostile_mix(texts: list[str], rng: random.Random) -> Mix:
    mix = symbolic_mix(texts, rng)
    for at in range(0, 72, 8):
        mix.completions[at] = boxed(texts, HOSTILE[at // 8], rng)
        mix.benign[at] = False
    return Mix(mix.completions[:72], mix.golds[:72], mix.benign[:72])


def grade_with_ours(mix: Mix) -> Speed:
    """All at once, as training does; then one at a time, for what one pair costs."""
    with Grader(cache_size=0) as grader:
        grader([r"\boxed{b+a}"], ["a+b"])
        start = time.perf_counter()
        verdicts = grader(mix.completions, mix.golds)
        seconds = time.perf_counter() - start
        latencies = []
        for completion, gold in zip(mix.completions, mix.golds, strict=True):
            start = time.perf_counter()
            grader([completion], [gold])
            latencies.append(time.perf_counter() - start)
    return Speed(len(verdicts) / seconds, latencies, [verdict.correct for verdict in verdicts])


def grade_with_math_verify(mix: Mix) -> Speed:
    """One at a time in the main thread of a process that can be killed: some inputs cannot be interrupted."""
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=verify_all, args=(theirs, mix.completions, mix.golds), daemon=True)
    process.start()
    ours.recv()
    deadline = time.perf_counter() + MAX_SECONDS
    latencies, verdicts = [], []
    while len(verdicts) < len(mix.golds) and ours.poll(max(0.0, deadline - time.perf_counter())):
        seconds, verdict = ours.recv()
        latencies.append(seconds)
        verdicts.append(verdict)
    process.kill()
    process.join()
    ended = len(verdicts) == len(mix.golds)
    if not ended:
        latencies.append(MAX_SECONDS - sum(latencies))
    return Speed(len(verdicts) / sum(latencies), latencies, verdicts, ended)


def verify_all(connection: Connection, completions: list[str], golds: list[str]) -> None:
    from math_verify import parse, verify

    logging.disable(logging.ERROR)
    verify(parse("$a+b$"), parse("$b+a$"))
    connection.send("ready")
    for completion, gold in zip(completions, golds, strict=True):
        start = time.perf_counter()
        verdict = verify(parse(f"\\boxed{{{gold}}}"), parse(completion))
        connection.send((time.perf_counter() - start, verdict))


def print_row(mix_name: str, grader: str, rounds: list[Speed], mix: Mix) -> None:
    latencies = sorted(seconds * 1e3 for speed in rounds for seconds in speed.latencies)
    middle = statistics.median(speed.pairs_per_second for speed in rounds)
    accepted = [verdict for verdict, benign in zip(rounds[-1].verdicts, mix.benign) if benign]
    note = "" if rounds[-1].ended else f"  stopped after {len(rounds[-1].verdicts)} of {len(mix.golds)} pairs"
    print(
        f"{mix_name:<10}{grader:<13}{middle:>11,.0f}{statistics.median(latencies):>10.2f}"
        f"{latencies[int(0.99 * (len(latencies) - 1))]:>11.2f}{latencies[-1]:>11.1f}"
        f"{sum(accepted):>9} of {sum(mix.benign)}{note}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=Path, default=TRACES, help="folder of JSONL files with a column `completion`")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of which the median counts")
    options = parser.parse_args()
    texts, rng = reasoning(options.traces), random.Random(0)
    mixes = {
        make.__name__.removesuffix("_mix"): make(texts, rng) for make in (training_mix, symbolic_mix, hostile_mix)
    }
    graders: dict[str, Callable[[Mix], Speed]] = {"hicra-trl": grade_with_ours, "math-verify": grade_with_math_verify}
    print(f"{'mix':<10}{'grader':<13}{'pairs/s':>11}{'p50 ms':>10}{'p99 ms':>11}{'max ms':>11}{'right found':>16}")
    for mix_name, mix in mixes.items():
        count = 1 if mix_name == "hostile" else options.rounds
        rounds = [{name: grade(mix) for name, grade in graders.items()} for _ in range(count)]
        for name in graders:
            print_row(mix_name, name, [one[name] for one in rounds], mix)


if __name__ == "__main__":
    main()
