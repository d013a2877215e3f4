"""What a rule of credit is: one pure function from GRPO's advantages to those of every token."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch

from ...grams import Labels


def _nothing(*_: Any) -> Any:
    raise ValueError("this batch was made without what the rule asks for")


def _alone(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


@dataclass
class CreditBatch:
    """
    What a rule of credit may use of the B completions of one generation, of T tokens each, in this process.

    Attributes:
        alpha (`float`):
            Strength, in [0, 1). At 0 every rule is GRPO.
        mask (`torch.Tensor` of shape `(B, T)`, bool):
            The model's own tokens, which enter the loss. Credit never changes another.
        rewards (`torch.Tensor` of shape `(B,)`):
            Weighted sums of the rewards.
        correct (`torch.Tensor` of shape `(B,)`, bool):
            Whose first reward reaches `pass_threshold`.
        groups (`torch.Tensor` of shape `(B,)`, int64):
            Index of the prompt, over all processes.
        gram_scores (`torch.Tensor` of shape `(G,)`):
            For each gram of the lexicon what it went along with in earlier generations, from -1 (failure) to 1
            (success); see [`~hicra_trl.training.credit.outcome.GramOutcomes`].
        alpha_below (`float`, *optional*):
            Strength for completions below the mean of their group; for [`~hicra_trl.training.credit.hicra.asymmetric`]
            alone.
        state (`Any`):
            What the rule returned beside the credit the last time, as JSON has it; `None` at first. It is saved in
            checkpoints.
        sum_over_ranks (`Callable`):
            Sums a tensor over all processes. What a rule computes of a whole batch has to be pooled by it, or it
            would depend on how many processes there are; all of them must call it.
        make_generator, compute_scores (`Callable`):
            What [`~CreditBatch.generator`] and [`~CreditBatch.scores`] come from.
    """

    alpha: float
    mask: torch.Tensor
    rewards: torch.Tensor
    correct: torch.Tensor
    groups: torch.Tensor
    gram_scores: torch.Tensor
    alpha_below: float | None = None
    state: Any = None
    sum_over_ranks: Callable[[torch.Tensor], torch.Tensor] = _alone
    make_generator: Callable[[], torch.Generator] = field(default=_nothing, repr=False)
    compute_scores: Callable[[], tuple[torch.Tensor, torch.Tensor]] = field(default=_nothing, repr=False)

    @cached_property
    def generator(self) -> torch.Generator:
        """Randomness that depends on seed, step and process alone; for the same batch always the same."""
        return self.make_generator()

    @cached_property
    def scores(self) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Log-probabilities of the sampled tokens and entropies of the policy before its update (each (B, T), in nats).
        The first look costs a forward pass in each generation; all processes must take it, or none.
        """
        return self.compute_scores()


# `(advantages (B,) or (B, T), labels, batch) -> (B, T)`, or that and the next state.
Rule = Callable[[torch.Tensor, Labels, CreditBatch], Any]


def by_token(advantages: torch.Tensor, labels: Labels) -> torch.Tensor:
    """Advantages (B, T) out of such of shape (B,) or (B, T)."""
    return advantages.unsqueeze(1).expand(labels.planning_mask.shape) if advantages.dim() == 1 else advantages


def apply_rule(rule: Rule, advantages: torch.Tensor, labels: Labels, batch: CreditBatch) -> tuple[torch.Tensor, Any]:
    """The credit (B, T) that a rule gives, and the state that it returns: the one it was given, if none."""
    given = rule(advantages, labels, batch)
    return given if isinstance(given, tuple) else (given, batch.state)


def check_rule(rule: Rule, name: str, advantages: torch.Tensor, labels: Labels, batch: CreditBatch) -> None:
    """
    Holds a rule to what every credit promises, on one batch.

    Args:
        rule (`Callable`):
            Called three times: with `alpha` as it is, again, and with 0.
        name (`str`):
            What it is called in messages.
        advantages, labels, batch:
            What it is called with.

    Raises:
        `ValueError`: if it returns something else than finite numbers of the advantages' type and of shape `(B, T)`,
            if it changes what it was given or a token outside `batch.mask`, if it is not the same the second time, or
            if it is not GRPO at `alpha` 0, bit for bit.
    """
    plain, outside, before = by_token(advantages, labels), ~batch.mask, advantages.clone()

    def call(alpha: float) -> torch.Tensor:
        # A batch of its own draws again what the one before drew; the forward pass is shared.
        again = replace(batch, alpha=alpha, compute_scores=lambda: batch.scores)
        credit, _ = apply_rule(rule, advantages, labels, again)
        if not isinstance(credit, torch.Tensor) or (credit.shape, credit.dtype) != (plain.shape, plain.dtype):
            got = (
                f"{credit.dtype} of shape {tuple(credit.shape)}" if isinstance(credit, torch.Tensor) else repr(credit)
            )
            raise ValueError(f"credit {name!r} must return {plain.dtype} of shape {tuple(plain.shape)}, got {got}")
        return credit

    credit = call(batch.alpha)
    for is_kept, promise in (
        (torch.equal(advantages, before), "leave the advantages that it is given as they are"),
        (bool(credit[batch.mask].isfinite().all()), "return finite numbers"),
        (torch.equal(credit[outside], plain[outside]), "leave padding and what others wrote as it is"),
        (torch.equal(credit, call(batch.alpha)), "return the same for the same batch"),
        (torch.equal(call(0.0), plain), "return GRPO's advantages at alpha 0, bit for bit"),
    ):
        if not is_kept:
            raise ValueError(f"credit {name!r} must {promise}, and does not")
