"""HICRA on a real, tiny model that sees, with prompts of no, one and two images in one batch."""

import copy
import json
import math
import shutil
import sys
from types import SimpleNamespace

import pytest
import torch
import yaml
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import GRPOConfig, GRPOTrainer

from hicra_trl import HICRATrainer
from hicra_trl.grams import PlanningTokenLabeler
from hicra_trl.training import run
from hicra_trl.training.upstream.mixed_images import check_images
from hicra_trl.training.upstream.vision_shards import name_layers
from training.helpers import config, settings, vowel_share
from vision import IMAGE_TOKEN, TOKENS_PER_IMAGE, image_prompts, picture, save_virl, save_vlm


COLORS = {
    "So what?": ["red"],
    "But why?": ["blue", "green"],
    "Now 5 times 6.": [],
    "Let's add 3 and 4.": ["white"],
}


def vowels_of_turns(completions, **kwargs):
    return vowel_share([turns[0]["content"] for turns in completions])


@pytest.fixture(scope="module")
def vlm(tokenizer, tmp_path_factory):
    return save_vlm(tmp_path_factory.mktemp("vlm"), tokenizer)


@pytest.fixture(scope="module")
def processor(vlm):
    return AutoProcessor.from_pretrained(vlm)


@pytest.fixture(scope="module")
def problems():
    return image_prompts(list(COLORS.items()) * 4)


class Recorder(HICRATrainer):
    """Keeps what enters each loss, and the entropies of every forward pass."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.batches, self.entropies = [], []

    def _compute_loss(self, model, inputs):
        self.batches.append(copy.deepcopy(inputs))
        loss = super()._compute_loss(model, inputs)
        assert torch.isfinite(loss)
        return loss

    def _get_per_token_logps_and_entropies(self, *args, **kwargs):
        outputs = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if outputs[1] is not None:
            self.entropies.append(outputs[1].detach())
        return outputs

    def _scores(self, batch):
        logps, entropies = super()._scores(batch)
        self.entropies.append(entropies)
        return logps, entropies


@pytest.fixture
def build(vlm, problems, lexicon_file, tmp_path):
    def make(kind=HICRATrainer, folder=tmp_path / "run", data=problems, **overrides):
        args = config(folder, lexicon_file, **overrides)
        return kind(model=str(vlm), reward_funcs=vowels_of_turns, args=args, train_dataset=data)

    return make


def weights(trainer):
    return {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}


def test_what_sees_and_what_reads_is_trained_and_only_completions_are_labeled(build):
    trainer = build(Recorder, max_steps=3)
    before = weights(trainer)
    trainer.train()
    moved = {name for name, weight in weights(trainer).items() if not torch.equal(weight, before[name])}
    for part in ("vision_tower.embeddings.patch_embedding", "multi_modal_projector", "language_model.layers.0"):
        assert any(part in name for name in moved), part
    planned = 0
    for batch in trainer.batches:
        assert IMAGE_TOKEN in trainer._tokenizer.decode(batch["prompt_ids"].flatten())
        assert batch["planning_mask"].shape == batch["completion_ids"].shape
        expected = trainer.labeler(batch["completion_ids"], batch["completion_mask"])
        assert torch.equal(batch["planning_mask"], expected)
        planned += int(expected.sum())
    assert planned > 5
    log = trainer.state.log_history[0]
    assert math.isfinite(log["hicra/entropy/planning"]) and log["hicra/distinct_grams"] > 0


def test_every_micro_batch_has_the_pixels_of_its_prompts(build, processor):
    trainer = build(Recorder, steps_per_generation=2, per_device_train_batch_size=4, num_generations=2, max_steps=8)
    trainer.train()
    pixels = {
        color: processor.image_processor(picture(color), return_tensors="pt").pixel_values[0]
        for colors in COLORS.values()
        for color in colors
    }
    seen = []
    for batch in trainer.batches:
        expected = []
        for ids, mask, count in zip(batch["prompt_ids"], batch["prompt_mask"], batch["num_images"], strict=True):
            [question] = [q for q in COLORS if q in processor.tokenizer.decode(ids[mask.bool()])]
            assert count == len(COLORS[question])
            assert int((ids == processor.image_token_id).sum()) == TOKENS_PER_IMAGE * count
            expected += [pixels[color] for color in COLORS[question]]
            seen.append(count)
        assert len(expected) == len(batch["pixel_values"])
        assert all(torch.equal(a, b) for a, b in zip(expected, batch["pixel_values"]))
    assert len(seen) == 32 and set(seen) == {0, 1, 2}


def test_micro_batches_without_any_image_are_trained_on(build):
    trainer = build(Recorder, per_device_train_batch_size=2, gradient_accumulation_steps=4, num_generations=2)
    trainer.train()
    assert any(not len(batch["pixel_values"]) for batch in trainer.batches)
    assert any(len(batch["pixel_values"]) == 4 for batch in trainer.batches)


def test_the_image_changes_the_log_probabilities(build, processor):
    trainer = build()
    text = f"{IMAGE_TOKEN}So what?"
    logps = []
    for color in ("black", "white"):
        inputs = processor(images=[picture(color)], text=[text], return_tensors="pt")
        ids = torch.cat([inputs["input_ids"], processor.tokenizer(" so wait", return_tensors="pt").input_ids], dim=1)
        logps.append(
            trainer._get_per_token_logps_and_entropies(
                trainer.model, ids, torch.ones_like(ids), 3, pixel_values=inputs["pixel_values"], num_images=[1]
            )[0]
        )
    assert not torch.equal(*logps)


def test_all_processes_see_or_none(problems):
    check_images(problems, 1)
    check_images(problems.remove_columns("images"), 2)
    seeing = problems.select([0, 1, 3])
    check_images(seeing, 2)
    check_images(seeing.map(lambda row: {"image": row["images"][0]}, remove_columns="images"), 2)
    with pytest.raises(ValueError, match="4 of 16 prompts have no image, with 2 processes: expected an image in all"):
        check_images(problems, 2)


def test_fsdp_shards_the_layers_that_the_model_has(build):
    plugin = SimpleNamespace(transformer_cls_names_to_wrap=None)
    name_layers(plugin, build().model)
    assert plugin.transformer_cls_names_to_wrap == ["CLIPEncoderLayer", "CLIPVisionEmbeddings", "LlamaDecoderLayer"]
    plugin.transformer_cls_names_to_wrap = ["LlamaDecoderLayer"]
    name_layers(plugin, build().model)
    assert plugin.transformer_cls_names_to_wrap == ["LlamaDecoderLayer"]


def test_an_image_token_is_never_planning(processor, grams):
    labeler = PlanningTokenLabeler(processor.tokenizer, grams)
    encode = processor.tokenizer.encode
    so, wait, image = encode(" so"), encode(" wait"), [processor.image_token_id]
    ids = torch.tensor([so + image + wait, so + wait + image])
    assert labeler(ids).tolist() == [[True, False, True], [True, True, False]]
    assert [[gram for gram, *_ in row] for row in labeler.occurrences(ids)] == [["so", "wait"], ["so wait"]]


def test_alpha_zero_equals_grpo(build, vlm, tmp_path):
    # TRL takes no prompt without images beside others.
    seeing = image_prompts([(question, colors) for question, colors in COLORS.items() if colors] * 4)
    args = GRPOConfig(scale_rewards="none", epsilon_high=0.28, **settings(tmp_path / "grpo", max_steps=3))
    # Built right before it is trained: that is where the seed is set.
    theirs = GRPOTrainer(model=str(vlm), reward_funcs=vowels_of_turns, args=args, train_dataset=seeing)
    theirs.train()
    ours = build(data=seeing, alpha=0.0, max_steps=3)
    ours.train()
    losses = [[entry["loss"] for entry in t.state.log_history if "loss" in entry] for t in (ours, theirs)]
    assert len(losses[0]) == 3 and losses[0] == losses[1]
    expected = weights(theirs)
    assert all(torch.equal(weight, expected[name]) for name, weight in weights(ours).items())


def test_credit_by_entropy_sees_the_images_too(build):
    trainer = build(Recorder, credit="high_entropy", alpha=0.5, max_steps=1)
    trainer.train()
    assert "hicra/credit_overlap" in trainer.state.log_history[0]
    # The generation batch is shuffled between the two passes.
    chosen_by, in_the_loss = (entropies.sum(dim=1).sort().values for entropies in trainer.entropies)
    torch.testing.assert_close(chosen_by, in_the_loss)


def test_a_resumed_run_equals_an_uninterrupted_one(build, tmp_path):
    saving = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}
    whole = build(folder=tmp_path / "whole", **saving)
    whole.train()
    shutil.copytree(tmp_path / "whole" / "checkpoint-2", tmp_path / "part" / "checkpoint-2")
    resumed = build(folder=tmp_path / "part", **saving)
    resumed.train(resume_from_checkpoint=str(tmp_path / "part" / "checkpoint-2"))
    expected = weights(whole)
    assert all(torch.equal(weight, expected[name]) for name, weight in weights(resumed).items())
    last = [t.state.log_history[-2] for t in (whole, resumed)]
    assert {k: v for k, v in last[0].items() if "hicra" in k} == {k: v for k, v in last[1].items() if "hicra" in k}


def test_a_recipe_trains_on_virl(vlm, lexicon_file, tmp_path, monkeypatch):
    rows = [(question, r"\boxed{7}", colors) for question, colors in COLORS.items()] * 2
    recipe = {
        "model_name_or_path": str(vlm),
        "dataset_name": "virl39k",
        "dataset_path": [str(save_virl(tmp_path / "virl", rows))],
        "strategic_grams": str(lexicon_file),
        **settings(tmp_path / "run", max_steps=2),
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.setattr(sys, "argv", ["hicra", "--config", str(tmp_path / "recipe.yaml")])
    run.main()
    state = json.loads((tmp_path / "run" / "trainer_state.json").read_text())
    assert state["global_step"] == 2 and math.isfinite(state["log_history"][0]["loss"])
    processor = AutoProcessor.from_pretrained(tmp_path / "run")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "run")
    inputs = processor(images=[picture("red")], text=[f"{IMAGE_TOKEN}So what?"], return_tensors="pt")
    assert torch.isfinite(model(**inputs).logits).all()
