"""Weights that several processes saved in parts, put together: DeepSpeed ZeRO's and FSDP's."""

import contextlib
import io
import tempfile
from pathlib import Path

import torch
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

from ...extras import not_installed


ZERO_FILE = "latest"
FSDP_FOLDER = "pytorch_model_fsdp_0"


def read_zero(folder: Path) -> dict[str, torch.Tensor]:
    """
    Puts a ZeRO checkpoint together.

    Args:
        folder (`Path`):
            Where DeepSpeed saved it: the folder with the file `latest`.

    Returns:
        `dict[str, torch.Tensor]`: the weights by the names of the model's parameters, in float32 as the optimizer
            has them. Frozen parameters that were left out of the checkpoint are left out here.

    Raises:
        `ValueError`: if a part is missing or broken, or DeepSpeed is not installed.
    """
    try:
        from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint
    except ImportError as error:
        raise ValueError(f"{folder} was saved by DeepSpeed: {not_installed('deepspeed')}") from error
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            state = get_fp32_state_dict_from_zero_checkpoint(str(folder))
    except (OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise ValueError(f"cannot put the ZeRO checkpoint {folder} together: {error}") from error
    assert state is not None
    return {name: tensor.contiguous() for name, tensor in state.items()}


def read_fsdp(folder: Path, scratch: Path) -> dict[str, torch.Tensor]:
    """
    Puts a sharded FSDP checkpoint together.

    Args:
        folder (`Path`):
            Where Accelerate saved it: the folder with `pytorch_model_fsdp_0/`.
        scratch (`Path`):
            A folder with room for the weights once more.

    Returns:
        `dict[str, torch.Tensor]`: the weights by the names of the model's parameters, in the dtype of the training;
            of an adapter, by the names of its own file.

    Raises:
        `ValueError`: if a part is missing or broken.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as whole:
        file = Path(whole, "model.pt")
        try:
            dcp_to_torch_save(folder / FSDP_FOLDER, file)
        except (CheckpointException, OSError) as error:
            raise ValueError(f"cannot put the FSDP checkpoint {folder} together: {error}") from error
        return torch.load(file, weights_only=True)["model"]
