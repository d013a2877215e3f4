"""Repairs ranks on the CPU; can go when Accelerate, DeepSpeed and Python (3.14) set them up and end them."""

import atexit
import os
import sys

from accelerate import PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType, parse_flag_from_env


def prepare_cpu_ranks(state: PartialState) -> None:
    """
    Lets processes on the CPU train with the engines that are made for GPUs; does nothing on GPUs.

    To be called before an [`~accelerate.Accelerator`] is made of the state.
    """
    if state.distributed_type != DistributedType.MULTI_CPU:
        return
    if parse_flag_from_env("ACCELERATE_USE_FSDP"):
        # Accelerate turns FSDP on for ranks on GPUs alone, and trains other ranks with DDP without a word.
        state.distributed_type = DistributedType.MULTI_GPU
    if parse_flag_from_env("ACCELERATE_USE_DEEPSPEED"):
        from deepspeed import ops

        # DeepSpeed would compile a communication kernel of its own, for a minute and with a compiler; Gloo serves.
        ops.__compatible_ops__["deepspeed_shm_comm"] = False


def leave_cpu_ranks(state: PartialState | AcceleratorState) -> None:
    """
    Ends a process on the CPU that is one of several, as a success; does nothing on GPUs, or in a process alone.

    What was registered with `atexit` runs, but the interpreter is not taken down. Before Python 3.14 that aborts the
    process now and then: Gloo's threads let go of tensors when they come to it, and one that needs an interpreter
    which is ending for that is ended too, in the midst of C++.
    """
    assert state.device is not None
    if state.device.type != "cpu" or state.num_processes == 1:
        return
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
