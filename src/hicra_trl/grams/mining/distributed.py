"""Counting on many machines: the two maps as pipeline steps of datatrove, over a work folder that all machines see."""

from collections.abc import Generator, Iterable
from typing import Any

from datatrove.pipeline.base import PipelineStep

from .counting import Counting


class CountBlocks(PipelineStep):
    """
    Counts the n-grams of the blocks that fall to a task: the first map.

    Args:
        counting ([`~hicra_trl.grams.mining.counting.Counting`]):
            What [`~hicra_trl.grams.prepare_counting`] returns.
    """

    name = "Count n-grams"
    type = "hicra-trl"

    def __init__(self, counting: Counting) -> None:
        super().__init__()
        self.counting = counting

    def run(self, data: Iterable[Any] | None = None, rank: int = 0, world_size: int = 1) -> Generator[Any, None, None]:
        """Works on every `world_size`-th block from `rank` on."""
        yield from data or ()
        for name in self.counting.names[rank::world_size]:
            with self.track_time():
                self.work(name)
            self.stat_update("blocks")

    def work(self, name: str) -> None:
        """What to do with one block."""
        self.counting.count_block(name)


class LocateBlocks(CountBlocks):
    """Finds the frequent n-grams in the blocks that fall to a task: the second map, once the first is through."""

    name = "Locate frequent n-grams"

    def work(self, name: str) -> None:
        """What to do with one block."""
        self.counting.locate_block(name)
