"""Trains with dynamic sampling, groups across ranks, and writes what was sampled. Run by test_dynamic_sampling.py."""

import json
import sys
from pathlib import Path

from accelerate.utils import gather_object
from datasets import Dataset

from hicra_trl import HICRAConfig, HICRATrainer
from hicra_trl.training.upstream.cpu_ranks import leave_cpu_ranks


PROMPTS = ["So what?", "But why?", "Now 5 times 6.", "Let's add 3 and 4."]


def reward(prompts, completions, **kwargs):
    """Constant for half of the prompts."""
    return [len(text) / 100 if prompt[0] in "BL" else 1.0 for prompt, text in zip(prompts, completions)]


class Recorder(HICRATrainer):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.record = []

    def _generate_and_score_completions(self, inputs):
        batch = super()._generate_and_score_completions(inputs)
        rows = [
            {
                "prompt": self._tokenizer.decode(prompt[mask.bool()]),
                "length": len(self._tokenizer.decode(ids[own.bool()], skip_special_tokens=True)),
                "advantage": advantages.flatten()[0].item(),
                "tokens": int(own.sum()),
            }
            for prompt, mask, ids, own, advantages in zip(
                batch["prompt_ids"],
                batch["prompt_mask"],
                batch["completion_ids"],
                batch["completion_mask"],
                batch["advantages"],
            )
        ]
        self.record.append({"rows": gather_object(rows), "items": int(batch["num_items_in_batch"])})
        return batch


def main(model, lexicon, folder, out):
    args = HICRAConfig(
        folder,
        strategic_grams=lexicon,
        alpha=0.0,
        dynamic_sampling_attempts=6,
        per_device_train_batch_size=6,
        num_generations=4,
        max_completion_length=16,
        max_steps=3,
        token_record=1,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
    )
    trainer = Recorder(model, reward, args, train_dataset=Dataset.from_dict({"prompt": PROMPTS * 6}))
    trainer.train()
    if trainer.accelerator.is_main_process:
        history = [entry for entry in trainer.state.log_history if "loss" in entry]
        record = {"world_size": trainer.accelerator.num_processes, "record": trainer.record, "history": history}
        Path(out).write_text(json.dumps(record))
    trainer.accelerator.end_training()
    leave_cpu_ranks(trainer.accelerator.state)


if __name__ == "__main__":
    main(*sys.argv[1:])
