"""Configuration of HICRA: GRPO's, with the paper's choices as defaults."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from transformers.utils import is_torch_bf16_gpu_available
from trl import GRPOConfig

from ..fields import Count, CountOrZero, Name, Range, check_fields
from .credit.schedule import AlphaSchedule
from .limits import FILES, LIMITS, MAPPINGS, check_sharding, check_truncation


@dataclass
class HICRAConfig(GRPOConfig):
    r"""
    Configuration of the [`HICRATrainer`].

    Only the parameters that are new or have another default than in [`~trl.GRPOConfig`] are listed. The defaults are
    the paper's GRPO: advantages without division by the standard deviation, clip-higher, no KL term.

    Args:
        alpha (`float`, *optional*, defaults to `0.2`):
            Strength of the credit, in [0, 1). 0 is GRPO, bit for bit.
        credit (`str`, *optional*, defaults to `"planning"`):
            Whose advantage `alpha` changes, and how. `"planning"` is the paper's HICRA; `"asymmetric"` has another
            strength below the mean of a group; `"outcome"` pays each strategic gram for what it goes along with, and
            `"plan"` also where the answer is wrong; `"random"`, `"high_entropy"` and `"execution"` are controls, the
            last two at the cost of a forward pass per generation. Or the dotted path of a function
            `(advantages, labels, batch) -> (B, T)`, as [`~hicra_trl.training.credit.rule.Rule`] says.
        alpha_below (`float`, *optional*):
            With `credit: asymmetric` the strength for completions below the mean of their group, in (-1, 1); below 0
            planning tokens lose more than others. Defaults to 0.
        alpha_schedule (`Literal["constant", "linear", "procedural"]`, *optional*, defaults to `"constant"`):
            How `alpha` comes into force: at once, in proportion to the steps that are done, or once execution is
            reliable, as measured ([`~hicra_trl.training.credit.schedule.next_alpha`]).
        credit_window (`int`, *optional*, defaults to `20`):
            Generations over which what grams go along with is counted; what is older fades.
        credit_tokens (`Literal["planning", "random", "high_entropy"]`, *optional*):
            The former name of `credit`, which takes its place.
        completions_per_step (`int`, *optional*):
            Completions of one optimizer step, over all processes: `gradient_accumulation_steps` follows from it, so
            that a recipe keeps its batch on another number of GPUs. Defaults to what `gradient_accumulation_steps`
            makes, as in TRL.
        dynamic_sampling_attempts (`int`, *optional*, defaults to `0`):
            Dynamic sampling (DAPO): how often to sample other prompts in place of those whose completions all have
            the same reward, and so teach nothing. 0 is off. The paper needs it for Llama (appendix E.1).
        extended_completion_length (`int`, *optional*):
            Staged context (paper, appendix E.1): what `max_completion_length` becomes, once, when too many
            completions are cut. `None` is off.
        extend_clipped_ratio (`float`, *optional*, defaults to `0.2`):
            Share of cut completions that is too many.
        extend_patience (`int`, *optional*, defaults to `5`):
            Generations in a row with too many before the limit goes up.
        strategic_grams (`str`, *optional*, defaults to `"paper"`):
            Lexicon of strategic grams: `"paper"`, or a file, a folder, or a dataset on the Hub that
            [`~hicra_trl.grams.StrategicGrams.load`] takes.
        token_record (`int`, *optional*, defaults to `0`):
            Records every so many steps what each sampled token was and what it got, into `token_records/` of
            `output_dir`; [`~hicra_trl.analysis.token_record.TokenRecord`] reads it. 0 is off.
        token_record_groups (`int`, *optional*, defaults to `8`):
            Of how many prompts' completions, over all processes, such a record is. `None` is all.
        pass_threshold (`float`, *optional*, defaults to `1.0`):
            A completion counts as correct in `hicra/pass_at_k` if the first reward function gives it at least this.
        scale_rewards (`str`, *optional*, defaults to `"none"`):
            What advantages are divided by. `"none"` is the paper's (section 3); `"group"` and `"batch"` are the
            standard deviations of these.
        epsilon_high (`float`, *optional*, defaults to `0.28`):
            Upper clipping bound, above `epsilon`: clip-higher (paper, section 4; DAPO).
        bf16 (`bool`, *optional*):
            Defaults to TRL's, bf16, where a GPU has it, and to float32 elsewhere.

    Raises:
        `ValueError`: if a field, of TRL's too, has another type, choice or range than it is declared with, if `alpha`
            is above 0 with a loss that collapses the credit of tokens to
            one value per completion (`importance_sampling_level="sequence"`, `loss_type="luspo"`), if vLLM samples
            from a part of the vocabulary and its importance correction is on, if `alpha_below` is given without
            `credit: asymmetric`, if `completions_per_step` cannot be had with this
            many processes, if a number of the staged context is out of its range or vLLM's `vllm_max_model_length`
            too short for it, or if `save_total_limit` is 1: while a checkpoint is written,
            the one before has to stay.
    """

    alpha: Annotated[float, Range("[0, 1)")] = 0.2
    credit: Name = "planning"
    alpha_below: Annotated[float, Range("(-1, 1)")] | None = None
    alpha_schedule: AlphaSchedule = "constant"
    credit_window: Count = 20
    credit_tokens: Literal["planning", "random", "high_entropy"] | None = None
    completions_per_step: Count | None = None
    dynamic_sampling_attempts: CountOrZero = 0
    extended_completion_length: Count | None = None
    extend_clipped_ratio: Annotated[float, Range("[0, 1)")] = 0.2
    extend_patience: Count = 5
    strategic_grams: str = "paper"
    token_record: CountOrZero = 0
    token_record_groups: Count | None = 8
    pass_threshold: float = 1.0
    scale_rewards: str = "none"
    epsilon_high: float | None = 0.28

    _processes: ClassVar[int | None] = None

    if TYPE_CHECKING:
        # What TRL takes as None or text, and completes.
        output_dir: str = ""
        generation_batch_size: int = 0
        steps_per_generation: int = 0
        num_generations: int = 0
        max_completion_length: int = 0
        gradient_checkpointing_kwargs: dict[str, Any] | None = None
        model_init_kwargs: dict[str, Any] | None = None

    @classmethod
    def for_processes(cls, processes: int, **settings: Any) -> Self:
        """The configuration as so many processes will have it, made and checked before they are launched."""
        config = cls.__new__(cls)
        vars(config)["_processes"] = processes
        config.__init__(**settings)
        return config

    @property
    def world_size(self) -> int:
        """Processes that train: those that the configuration was made for, else those that are there."""
        return super().world_size if self._processes is None else self._processes

    @property
    def seed_of_data(self) -> int:
        """Seed of the order of the prompts."""
        return self.seed if self.data_seed is None else self.data_seed

    @property
    def repository(self) -> str:
        """Name of the model on the Hub: the folder's, where none is given."""
        return self.hub_model_id or Path(self.output_dir).absolute().name

    def __post_init__(self) -> None:
        check_fields(self, LIMITS)
        self._check_mappings()
        if self.credit_tokens is not None:
            warnings.warn(
                f"credit_tokens is now credit: write credit: {self.credit_tokens}", FutureWarning, stacklevel=3
            )
            self.credit, self.credit_tokens = self.credit_tokens, None
        if self.alpha_below is not None and self.credit != "asymmetric":
            raise ValueError(f"alpha_below needs credit: asymmetric, got credit: {self.credit}")
        if self.max_steps == 0:
            raise ValueError("max_steps must be at least 1, or -1 for num_train_epochs, got 0")
        # TRL's default asks for bf16, and without a device for it refuses to start rather than train in float32.
        if self.bf16 is None and not self.use_cpu and not is_torch_bf16_gpu_available():
            self.bf16 = False
        if self.completions_per_step is not None:
            self._accumulate(self.completions_per_step)
        with warnings.catch_warnings():
            # TRL sets it, under its old name: nobody who reads the warning can change that.
            warnings.filterwarnings("ignore", "`gradient_checkpointing` is deprecated", FutureWarning)
            super().__post_init__()
        if self.alpha > 0:
            for name, collapsing in (("importance_sampling_level", "sequence"), ("loss_type", "luspo")):
                if getattr(self, name) == collapsing:
                    raise ValueError(
                        f"{name}={collapsing!r} gives every token of a completion the same credit, so alpha="
                        f"{self.alpha} has no effect on planning tokens: use another {name}, or alpha=0"
                    )
        if self.use_vllm and self.vllm_importance_sampling_correction:
            settings = vars(self) | (self.generation_kwargs or {})  # pyright: ignore[reportOperatorIssue]
            check_truncation(settings, ", or set vllm_importance_sampling_correction to false")
        if self.sync_ref_model and self.beta == 0:
            raise ValueError("sync_ref_model needs a reference model: expected beta above 0, got 0")
        if self.save_total_limit == 1:
            raise ValueError(
                "save_total_limit must be at least 2, got 1: while a checkpoint is written, the one before has to stay"
            )
        if self.extended_completion_length is not None:
            self._check_staged_context(self.extended_completion_length)

    def check_prompts(self, prompts: int) -> None:
        """Raises `ValueError` for fewer prompts than one generation takes: nothing would be trained."""
        needed = self.generation_batch_size // self.num_generations
        if prompts < needed:
            raise ValueError(
                f"nothing would be trained: expected at least the {needed} prompts of one generation "
                f"(generation_batch_size {self.generation_batch_size} / num_generations {self.num_generations}), got "
                f"{prompts}; add prompts, or make the batch smaller (completions_per_step, "
                "gradient_accumulation_steps, steps_per_generation or per_device_train_batch_size)"
            )

    def _check_mappings(self) -> None:
        """What TRL takes as a mapping, or as text: JSON, or, of some, a file of it."""
        if isinstance(self.fsdp_config, dict):
            check_sharding(self.fsdp_config)
        for name in (*MAPPINGS, *FILES):
            value = getattr(self, name)
            if not isinstance(value, str) or (name in FILES and Path(value).is_file()):
                continue
            try:
                is_mapping = isinstance(json.loads(value), dict)
            except ValueError:
                is_mapping = False
            if not is_mapping:
                expected = "a mapping or a JSON file" if name in FILES else "a mapping"
                raise ValueError(f"{name} must be {expected}, got {value!r}")

    def _accumulate(self, completions: int) -> None:
        """Sets `gradient_accumulation_steps`, before TRL derives the generation batch from it."""
        # Sets up the processes, without which there is no world size yet.
        _ = self.device
        at_once = self.world_size * self.per_device_train_batch_size
        steps, rest = divmod(completions, at_once)
        if rest or steps < 1:
            raise ValueError(
                f"completions_per_step must be a multiple of {self.world_size} processes x "
                f"{self.per_device_train_batch_size} completions each, got {completions}"
            )
        # A resolved recipe names both.
        if self.gradient_accumulation_steps not in (1, steps):
            raise ValueError(
                f"completions_per_step={completions} makes {steps} accumulation steps, got "
                f"gradient_accumulation_steps={self.gradient_accumulation_steps}: give one of them"
            )
        if (self.generation_batch_size or completions) % completions:
            raise ValueError(
                f"generation_batch_size must be a multiple of completions_per_step={completions}, so that no "
                f"optimizer step straddles two generations, got {self.generation_batch_size}"
            )
        self.gradient_accumulation_steps = steps

    def _check_staged_context(self, extended: int) -> None:
        if extended <= self.max_completion_length:
            raise ValueError(
                f"extended_completion_length must be above max_completion_length={self.max_completion_length}, "
                f"got {extended}"
            )
        room = self.vllm_max_model_length
        if self.use_vllm and room is not None and room <= extended:
            raise ValueError(
                f"vllm_max_model_length must hold a prompt and extended_completion_length={extended} tokens, "
                f"got {room}"
            )
