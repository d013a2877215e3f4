"""What a seed decides, and what it does not."""

import copy
import shutil

import pytest
import torch

from hicra_trl import HICRATrainer
from hicra_trl.training.sampling.seeds import seeded_generator
from training.helpers import config, vowel_share


class Recorder(HICRATrainer):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.prompts, self.completions = [], []

    def _generate_and_score_completions(self, inputs):
        batch = super()._generate_and_score_completions(inputs)
        self.prompts += [row["prompt"] for row in inputs]
        self.completions += batch["completion_ids"].tolist()
        return batch


@pytest.fixture
def train(model, tokenizer, lexicon_file, tmp_path, prompts):
    numbered = prompts.map(lambda row, at: {"prompt": f"{at} {row['prompt']}"}, with_indices=True)

    def run(folder="run", resume=None, **overrides):
        args = config(tmp_path / folder, lexicon_file, **{"max_steps": 2, **overrides})
        trainer = Recorder(copy.deepcopy(model), vowel_share, args, train_dataset=numbered, processing_class=tokenizer)
        trainer.train(resume_from_checkpoint=resume)
        return trainer

    return run


def test_data_seed_orders_the_prompts_and_seed_samples_the_completions(train):
    base, other_data, other_seed = train(), train(data_seed=7), train(seed=7, data_seed=42)
    assert base.prompts != other_data.prompts
    assert base.prompts == other_seed.prompts and base.completions != other_seed.completions
    assert train(data_seed=42).completions == base.completions


def test_a_run_resumed_in_a_later_epoch_sees_that_epochs_order(train, tmp_path):
    # 32 prompts of which a step takes 4: an epoch is 8 steps.
    epochs = {"per_device_train_batch_size": 16, "max_steps": 20, "max_completion_length": 4}
    saving = {"save_strategy": "steps", "save_steps": 1}
    whole = train(**epochs, **saving)
    assert whole.prompts[:128] != whole.prompts[128:256] and sorted(whole.prompts[:128]) == sorted(
        whole.prompts[128:256]
    )
    for step in (11, 16):
        shutil.copytree(tmp_path / "run" / f"checkpoint-{step}", tmp_path / f"at-{step}" / f"checkpoint-{step}")
        resumed = train(f"at-{step}", str(tmp_path / f"at-{step}" / f"checkpoint-{step}"), **epochs)
        assert resumed.prompts == whole.prompts[16 * step :]
        for (name, a), (_, b) in zip(whole.model.named_parameters(), resumed.model.named_parameters(), strict=True):
            assert torch.equal(a, b), name


def test_generators_depend_on_every_part_of_their_key_and_on_nothing_else():
    keys = [(1, 0), (0, 1), (1, 2), (2, 1), (2, 2)]
    draws = {tuple(torch.rand(4, generator=seeded_generator(*key)).tolist()) for key in keys}
    assert len(draws) == len(keys)
    torch.rand(3)
    assert tuple(torch.rand(4, generator=seeded_generator(1, 0)).tolist()) in draws


def test_data_seed_orders_a_stream(model, tokenizer, lexicon_file, tmp_path, prompts):
    numbered = prompts.map(lambda row, at: {"prompt": f"{at} {row['prompt']}"}, with_indices=True)
    seen = []
    for fields in ({}, {"data_seed": 1}, {"data_seed": 42}, {"seed": 7, "data_seed": 1}):
        args = config(tmp_path / "run", lexicon_file, max_steps=2, **fields)
        stream = numbered.to_iterable_dataset()
        trainer = Recorder(copy.deepcopy(model), vowel_share, args, stream, processing_class=tokenizer)
        trainer.train()
        seen.append(trainer.prompts)
    assert seen[0] == seen[2] and seen[1] == seen[3] and seen[0] != seen[1]
