"""The run's seed for the rollouts of a colocated vLLM engine, which TRL seeds with the rank and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded_rollout(device: torch.device, *key: int) -> Iterator[None]:
    """
    Makes the engine's draws depend on `key` and on nothing else, and leaves the process's generators untouched.

    A colocated engine has no generator of its own: it draws tokens from PyTorch's, or seeds for its requests from
    NumPy's, as training does. So the ranks of a tensor-parallel group, which must draw the same tokens, need the same
    `key`, and other groups another one. A `key` that counts within a step lets a resumed run sample what the
    uninterrupted one did.

    Args:
        device (`torch.device`):
            The engine's.
        *key (`int`):
            Integers from 0, such as the run's seed, the step and the group.

    Example:

    ```python
    >>> with seeded_rollout(torch.device("cpu"), 42, 0):
    ...     first = torch.rand(1)
    >>> with seeded_rollout(torch.device("cpu"), 42, 0):
    ...     print(first == torch.rand(1))
    tensor([True])
    ```
    """
    numpy_state = np.random.get_state()
    seed = int(np.random.SeedSequence(key).generate_state(1)[0])
    with torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=device.type):
        np.random.seed(seed)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
