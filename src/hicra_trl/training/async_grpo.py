"""HICRA in TRL's asynchronous GRPO, whose generation never waits for an update: a prototype, as TRL's trainer is."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from trl.experimental.async_grpo import AsyncGRPOConfig, AsyncGRPOTrainer
from trl.experimental.async_grpo.async_rollout_worker import AsyncRolloutWorker, RolloutSample, _AsyncRolloutLoop

from ..fields import Range, check_value
from ..grams import PlanningTokenLabeler, StrategicGrams
from .credit.hicra import hicra_advantages
from .limits import check_truncation


_ALPHA = Annotated[float, Range("[0, 1)")]


@dataclass
class AsyncHICRAConfig(AsyncGRPOConfig):
    """
    Configuration of the [`AsyncHICRATrainer`]: [`~trl.experimental.async_grpo.AsyncGRPOConfig`], and two fields.

    Args:
        alpha (`float`, *optional*, defaults to `0.2`):
            Amplification of the planning tokens' advantage, in [0, 1). 0 is GRPO.
        strategic_grams (`str`, *optional*, defaults to `"paper"`):
            Lexicon of strategic grams, as in [`HICRAConfig`].

    Raises:
        `ValueError`: if `alpha` is out of its range, or vLLM would sample from a part of the vocabulary.
    """

    alpha: float = 0.2
    strategic_grams: str = "paper"

    def __post_init__(self) -> None:
        check_value("alpha", self.alpha, _ALPHA)
        check_truncation(vars(self))
        super().__post_init__()


class AsyncHICRATrainer(AsyncGRPOTrainer):
    """
    TRL's asynchronous GRPO with HICRA's credit.

    Each sample enters the loss once, so the advantages are amplified there. The labels need not ride through TRL's
    packing, since the packed batch still says which tokens each completion has, in order. Advantages are not divided
    by their group's standard deviation, as in [`HICRATrainer`].

    Args:
        model (`str`), args ([`AsyncHICRAConfig`]), *others, **kwargs:
            As in [`~trl.experimental.async_grpo.AsyncGRPOTrainer`].
    """

    args: AsyncHICRAConfig

    def __init__(self, model: str, reward_funcs: Any, args: AsyncHICRAConfig, *others: Any, **kwargs: Any) -> None:
        grams = StrategicGrams.load(args.strategic_grams)
        super().__init__(model, reward_funcs, args, *others, **kwargs)
        self.labeler = PlanningTokenLabeler(self.processing_class, grams)  # pyright: ignore[reportArgumentType]
        if isinstance(self.rollout_worker, AsyncRolloutWorker):
            self.rollout_worker._loop_cls = UnscaledRollouts

    def compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """TRL's loss, of advantages that are raised on planning tokens."""
        planning_mask = packed_planning_mask(self.labeler, inputs)
        advantages = hicra_advantages(inputs["advantages"], planning_mask, self.args.alpha)
        counts = torch.stack([planning_mask.sum(), (inputs["token_index"] >= 0).sum()])
        planning, total = self.accelerator.reduce(counts).tolist()  # pyright: ignore[reportAttributeAccessIssue]
        self._metrics["train"]["hicra/planning_fraction"].append((planning, total))
        return super().compute_loss(model, inputs | {"advantages": advantages}, *args, **kwargs)


class UnscaledRollouts(_AsyncRolloutLoop):
    """Rollouts with A = R - mean(R of the group): takes back TRL's division by the group's standard deviation."""

    async def _score_group(self, group: Any) -> list[RolloutSample]:
        samples = await super()._score_group(group)
        for sample in samples:
            # NaN where nothing could be scored, and the advantage is 0.
            if not math.isnan(spread := sample.metrics["reward_std"]):
                sample.advantage *= spread
        return samples


def packed_planning_mask(labeler: PlanningTokenLabeler, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """
    Labels the completions of a packed batch.

    Args:
        labeler ([`~hicra_trl.grams.PlanningTokenLabeler`]):
            Labels token ids.
        inputs (`dict[str, torch.Tensor]`):
            A process's row of [`~trl.experimental.async_grpo.async_grpo_trainer.DataCollatorForRollout`]: of M trained
            tokens, the position of the token before each, and which completion each belongs to.

    Returns:
        `torch.Tensor` of shape `(1, M)`, bool: the planning tokens among them.
    """
    index = inputs["token_index"]
    trained = index >= 0
    # Each position's label is the token after it.
    ids, places = (inputs[name][0, index[trained]] for name in ("shift_labels", "position_ids"))
    # Between two completions, or two turns of one with a tool's text between them, a token of no vocabulary separates.
    begins = (places.diff() != 1) | (inputs["segment_id"][trained].diff() != 0)
    slots = torch.arange(len(ids), device=ids.device)
    slots[1:] += begins.cumsum(0)
    row = ids.new_full((1, 2 * len(ids)), -1)
    row[0, slots] = ids
    mask = torch.zeros_like(trained)
    mask[trained] = labeler(row)[0, slots]
    return mask
