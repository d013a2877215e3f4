"""Randomness that depends on what is named, and on nothing that happened before."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch.utils.data import Sampler
from trl.trainer.utils import RepeatSampler


def seeded_generator(*key: int) -> torch.Generator:
    """A generator on the CPU that depends on `key` alone: integers from 0, of which zeros at the end do not count."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]))


class EpochSampler(Sampler[int]):
    """
    TRL's order of the prompts, under a seed of its own, and the same whether an epoch was resumed or not.

    TRL's sampler draws one permutation after the other, so that a run resumed in its third epoch would see the first
    one's order again.

    Args:
        sampler ([`~trl.trainer.utils.RepeatSampler`]):
            TRL's sampler.
        seed (`int`):
            Seed of the order.
        epoch (`Callable[[], int]`):
            Tells the number of whole epochs that are over.
    """

    def __init__(self, sampler: RepeatSampler, seed: int, epoch: Callable[[], int]) -> None:
        self.sampler = sampler
        self.seed = seed
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        if self.sampler.shuffle:
            generator = self.sampler.generator.manual_seed(self.seed)
            for _ in range(self.epoch()):
                torch.randperm(self.sampler.num_samples, generator=generator)
        return iter(self.sampler)

    def __len__(self) -> int:
        return len(self.sampler)


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
