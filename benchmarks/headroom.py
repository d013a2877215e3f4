"""How much a perfect credit gains in a world: GRPO against an oracle, each at its own best learning rate.

    python benchmarks/headroom.py run orders --rates 3e-4 6e-4 1e-3 --seeds 1
    python benchmarks/headroom.py run orders --rates 6e-4 --seeds 2 3 4 5
    python benchmarks/headroom.py show orders

The oracle reads every sampled completion exactly, and credits the tokens alone that decide: a choice is right if it
solves the problem, whatever became of it; to go on is right, and to give up is wrong; a step of a move that solves the
problem is right or wrong, and the first token that no trace of the world could have there is wrong. The advantage is 1
or 0 minus a mean over the tokens that decide in that kind: half way between that of the problem and that of the
generation. All other tokens get nothing.

Rates are compared with one seed, and the best of each method gets the others. One job is one method, rate and seed.
What is finished is kept, and several processes may share a folder.
"""

import argparse
import json
import re
import tempfile
import time
from pathlib import Path
from statistics import fmean

import regex
import torch
import yaml
from datasets import Dataset

from hicra_trl.disk import write_whole
from hicra_trl.playground import orders
from hicra_trl.playground.evaluate import judge, sample
from hicra_trl.playground.experiment import prepare
from hicra_trl.playground.traces import PHRASES
from hicra_trl.playground.world import countdown_reward, problem_rows
from hicra_trl.playground.worlds import WORLDS
from hicra_trl.terminal import table
from hicra_trl.training import HICRAConfig, HICRATrainer


RECIPES = Path(__file__).parents[1] / "recipes"
REWARDS = {"playground": countdown_reward, "orders": orders.order_reward}
SENTENCES = [
    regex.compile(pattern.pattern, regex.IGNORECASE | regex.ASCII)
    for pattern in (orders._MOVE, orders._STEP, orders._END)
]
BACKTRACK = re.compile(rf"(?:{'|'.join(map(re.escape, orders.BACKTRACK))}), \Z", re.IGNORECASE)
METHODS = ("grpo", "oracle", "oracle-moves")
# 8 problems x 8 completions a step: with large batches nothing separates in the playground.
SMALL = {"per_device_train_batch_size": 64, "num_generations": 8, "steps_per_generation": 1}


def decisions(world, text, problem):
    """What decides a completion: (kind, start, end, right), spans in characters."""
    trace = world.read(text, problem)
    if world.name == "playground":
        for move, right in (("check", True), ("backtrack", True), ("give up", False)):
            for match in re.finditer("|".join(map(re.escape, PHRASES[move])), text, re.IGNORECASE):
                yield "move", *match.span(), right
        return
    for attempt in trace.attempts:
        solves = attempt.move in problem.moves
        if match := BACKTRACK.search(text, 0, attempt.place[0]):
            yield "go on", *match.span(), True
        yield "move", *attempt.place, solves
        if solves:
            yield from (("step", *place, right) for place, right in zip(attempt.places, attempt.steps))
    if trace.boxed == "none" and trace.end is not None:
        yield "go on", *trace.end, False
    elif trace.boxed is not None:
        start = text.rindex(trace.boxed)
        yield "step", start, start + len(trace.boxed), trace.outcome == "correct"
    if trace.end is None:
        yield "step", *derailed(text, trace), False


def derailed(text, trace):
    """The character at which a completion leaves the grammar of the world's traces, as a span."""
    rest = text[trace.stopped :]
    whole = (
        length
        for length in range(len(rest) + 1)
        if any(pattern.fullmatch(rest[:length], partial=True) for pattern in SENTENCES)
    )
    first = trace.stopped + max(whole, default=0)
    return first, first + 1


def oracle_advantages(world, rows, pieces, kinds):
    """Advantages (B, T) of completions that are given as the texts of their tokens."""
    width = max(map(len, pieces))
    right, kind = torch.zeros(len(rows), width), torch.zeros(len(rows), width, dtype=torch.long)
    problems = {problem.prompt: problem for part in world.split(0) for problem in part}
    for index, (row, tokens) in enumerate(zip(rows, pieces)):
        ends = torch.tensor([len(token) for token in tokens]).cumsum(0)
        starts = ends - torch.tensor([len(token) for token in tokens])
        for name, start, end, is_right in decisions(world, "".join(tokens), problems[row["prompt"]]):
            if name in kinds:
                inside = ((starts < end) & (ends > start)).nonzero().flatten()
                right[index, inside], kind[index, inside] = float(is_right), 1 + kinds.index(name)
    advantages = torch.zeros_like(right)
    prompts = [row["prompt"] for row in rows]
    same = torch.tensor([[one == prompt for one in prompts] for prompt in set(prompts)])
    for number in range(1, 1 + len(kinds)):
        decided = kind == number
        mean = right[decided].mean()
        for group in same:
            here = decided & group[:, None]
            if here.any():
                advantages[here] = right[here] - (right[here].mean() + mean) / 2
    return advantages


class OracleTrainer(HICRATrainer):
    """Gives the oracle's credit."""

    def __init__(self, *args, world, kinds, **kwargs):
        super().__init__(*args, **kwargs)
        self.world, self.kinds = world, kinds

    def _generate_and_score_completions(self, inputs):
        batch = super()._generate_and_score_completions(inputs)
        if self.model.training and self.kinds:
            ids, mask = batch["completion_ids"], batch["completion_mask"].bool()
            special = set(self.processing_class.all_special_ids)
            texts = [
                ["" if token in special else self.processing_class.decode([token]) for token in row[keep].tolist()]
                for row, keep in zip(ids, mask)
            ]
            advantages = oracle_advantages(self.world, inputs, texts, self.kinds)
            batch["advantages"] = torch.nn.functional.pad(advantages, (0, ids.shape[1] - advantages.shape[1]))
        return batch


def train(world, base, method, rate, seed, steps, eval_steps):
    """One job: the curve of held-out accuracy, and what the last model's failures are."""
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        recipe = yaml.safe_load((RECIPES / world.name / "grpo.yaml").read_text())
        settings = {name: value for name, value in recipe.items() if name in HICRAConfig.__dataclass_fields__}
        settings |= SMALL | {"output_dir": folder, "max_steps": steps, "eval_steps": eval_steps, "seed": seed}
        settings |= {"learning_rate": rate, "log_completions": False, "disable_tqdm": True}
        training, held_out = (Dataset.from_list(problem_rows(part)) for part in world.split(0))
        trainer = OracleTrainer(
            str(base),
            REWARDS[world.name],
            HICRAConfig(**settings),
            train_dataset=training,
            eval_dataset=held_out,
            world=world,
            kinds={"grpo": (), "oracle": ("move", "go on", "step"), "oracle-moves": ("move", "go on")}[method],
        )
        trainer.train()
        history = trainer.state.log_history
        curve = [[row["step"], row["eval_reward"]] for row in history if "eval_reward" in row]
        texts, problems = sample(
            trainer.model,
            trainer.processing_class,
            world.split(0)[1],
            samples_per_problem=8,
            max_new_tokens=world.max_new_tokens,
        )
    summary = judge(texts, problems, trainer.processing_class, world)
    return {
        "curve": curve,
        "training": [[row["step"], row["reward"]] for row in history if "reward" in row],
        "accuracy": summary.accuracy,
        "step_accuracy": summary.step_accuracy,
        "outcomes": summary.outcomes,
        "mean_length": summary.mean_length,
        "mean_attempts": summary.mean_attempts,
        "seconds": time.perf_counter() - begin,
    }


def run(args):
    world, folder = WORLDS[args.world], Path(args.folder, args.world)
    base = prepare(world=world).model
    for seed in args.seeds:
        for method in args.methods:
            for rate in args.rates:
                file = folder / f"{method}-{rate:g}-{seed}.json"
                if not file.exists():
                    found = train(world, base, method, rate, seed, args.steps, args.eval_steps)
                    write_whole(file, json.dumps({"method": method, "rate": rate, "seed": seed} | found) + "\n")
                    print(f"{file}: {found['accuracy']:.1%} in {found['seconds']:.0f} s", flush=True)


def smoothed(curve):
    """Steps, and means of an evaluation and its neighbours."""
    values = [value for _, value in curve]
    return [(step, fmean(values[max(0, i - 1) : i + 2])) for i, (step, _) in enumerate(curve)]


def steps_to(curve, accuracy):
    """The step at which the smoothed curve first reaches an accuracy, between evaluations on a line; None if never."""
    before = None
    for step, value in smoothed(curve):
        if value >= accuracy:
            return (
                step
                if before is None
                else before[0] + (step - before[0]) * (accuracy - before[1]) / (value - before[1])
            )
        before = step, value
    return None


def show(args):
    runs = [json.loads(file.read_text()) for file in sorted(Path(args.folder, args.world).glob("*.json"))]
    jobs = {}
    for found in runs:
        jobs.setdefault((found["method"], found["rate"]), {})[found["seed"]] = found
    ends = {key: fmean(smoothed(one["curve"])[-1][1] for one in seeds.values()) for key, seeds in jobs.items()}
    # A rate with fewer seeds was not chosen.
    best = max((key for key in ends if key[0] == "grpo"), key=lambda key: (len(jobs[key]), ends[key]))
    rows = [("method", "rate", "seeds", "end", "steps right", f"steps to {ends[best]:.1%}", "of all", "seconds")]
    last = runs[0]["curve"][-1][0]
    for (method, rate), seeds in sorted(jobs.items()):
        mean_curve = [
            (points[0][0], fmean(value for _, value in points))
            for points in zip(*(s["curve"] for s in seeds.values()))
        ]
        reached = steps_to(mean_curve, ends[best])
        rows.append(
            (
                method,
                f"{rate:g}",
                str(len(seeds)),
                f"{ends[method, rate]:.1%}",
                f"{torch.tensor([one['step_accuracy'] for one in seeds.values()]).nanmean():.1%}",
                "never" if reached is None else f"{reached:.0f}",
                "" if reached is None else f"{reached / last:.2f}",
                f"{fmean(one['seconds'] for one in seeds.values()):.0f}",
            )
        )
    print(table(rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "show"))
    parser.add_argument("world", choices=sorted(WORLDS))
    parser.add_argument("--folder", default="runs/headroom")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["grpo", "oracle"])
    parser.add_argument("--rates", nargs="+", type=float, default=[3e-4, 6e-4, 1e-3])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--eval_steps", type=int, default=15)
    args = parser.parse_args()
    {"run": run, "show": show}[args.command](args)


if __name__ == "__main__":
    main()
