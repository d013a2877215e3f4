"""What a recipe says beside HICRAConfig and TRL's ModelConfig."""

from dataclasses import dataclass, field

from ..data.prompts import DataArguments
from .rewards import RewardArguments


@dataclass
class RunArguments(DataArguments, RewardArguments):
    """
    What a recipe says beside [`HICRAConfig`] and [`~trl.ModelConfig`].

    Args:
        held_out_dataset_name (`str`, *optional*):
            Problems to measure pass@k on while training, strictly graded, whatever the rewards; read as
            `dataset_name` is.
        held_out_dataset_split (`str`, *optional*):
            Its split. Defaults to `train` for a file, which has no other, and to `test` on the Hub.
        held_out_steps (`int`, *optional*, defaults to `50`):
            Steps from one measurement to the next.
        held_out_samples (`int`, *optional*, defaults to `4`):
            Completions of each problem.
        held_out_at_start (`bool`, *optional*, defaults to `True`):
            Measure the base too, before the first step.
        accelerate_config (`str`, *optional*):
            On what to run: the name of a shipped Accelerate configuration, such as `"zero3"`, or the path of another.
            Defaults to this machine's.
    """

    held_out_dataset_name: str | None = field(
        default=None, metadata={"help": "Problems to measure pass@k on while training, whatever the rewards."}
    )
    held_out_dataset_split: str | None = field(
        default=None, metadata={"help": "Its split. Default: 'train' for a file, 'test' on the Hub."}
    )
    held_out_steps: int = field(default=50, metadata={"help": "Steps from one held-out measurement to the next."})
    held_out_samples: int = field(default=4, metadata={"help": "Completions of each held-out problem."})
    held_out_at_start: bool = field(default=True, metadata={"help": "Measure the base too, before the first step."})
    accelerate_config: str | None = field(
        default=None,
        metadata={"help": "On what to run: a shipped Accelerate configuration (ddp, zero3, ...) or a path."},
    )
