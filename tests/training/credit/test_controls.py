"""The controls: as many other tokens as planning tokens, and nothing else changed."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trl import GRPOTrainer

from hicra_trl import HICRAConfig, HICRATrainer
from hicra_trl.grams import Labels
from hicra_trl.training.credit import RULES
from hicra_trl.training.credit.controls import highest_tokens
from hicra_trl.training.credit.rule import CreditBatch
from hicra_trl.training.sampling.seeds import seeded_generator
from training.helpers import config, vowel_share


@st.composite
def masks(draw):
    """Planning tokens within own tokens, both (B, T)."""
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    bits = st.lists(st.lists(st.booleans(), min_size=columns, max_size=columns), min_size=rows, max_size=rows)
    own = torch.tensor(draw(bits))
    return torch.tensor(draw(bits)) & own, own


def picked_by(name, planning, own, seed):
    """The tokens (B, T) that a control credits."""
    rows, none = len(own), torch.zeros(len(own))
    entropies = torch.rand(planning.shape, generator=seeded_generator(seed))
    batch = CreditBatch(
        alpha=0.5,
        mask=own,
        rewards=none,
        correct=none.bool(),
        groups=none.long(),
        gram_scores=torch.zeros(1),
        make_generator=lambda: seeded_generator(seed),
        compute_scores=lambda: (-entropies, entropies),
    )
    labels = Labels(planning, torch.where(planning, 0, -1), [], [])
    return RULES[name](torch.ones(rows), labels, batch) > 1


@given(masks(), st.integers(0, 10))
def test_as_many_tokens_are_picked_in_each_completion_and_only_its_own(pair, seed):
    planning, own = pair
    for name in ("random", "high_entropy"):
        picked = picked_by(name, planning, own, seed)
        assert not (picked & ~own).any() and torch.equal(picked.sum(dim=1), planning.sum(dim=1))
    picked, left = picked_by("execution", planning, own, seed), own & ~planning
    assert not (picked & ~left).any()
    assert torch.equal(picked.sum(dim=1), torch.minimum(planning.sum(dim=1), left.sum(dim=1)))


@given(masks(), st.integers(0, 10))
def test_no_token_left_out_has_a_higher_score(pair, seed):
    planning, own = pair
    scores = torch.rand(planning.shape, generator=seeded_generator(seed))
    picked = highest_tokens(scores, planning.sum(dim=1), own)
    lowest_in = scores.masked_fill(~picked, 2).amin(dim=1)
    highest_out = scores.masked_fill(picked | ~own, -1).amax(dim=1)
    assert (highest_out <= lowest_in).all()


def test_random_tokens_are_uniform_and_leave_the_global_generator_alone():
    planning = torch.zeros(4000, 10, dtype=torch.bool)
    planning[:, :2] = True
    own = torch.ones(4000, 10, dtype=torch.bool)
    own[:, 8:] = False
    before = torch.get_rng_state()
    share = picked_by("random", planning, own, 7).float().mean(dim=0)
    assert torch.equal(before, torch.get_rng_state())
    torch.testing.assert_close(share[:8], torch.full((8,), 0.25), atol=0.03, rtol=0)
    assert (share[8:] == 0).all()


class Recorder(HICRATrainer):
    """Keeps every batch as it was sampled, and the entropies of the policy that sampled it."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.batches = []

    def _generate_and_score_completions(self, inputs):
        batch = super()._generate_and_score_completions(inputs)
        ids, attention = (
            torch.cat([batch[f"prompt_{part}"], batch[f"completion_{part}"]], dim=1) for part in ("ids", "mask")
        )
        with torch.no_grad():
            logits = self.model(input_ids=ids, attention_mask=attention).logits
        logits = logits[:, batch["prompt_ids"].size(1) - 1 : -1] / self.args.temperature
        entropies = torch.distributions.Categorical(logits=logits).entropy()
        self.batches.append(({name: value.clone() for name, value in batch.items()}, entropies))
        return batch


@pytest.fixture
def train(model, tokenizer, prompts, lexicon_file, tmp_path):
    # Otherwise all entropies are those of the uniform distribution, to the third digit.
    model.lm_head.weight.data *= 20

    def run(kind=Recorder, **overrides):
        args = config(tmp_path / "run", lexicon_file, **{"max_steps": 2, **overrides})
        trainer = kind(copy.deepcopy(model), vowel_share, args=args, train_dataset=prompts, processing_class=tokenizer)
        trainer.train()
        return trainer

    return run


def credited(batch):
    """Where the advantage is not what most tokens of the row have; own tokens only."""
    own = batch["completion_mask"].bool()
    lowest = batch["advantages"].masked_fill(~own, torch.inf).amin(dim=1, keepdim=True)
    return (batch["advantages"] > lowest + 1e-7) & own


@pytest.mark.parametrize("kind", ["random", "high_entropy"])
def test_the_credit_goes_to_the_control_and_to_nothing_else(kind, train):
    trainer = train(credit=kind, alpha=0.5, per_device_train_batch_size=32)
    for batch, entropies in trainer.batches:
        planning, own = batch["planning_mask"], batch["completion_mask"]
        assert torch.equal(planning, trainer.labeler(batch["completion_ids"], own))
        found = credited(batch)
        # In a row without advantage nothing can be seen; in one of planning tokens only all are credited.
        seen = (batch["advantages"].abs().amax(dim=1) > 0) & (planning.sum(dim=1) < own.sum(dim=1))
        assert torch.equal(found[seen].sum(dim=1), planning[seen].sum(dim=1)) and found.sum() > 10
        assert not torch.equal(found[seen], planning[seen])
        if kind == "high_entropy":
            lowest_in = entropies.masked_fill(~found, torch.inf).amin(dim=1)
            highest_out = entropies.masked_fill(found | ~own.bool(), -torch.inf).amax(dim=1)
            assert (highest_out <= lowest_in + 1e-3)[seen].all()
            assert entropies[found].mean() > entropies[own.bool()].mean() + 0.1
    logged = [entry["hicra/credit_overlap"] for entry in trainer.state.log_history if "loss" in entry]
    assert all(0 <= overlap < 1 for overlap in logged)


def test_random_credit_repeats_with_its_seed_and_differs_from_step_to_step(train):
    masks = [[credited(batch) for batch, _ in train(credit="random", alpha=0.5).batches] for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*masks, strict=True))
    planning = torch.ones(4, 20, dtype=torch.bool)
    planning[:, 5:] = False
    assert not torch.equal(*(picked_by("random", planning, torch.ones_like(planning), seed) for seed in (0, 1)))


@pytest.mark.parametrize("kind", RULES)
def test_without_amplification_every_credit_is_grpo(kind, train):
    ours = train(credit=kind, alpha=0.0)
    theirs = train(GRPOTrainer)
    for (name, a), (_, b) in zip(ours.model.named_parameters(), theirs.model.named_parameters(), strict=True):
        assert torch.equal(a, b), name


def test_the_old_name_is_read_and_says_what_to_write_instead(tmp_path):
    with pytest.warns(FutureWarning, match="credit_tokens is now credit: write credit: random"):
        args = HICRAConfig(str(tmp_path), use_cpu=True, bf16=False, credit_tokens="random")
    assert (args.credit, args.credit_tokens) == ("random", None)
    with pytest.raises(ValueError, match=r"credit_tokens must be planning, random or high_entropy, got 'long'"):
        HICRAConfig(str(tmp_path), use_cpu=True, bf16=False, credit_tokens="long")
