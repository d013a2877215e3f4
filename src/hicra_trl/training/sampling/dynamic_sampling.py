"""Dynamic sampling (DAPO, arXiv 2503.14476): groups that teach nothing make room for freshly sampled ones."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from datasets import Dataset
from torch.nn.functional import pad

from .seeds import seeded_generator


Batch = dict[str, Any]
Row = dict[str, torch.Tensor]


def silent_groups(rewards: torch.Tensor, group_size: int) -> torch.Tensor:
    """
    Finds the groups without signal: those whose rewards are all exactly equal, so that every advantage is 0.

    A standard deviation would not do: in floating point that of equal numbers may be above 0.

    Args:
        rewards (`torch.Tensor` of shape `(N,)`):
            Rewards of whole groups, one behind the other. NaN is one that could not be scored, and does not count.
        group_size (`int`):
            Completions of a group.

    Returns:
        `torch.Tensor` of shape `(N / group_size,)`, bool.

    Example:

    ```python
    >>> silent_groups(torch.tensor([1.0, 1.0, 0.0, 1.0, 0.5, float("nan")]), 2)
    tensor([ True, False,  True])
    ```
    """
    groups = rewards.view(-1, group_size)
    scored = ~groups.isnan()
    highest = groups.masked_fill(~scored, -torch.inf).amax(dim=1, keepdim=True)
    return ((groups == highest) | ~scored).all(dim=1)


class FreshPrompts:
    """
    Prompts of a dataset in an order of their own: one permutation after the other, without end.

    Args:
        dataset ([`~datasets.Dataset`]):
            What to draw from.
        seed (`int`):
            Seed of the order.

    Attributes:
        drawn (`int`):
            How many were drawn: all that there is to save and restore.
    """

    def __init__(self, dataset: Dataset, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed
        self.drawn = 0
        self._pass, self._order = -1, []

    def draw(self, count: int) -> list[dict[str, Any]]:
        """The next `count` rows."""
        rows = []
        for _ in range(count):
            number, at = divmod(self.drawn, len(self.dataset))
            if number != self._pass:
                generator = seeded_generator(self.seed, number)
                self._pass, self._order = number, torch.randperm(len(self.dataset), generator=generator).tolist()
            rows.append(self.dataset[self._order[at]])
            self.drawn += 1
        return rows


def take_rows(batch: Batch, rows: list[int]) -> list[Row]:
    """Rows of a batch, as tensors on the CPU that keep their padding."""
    size = batch["completion_ids"].size(0)
    aligned = {name: value.cpu() for name, value in batch.items() if _is_aligned(value, size)}
    return [{name: value[row].clone() for name, value in aligned.items()} for row in rows]


def put_rows(batch: Batch, rows: dict[int, Row], pad_token_id: int) -> Batch:
    """
    Puts rows in the places of others.

    Args:
        batch (`dict`):
            What [`~trl.GRPOTrainer`] samples: tensors `(B, ...)`, of prompts padded on the left and of completions on
            the right.
        rows (`dict[int, dict]`):
            By place, rows as [`take_rows`] gives them.
        pad_token_id (`int`):
            What ids are padded with; all else is padded with 0.

    Returns:
        `dict`: a new batch, as wide as the widest row.
    """
    if not rows:
        return batch
    size = batch["completion_ids"].size(0)
    replaced = dict(batch)
    for name, value in batch.items():
        if not _is_aligned(value, size):
            continue
        old = value.unbind()
        values = [rows[row][name].to(value.device, value.dtype) if row in rows else old[row] for row in range(size)]
        if value.dim() == 2:
            width = max(len(row) for row in values)
            padding = pad_token_id if name in ("prompt_ids", "completion_ids") else 0
            left = name in ("prompt_ids", "prompt_mask")
            missing = [width - len(row) for row in values]
            values = [pad(row, (n, 0) if left else (0, n), value=padding) for row, n in zip(values, missing)]
        replaced[name] = torch.stack(values)
    return replaced


@dataclass
class DynamicSampler:
    """
    Replaces the groups without signal in a generation batch by fresh ones, in a bounded number of attempts.

    In each attempt as many prompts are sampled as groups are left without signal. What goes where follows from the
    gathered rewards, which are the same on every rank; so all ranks make the same calls.

    Args:
        attempts (`int`):
            How often to sample again. Groups that are still without signal then stay, with advantages of 0.
        prompts ([`FreshPrompts`]):
            Where the prompts come from.
        accelerator ([`~accelerate.Accelerator`]):
            The ranks.
        group_size (`int`):
            Completions of a group, which may lie on several ranks.
        pad_token_id (`int`):
            What ids are padded with.
    """

    attempts: int
    prompts: FreshPrompts
    accelerator: Accelerator
    group_size: int
    pad_token_id: int

    def fill(
        self, sample: Callable[[list[dict[str, Any]]], tuple[Batch, torch.Tensor]], inputs: list[dict[str, Any]]
    ) -> tuple[Batch, dict[str, int]]:
        """
        Samples a batch and replaces what has no signal. Every rank must call it.

        Args:
            sample (`Callable`):
                From this rank's rows of the dataset to its batch and to the flags of [`silent_groups`] of all ranks.
            inputs (`list[dict]`):
                This rank's rows of the first batch.

        Returns:
            `tuple[dict, dict[str, int]]`: the batch, and what was done: `groups_tried` of all attempts, `groups_kept`
                (those with signal), `attempts`, and `tokens_tried`.
        """
        batch, flags = sample(inputs)
        silent = flags.nonzero().flatten().tolist()
        done = {"groups_tried": len(flags), "attempts": 0, "tokens_tried": int(batch["num_items_in_batch"])}
        size, offset = len(inputs), self.accelerator.process_index * len(inputs)
        while silent and done["attempts"] < self.attempts:
            fresh, fresh_flags = sample(self._draw(len(silent)))
            done["attempts"] += 1
            done["groups_tried"] += len(fresh_flags)
            done["tokens_tried"] += int(fresh["num_items_in_batch"])
            places = dict(zip((~fresh_flags).nonzero().flatten().tolist(), silent))
            silent = silent[len(places) :]
            arrived: list[tuple[int, Row]] = gather_object(list(self._send(fresh, places).items()))
            rows: dict[int, Row] = {place - offset: row for place, row in arrived if offset <= place < offset + size}
            batch = put_rows(batch, rows, self.pad_token_id)
        own = batch["completion_mask"] * batch.get("tool_mask", 1)
        batch["num_items_in_batch"] = self.accelerator.reduce(own.sum())
        return batch, {**done, "groups_kept": len(flags) - len(silent)}

    def _draw(self, groups: int) -> list[dict[str, Any]]:
        """This rank's rows for at least so many groups: as many more as it takes for all ranks to have equal parts."""
        world = self.accelerator.num_processes
        while groups * self.group_size % world:
            groups += 1
        rows = [row for row in self.prompts.draw(groups) for _ in range(self.group_size)]
        share = len(rows) // world
        return [dict(row) for row in rows[self.accelerator.process_index * share :][:share]]

    def _send(self, fresh: Batch, places: dict[int, int]) -> dict[int, Row]:
        """By their new place among those of all ranks, the rows of this rank whose groups have one."""
        size = fresh["completion_ids"].size(0)
        offset = self.accelerator.process_index * size
        targets: dict[int, int] = {}
        for row in range(size):
            group, member = divmod(offset + row, self.group_size)
            if group in places:
                targets[row] = places[group] * self.group_size + member
        return dict(zip(targets.values(), take_rows(fresh, list(targets))))


def _is_aligned(value: Any, size: int) -> bool:
    return isinstance(value, torch.Tensor) and value.dim() > 0 and value.size(0) == size
