"""Seconds per training step of HICRATrainer against GRPOTrainer, in the playground, where the model costs least.

    python benchmarks/step_overhead.py [--rounds 5] [--steps 8]

Both train from the same model with the same seed, in turns. At alpha 0 both sample the same completions, so that only
labeling and measuring differ; alpha itself costs one multiplication.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import yaml
from datasets import load_dataset
from transformers import AutoTokenizer, PrinterCallback, ProgressCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from hicra_trl import HICRAConfig, HICRATrainer
from hicra_trl.playground import countdown_reward
from hicra_trl.playground.experiment import prepare


RECIPE = Path(__file__).parents[1] / "recipes" / "playground" / "hicra.yaml"
OURS = ("model_name_or_path", "dataset_name", "reward_funcs", "output_dir", "alpha", "strategic_grams")


class Clock(TrainerCallback):
    """Times from the first step's begin to the last step's log, the first step left out as warm-up."""

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 1:
            self.start = time.perf_counter()

    def on_log(self, args, state, control, **kwargs):
        if state.global_step == state.max_steps:
            self.seconds = (time.perf_counter() - self.start) / (state.max_steps - 1)


class Stopwatch:
    """Adds up the time spent in a method."""

    def __init__(self):
        self.seconds = 0.0

    def wrap(self, owner, name):
        method = getattr(owner, name)

        def timed(*args, **kwargs):
            start = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - start

        setattr(owner, name, timed)


def train(kind, world, dataset, settings, steps, folder):
    settings = {**settings, "max_steps": steps, "output_dir": folder, "disable_tqdm": True}
    extra = {"alpha": 0.0} if kind is HICRATrainer else {"scale_rewards": "none", "epsilon_high": 0.28}
    config = HICRAConfig if kind is HICRATrainer else GRPOConfig
    trainer = kind(
        model=str(world.model),
        reward_funcs=countdown_reward,
        args=config(**{**settings, **extra}),
        train_dataset=dataset,
        processing_class=AutoTokenizer.from_pretrained(world.model, padding_side="left"),
    )
    watch, clock = Stopwatch(), Clock()
    if kind is HICRATrainer:
        watch.wrap(trainer.labeler, "label")
        for name in ("add_completions", "add_tokens", "add_groups", "compute"):
            watch.wrap(trainer.dynamics["train"], name)
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    trainer.add_callback(clock)
    trainer.train()
    return clock.seconds, watch.seconds / steps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    args = parser.parse_args()
    world = prepare()
    dataset = load_dataset("json", data_files=str(world.train), split="train")
    recipe = yaml.safe_load(RECIPE.read_text())
    settings = {name: value for name, value in recipe.items() if name not in OURS and "eval" not in name}
    seconds, shares = {GRPOTrainer: [], HICRATrainer: []}, []
    for turn in range(args.rounds):
        order = (GRPOTrainer, HICRATrainer) if turn % 2 == 0 else (HICRATrainer, GRPOTrainer)
        for kind in order:
            with tempfile.TemporaryDirectory() as folder:
                step, own = train(kind, world, dataset, settings, args.steps, folder)
            seconds[kind].append(step)
            if kind is HICRATrainer:
                shares.append(own / step)
            print(f"round {turn + 1}  {kind.__name__:<13}{step:.3f} s per step", flush=True)
    grpo, hicra = (statistics.median(seconds[kind]) for kind in (GRPOTrainer, HICRATrainer))
    ratios = [b / a for a, b in zip(seconds[GRPOTrainer], seconds[HICRATrainer], strict=True)]
    print(f"\n{settings['per_device_train_batch_size']} completions per step, medians of {args.rounds} rounds")
    print(f"GRPOTrainer   {grpo:.3f} s per step\nHICRATrainer  {hicra:.3f} s per step")
    print(f"ratio         {statistics.median(ratios):.3f} (rounds: {min(ratios):.3f} to {max(ratios):.3f})")
    print(f"labeling and measuring: {100 * statistics.median(shares):.2f} % of a HICRA step")


if __name__ == "__main__":
    main()
