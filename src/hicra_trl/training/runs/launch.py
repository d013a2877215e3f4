"""How a run is launched: what was asked for, and whether the processes that train are that."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, cast

import torch
from accelerate import Accelerator


Engine = Literal["none", "ddp", "zero1", "zero2", "zero3", "fsdp2"]

LAUNCH_VARIABLE = "HICRA_LAUNCH"
_ENGINES = {"ddp": "DDP or a single process", "zero2": "ZeRO-1 or ZeRO-2", "zero3": "ZeRO-3", "fsdp2": "FSDP2"}
_SHARES = "global_step*/*zero_pp_rank_*_optim_states.pt"


@dataclass(frozen=True)
class Launch:
    """
    What an Accelerate configuration and the flags beside it ask for.

    Args:
        name (`str`, *optional*):
            Name of a configuration that is shipped, or the path of another; `None` if there is none.
        num_processes (`int`):
            Processes on all machines together, one for each GPU.
        num_machines (`int`):
            Machines.
        engine (`str`):
            What spreads the training over the processes; `"none"` for a single one.
        offload (`bool`):
            Whether the engine keeps weights or optimizer in CPU memory.
        mixed_precision (`str`):
            `"no"`, `"fp16"`, `"bf16"` or `"fp8"`.
        use_cpu (`bool`, *optional*, defaults to `False`):
            Whether the processes keep to the CPU, where there are GPUs too.
    """

    name: str | None
    num_processes: int
    num_machines: int
    engine: Engine
    offload: bool
    mixed_precision: str
    use_cpu: bool = False


def launch_environment(launch: Launch) -> dict[str, str]:
    """Environment that tells the processes of a run what was asked for."""
    environment = {LAUNCH_VARIABLE: json.dumps(asdict(launch))}
    if launch.use_cpu or not torch.accelerator.is_available():
        # Accelerate would number the CPU like a GPU, and torch.load knows no "cpu:0"; DeepSpeed would warn of it.
        environment |= {"ACCELERATE_TORCH_DEVICE": "cpu", "DS_ACCELERATOR": "cpu"}
    return environment


def engine(accelerator: Accelerator) -> Engine:
    """What spreads the training over the processes."""
    if (plugin := accelerator.state.deepspeed_plugin) is not None:
        return cast(Engine, f"zero{plugin.zero_stage}")
    if accelerator.is_fsdp2:
        return "fsdp2"
    return "ddp" if accelerator.num_processes > 1 else "none"


def check_launch(accelerator: Accelerator) -> None:
    """
    Checks that the processes of a run are what `hicra train` asked for; under another launcher, nothing was asked for.

    Raises:
        `ValueError`: if there are more or fewer processes, or if they train with another engine.
    """
    if LAUNCH_VARIABLE not in os.environ:
        return
    asked = Launch(**json.loads(os.environ[LAUNCH_VARIABLE]))
    found = (accelerator.num_processes, engine(accelerator))
    if found != (asked.num_processes, asked.engine):
        raise ValueError(
            f"{asked.name or 'no accelerate config'}: expected {asked.num_processes} processes with engine "
            f"{asked.engine}, got {found[0]} with engine {found[1]}"
        )


def check_checkpoint(checkpoint: Path, launch: Launch) -> None:
    """
    Checks that a launch can read a checkpoint: optimizers are saved as each engine has them.

    Raises:
        `ValueError`: if another engine saved it, or ZeRO with another number of processes.
    """
    # Otherwise Transformers goes on without a word, with an optimizer that begins anew.
    saved = saved_engine(checkpoint)
    kind = {"none": "ddp", "zero1": "zero2"}.get(launch.engine, launch.engine)
    if saved not in (None, kind):
        raise ValueError(f"{checkpoint} was saved by {_ENGINES[saved]}: expected a config with it, got {_of(launch)}")
    shares = len([*checkpoint.glob(_SHARES)])
    if kind.startswith("zero") and shares not in (0, launch.num_processes):
        raise ValueError(f"{checkpoint} was saved by ZeRO on {shares} processes: expected as many, got {_of(launch)}")


def saved_engine(checkpoint: Path) -> Engine | None:
    """What saved a checkpoint, with a single process as DDP and ZeRO-1 as ZeRO-2; `None` if it has no optimizer."""
    if any(checkpoint.glob("global_step*/*zero_pp_rank_*_model_states.pt")):
        return "zero3"
    if any(checkpoint.glob(_SHARES)):
        return "zero2"
    if any(checkpoint.glob("pytorch_model_fsdp*")):
        return "fsdp2"
    return "ddp" if (checkpoint / "optimizer.pt").is_file() else None


def _of(launch: Launch) -> str:
    return f"{launch.engine} on {launch.num_processes} ({launch.name or 'no accelerate config'})"
