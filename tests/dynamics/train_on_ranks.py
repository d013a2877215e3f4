"""Trains on as many ranks as it is started on and writes the `hicra/` metrics. Run by test_meter.py."""

import json
import os
import sys
import zlib
from pathlib import Path

from datasets import Dataset

from hicra_trl import HICRAConfig, HICRATrainer
from hicra_trl.training.upstream.cpu_ranks import leave_cpu_ranks


WORDS = (" so", " but", " wait", " now", " next", " 3", " +", " 4", " thus", " let's")
NUM_GENERATIONS = 4


def completion_ids(prompt, sample, trainer):
    """A completion that depends on nothing but its prompt and its number in the group."""
    state, words = zlib.crc32(f"{prompt} {sample}".encode()), []
    for _ in range(5 + state % 17):
        state = (1103515245 * state + 12345) % 2**31
        words.append(WORDS[state // 1000 % len(WORDS)])
    return trainer._tokenizer.encode("".join(words))


def rollout(prompts, trainer):
    # A rank gets every prompt of its slice as often as it owes completions of it; groups do not cross ranks here.
    seen, rows = {}, []
    for prompt in prompts:
        seen[prompt] = seen.get(prompt, -1) + 1
        rows.append(completion_ids(prompt, seen[prompt], trainer))
    return {
        "prompt_ids": [trainer._tokenizer.encode(prompt) for prompt in prompts],
        "completion_ids": rows,
        "logprobs": [[-1.0] * len(row) for row in rows],
    }


def reward(completions, **kwargs):
    return [float(len(text) % 2) for text in completions]


def main(model, lexicon, folder, out):
    prompts = [f"Problem {i}" for i in range(24)]
    ranks = int(os.environ["WORLD_SIZE"])
    args = HICRAConfig(
        folder,
        strategic_grams=lexicon,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=4 // ranks,
        num_generations=NUM_GENERATIONS,
        max_completion_length=32,
        learning_rate=1e-3,
        shuffle_dataset=False,
        max_steps=3,
        token_record=1,
        token_record_groups=3,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
    )
    trainer = HICRATrainer(
        model, reward, args, train_dataset=Dataset.from_dict({"prompt": prompts}), rollout_func=rollout
    )
    trainer.train()
    if trainer.accelerator.is_main_process:
        history = [
            {name: value for name, value in entry.items() if name.startswith("hicra/")}
            for entry in trainer.state.log_history
            if "loss" in entry
        ]
        record = {"world_size": trainer.accelerator.num_processes, "history": history}
        Path(out).write_text(json.dumps(record))
    trainer.accelerator.end_training()
    leave_cpu_ranks(trainer.accelerator.state)


if __name__ == "__main__":
    main(*sys.argv[1:])
