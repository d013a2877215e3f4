"""LoRA by the fields of a recipe: what is trained, what is saved, and that it is the same GRPO."""

import json
import shutil
import sys

import pytest
import torch
import yaml
from peft import LoraConfig
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from trl import GRPOConfig, GRPOTrainer, ModelConfig, get_peft_config

from hicra_trl import HICRATrainer, StrategicGrams
from hicra_trl.training import run

from .helpers import config, settings, vowel_share


LORA = {"use_peft": True, "lora_r": 4, "lora_alpha": 8, "lora_target_modules": ["q_proj", "v_proj"]}
SAVING = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}


@pytest.fixture
def build(model_folder, tokenizer, prompts, lexicon_file, tmp_path):
    def make(kind=HICRATrainer, folder=tmp_path / "run", args=None, dropout=0.0, **overrides):
        return kind(
            model=str(model_folder),
            reward_funcs=vowel_share,
            args=args or config(folder, lexicon_file, **overrides),
            train_dataset=prompts,
            processing_class=tokenizer,
            peft_config=get_peft_config(ModelConfig(**LORA, lora_dropout=dropout)),
        )

    return make


@pytest.fixture(scope="module")
def trained(model_folder, lexicon_file, tmp_path_factory):
    """The folder of a run of a recipe."""
    folder = tmp_path_factory.mktemp("peft")
    (folder / "problems.jsonl").write_text(
        "".join(json.dumps({"problem": f"{i} + 1?", "answer": i}) + "\n" for i in range(8))
    )
    recipe = {
        "model_name_or_path": str(model_folder),
        "dataset_name": str(folder / "problems.jsonl"),
        "prompt_format": "text",
        "reward_funcs": ["training.helpers.vowel_share"],
        "strategic_grams": str(lexicon_file),
        **LORA,
        **settings(folder / "run", **SAVING),
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["hicra", "--config", str(folder / "recipe.yaml")])
        run.main()
    return folder / "run"


def weights(trainer):
    return {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}


def assert_equal_weights(*trainers):
    ours, theirs = map(weights, trainers)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("beta", [0.0, 0.04])
def test_only_the_adapter_moves_and_planning_is_measured(beta, build):
    trainer = build(beta=beta)
    before = weights(trainer)
    trainer.train()
    moved = {name for name, weight in weights(trainer).items() if not torch.equal(weight, before[name])}
    assert moved == {name for name in before if "lora_" in name}
    assert trainer.ref_model is None
    log = trainer.state.log_history[3]
    assert log["hicra/planning_fraction"] > 0 and log["hicra/entropy/planning"] > 0
    # The reference is the base below the adapter, from which the adapter departs.
    assert ("kl" in log) == (beta > 0) and log.get("kl", 1) > 0


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_alpha_zero_equals_grpo(dropout, build, tmp_path):
    args = GRPOConfig(scale_rewards="none", epsilon_high=0.28, **settings(tmp_path / "grpo", max_steps=3))
    theirs = build(GRPOTrainer, args=args, dropout=dropout)
    theirs.train()
    ours = build(alpha=0.0, max_steps=3, dropout=dropout)
    ours.train()
    assert_equal_weights(ours, theirs)


def test_alpha_above_zero_is_not_grpo(build):
    adapters = []
    for alpha in (0.0, 0.5):
        trainer = build(alpha=alpha, max_steps=3)
        trainer.train()
        adapters.append(torch.cat([w.flatten() for name, w in weights(trainer).items() if "lora_B" in name]))
    assert not torch.equal(*adapters)


def test_a_resumed_run_equals_an_uninterrupted_one(build, tmp_path):
    whole = build(folder=tmp_path / "whole", dropout=0.1, **SAVING)
    whole.train()
    shutil.copytree(tmp_path / "whole" / "checkpoint-2", tmp_path / "part" / "checkpoint-2")
    resumed = build(folder=tmp_path / "part", dropout=0.1, **SAVING)
    resumed.train(resume_from_checkpoint=str(tmp_path / "part" / "checkpoint-2"))
    assert_equal_weights(whole, resumed)
    last = [
        {name: value for name, value in trainer.state.log_history[-2].items() if "hicra/" in name}
        for trainer in (whole, resumed)
    ]
    assert last[0] == last[1]


def test_what_is_saved_is_the_adapter_with_its_lexicon_and_card(trained, model_folder, grams):
    for folder in (trained, trained / "checkpoint-4"):
        assert not list(folder.glob("model*")) and not list(folder.glob("pytorch_model*"))
        adapter = load_file(folder / "adapter_model.safetensors")
        assert adapter and all("lora_" in name for name in adapter)
        assert sum(tensor.numel() for tensor in adapter.values()) == 4 * sum(
            sum(weight.shape)
            for name, weight in AutoModelForCausalLM.from_pretrained(model_folder).named_parameters()
            if "q_proj" in name or "v_proj" in name
        )
        assert StrategicGrams.load(folder / "strategic_grams") == grams
        saved = LoraConfig.from_pretrained(folder)
        assert (saved.r, saved.lora_alpha, saved.target_modules) == (4, 8, {"q_proj", "v_proj"})
        assert saved.base_model_name_or_path == str(model_folder)
    assert "Hierarchy-aware credit assignment" in (trained / "README.md").read_text()


def test_the_adapter_that_is_saved_last_is_the_one_that_was_trained(trained, model_folder):
    last, before = (
        load_file(trained / name / "adapter_model.safetensors") for name in ("checkpoint-4", "checkpoint-2")
    )
    final = load_file(trained / "adapter_model.safetensors")
    assert all(torch.equal(final[name], last[name]) for name in final)
    assert any(not torch.equal(final[name], before[name]) for name in final)
    model = AutoModelForCausalLM.from_pretrained(trained)
    ids = torch.arange(2, 12)[None]
    with torch.no_grad():
        assert not torch.equal(model(ids).logits, AutoModelForCausalLM.from_pretrained(model_folder)(ids).logits)
