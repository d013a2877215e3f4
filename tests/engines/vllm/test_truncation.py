"""What sampling from a part of the vocabulary does to the importance correction, which is why it is refused."""

import pytest
import torch


def kept(probabilities, name, value):
    """How probable is what may be sampled: of (T, V), (T,)."""
    ordered = probabilities.sort(descending=True).values
    if name == "top_p":
        return (ordered * (ordered.cumsum(-1) - ordered < value)).sum(-1)
    if name == "top_k":
        return ordered[:, :value].sum(-1)
    return (ordered * (ordered >= value * ordered[:, :1])).sum(-1)


@pytest.mark.parametrize(("name", "value"), [("top_p", 1.0), ("top_p", 0.8), ("top_k", 20), ("min_p", 0.5)])
def test_the_ratio_is_the_probability_of_what_may_be_sampled(name, value, colocated):
    fields = {"vllm_importance_sampling_mode": "token_truncate", "vllm_importance_sampling_clip_max": 2.0}
    with colocated(max_steps=1, learning_rate=0.0, **fields) as trainer:
        with torch.no_grad():
            # A policy that is sure of some tokens.
            trainer.model.lm_head.weight.mul_(20)
        setattr(trainer.vllm_generation, name, value)
        trainer.train()
        (batch,) = trainer.batches
    ids, width = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1), batch["completion_ids"].size(1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    with torch.no_grad():
        probabilities = trainer.model(ids, attention_mask=mask).logits[:, -width - 1 : -1].softmax(-1)
    own = batch["completion_mask"].bool()
    ratio = batch["importance_sampling_ratio"][own]
    expected = kept(probabilities[own], name, value)
    assert abs(ratio.mean() - expected.mean()) < 0.01
    assert (expected.mean() < 0.95) == (value != 1.0)


def test_over_a_sequence_nothing_is_left_of_the_loss(colocated):
    with colocated(max_steps=1, vllm_importance_sampling_mode="sequence_mask") as trainer:
        trainer.vllm_generation.top_p = 0.8
        trainer.train()
        (batch,) = trainer.batches
    lengths, ratio = batch["completion_mask"].sum(1), batch["importance_sampling_ratio"].squeeze(1)
    assert (ratio[lengths == 24] < 0.02).all() and (lengths == 24).any()
