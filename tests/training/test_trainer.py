"""The contract with TRL's GRPOTrainer, and a regression test for every defect seen in another public attempt."""

import copy
import json
import shutil

import pandas as pd
import pytest
import torch
from peft import LoraConfig, get_peft_model
from trl import GRPOConfig, GRPOTrainer

from hicra_trl import HICRAConfig, HICRATrainer, StrategicGrams

from .helpers import config, settings, vowel_share


@pytest.fixture
def build(model, tokenizer, prompts, lexicon_file, tmp_path):
    """Builds a trainer on a fresh copy of the tiny model."""

    def make(kind=HICRATrainer, folder=tmp_path / "run", extra=None, **overrides):
        args = config(folder, lexicon_file, **overrides)
        return kind(
            model=copy.deepcopy(model),
            reward_funcs=vowel_share,
            args=args,
            train_dataset=prompts,
            processing_class=tokenizer,
            **(extra or {}),
        )

    return make


class Recorder(HICRATrainer):
    """Keeps what enters each loss."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.batches = []

    def _compute_loss(self, model, inputs):
        self.batches.append({k: v.clone() for k, v in inputs.items() if isinstance(v, torch.Tensor)})
        return super()._compute_loss(model, inputs)


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "vespo"])
def test_alpha_zero_equals_grpo(loss_type, build, model, tokenizer, prompts, tmp_path):
    ours = build(alpha=0.0, loss_type=loss_type)
    ours.train()
    theirs = GRPOTrainer(
        model=copy.deepcopy(model),
        reward_funcs=vowel_share,
        args=GRPOConfig(scale_rewards="none", epsilon_high=0.28, **settings(tmp_path / "grpo", loss_type=loss_type)),
        train_dataset=prompts,
        processing_class=tokenizer,
    )
    theirs.train()
    losses = [[entry["loss"] for entry in t.state.log_history if "loss" in entry] for t in (ours, theirs)]
    assert len(losses[0]) == 5 and losses[0] == losses[1]
    for (name, a), (_, b) in zip(ours.model.named_parameters(), theirs.model.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    before = dict(model.named_parameters())
    assert any(not torch.equal(before[name], p) for name, p in ours.model.named_parameters())


def test_alpha_above_zero_is_not_grpo(build):
    weights = []
    for alpha in (0.0, 0.5):
        trainer = build(alpha=alpha)
        trainer.train()
        weights.append(torch.cat([p.detach().flatten() for p in trainer.model.parameters()]))
    assert not torch.equal(*weights)


def test_masks_stay_aligned_and_amplification_does_not_compound(build):
    trainer = build(Recorder, alpha=0.5, num_iterations=2, steps_per_generation=2, max_steps=8)
    trainer.train()
    assert len(trainer.batches) == 8
    planned = 0
    for batch in trainer.batches:
        expected = trainer.labeler(batch["completion_ids"], batch["completion_mask"])
        assert torch.equal(batch["planning_mask"], expected)
        for advantages, planning, own in zip(
            batch["advantages"], expected, batch["completion_mask"].bool(), strict=True
        ):
            execution = advantages[own & ~planning]
            if len(execution):
                base = execution[0]
                assert (execution == base).all()
                torch.testing.assert_close(advantages[planning], (base + 0.5 * base.abs()).expand(int(planning.sum())))
                planned += int(planning.sum())
    assert planned > 20


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dr_grpo", "dapo"])
def test_the_gradient_differs_as_the_formula_says(loss_type, build):
    alpha = 0.5
    trainer = build(Recorder, alpha=alpha, loss_type=loss_type, max_steps=1)
    trainer.train()
    batch = trainer.batches[0]
    planning, mask = batch["planning_mask"], batch["completion_mask"].float()
    first_execution = (mask.bool() & ~planning).float().argmax(dim=1, keepdim=True)
    base = batch["advantages"].gather(1, first_execution)

    def gradient(advantages):
        logps = torch.full(mask.shape, -1.0, requires_grad=True)
        trainer._get_per_token_logps_and_entropies = lambda *a, **k: (logps, torch.ones_like(mask), None)
        trainer._token_scores = logps.detach(), torch.ones_like(mask)
        trainer._compute_loss(trainer.model, {**batch, "advantages": advantages}).backward()
        return logps.grad

    difference = gradient(batch["advantages"]) - gradient(base.squeeze(1))
    # At a ratio of 1 the gradient with respect to a log-probability is -A over the loss's normaliser.
    normalizer = {
        "grpo": mask.sum(dim=1, keepdim=True) * len(mask),
        "bnpo": mask.sum(),
        "dr_grpo": torch.tensor(len(mask) * trainer.max_completion_length),
        "dapo": batch["num_items_in_batch"],
    }[loss_type]
    expected = -alpha * base.abs() * planning * mask / normalizer
    torch.testing.assert_close(difference, expected)
    assert (difference != 0).any()
    assert (difference[~planning] == 0).all()


def test_log_probabilities_and_entropies_come_first(build):
    trainer = build()
    ids = torch.randint(2, 200, (2, 9))
    outputs = trainer._get_per_token_logps_and_entropies(
        trainer.model, ids, torch.ones_like(ids), 4, compute_entropy=True
    )
    assert isinstance(outputs, tuple) and len(outputs) == 3
    logits = trainer.model(ids).logits[:, -5:-1]
    logps = logits.log_softmax(-1).gather(-1, ids[:, -4:, None]).squeeze(-1)
    entropies = torch.distributions.Categorical(logits=logits).entropy()
    torch.testing.assert_close(outputs[0], logps, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(outputs[1], entropies, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("name", "value"), [("importance_sampling_level", "sequence"), ("loss_type", "luspo")])
def test_losses_without_token_credit_are_refused_by_name(name, value, tmp_path):
    with pytest.raises(ValueError, match=f"{name}='{value}' gives every token of a completion the same credit"):
        HICRAConfig(str(tmp_path), use_cpu=True, bf16=False, **{name: value})
    HICRAConfig(str(tmp_path), use_cpu=True, bf16=False, alpha=0.0, **{name: value})


def test_the_defaults_are_the_papers(tmp_path):
    args = HICRAConfig(str(tmp_path), use_cpu=True, bf16=False)
    assert (args.alpha, args.strategic_grams) == (0.2, "paper")
    assert (args.scale_rewards, args.epsilon, args.epsilon_high, args.beta) == ("none", 0.2, 0.28, 0.0)


def test_no_arguments_are_needed(model, tokenizer, prompts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer = HICRATrainer(model, vowel_share, train_dataset=prompts, processing_class=tokenizer)
    assert trainer.args.alpha == 0.2 and trainer.labeler.grams == StrategicGrams.paper()


def test_a_plain_grpo_config_is_refused(model, tokenizer, prompts, tmp_path):
    with pytest.raises(TypeError, match="args must be a HICRAConfig, got GRPOConfig"):
        HICRATrainer(model, vowel_share, GRPOConfig(**settings(tmp_path)), train_dataset=prompts)


def test_a_missing_lexicon_is_an_error_and_not_the_default(model, tokenizer, prompts, tmp_path):
    args = HICRAConfig(strategic_grams="no/such/file.txt", **settings(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"no strategic grams at 'no/such/file.txt'"):
        HICRATrainer(model, vowel_share, args, train_dataset=prompts, processing_class=tokenizer)


def test_truncated_and_tool_tokens_are_never_planning(build):
    trainer = build(Recorder, mask_truncated_completions=True, max_completion_length=12)
    trainer.train()
    truncated = [row == 0 for batch in trainer.batches for row in batch["completion_mask"].sum(dim=1)]
    assert any(truncated)
    for batch in trainer.batches:
        assert not (batch["planning_mask"] & ~batch["completion_mask"].bool()).any()


def tool_rollout(prompts, trainer):
    """Every completion is a gram that the model wrote and one that a tool wrote."""
    encode = trainer._tokenizer.encode
    own, tool = encode(" so wait"), encode(" but now")
    return {
        "prompt_ids": [encode(prompt) for prompt in prompts],
        "completion_ids": [own + tool] * len(prompts),
        "logprobs": [[-1.0] * len(own + tool)] * len(prompts),
        "env_mask": [[1] * len(own) + [0] * len(tool)] * len(prompts),
    }


def test_tool_output_is_not_planning(build, tokenizer):
    trainer = build(Recorder, max_steps=1, extra={"rollout_func": tool_rollout})
    trainer.train()
    batch = trainer.batches[0]
    own = len(tokenizer.encode(" so wait"))
    assert batch["planning_mask"][:, :own].all() and not batch["planning_mask"][:, own:].any()
    assert trainer.state.log_history[0]["hicra/planning_fraction"] == 1.0


def test_peft_models_train(build):
    peft = pytest.importorskip("peft")
    lora = peft.LoraConfig(target_modules=["q_proj", "v_proj"], r=4)
    trainer = build(max_steps=2, extra={"peft_config": lora})
    trainer.train()
    assert trainer.state.log_history[-2]["hicra/distinct_grams"] > 0


def test_the_card_cites_the_paper_and_names_alpha_and_lexicon(build, grams, tmp_path):
    trainer = build(alpha=0.3)
    trainer.create_model_card(model_name="tiny")
    card = (tmp_path / "run" / "README.md").read_text()
    for expected in (
        "Haozhe Wang and Qixin Xu and Che Liu and Junhong Wu and Fangzhen Lin and Wenhu Chen",
        "2509.03646",
        "trained with HICRA",
        "alpha = 0.3",
        grams.fingerprint,
        "- hicra",
    ):
        assert expected in card
    # Nothing was logged that could be drawn.
    assert "dynamics.png" not in card


def test_a_resumed_run_equals_an_uninterrupted_one(build, tmp_path):
    whole = build(save_strategy="steps", save_steps=2, max_steps=4, folder=tmp_path / "whole")
    whole.train()
    shutil.copytree(tmp_path / "whole" / "checkpoint-2", tmp_path / "part" / "checkpoint-2")
    resumed = build(save_strategy="steps", save_steps=2, max_steps=4, folder=tmp_path / "part")
    resumed.train(resume_from_checkpoint=str(tmp_path / "part" / "checkpoint-2"))
    for (name, a), (_, b) in zip(whole.model.named_parameters(), resumed.model.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    last = [
        {k: v for k, v in trainer.state.log_history[-2].items() if k.startswith("hicra/")}
        for trainer in (whole, resumed)
    ]
    assert last[0] == last[1]
    assert last[0]["hicra/relative_perplexity/execution"] != 1.0


def test_a_resume_with_another_lexicon_fails(build, tmp_path):
    build(save_strategy="steps", save_steps=1, max_steps=1).train()
    checkpoint = tmp_path / "run" / "checkpoint-1"
    StrategicGrams(["so", "but"]).save(checkpoint / "strategic_grams")
    with pytest.raises(ValueError, match=r"cannot resume .* a lexicon of 2 strategic grams and fingerprint \w{16}"):
        build(max_steps=2).train(resume_from_checkpoint=str(checkpoint))


def test_the_lexicon_lies_beside_every_saved_model(build, grams, tmp_path):
    trainer = build(save_strategy="steps", save_steps=1, max_steps=1)
    trainer.train()
    trainer.save_model(str(tmp_path / "final"))
    for folder in (tmp_path / "run" / "checkpoint-1", tmp_path / "final"):
        assert StrategicGrams.load(folder / "strategic_grams") == grams
    state = json.loads((tmp_path / "run" / "checkpoint-1" / "hicra_state.json").read_text())
    assert state["perplexity_baselines"]["train"].keys() == {"planning", "execution"}


def test_evaluation_is_measured_apart(build, prompts):
    evaluation = {"eval_strategy": "steps", "eval_steps": 1, "num_generations_eval": 2}
    trainer = build(max_steps=2, extra={"eval_dataset": prompts.select(range(4))}, **evaluation)
    trainer.train()
    evaluations = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    trainings = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(evaluations) == len(trainings) == 2
    for entry in evaluations:
        assert entry["eval_hicra/planning_fraction"] > 0 and "hicra/planning_fraction" not in entry
    assert all("eval_hicra/planning_fraction" not in entry for entry in trainings)


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "cispo", "luspo", "vespo"])
def test_alpha_zero_equals_grpo_at_sequence_level_too(loss_type, build, model, tokenizer, prompts, tmp_path):
    level = "token" if loss_type == "vespo" else "sequence"
    fields = {"loss_type": loss_type, "importance_sampling_level": level, "num_iterations": 2, "max_steps": 4}
    fields |= {"steps_per_generation": 2, "learning_rate": 2e-2}
    ours = build(alpha=0.0, **fields)
    ours.train()
    args = GRPOConfig(scale_rewards="none", epsilon_high=0.28, **settings(tmp_path / "grpo", **fields))
    theirs = GRPOTrainer(copy.deepcopy(model), vowel_share, args, prompts, processing_class=tokenizer)
    theirs.train()
    for (name, a), (_, b) in zip(ours.model.named_parameters(), theirs.model.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    # Times, and what ours adds, apart.
    for one, two in list(zip(ours.state.log_history, theirs.state.log_history, strict=True))[:-1]:
        assert {name: one[name] for name in two if name != "step_time"} == {
            name: value for name, value in two.items() if name != "step_time"
        }


def test_arguments_may_be_positional_as_in_grpo(model, tokenizer, prompts, lexicon_file, tmp_path):
    args = config(tmp_path / "run", lexicon_file)
    trainer = HICRATrainer(model, vowel_share, args, prompts, None, tokenizer)
    assert trainer.train_dataset is prompts and trainer._tokenizer is tokenizer


def test_fewer_prompts_than_a_generation_are_refused(model, tokenizer, prompts, lexicon_file, tmp_path):
    args = config(tmp_path / "run", lexicon_file, gradient_accumulation_steps=4)
    few = prompts.select(range(7))
    with pytest.raises(ValueError, match=r"at least the 8 prompts of one generation .*got 7"):
        HICRATrainer(model, vowel_share, args, few, processing_class=tokenizer)
    trainer = HICRATrainer(model, vowel_share, args, few.to_iterable_dataset(), processing_class=tokenizer)
    with pytest.raises(ValueError, match="nothing was trained: the dataset gave fewer prompts"):
        trainer.train()


def test_each_evaluation_has_its_own_baseline_and_completions(build, prompts, tmp_path):
    sets = {"one": prompts.select([0]), "two": prompts.select([1])}
    extra = {"eval_dataset": sets}
    fields = {"eval_strategy": "steps", "eval_steps": 1, "max_steps": 2, "log_completions": True}
    trainer = build(extra=extra, per_device_eval_batch_size=4, num_completions_to_print=0, **fields)
    trainer.train()
    first = [entry for entry in trainer.state.log_history if entry["step"] == 1 and "eval_reward" in entry]
    assert [entry["eval_hicra/relative_perplexity/execution"] for entry in first] == [1.0, 1.0]
    assert trainer.checkpoint_state()["perplexity_baselines"].keys() == {"train", "eval_one", "eval_two"}
    name = "completions/completions_00001.parquet"
    training = pd.read_parquet(tmp_path / "run" / name)
    assert len(training) == 8
    for evaluated, rows in sets.items():
        table = pd.read_parquet(tmp_path / "run" / "evaluations" / f"eval_{evaluated}" / name)
        assert list(table["prompt"]) == [rows["prompt"][0]] * 4


def resumed_equals_whole(build, tmp_path, make, **fields):
    fields = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4, **fields}
    whole = build(model=make(), folder=tmp_path / "whole", **fields)
    whole.train()
    again = build(model=make(), folder=tmp_path / "again", **fields)
    again.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    for (name, a), (_, b) in zip(whole.model.named_parameters(), again.model.named_parameters(), strict=True):
        assert a.dtype == b.dtype and torch.equal(a, b), name


@pytest.fixture
def of(tokenizer, prompts, lexicon_file):
    def make(model, folder, **fields):
        args = config(folder, lexicon_file, **fields)
        return HICRATrainer(model, vowel_share, args, prompts, processing_class=tokenizer)

    return make


def test_a_resume_keeps_a_head_in_float32(of, model, tmp_path):
    half = copy.deepcopy(model).to(torch.bfloat16)
    resumed_equals_whole(of, tmp_path, lambda: copy.deepcopy(half), cast_lm_head_to_fp32=True)


def test_a_resume_keeps_a_reference_that_is_synchronized(of, model_folder, tmp_path):
    fields = {
        "beta": 0.1,
        "sync_ref_model": True,
        "ref_model_sync_steps": 1,
        "model_init_kwargs": {"dtype": "float32"},
    }
    resumed_equals_whole(of, tmp_path, lambda: str(model_folder), **fields)


def test_a_resume_keeps_an_adapter_beside_its_reference(of, model, tmp_path):
    adapter = get_peft_model(copy.deepcopy(model), LoraConfig(target_modules=["q_proj"], init_lora_weights=False))
    resumed_equals_whole(of, tmp_path, lambda: copy.deepcopy(adapter), beta=0.1)


def test_what_is_no_checkpoint_of_ours_is_named(build, of, model, tokenizer, prompts, tmp_path):
    fields = {"save_strategy": "steps", "save_steps": 2, "max_steps": 2}
    args = GRPOConfig(**settings(tmp_path / "grpo", **fields))
    GRPOTrainer(copy.deepcopy(model), vowel_share, args, prompts, processing_class=tokenizer).train()
    trainer = build(folder=tmp_path / "ours")
    with pytest.raises(ValueError, match=r"it is another trainer's, without hicra_state\.json: expected one of HICRA"):
        trainer.train(resume_from_checkpoint=str(tmp_path / "grpo" / "checkpoint-2"))
    with pytest.raises(ValueError, match="no checkpoint at nobody/nothing"):
        trainer.train(resume_from_checkpoint="nobody/nothing")
