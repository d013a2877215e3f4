"""Gives each generation its credit: a rule, and what it remembers from one generation to the next."""

from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..grams import Labels, StrategicGrams
from .config import HICRAConfig
from .credit import RULES
from .credit.outcome import GramOutcomes
from .credit.rule import CreditBatch, Rule, apply_rule, by_token, check_rule
from .credit.schedule import AlphaState, Signal, first_alpha, next_alpha
from .functions import blamed, load_function
from .sampling.seeds import seeded_generator


_RIDE = "credit_"
# What these credit are planning tokens.
_PLANNING = ("planning", "asymmetric", "outcome", "plan")


def load_rule(name: str) -> Rule:
    """The rule of a built-in name or the path of a user's function; raises `ValueError` for anything else."""
    if name in RULES:
        return RULES[name]
    if "." not in name:
        raise ValueError(f"credit must be {', '.join(RULES)}, or the dotted path of a function, got {name!r}")
    rule = load_function(name, "credit")
    if not callable(rule):
        raise ValueError(f"the credit {name!r} must be a function, got {type(rule).__name__}")

    def blaming(advantages: torch.Tensor, labels: Labels, batch: CreditBatch) -> Any:
        with blamed(f"the credit {name!r} fails"):
            return rule(advantages, labels, batch)

    return blaming


def try_rule(config: HICRAConfig) -> None:
    """Calls a rule of the user's own on a made-up batch; raises `ValueError` for what a run would meet."""
    rule = load_rule(config.credit)
    if config.credit in RULES:
        return
    rows, tokens, grams = 2 * config.num_generations, 8, 3
    lengths = torch.arange(rows).unsqueeze(1) % tokens + 1
    mask = torch.arange(tokens) < lengths
    gram_index = torch.where(mask, torch.arange(tokens) % (grams + 1) - 1, -1)
    correct = torch.arange(rows) % 2 == 0
    batch = CreditBatch(
        alpha=config.alpha,
        mask=mask,
        rewards=correct.float(),
        correct=correct,
        groups=torch.arange(rows) // config.num_generations,
        gram_scores=torch.linspace(-1, 1, grams),
        make_generator=lambda: seeded_generator(config.seed),
        compute_scores=lambda: (torch.full(mask.shape, -0.5), torch.full(mask.shape, 0.5)),
    )
    labels = Labels(gram_index >= 0, gram_index, [""] * rows, [np.zeros((0, 5), dtype=np.int64)] * rows)
    check_rule(rule, config.credit, correct.float() - 0.5, labels, batch)


class CreditAssigner(TrainerCallback):
    """
    What stands between the rule of [`~hicra_trl.HICRAConfig`]'s `credit`, a pure function, and a training on several
    processes: it pools, remembers, schedules and measures.

    Args:
        config ([`~hicra_trl.HICRAConfig`]):
            Of the run.
        grams ([`~hicra_trl.grams.StrategicGrams`]):
            The lexicon.
        accelerator ([`~accelerate.Accelerator`]):
            Of the processes.

    Attributes:
        outcomes ([`~hicra_trl.training.credit.outcome.GramOutcomes`]):
            What the grams went along with so far.
    """

    def __init__(self, config: HICRAConfig, grams: StrategicGrams, accelerator: Accelerator) -> None:
        self.config, self.accelerator = config, accelerator
        self.rule = load_rule(config.credit)
        self.outcomes = GramOutcomes.none(len(grams))
        clusters = grams.statistics.get("cluster")
        self._clusters = None if clusters is None else torch.tensor(clusters).unique(return_inverse=True)[1]
        self._rule_state: Any = None
        self._is_checked = config.credit in RULES
        self._alpha = first_alpha(config.alpha_schedule, config.alpha)
        # Of the generations since alpha was last looked at, pooled: right, completions, planning, tokens.
        self._seen = [0.0] * 4
        # Of their execution tokens as the loss saw them, in this process and then pooled: negative log-likelihood,
        # tokens.
        self._own_scored, self._scored = torch.zeros(2, dtype=torch.float64), [0.0, 0.0]

    @property
    def alpha(self) -> float:
        """Strength of the next generation's credit."""
        return self._alpha.alpha

    @property
    def gram_scores(self) -> torch.Tensor:
        """s (G,) of each gram, as the next generation's credit has it; those of a cluster share theirs."""
        return self.outcomes.score(self._clusters)

    def ride(self, batch: dict[str, Any], rewards: torch.Tensor, first: torch.Tensor) -> dict[str, Any]:
        """
        The batch with what the credit needs to know of each row: dynamic sampling takes it along.

        Args:
            batch (`dict`):
                Of B completions of this process.
            rewards, first (`torch.Tensor` of shape `(N,)`):
                Weighted sums of the rewards, and the first one alone, of all processes.
        """
        size = len(batch["completion_ids"])
        own = slice(self.accelerator.process_index * size, (self.accelerator.process_index + 1) * size)
        return batch | {_RIDE + "rewards": rewards[own], _RIDE + "first": first[own]}

    def assign(
        self,
        batch: dict[str, Any],
        labels: Labels,
        mask: torch.Tensor,
        group_size: int,
        is_training: bool,
        next_key: Callable[[], tuple[int, ...]],
        compute_scores: Callable[[], tuple[torch.Tensor, torch.Tensor]],
    ) -> dict[str, float]:
        """
        Replaces the `advantages` of a batch, unless alpha is 0, and remembers what its grams went along with.

        Args:
            batch (`dict`):
                From [`~CreditAssigner.ride`].
            labels ([`~hicra_trl.grams.Labels`]):
                Of its completions.
            mask (`torch.Tensor` of shape `(B, T)`):
                1 at the model's own tokens.
            group_size (`int`):
                Completions of each prompt.
            is_training (`bool`):
                An evaluation leaves no trace.
            next_key, compute_scores (`Callable`):
                Give what randomness depends on, and log-probabilities and entropies (B, T), where a rule asks.

        Returns:
            `dict[str, float]`: what to log, the same in all processes.
        """
        config, device = self.config, mask.device
        rewards, first = batch.pop(_RIDE + "rewards"), batch.pop(_RIDE + "first")
        size, rank = len(mask), self.accelerator.process_index
        facts: dict[str, float] = {} if config.alpha_schedule == "constant" else {"hicra/alpha": self.alpha}
        groups = (torch.arange(size, device=device) + rank * size) // group_size
        before = batch["advantages"]
        if self.alpha > 0:
            key = cache(lambda: (*next_key(), rank))
            asked = CreditBatch(
                alpha=self.alpha,
                mask=mask.bool(),
                rewards=rewards,
                correct=first >= config.pass_threshold,
                groups=groups,
                gram_scores=self.gram_scores.to(device),
                alpha_below=config.alpha_below and config.alpha_below * self.alpha / config.alpha,
                state=self._rule_state,
                sum_over_ranks=self._sum,
                make_generator=lambda: seeded_generator(*key()),
                compute_scores=compute_scores,
            )
            if not self._is_checked:
                check_rule(self.rule, config.credit, before, labels, asked)
                self._is_checked = True
            batch["advantages"], state = apply_rule(self.rule, before, labels, asked)
            if is_training:
                self._rule_state = state
            facts |= self._measure(by_token(before, labels), batch["advantages"], labels, asked.mask)
        if is_training:
            self._remember(labels, first, groups, mask)
        return facts

    def score(self, logps: torch.Tensor, planning_mask: torch.Tensor, mask: torch.Tensor) -> None:
        """Takes the log-probabilities (B, T) of a micro-batch: by them a schedule sees how sure execution is."""
        if self.config.alpha_schedule == "procedural":
            execution = mask.bool() & ~planning_mask
            self._own_scored += torch.stack([-logps.masked_fill(~execution, 0).float().sum(), execution.sum()]).cpu()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Looks at alpha again, before a checkpoint of this step."""
        if self.config.alpha_schedule == "constant":
            return
        for index, value in enumerate(self._sum(self._own_scored).tolist()):
            self._scored[index] += value
        self._own_scored.zero_()
        right, completions, planning, tokens = self._seen
        nll, scored = self._scored
        # A step in the middle of a generation.
        if not completions:
            return
        signal = Signal(
            execution_nll=nll / scored if scored else float("nan"),
            correct=right / completions,
            planning_fraction=planning / tokens if tokens else 0.0,
            progress=state.global_step / state.max_steps,
        )
        self._alpha = next_alpha(self._alpha, signal, self.config.alpha_schedule, self.config.alpha)
        self._seen, self._scored = [0.0] * 4, [0.0, 0.0]

    def checkpoint_state(self) -> dict[str, Any]:
        """What a resumed run needs to give credit as this one would."""
        return {
            "outcomes": self.outcomes.to_json(),
            "rule": self._rule_state,
            "alpha": asdict(self._alpha),
            "seen": self._seen,
            "scored": self._scored,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Takes over what [`~CreditAssigner.checkpoint_state`] gave."""
        self.outcomes = GramOutcomes.from_json(state["outcomes"])
        self._rule_state = state["rule"]
        # A constant one may be another than before.
        if self.config.alpha_schedule != "constant":
            self._alpha = AlphaState(**state["alpha"])
        self._seen, self._scored = state["seen"], state["scored"]

    def _sum(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.accelerator.num_processes == 1:
            return tensor
        total = self.accelerator.reduce(tensor.to(self.accelerator.device), reduction="sum")
        assert isinstance(total, torch.Tensor)
        return total.to(tensor.device)

    def _gather(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.accelerator.num_processes == 1:
            return tensor.cpu()
        gathered = self.accelerator.gather(tensor.to(self.accelerator.device))
        assert isinstance(gathered, torch.Tensor)
        return gathered.cpu()

    def _measure(
        self, before: torch.Tensor, after: torch.Tensor, labels: Labels, mask: torch.Tensor
    ) -> dict[str, float]:
        """How much advantage mass was moved, by its sign, and how much of what changed is planning."""
        moved, changed = (after - before).abs(), (after != before) & mask
        signs = {"positive": mask & (before > 0), "negative": mask & (before < 0)}
        sums = [values.masked_fill(~sign, 0).sum() for sign in signs.values() for values in (moved, before.abs())]
        sums += [(changed & labels.planning_mask).sum(), changed.sum()]
        *masses, overlap, total = self._sum(torch.stack(sums)).tolist()
        facts = {
            f"hicra/mass_moved/{sign}": change / mass
            for sign, change, mass in zip(signs, masses[::2], masses[1::2], strict=True)
            if mass
        }
        if total and self.config.credit not in _PLANNING:
            facts["hicra/credit_overlap"] = overlap / total
        return facts

    def _remember(self, labels: Labels, first: torch.Tensor, groups: torch.Tensor, mask: torch.Tensor) -> None:
        """Adds a generation, of all processes: a group may lie in several."""
        present = torch.zeros(len(groups), len(self.outcomes.right), dtype=torch.uint8)
        for row, spans in zip(present, labels.spans, strict=True):
            row[spans[:, 0]] = 1
        present, first, groups = (self._gather(part) for part in (present, first, groups))
        graded = ~first.isnan()
        correct = first >= self.config.pass_threshold
        # What has no verdict speaks for nothing.
        self.outcomes = self.outcomes.add(
            present[graded].bool(), correct[graded], groups[graded], self.config.credit_window
        )
        if self.config.alpha_schedule != "constant":
            own = mask.bool()
            tokens = self._sum(torch.stack([(labels.planning_mask & own).sum(), own.sum()])).tolist()
            for index, value in enumerate((float(correct[graded].sum()), float(graded.sum()), *tokens)):
                self._seen[index] += value
