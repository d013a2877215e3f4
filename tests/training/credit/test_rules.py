"""What every rule of credit promises, and what each does."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hicra_trl.grams import Labels
from hicra_trl.training.credit import RULES
from hicra_trl.training.credit.rule import CreditBatch, apply_rule, by_token, check_rule
from hicra_trl.training.sampling.seeds import seeded_generator


GROUP, GRAMS = 4, 5
KEEP_SIGNS = sorted(RULES.keys() - {"plan"})


def made(groups, length, seed, by_row=True, alpha=0.7):
    """A made-up batch: advantages, labels, batch."""
    draw = seeded_generator(seed)
    rows = groups * GROUP
    own = torch.arange(length) < torch.randint(0, length + 1, (rows, 1), generator=draw)
    gram_index = torch.randint(-GRAMS, GRAMS, (rows, length), generator=draw).clamp(min=-1).masked_fill(~own, -1)
    advantages = torch.randn(rows if by_row else (rows, length), generator=draw)
    advantages[torch.rand(advantages.shape, generator=draw) < 0.2] = 0
    logps, entropies = torch.rand(2, rows, length, generator=draw) * torch.tensor([-1, 1]).view(2, 1, 1)
    batch = CreditBatch(
        alpha=alpha,
        mask=own,
        rewards=torch.rand(rows, generator=draw),
        correct=torch.rand(rows, generator=draw) < 0.5,
        groups=torch.arange(rows) // GROUP,
        gram_scores=torch.rand(GRAMS, generator=draw) * 2 - 1,
        alpha_below=-0.3,
        make_generator=lambda: seeded_generator(seed, 1),
        compute_scores=lambda: (logps, entropies),
    )
    return advantages, Labels(gram_index >= 0, gram_index, [], []), batch


def part(advantages, labels, batch, rows, sum_over_ranks):
    """The same batch as one of several processes has it."""
    scores = batch.scores
    return (
        advantages[rows],
        Labels(labels.planning_mask[rows], labels.gram_index[rows], [], []),
        CreditBatch(
            alpha=batch.alpha,
            mask=batch.mask[rows],
            rewards=batch.rewards[rows],
            correct=batch.correct[rows],
            groups=batch.groups[rows],
            gram_scores=batch.gram_scores,
            alpha_below=batch.alpha_below,
            sum_over_ranks=sum_over_ranks,
            make_generator=batch.make_generator,
            compute_scores=lambda: tuple(score[rows] for score in scores),
        ),
    )


def in_two_processes(rule, advantages, labels, batch):
    """What two processes give, each of which has half of the rows and pools what it asks to pool."""
    half = len(advantages) // 2
    halves = slice(0, half), slice(half, None)
    summed = []

    def note(tensor):
        summed.append(tensor)
        return tensor

    for rows in halves:
        apply_rule(rule, *part(advantages, labels, batch, rows, note))
    total = sum(summed) if summed else None
    credits = [apply_rule(rule, *part(advantages, labels, batch, rows, lambda _: total))[0] for rows in halves]
    return torch.cat(credits)


batches = st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(0, 10**6), st.booleans())


@pytest.mark.parametrize("name", RULES)
@settings(deadline=None, max_examples=60)
@given(case=batches)
def test_every_rule_keeps_what_every_credit_promises(name, case):
    check_rule(RULES[name], name, *made(*case))


@pytest.mark.parametrize("name", KEEP_SIGNS)
@settings(deadline=None, max_examples=60)
@given(case=batches, alpha=st.floats(0, 0.999))
def test_signs_are_kept(name, case, alpha):
    advantages, labels, batch = made(*case, alpha=alpha)
    credit, _ = apply_rule(RULES[name], advantages, labels, batch)
    assert torch.equal(credit.sign(), by_token(advantages, labels).sign())


@settings(deadline=None, max_examples=60)
@given(case=batches, alpha=st.floats(0, 0.999))
def test_a_plan_turns_signs_and_moves_no_more_than_alpha_of_the_root_mean_square(case, alpha):
    advantages, labels, batch = made(*case, alpha=alpha)
    credit, _ = apply_rule(RULES["plan"], advantages, labels, batch)
    plain = by_token(advantages, labels)
    own = plain[batch.mask]
    size = own.square().mean().sqrt() if own.numel() else torch.tensor(0.0)
    assert ((credit - plain).abs() <= alpha * size * 1.0001 + 1e-6).all()


# A draw is of a process: it is another with another number of processes.
@pytest.mark.parametrize("name", sorted(RULES.keys() - {"random"}))
@settings(deadline=None, max_examples=40)
@given(case=batches)
def test_two_processes_give_what_one_does(name, case):
    advantages, labels, batch = made(*case)
    whole, _ = apply_rule(RULES[name], advantages, labels, batch)
    torch.testing.assert_close(in_two_processes(RULES[name], advantages, labels, batch), whole)


def one_row(advantage, gram_index, **given_):
    index = torch.tensor([gram_index])
    own = torch.ones(index.shape, dtype=torch.bool)
    batch = {
        "alpha": 0.5,
        "mask": own,
        "rewards": torch.zeros(1),
        "correct": torch.zeros(1, dtype=torch.bool),
        "groups": torch.zeros(1, dtype=torch.int64),
        "gram_scores": torch.tensor([1.0, -0.5, 0.0]),
    }
    return torch.tensor([advantage]), Labels(index >= 0, index, [], []), CreditBatch(**(batch | given_))


@pytest.mark.parametrize(
    ("name", "advantage", "expected"),
    [
        ("planning", 1.0, [1.5, 1.5, 1.5, 1.0]),
        ("planning", -1.0, [-0.5, -0.5, -0.5, -1.0]),
        ("outcome", 1.0, [1.5, 0.75, 1.0, 1.0]),
        ("outcome", -1.0, [-0.5, -1.25, -1.0, -1.0]),
        ("plan", 2.0, [3.0, 1.5, 2.0, 2.0]),
        ("plan", -2.0, [-1.0, -2.5, -2.0, -2.0]),
        ("asymmetric", 1.0, [1.5, 1.5, 1.5, 1.0]),
        ("asymmetric", -1.0, [-1.3, -1.3, -1.3, -1.0]),
    ],
)
def test_by_hand(name, advantage, expected):
    credit, _ = apply_rule(RULES[name], *one_row(advantage, [0, 1, 2, -1], alpha_below=-0.3))
    torch.testing.assert_close(credit, torch.tensor([expected]))


def test_execution_credits_the_surest_tokens_outside_of_planning():
    entropies = torch.tensor([[0.0, 3.0, 0.1, 0.2, 0.3]])
    row = one_row(1.0, [0, 0, -1, -1, -1], compute_scores=lambda: (-entropies, entropies))
    credit, _ = apply_rule(RULES["execution"], *row)
    assert credit.tolist() == [[1.0, 1.0, 1.5, 1.5, 1.0]]


def broken(kind):
    def rule(advantages, labels, batch):
        plain = by_token(advantages, labels)
        return {
            "shape": lambda: plain[:, :1],
            "number": lambda: 1.0,
            "type": lambda: plain.double(),
            "infinite": lambda: plain / (1 - batch.alpha / 0.7),
            "padding": lambda: plain + batch.alpha,
            "zero": lambda: plain * 1.1 * batch.mask + plain * ~batch.mask,
            "draws": lambda: torch.where(batch.mask, plain + batch.alpha * torch.rand(plain.shape), plain),
            "writes": lambda: plain + 0 * advantages.add_(1).sum(),
        }[kind]()

    return rule


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("shape", r"must return torch.float32 of shape \(8, 6\), got torch.float32 of shape \(8, 1\)"),
        ("number", "must return torch.float32 of shape .*, got 1.0"),
        ("type", "must return torch.float32 .*, got torch.float64"),
        ("infinite", "must return finite numbers"),
        ("padding", "must leave padding"),
        ("zero", "must return GRPO's advantages at alpha 0"),
        ("draws", "must return the same for the same batch"),
        ("writes", "must leave the advantages that it is given"),
    ],
)
def test_a_rule_that_breaks_a_promise_is_refused(kind, message):
    with pytest.raises(ValueError, match=message):
        check_rule(broken(kind), "mine", *made(2, 6, 3))
