"""What a colocated engine samples, and what enters the loss of it."""

import math

import torch
from peft import LoraConfig

from engines.vllm.recording import logs, sampled_ids


def test_the_runs_seed_reaches_the_engine(colocated):
    sampled = []
    for seed in (1, 1, 2):
        with colocated(seed=seed, max_steps=2) as trainer:
            # The generators that training draws from know the seed, and not the engine's.
            generators = torch.initial_seed()
            trainer.train()
            sampled.append((generators, sampled_ids(trainer)))
    assert sampled[0] == sampled[1]
    assert sampled[0][0] == 1 and sampled[2][0] == 2
    differing = [one != other for one, other in zip(sampled[0][1], sampled[2][1])]
    assert len(differing) == 16 and all(differing)
    assert sampled[0][1][:8] != sampled[0][1][8:], "each step draws anew"


def test_truncated_completions_take_no_part(colocated):
    with colocated(mask_truncated_completions=True, max_completion_length=128, max_steps=3) as trainer:
        trainer.train()
        ends = [trainer.processing_class.eos_token_id, trainer.processing_class.pad_token_id]
    kept = []
    for batch, entry in zip(trainer.batches, logs(trainer)):
        ended = torch.isin(batch["completion_ids"][:, -1], torch.tensor(ends))
        assert torch.equal(batch["completion_mask"].any(dim=1), ended)
        assert not batch["planning_mask"][~ended].any()
        assert entry["completions/clipped_ratio"] == 1 - ended.float().mean()
        planning, own = batch["planning_mask"].sum().item(), batch["completion_mask"].sum().item()
        assert math.isclose(entry["hicra/planning_fraction"], planning / own, rel_tol=1e-5)
        kept += ended.tolist()
    assert True in kept and False in kept


def test_tokens_that_the_engine_did_not_score_are_not_corrected(colocated):
    with colocated(max_steps=2) as trainer:
        generate = trainer.vllm_generation.generate

        def leave_unscored(**kwargs):
            prompt_ids, completion_ids, logprobs, token_ids = generate(**kwargs)
            # As TRL hands on a log-probability that is NaN.
            logprobs = [[[None] if at % 3 == 1 else scores for at, scores in enumerate(row)] for row in logprobs]
            return prompt_ids, completion_ids, logprobs, token_ids

        trainer.vllm_generation.generate = leave_unscored
        trainer.train()
    for batch, entry in zip(trainer.batches, logs(trainer)):
        unscored = batch["sampling_per_token_logps"].isnan()
        assert unscored.sum() > 20
        ratio = batch["importance_sampling_ratio"].expand(unscored.shape)
        assert ratio.isfinite().all()
        assert all(math.isfinite(entry[name]) for name in ("loss", "grad_norm", "hicra/entropy/execution"))


def test_what_a_tool_wrote_is_never_planning(colocated):
    def rollout(prompts, trainer):
        """Five tokens of the engine's, what a tool answers, and the engine again."""

        def sample(prompt_ids):
            _, ids, logprobs, _ = trainer.vllm_generation.generate(
                prompts=prompt_ids, images=None, num_generations=trainer.num_generations
            )
            return ids, [[score for (score,) in row] for row in logprobs]

        prompt_ids = trainer.processing_class(prompts)["input_ids"]
        answer = trainer.processing_class(" so wait, but now")["input_ids"]
        first, first_scores = sample(prompt_ids)
        second, second_scores = sample([prompt + ids[:5] + answer for prompt, ids in zip(prompt_ids, first)])
        turns = list(zip(first, second))
        return {
            "prompt_ids": prompt_ids,
            "completion_ids": [one[:5] + answer + two for one, two in turns],
            "logprobs": [one[:5] + [0.0] * len(answer) + two for one, two in zip(first_scores, second_scores)],
            "env_mask": [[1] * len(one[:5]) + [0] * len(answer) + [1] * len(two) for one, two in turns],
        }

    with colocated(max_steps=4, extra={"rollout_func": rollout}) as trainer:
        trainer.train()
    for batch, entry in zip(trainer.batches, logs(trainer)):
        from_tool = (batch["tool_mask"] == 0) & batch["completion_mask"].bool()
        own = (batch["completion_mask"] * batch["tool_mask"]).bool()
        assert not batch["planning_mask"][from_tool].any()
        assert trainer.labeler(batch["completion_ids"])[from_tool].any()
        planning = batch["planning_mask"].sum().item()
        assert math.isclose(entry["hicra/planning_fraction"], planning / own.sum().item(), rel_tol=1e-5)
        assert entry["sampling/sampling_logp_difference/max"] < 0.05
    assert sum(batch["planning_mask"].sum() for batch in trainer.batches) > 0


def test_merged_adapters_reach_the_engine(colocated):
    adapter = LoraConfig(r=8, lora_alpha=32, target_modules="all-linear")
    with colocated(learning_rate=3e-2, max_steps=6, extra={"peft_config": adapter}) as trainer:
        trainer.train()
        last = trainer.batches[-1]
        entries = logs(trainer)
    assert all(entry["sampling/sampling_logp_difference/max"] < 0.15 for entry in entries)
    ids = torch.cat([last["prompt_ids"], last["completion_ids"]], dim=1)
    mask = torch.cat([last["prompt_mask"], last["completion_mask"]], dim=1)
    width = last["completion_ids"].size(1)
    with torch.no_grad(), trainer.model.disable_adapter():
        logps = trainer.model(ids, attention_mask=mask).logits[:, -width - 1 : -1].log_softmax(-1)
    without = logps.gather(-1, last["completion_ids"][..., None]).squeeze(-1)
    difference = (without - last["sampling_per_token_logps"]).abs() * last["completion_mask"]
    assert difference.max() > 0.5


def test_groups_without_signal_are_sampled_anew(colocated):
    def silent_on_so(prompts, completions, **kwargs):
        return [0.0 if prompt.startswith("So") else len(text) / 100 for prompt, text in zip(prompts, completions)]

    with colocated(silent_on_so, dynamic_sampling_attempts=6, num_generations=2, max_steps=3) as trainer:
        trainer.train()
    entries = logs(trainer)
    assert sum(entry["dynamic_sampling/attempts"] for entry in entries) >= 2
    for batch, entry in zip(trainer.batches, entries):
        assert entry["dynamic_sampling/groups_kept"] == 4
        prompts = trainer.processing_class.batch_decode(batch["prompt_ids"], skip_special_tokens=True)
        assert not any(prompt.startswith("So") for prompt in prompts)
        assert entry["sampling/sampling_logp_difference/max"] < 0.05
        assert torch.equal(batch["planning_mask"], trainer.labeler(batch["completion_ids"], batch["completion_mask"]))
    ids = sampled_ids(trainer)
    assert len({tuple(row) for row in ids}) == len(ids) == 24


def test_a_longer_context_reaches_the_engine(colocated):
    fields = {"extended_completion_length": 64, "extend_patience": 2, "vllm_max_model_length": 96, "max_steps": 4}
    with colocated(**fields) as trainer:
        trainer.train()
        assert trainer.vllm_generation.llm.llm_engine.model_config.max_model_len == 96
    limits = [batch["completion_ids"].size(1) for batch in trainer.batches]
    assert limits[:2] == [24, 24] and max(limits[2:]) > 24
    assert [entry["completions/limit"] for entry in logs(trainer)] == [24, 24, 64, 64]
