"""HICRA in TRL's asynchronous trainer: its own packing and loss, on a CPU, with completions that are given."""

import asyncio
import dataclasses
import queue
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM
from trl.experimental.async_grpo import AsyncGRPOConfig, AsyncGRPOTrainer, async_grpo_trainer, packing
from trl.experimental.async_grpo.async_rollout_worker import RolloutSample

from hicra_trl.training.async_grpo import AsyncHICRAConfig, AsyncHICRATrainer, UnscaledRollouts, packed_planning_mask
from hicra_trl.training.credit.hicra import hicra_advantages

from .helpers import settings, vowel_share


# Prompt, turns of the model with a tool's text between them, advantage. The second shares its prompt and beginning
# with the first, and a gram would lie across the tool's text of the third and the border to the fourth.
COMPLETIONS = [
    ("So what?", [" so wait, 3 and 4"], 0.5, 0),
    ("So what?", [" so wait, but now it is 7"], -0.25, 0),
    ("But why?", [" 5 is so", " wait", " thus 30 so"], -1.0, 1),
    ("But why?", [" wait, next"], 0.75, 1),
]
TOOL = " 12"


@pytest.fixture
def samples(tokenizer):
    """As TRL's worker hands them on, old log-probabilities made up."""
    draw, made = np.random.default_rng(0), []
    for prompt, turns, advantage, group in COMPLETIONS:
        ids, mask = tokenizer.encode(prompt), [0] * len(tokenizer.encode(prompt))
        for number, turn in enumerate(turns):
            between = tokenizer.encode(TOOL) if number else []
            ids += between + tokenizer.encode(turn)
            mask += [0] * len(between) + [1] * len(tokenizer.encode(turn))
        logps = -5.7 + 0.2 * draw.standard_normal(len(ids))
        made.append(
            RolloutSample(
                prompt=[],
                completion=[],
                input_ids=np.array(ids),
                completion_mask=np.array(mask),
                old_log_probs=logps.astype(np.float32),
                advantage=advantage,
                model_version=0,
                group_id=group,
                metrics={"reward": 1.0, "reward_std": 0.5},
            )
        )
    return made


class Given:
    """A worker whose completions are given, over and over."""

    def __init__(self, samples):
        self.rollout_buffer, self.metrics_queue = queue.Queue(), queue.Queue()
        for sample in samples * 4:
            self.rollout_buffer.put(sample)

    def start(self):
        pass

    stop = start

    def update_model_version(self, version):
        pass

    def check_health(self, stale_after_s):
        raise RuntimeError("more completions are waited for than are given")


class NoTransfer:
    def init_weight_transfer(self):
        pass

    pause = resume = destroy = init_weight_transfer

    def send_weights(self, weights):
        for _ in weights:
            pass


def attention(query, key, value, cu_q, cu_k, max_q, max_k, softmax_scale, causal, window_size):
    """What the kernel for GPUs computes: of each piece, the last queries over all keys of its path."""
    out = torch.empty_like(query)
    groups = query.size(1) // key.size(1)
    for (q0, q1), (k0, k1) in zip(pairwise(cu_q), pairwise(cu_k)):
        q, k, v = (x.transpose(0, 1) for x in (query[q0:q1], key[k0:k1], value[k0:k1]))
        k, v = k.repeat_interleave(groups, 0), v.repeat_interleave(groups, 0)
        allowed = torch.ones(q1 - q0, k1 - k0, dtype=torch.bool).tril(int((k1 - k0) - (q1 - q0)))
        scores = (q @ k.mT * softmax_scale).masked_fill(~allowed, -torch.inf)
        out[q0:q1] = (scores.softmax(-1) @ v).transpose(0, 1)
    return out


@pytest.fixture
def build(samples, model_folder, lexicon_file, prompts, tmp_path, monkeypatch):
    # The kernel, and the name of the GPU, which TRL asks for.
    monkeypatch.setattr(packing, "_flash_attn", lambda: SimpleNamespace(flash_attn_varlen_func=attention))
    monkeypatch.setattr(async_grpo_trainer, "get_peak_flops_per_device", lambda accelerator, dtype: None)

    def make(alpha):
        """TRL's own trainer where `alpha` is None."""
        fields = settings(tmp_path / "run", token_budget=0, max_steps=2, dtype="float32", epsilon_high=0.28)
        fields |= {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1, "gradient_checkpointing": False}
        kind, args = AsyncGRPOTrainer, AsyncGRPOConfig
        if alpha is not None:
            kind, args = AsyncHICRATrainer, AsyncHICRAConfig
            fields |= {"alpha": alpha, "strategic_grams": str(lexicon_file)}
        workers = {"rollout_worker": Given(samples), "weight_transfer": NoTransfer()}
        return kind(str(model_folder), vowel_share, args(**fields), prompts, **workers)

    return make


def packed(samples):
    """One micro-batch, through TRL's trie and collator."""
    row = packing.TreeRow()
    for sample in samples:
        row.add(dataclasses.asdict(sample))
    return async_grpo_trainer.DataCollatorForRollout(pad_token_id=0).torch_call([[row]])


def unpacked(samples, labeler):
    """Planning mask of the trained tokens of each sample, by its own ids."""
    for sample in samples:
        own = torch.tensor(sample.completion_mask)[None]
        yield labeler(torch.tensor(sample.input_ids)[None], own)[own.bool()]


def test_labels_come_through_the_packing(build, samples):
    trainer, batch = build(0.5), packed(samples)
    mask = packed_planning_mask(trainer.labeler, batch)
    expected = list(unpacked(samples, trainer.labeler))
    assert torch.equal(mask[0], torch.cat(expected))
    assert all(of_one.any() and not of_one.all() for of_one in expected)
    shared = sum(len(sample.input_ids) for sample in samples) - batch["input_ids"].size(1)
    assert shared > 5, "a prompt that two share is packed once"
    padded = {name: torch.nn.functional.pad(batch[name], (0, 3), value=-1) for name in ("token_index", "segment_id")}
    padded = packed_planning_mask(trainer.labeler, batch | padded)
    assert torch.equal(padded, torch.nn.functional.pad(mask, (0, 3)))


def test_the_loss_is_that_of_each_sample_alone_with_its_planning_tokens_raised(build, samples, model_folder):
    trainer = build(0.5)
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    loss = trainer.compute_loss(trainer.model, packed(samples))
    loss.backward()

    plain = AutoModelForCausalLM.from_pretrained(model_folder, dtype="float32")
    total, count = torch.zeros(()), 0
    for sample, planning in zip(samples, unpacked(samples, trainer.labeler)):
        ids, own = torch.tensor(sample.input_ids), torch.tensor(sample.completion_mask).bool()[1:]
        logps = plain(ids[None]).logits[0, :-1].log_softmax(-1).gather(-1, ids[1:, None])[own, 0]
        ratio = (logps - torch.tensor(sample.old_log_probs)[1:][own]).exp()
        advantages = hicra_advantages(torch.tensor([sample.advantage]), planning[None], 0.5)[0]
        total -= torch.min(ratio * advantages, ratio.clamp(0.8, 1.28) * advantages).sum()
        count += len(logps)
    (total / count).backward()
    torch.testing.assert_close(loss, total / count)
    for one, other in zip(trainer.model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-5, rtol=1e-4)


def test_alpha_zero_is_trls_trainer_and_above_zero_it_is_not(build, samples):
    weights = {}
    for alpha in (None, 0.0, 0.5):
        trainer = build(alpha)
        trainer.train()
        weights[alpha] = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
    assert torch.equal(weights[None], weights[0.0]) and not torch.equal(weights[0.0], weights[0.5])
    masks = list(unpacked(samples, trainer.labeler))
    share = sum(mask.sum() for mask in masks) / sum(map(len, masks))
    logged = [entry["hicra/planning_fraction"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(logged) == 2 and logged[0] == pytest.approx(share.item())


def test_the_division_by_the_standard_deviation_is_taken_back():
    rewards = [1.0, 0.0, 0.5, None]

    def of(**kwargs):
        return rewards

    loop = UnscaledRollouts.__new__(UnscaledRollouts)
    vars(loop).update(
        reward_funcs=[of], reward_func_names=["of"], _env_reward_types=[], _provides_rollout_reward=False
    )
    sequence = SimpleNamespace(input_ids=[1], completion_mask=[1], old_log_probs=[0.0])
    group = SimpleNamespace(
        completions=[[]] * 4,
        prompts=[[]] * 4,
        completions_ids=[[1]] * 4,
        completions_sequences=[[sequence]] * 4,
        reward_kwargs={},
        env_rewards=[None] * 4,
        rollout_rewards=[None] * 4,
        tool_call_counts=[0] * 4,
        tool_failure_counts=[0] * 4,
        model_version=0,
        group_id=0,
    )

    def advantages():
        return [sample.advantage for sample in asyncio.run(loop._score_group(group))]

    assert advantages() == pytest.approx([0.5, -0.5, 0.0, 0.0])
    rewards[:] = [None] * 4
    assert advantages() == [0.0] * 4


@pytest.mark.parametrize(
    ("field", "said"), [({"alpha": 1.5}, r"alpha must be in \[0, 1\), got 1.5"), ({"top_p": 0.8}, "top_p must be 1.0")]
)
def test_wrong_settings_are_refused(field, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        AsyncHICRAConfig(**settings(tmp_path, **field))
