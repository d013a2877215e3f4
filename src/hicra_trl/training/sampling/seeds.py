"""Randomness that depends on what is named, and on nothing that happened before."""

from collections.abc import Callable, Iterator

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
