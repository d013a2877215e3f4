"""Configuration of HICRA: GRPO's, with the paper's choices as defaults."""

from dataclasses import dataclass, field

from transformers.utils import is_torch_bf16_gpu_available
from trl import GRPOConfig


@dataclass
class HICRAConfig(GRPOConfig):
    r"""
    Configuration of the [`HICRATrainer`].

    Only the parameters that are new or have another default than in [`~trl.GRPOConfig`] are listed. The defaults are
    the paper's GRPO: advantages without division by the standard deviation, clip-higher, no KL term.

    Args:
        alpha (`float`, *optional*, defaults to `0.2`):
            Amplification of the planning tokens' advantage, in [0, 1). 0 is GRPO, bit for bit.
        strategic_grams (`str`, *optional*, defaults to `"paper"`):
            Lexicon of strategic grams: `"paper"`, or a file, a folder, or a dataset on the Hub that
            [`~hicra_trl.grams.StrategicGrams.load`] takes.
        pass_threshold (`float`, *optional*, defaults to `1.0`):
            A completion counts as correct in `hicra/pass_at_k` if the first reward function gives it at least this.
        scale_rewards (`str`, *optional*, defaults to `"none"`):
            No division by the standard deviation (paper, section 3).
        epsilon_high (`float`, *optional*, defaults to `0.28`):
            Clip-higher (paper, section 4; DAPO).
        bf16 (`bool`, *optional*):
            Defaults to TRL's, bf16, where a GPU has it, and to float32 elsewhere.

    Raises:
        `ValueError`: if `alpha` is not in [0, 1), or if it is above 0 with a loss that collapses the credit of tokens
            to one value per completion (`importance_sampling_level="sequence"`, `loss_type="luspo"`).
    """

    alpha: float = field(
        default=0.2,
        metadata={"help": "Amplification of the planning tokens' advantage, in [0, 1). 0 is GRPO, bit for bit."},
    )
    strategic_grams: str = field(
        default="paper",
        metadata={"help": "Lexicon: 'paper', a text file with one gram a line, a folder, or a dataset on the Hub."},
    )
    pass_threshold: float = field(
        default=1.0,
        metadata={
            "help": "A completion counts as correct in `hicra/pass_at_k` if the first reward function gives it at "
            "least this."
        },
    )
    scale_rewards: str = field(
        default="none",
        metadata={
            "help": "Scaling of the advantages: 'none' (the paper's), 'group' (standard deviation of the group) or "
            "'batch' (standard deviation of the batch)."
        },
    )
    epsilon_high: float | None = field(
        default=0.28,
        metadata={"help": "Upper clipping bound (clip-higher). The paper follows DAPO: 0.28 above 0.2 below."},
    )

    def __post_init__(self) -> None:
        # TRL's default asks for bf16, and without a device for it refuses to start rather than train in float32.
        if self.bf16 is None and not self.use_cpu and not is_torch_bf16_gpu_available():
            self.bf16 = False
        super().__post_init__()
        if not 0 <= self.alpha < 1:
            raise ValueError(f"alpha must be in [0, 1), got {self.alpha}")
        if self.alpha > 0:
            for name, collapsing in (("importance_sampling_level", "sequence"), ("loss_type", "luspo")):
                if getattr(self, name) == collapsing:
                    raise ValueError(
                        f"{name}={collapsing!r} gives every token of a completion the same credit, so alpha="
                        f"{self.alpha} has no effect on planning tokens: use another {name}, or alpha=0"
                    )
