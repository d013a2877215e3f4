"""GRPO with the sampling of the paper's runs: seeds that reach it, dynamic sampling, staged context."""

import inspect
import math
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed
from datasets import Dataset, IterableDataset
from torch.utils.data import DataLoader, Sampler
from tqdm import tqdm
from trl import GRPOTrainer
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.utils import RepeatSampler

from ..config import HICRAConfig
from ..upstream.evaluations import EvaluationsTrainer, unbounded
from ..upstream.mixed_images import MixedImagesTrainer
from ..upstream.resumable import ResumableTrainer
from ..upstream.saved_weights import SavedWeightsTrainer
from ..upstream.vision_shards import VisionShardsTrainer
from .dynamic_sampling import DynamicSampler, FreshPrompts, silent_groups
from .seeds import EpochSampler, seeded_rollout
from .staged_context import StagedContext


# What TRL's forward pass takes beside the tokens, such as pixels; a batch has some of them.
_FORWARD_PARAMETERS = inspect.signature(GRPOTrainer._get_per_token_logps_and_entropies).parameters


class RolloutTrainer(
    ResumableTrainer, SavedWeightsTrainer, EvaluationsTrainer, VisionShardsTrainer, MixedImagesTrainer
):
    """
    What [`~hicra_trl.HICRATrainer`] samples, whoever gets the credit for it.

    All of it is off by default, and then this is [`~trl.GRPOTrainer`], bit for bit.

    Args:
        *args, **kwargs:
            As in [`~trl.GRPOTrainer`]; its `args` is a [`~hicra_trl.HICRAConfig`].
    """

    args: HICRAConfig
    num_generations: int
    num_generations_eval: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config = self.args
        if isinstance(self.train_dataset, Dataset):
            config.check_prompts(len(self.train_dataset))
        if self.use_vllm and self.vllm_mode == "colocate":
            # Building the engine has seeded this process with the engine's number.
            set_seed(config.seed, device_specific=True)
        self._last_draw = {mode: (-1, -1) for mode in ("train", "eval")}
        self._context = StagedContext(
            config.max_completion_length,
            config.extended_completion_length,
            config.extend_clipped_ratio,
            config.extend_patience,
        )
        self._dynamic: DynamicSampler | None = None
        if config.dynamic_sampling_attempts:
            if not isinstance(dataset := self.train_dataset, Dataset):
                raise ValueError(
                    "dynamic_sampling_attempts needs a dataset that can be indexed, got "
                    f"{type(dataset).__name__}: set it to 0"
                )
            self._dynamic = DynamicSampler(
                config.dynamic_sampling_attempts,
                FreshPrompts(dataset, config.seed_of_data),
                self.accelerator,
                self.num_generations,
                self._tokenizer.pad_token_id,  # pyright: ignore[reportArgumentType]
            )
            # TRL's own would forget the completions of the first attempts.
            self._logs = unbounded(self._logs)

    def get_train_dataloader(self) -> DataLoader:
        """TRL's, which orders a stream by `data_seed` too."""
        if not isinstance(self.train_dataset, IterableDataset):
            return super().get_train_dataloader()
        seed, self.args.seed = self.args.seed, self.args.seed_of_data
        try:
            return super().get_train_dataloader()
        finally:
            self.args.seed = seed

    def _get_train_sampler(self, dataset: Dataset | None = None) -> Sampler:
        sampler = super()._get_train_sampler(dataset)
        assert isinstance(sampler, RepeatSampler)
        return EpochSampler(sampler, self.args.seed_of_data, lambda: math.floor(self.state.epoch or 0))

    @property
    def _mode(self) -> str:
        return "train" if self.model.training else "eval"

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.model.training:
            return self._sample(inputs)
        clipped = self._metrics["train"]["completions/clipped_ratio"]
        earlier = len(clipped)
        batch = self._sample(inputs) if self._dynamic is None else self._sample_dynamically(inputs, self._dynamic)
        if self.args.extended_completion_length is not None:
            # What dynamic sampling samples beyond the first batch is less, and says less.
            self._stage_context(clipped[earlier])
        return batch

    def _sample(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        sample = super()._generate_and_score_completions
        if not self.use_vllm or self.vllm_mode != "colocate":
            return sample(inputs)
        group = self.accelerator.process_index // self.args.vllm_tensor_parallel_size
        with seeded_rollout(self.accelerator.device, *self._next_key(), group):
            return sample(inputs)

    def _sample_dynamically(self, inputs: list[dict[str, Any]], sampler: DynamicSampler) -> dict[str, Any]:
        for kept in self._logs.values():
            kept.clear()

        def sample_and_flag(rows: list[dict[str, Any]]) -> tuple[dict[str, Any], torch.Tensor]:
            batch = self._sample(rows)
            if "num_images" in batch:
                raise ValueError("dynamic_sampling_attempts is for text only, got prompts with images: set it to 0")
            return batch, silent_groups(self._rewards, self.num_generations)

        batch, done = sampler.fill(sample_and_flag, inputs)
        for name, value in done.items():
            self._metrics["train"][f"dynamic_sampling/{name}"].append(value)
        return batch

    def _stage_context(self, clipped: float) -> None:
        self._metrics["train"]["completions/limit"].append(self._context.current)
        if self._context.observe(clipped):
            self._limit_completions(self._context.current)
            if self.accelerator.is_main_process:
                tqdm.write(
                    f"step {self.state.global_step}: {clipped:.0%} of the completions were cut, after "
                    f"{self._context.in_a_row} generations in a row with too many; from now on they may have "
                    f"{self._context.current} tokens"
                )

    def _limit_completions(self, limit: int) -> None:
        self.max_completion_length = limit
        if self.use_vllm:
            self.vllm_generation.max_completion_length = limit
        else:
            self.generation_config.max_new_tokens = self.generation_kwargs["max_new_tokens"] = limit

    def _next_key(self) -> tuple[int, ...]:
        """What the next draw depends on, and nothing else: the seed, the step, and how many came before in it."""
        # Counted within a step and a mode, since a resumed run knows neither earlier steps nor evaluations.
        mode, step = self._mode, self.state.global_step
        last_step, last_draw = self._last_draw[mode]
        draw = last_draw + 1 if step == last_step else 0
        self._last_draw[mode] = step, draw
        return self.args.seed, step, draw, int(mode == "eval")

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        rewards_per_func = super()._calculate_rewards(*args, **kwargs)
        rewards = (rewards_per_func * self.reward_weights.to(rewards_per_func.device)).nansum(dim=1)
        self._rewards = rewards.masked_fill(rewards_per_func.isnan().all(dim=1), torch.nan)
        return rewards_per_func

    def _scores(self, batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities and entropies (B, T) of the policy at the completions' tokens, in nats, at the sampling
        temperature."""
        train = self.model.training
        # The parent's method: one that keeps what enters the loss, as HICRA's does, shall not keep these.
        with torch.no_grad(), disable_gradient_checkpointing(self.model, self.args.gradient_checkpointing_kwargs):
            logps, entropies, *_ = super()._get_per_token_logps_and_entropies(
                self.model,
                torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
                torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
                batch["completion_ids"].size(1),
                batch_size=self.args.per_device_train_batch_size if train else self.args.per_device_eval_batch_size,
                compute_entropy=True,
                **{name: batch[name] for name in _FORWARD_PARAMETERS if name in batch},
            )
        return logps, entropies

    def checkpoint_state(self) -> dict[str, Any]:
        """What a resumed run needs to sample on as this one would."""
        rollouts = {
            "fresh_prompts_drawn": self._dynamic.prompts.drawn if self._dynamic else 0,
            "clipped_in_a_row": self._context.in_a_row,
            "is_extended": self._context.is_extended,
        }
        return {"rollouts": rollouts, **super().checkpoint_state()}

    def restore_checkpoint(self, checkpoint: Path, state: dict[str, Any]) -> None:
        """Takes over what [`~RolloutTrainer.checkpoint_state`] gave."""
        super().restore_checkpoint(checkpoint, state)
        rollouts = state["rollouts"]
        if self._dynamic is not None:
            self._dynamic.prompts.drawn = rollouts["fresh_prompts_drawn"]
        self._context.in_a_row = rollouts["clipped_in_a_row"]
        self._context.is_extended = rollouts["is_extended"]
        # Before, the limit may be one of generation_kwargs.
        if self._context.is_extended:
            self._limit_completions(self._context.current)
