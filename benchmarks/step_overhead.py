"""Seconds per training step of HICRATrainer against TRL's GRPOTrainer, and where the time of a step goes.

    python benchmarks/step_overhead.py [--model playground|small|qwen3-0.6b] [--engine transformers|vllm]
        [--completions N] [--tokens N] [--rounds N] [--steps N] [--credit RULE]
        [--record GROUPS]
    torchrun --nproc_per_node 2 benchmarks/step_overhead.py [...]
    python benchmarks/step_overhead.py --growth
    python benchmarks/step_overhead.py --every_credit

Both train from the same model with the same seed, in turns. The playground's model costs least, so that every overhead
shows; the others have random weights (10M parameters; the shape of Qwen3-0.6B) and sample completions of exactly
`--tokens` tokens. `--credit` chooses the rule. alpha is so small that it changes no advantage, so
with Transformers both sample the same completions and differ in labeling, credit and measuring alone; HICRATrainer
seeds vLLM differently. Where other programs run, the ratio of CPU time says more than that of the seconds.
`--record` has HICRATrainer write a token record of so many groups at each step.
`--every_credit` shows instead what each rule costs of a step of the playground.
`--growth` shows instead how labeling and measuring grow with the length of the completions.
"""

import argparse
import contextlib
import gc
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers import AutoTokenizer, PrinterCallback, ProgressCallback, TrainerCallback
from transformers.utils.logging import disable_progress_bar
from trl import GRPOConfig, GRPOTrainer

import engine
from growth import RealText, print_growth, read_texts
from hicra_trl import HICRAConfig, HICRATrainer
from hicra_trl.training.credit import RULES
from hicra_trl.training.runs.token_record import record_files
from hicra_trl.training.upstream.cpu_ranks import leave_cpu_ranks
from labeler import train_tokenizer
from stopwatch import OWN_PHASES, Stopwatch, take_apart
from worlds import SHAPES, playground, random_weights


ON_GPU = torch.cuda.is_available()
RANK, RANKS = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
# Added to 1 it is lost, in float32 too.
ALPHA = 1e-12


class Clock(TrainerCallback):
    """Times from the second generation to the last step's log; the first generation is left out as warm-up."""

    def __init__(self, warm_up, stopwatch):
        self.warm_up = warm_up
        self.stopwatch = stopwatch

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == self.warm_up:
            self.stopwatch.restart()
            self.cpu_start = time.process_time()

    def on_log(self, args, state, control, logs=None, **kwargs):
        if state.global_step == state.max_steps and "reward" in logs:
            steps = state.max_steps - self.warm_up
            self.seconds = {phase: total / steps for phase, total in self.stopwatch.read().items()}
            self.cpu = (time.process_time() - self.cpu_start) / steps


@dataclass(frozen=True)
class Run:
    """Seconds of a step by phase and those in which the CPU worked for it, GiB on the GPU, KiB of its token record."""

    seconds: dict[str, float]
    cpu: float
    peak: float
    recorded: float

    @property
    def step(self):
        return sum(self.seconds.values())


def train(kind, world, steps, credit="planning", record=0, by_phase=False, rollout_func=None):
    is_hicra = kind is HICRATrainer
    extra = {"alpha": ALPHA, "credit": credit} if is_hicra else {"scale_rewards": "none", "epsilon_high": 0.28}
    if is_hicra and record:
        extra |= {"token_record": 1, "token_record_groups": record}
    if ON_GPU:
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        own = {"max_steps": steps, "output_dir": folder, "disable_tqdm": True, "use_cpu": not ON_GPU, "bf16": ON_GPU}
        trainer = kind(
            model=str(world.model),
            reward_funcs=world.reward,
            args=(HICRAConfig if is_hicra else GRPOConfig)(**{**world.settings, **own, **extra}),
            train_dataset=world.dataset,
            processing_class=AutoTokenizer.from_pretrained(world.model, padding_side="left"),
            rollout_func=rollout_func,
        )
        stopwatch = Stopwatch()
        if by_phase:
            take_apart(trainer, stopwatch)
        for callback in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(callback)
        clock = Clock(world.settings.get("steps_per_generation", 1), stopwatch)
        trainer.add_callback(clock)
        trainer.train()
        recorded = sum(file.stat().st_size for files in record_files(folder).values() for file in files) / steps / 1024
    if trainer.use_vllm:
        engine.close(trainer)
    return Run(clock.seconds, clock.cpu, torch.cuda.max_memory_allocated() / 2**30 if ON_GPU else 0.0, recorded)


def alternate(world, rounds, steps, credit="planning", record=0, rollout_func=None):
    """Yields the runs of a round, GRPO's and HICRA's; which of them goes first alternates."""
    for turn in range(rounds):
        kinds = (GRPOTrainer, HICRATrainer) if turn % 2 == 0 else (HICRATrainer, GRPOTrainer)
        runs = {kind: train(kind, world, steps, credit, record, rollout_func=rollout_func) for kind in kinds}
        yield runs[GRPOTrainer], runs[HICRATrainer]


def compare(world, rounds, steps, credit, record):
    """Prints the seconds of both in turns, and their ratio within each round."""
    rounds_of_two = []
    for turn, pair in enumerate(alternate(world, rounds, steps, credit, record), start=1):
        rounds_of_two.append(pair)
        print(f"round {turn}  GRPOTrainer {pair[0].step:.3f}, HICRATrainer {pair[1].step:.3f} s per step", flush=True)
    print(f"\nmedians of {rounds} rounds of {steps} steps")
    for kind, of_kind in zip((GRPOTrainer, HICRATrainer), zip(*rounds_of_two), strict=True):
        memory = f", at most {max(run.peak for run in of_kind):.2f} GiB on the GPU" if ON_GPU else ""
        print(f"{kind.__name__:<14}{statistics.median(run.step for run in of_kind):.3f} s per step{memory}")
    print_ratio("ratio", [hicra.step / grpo.step for grpo, hicra in rounds_of_two])
    # While a GPU works, the CPU only waits.
    if not ON_GPU:
        print_ratio("of CPU time", [hicra.cpu / grpo.cpu for grpo, hicra in rounds_of_two])


def print_ratio(name, ratios):
    rounds = f"median of the rounds' ratios, {min(ratios):.3f} to {max(ratios):.3f}"
    print(f"{name:<14}{statistics.median(ratios):.3f} ({rounds})")


def print_phases(run):
    print(f"\nwhere {run.step:.3f} s of a HICRA step go")
    own = sum(run.seconds.get(phase, 0) for phase in OWN_PHASES)
    for phase, seconds in sorted(run.seconds.items(), key=lambda item: -item[1]):
        print(f"{phase:<22}{1e3 * seconds:>10.1f} ms{100 * seconds / run.step:>8.2f} %")
    print(f"{', '.join(OWN_PHASES)}: {100 * own / run.step:.2f} %")
    if run.recorded:
        print(f"token record: {run.recorded:.0f} KiB a step")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("playground", *SHAPES), default="playground")
    parser.add_argument("--engine", choices=("transformers", "vllm"), default="transformers")
    parser.add_argument("--completions", type=int, help="of a step, over all ranks; default: 128, 16, 64")
    parser.add_argument("--tokens", type=int, help="of a completion; default: at most 128, exactly 64, 1024")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--credit", choices=RULES, default="planning")
    parser.add_argument("--record", type=int, default=0, metavar="GROUPS")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--every_credit", action="store_true")
    return parser.parse_args()


def main():
    args = parse()
    disable_progress_bar()
    device = torch.device("cuda" if ON_GPU else "cpu")
    if args.growth:
        texts = read_texts()
        print_growth(RealText(texts, train_tokenizer(texts), device))
        return
    if args.engine == "vllm":
        engine.prepare()
    texts = read_texts()
    with tempfile.TemporaryDirectory() as folder:
        # The first rank makes the model, of which Transformers has no other save a copy.
        state = PartialState(cpu=not ON_GPU)
        (shared,) = broadcast_object_list([folder])
        with state.main_process_first():
            if args.model == "playground":
                world = playground(RANKS, args.completions, args.tokens)
            else:
                shape = SHAPES[args.model]
                world = random_weights(shape, texts, Path(shared), RANKS, args.completions, args.tokens)
        world.settings.update(engine.settings(args.engine, world.tokens, exactly=args.model != "playground"))
        print(
            f"{args.model} with {args.engine} on {RANKS} x {device.type}, {torch.get_num_threads()} threads each; "
            f"{world.completions} completions of {'at most' if args.model == 'playground' else 'exactly'} "
            f"{world.tokens:,} tokens a step; credit: {args.credit}",
            flush=True,
        )
        if args.every_credit:
            for rule in RULES:
                run = train(HICRATrainer, world, args.steps, rule, by_phase=True)
                seconds = run.seconds["credit"]
                print(
                    f"{rule:<14}{1e3 * seconds:>8.1f} ms of {run.step:.3f} s{100 * seconds / run.step:>8.2f} %",
                    flush=True,
                )
            return
        compare(world, args.rounds, args.steps, args.credit, args.record)
        run = train(HICRATrainer, world, args.steps, args.credit, args.record, by_phase=True)
        print_phases(run)
        if args.model != "playground" and RANK == 0:
            text = RealText(texts, AutoTokenizer.from_pretrained(world.model), device)
            labeling, measuring = text.seconds(world.completions // RANKS, world.tokens)
            print(
                f"on as much real text: labeling {1e3 * labeling:.1f} ms, measuring {1e3 * measuring:.1f} ms, "
                f"{100 * (labeling + measuring) / run.step:.2f} % of that step"
            )
    state.destroy_process_group()
    leave_cpu_ranks(state)


if __name__ == "__main__":
    if RANK:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            main()
    else:
        main()
