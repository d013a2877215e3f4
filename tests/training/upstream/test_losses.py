"""TRL's losses take an advantage for each token; a trainer that would not get them says so before it trains."""

import copy
import inspect
import re
import sys
import time
from collections import defaultdict
from importlib.util import find_spec
from typing import get_args

import pytest
import torch
from trl import GRPOTrainer

from hicra_trl import HICRATrainer
from hicra_trl.training.config import HICRAConfig
from hicra_trl.training.limits import LIMITS
from hicra_trl.training.upstream.token_advantages import check_token_advantages

from ..helpers import config, settings, vowel_share


# What else enters a loss.
SETTINGS = {
    "default": {},
    "reference": {"beta": 0.1, "use_bias_correction_kl": True, "delta": 1.4},
    "masks": {"off_policy_mask_threshold": 0.05, "top_entropy_quantile": 0.5, "entropy_coef": 0.01},
}


def accepted_losses():
    """By their names, the losses that a configuration takes with credit for tokens."""
    for name in get_args(LIMITS["loss_type"]):
        try:
            HICRAConfig(loss_type=name, **settings("unused"))
        except ValueError:
            continue
        yield name


LOSSES = list(accepted_losses())


@pytest.fixture
def build(model, tokenizer, prompts, lexicon_file, tmp_path):
    def make(beta=0.0, **overrides):
        args = config(tmp_path / "run", lexicon_file, **overrides)
        trainer = HICRATrainer(copy.deepcopy(model), vowel_share, args, prompts, processing_class=tokenizer)
        # A reference is of a model with a name; its log-probabilities are made up here.
        trainer.beta = beta
        trainer.current_gradient_accumulation_steps = 1
        trainer.model.train()
        return trainer

    return make


def made_up_batch(advantages):
    """Four completions of unequal length, some tokens a tool's, under a policy that has moved since."""
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(2, 200, (4, 13), generator=draw)
    mask = (torch.arange(9) < torch.tensor([9, 5, 7, 1])[:, None]).long()
    tools = torch.ones(4, 9, dtype=torch.long)
    tools[0, 3:5] = 0
    near = -5.7 + 0.3 * torch.randn(3, 4, 9, generator=draw)
    return {
        "prompt_ids": ids[:, :4],
        "prompt_mask": torch.ones(4, 4, dtype=torch.long),
        "completion_ids": ids[:, 4:],
        "completion_mask": mask,
        "tool_mask": tools,
        "num_items_in_batch": (mask * tools).sum(),
        "old_per_token_logps": near[0],
        "ref_per_token_logps": near[1],
        "sampling_per_token_logps": near[2],
        "importance_sampling_ratio": (near[0] - near[2]).exp().clamp(max=2),
        "advantages": advantages,
    }


def plain_head(trainer):
    """What TRL's fused head computes, from the whole logits."""

    def score(model, input_ids, attention_mask, logits_to_keep, **kwargs):
        kept = model(input_ids=input_ids, attention_mask=attention_mask).logits[:, -logits_to_keep - 1 : -1]
        logps = (kept / trainer.temperature).log_softmax(-1)
        chosen = logps.gather(-1, input_ids[:, -logits_to_keep:, None]).squeeze(-1)
        return chosen, -(logps.exp() * logps).sum(-1), None

    return score


def loss_and_gradients(trainer, advantages):
    """Of TRL's own loss, with its metrics."""
    trainer._metrics = defaultdict(lambda: defaultdict(list))
    trainer.model.zero_grad()
    loss = GRPOTrainer._compute_loss(trainer, trainer.model, made_up_batch(advantages))
    loss.backward()
    gradients = torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])
    return loss.detach(), gradients, {name: values for name, values in trainer._metrics["train"].items()}


@pytest.mark.parametrize("others", SETTINGS)
@pytest.mark.parametrize("loss_type", LOSSES)
@pytest.mark.parametrize("head", ["fused", "plain", "liger"])
def test_constant_rows_are_one_advantage_for_each_completion(head, loss_type, others, build):
    if head == "liger" and not find_spec("liger_kernel"):
        pytest.skip("liger-kernel is not installed")
    trainer = build(loss_type=loss_type, use_liger_kernel=head == "liger", **SETTINGS[others])
    # As with an engine, whose ratio then enters the loss; without one, since the loss is all that is looked at.
    trainer.use_vllm = others == "masks"
    if head == "plain":
        trainer._get_per_token_logps_and_entropies = plain_head(trainer)
    advantages = torch.tensor([0.5, -0.25, 0.75, -1.0])
    loss, gradients, metrics = loss_and_gradients(trainer, advantages)
    rows = advantages[:, None].expand(4, 9).clone()
    by_token = loss_and_gradients(trainer, rows)
    assert torch.equal(loss, by_token[0]) and torch.equal(gradients, by_token[1])
    assert gradients.isfinite().all() and gradients.abs().max() > 1e-4
    # Its mean is over completions for one value of each, and over tokens else.
    for measured in (metrics, by_token[2]):
        measured.pop("vespo/phi_seq_mean", None)
    assert metrics == by_token[2]
    # One token more or less is seen.
    rows[2, 4] += 0.5
    assert not torch.equal(gradients, loss_and_gradients(trainer, rows)[1])


def test_the_two_heads_agree(build):
    trainer = build(temperature=0.7)
    rows = torch.linspace(-1, 1, 36).view(4, 9)
    fused = loss_and_gradients(trainer, rows)
    trainer._get_per_token_logps_and_entropies = plain_head(trainer)
    plain = loss_and_gradients(trainer, rows)
    for one, other in zip(fused[:2], plain[:2]):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_the_losses_are_those_that_keep_credit_apart():
    assert set(LOSSES) == {"grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "vespo"}


def test_a_loss_asks_once_for_entropies_and_takes_three_things(build):
    trainer, asked = build(), []
    plain = plain_head(trainer)

    def score(*args, **kwargs):
        asked.append(kwargs.get("compute_entropy"))
        return plain(*args, **kwargs)

    trainer._get_per_token_logps_and_entropies = score
    GRPOTrainer._compute_loss(trainer, trainer.model, made_up_batch(torch.ones(4, 9)))
    assert asked == [True]
    ids = torch.randint(2, 200, (2, 9))
    for wanted in (True, False):
        outputs = GRPOTrainer._get_per_token_logps_and_entropies(
            trainer, trainer.model, ids, torch.ones_like(ids), 4, compute_entropy=wanted
        )
        assert isinstance(outputs, tuple) and len(outputs) == 3
        assert outputs[0].shape == (2, 4) and (outputs[1] is not None) == wanted


BRANCH = "        if advantages.dim() == 1:\n            advantages = advantages.unsqueeze(1)\n"
BROKEN = {
    # Completions are mixed, and nothing fails.
    "no branch": ("        advantages = advantages.unsqueeze(1)\n", "got [[-1.0, -1.6667], [-1.0, -1.6667]]"),
    "one for each": ("        advantages = advantages.view(-1, 1).expand(2, 1)\n", "got RuntimeError: "),
    "their mean": ("        advantages = advantages.mean(-1, keepdim=True)\n", "got [[-1.0, -1.0], [-3.0, -3.0]]"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_trl_that_takes_no_advantage_for_each_token_is_refused(broken, build, monkeypatch):
    lines, got = BROKEN[broken]
    source = inspect.getsource(GRPOTrainer._compute_loss)
    assert BRANCH in source
    names = dict(vars(sys.modules[GRPOTrainer.__module__]))
    exec("if True:\n" + source.replace(BRANCH, lines), names)
    monkeypatch.setattr(GRPOTrainer, "_compute_loss", names["_compute_loss"])
    build(alpha=0.0)
    with pytest.raises(RuntimeError, match=re.escape(got)) as caught:
        build(alpha=0.2)
    assert "\n" not in str(caught.value) and "takes no advantage for each token" in str(caught.value)


@pytest.mark.parametrize("others", SETTINGS)
@pytest.mark.parametrize("loss_type", LOSSES)
def test_every_loss_that_is_accepted_passes_and_nothing_is_left(loss_type, others, build):
    trainer = build(loss_type=loss_type, **SETTINGS[others])
    trainer.use_vllm = True
    for training in (True, False):
        trainer.model.train(training)
        before = {name: id(value) for name, value in vars(trainer).items()}
        check_token_advantages(trainer)
        assert before == {name: id(value) for name, value in vars(trainer).items()}
    assert not any(trainer._metrics.values())


def test_the_check_costs_milliseconds(build):
    trainer = build()
    times = []
    for _ in range(20):
        start = time.perf_counter()
        check_token_advantages(trainer)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.01
