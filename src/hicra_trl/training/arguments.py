"""What a recipe says beside HICRAConfig and TRL's ModelConfig."""

from dataclasses import dataclass

from ..data.prompts import DataArguments
from ..fields import Count
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

    held_out_dataset_name: str | None = None
    held_out_dataset_split: str | None = None
    held_out_steps: Count = 50
    held_out_samples: Count = 4
    held_out_at_start: bool = True
    accelerate_config: str | None = None
