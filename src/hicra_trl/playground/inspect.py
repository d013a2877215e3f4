"""What a world's base can and cannot do: `python -m hicra_trl.playground.inspect WORLD [BASE]`.

The base is pretrained into `runs/WORLD/BASE` first, unless it is there.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

from ..terminal import table
from .evaluate import judge, sample
from .experiment import prepare
from .pretrain import BASES, RECORD
from .worlds import WORLDS, Problem, World


def only_ways(world: World, problems: Sequence[Problem]) -> dict[str, float]:
    """The share of the problems that each choice alone solves."""
    solving = [world.solving(problem) for problem in problems]
    counts = Counter(choices[0] for choices in solving if len(choices) == 1)
    return {choice: counts[choice] / len(problems) for choice in sorted({one for all_ in solving for one in all_})}


def inspect(world: World, folder: Path, samples_per_problem: int = 8) -> str:
    """
    Samples a base on the held-out problems, and says what it finds.

    Args:
        world ([`World`]):
            The world of the base.
        folder (`Path`):
            The base, as [`pretrain`] leaves it.
        samples_per_problem (`int`, *optional*, defaults to `8`):
            Completions per problem.
    """
    record = json.loads((folder / RECORD).read_text())
    training, held_out = world.split(record["config"]["seed"])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    begin = time.perf_counter()
    completions, problems = sample(
        model, tokenizer, held_out, samples_per_problem=samples_per_problem, max_new_tokens=world.max_new_tokens
    )
    seconds = time.perf_counter() - begin
    summary = judge(completions, problems, tokenizer, world)
    traces = [world.read(text, problem) for text, problem in zip(completions, problems)]
    first = Counter(world.choice(trace.attempts[0]) for trace in traces if trace.attempts)
    only = only_ways(world, [*training, *held_out])
    head = [
        f"world {world.name}, base {folder}: {record['num_parameters']:,} parameters, "
        f"{record['config']['steps']} steps, {record['seconds']:.0f} s of pretraining",
        f"{len(training)} problems for training, {len(held_out)} held out, {len({*training} & {*held_out})} in both",
        f"{summary.num_completions} completions of the held-out problems in {seconds:.0f} s, "
        f"{summary.mean_length:.1f} tokens, {summary.mean_attempts:.2f} attempts each",
        f"right: {summary.accuracy:.1%}; steps right: {summary.step_accuracy:.1%} of {summary.num_steps}",
    ]
    total = max(first.total(), 1)
    choices = [
        ("choice", "first choice", "only way"),
        *((c, f"{first[c] / total:.1%}", f"{only[c]:.1%}") for c in only),
    ]
    classes = [("class", "share"), *((outcome, f"{share:.1%}") for outcome, share in summary.outcomes.items())]
    return "\n".join(head) + f"\n\n{table(choices)}\n\n{table(classes)}"


def main(argv: list[str]) -> int:
    """Prints it, and returns the exit status."""
    name, base = (*argv, "base")[:2] if argv else ("", "base")
    if name not in WORLDS or len(argv) > 2 or base not in BASES[name]:
        known = ", ".join(f"{world} ({', '.join(bases)})" for world, bases in BASES.items())
        print(f"hicra_trl.playground.inspect: got {' '.join(argv)!r}, expected WORLD [BASE]: {known}", file=sys.stderr)
        return 2
    print(inspect(WORLDS[name], prepare(world=WORLDS[name], base=base).model))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
