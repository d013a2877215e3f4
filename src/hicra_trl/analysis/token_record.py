"""Reads the token record of a run: what each sampled token was, and what it got."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..training.runs.files import TOKEN_RECORD_FOLDER
from ..training.runs.token_record import RecordedCompletion, read_header, read_record, record_files


class TokenRecord:
    """
    The token record of a run, read file by file as it is asked for.

    Attributes:
        steps (`list[int]`):
            The recorded optimizer steps, in order.

    Example:

    ```python
    >>> record = TokenRecord.read("runs/mine")
    >>> record.steps
    [1, 11, 21]
    >>> row = record.rows(21)[0]
    >>> row.prompt, row.reward, row.planning.mean()
    ('What is 3 + 4?', 1.0, 0.25)
    ```
    """

    def __init__(self, files: dict[int, list[Path]]) -> None:
        self._files = files
        self.steps = list(files)

    @classmethod
    def read(cls, run: str | Path) -> "TokenRecord":
        """
        Args:
            run (`str` or `Path`):
                Folder of a run that was trained with `token_record`.

        Raises:
            `ValueError`: if it has no token record, or one that cannot be read.
        """
        if not (files := record_files(run)):
            folder = Path(run, TOKEN_RECORD_FOLDER)
            raise ValueError(f"no token record in {run}: expected {folder}, which training with token_record leaves")
        record = cls(files)
        read_header(files[record.steps[-1]][0])
        return record

    def rows(self, step: int) -> list[RecordedCompletion]:
        """The recorded completions of a step, of all processes, by group and place in it."""
        if step not in self._files:
            raise ValueError(f"no token record of step {step}: expected one of {_shown(self.steps)}")
        rows = [row for file in self._files[step] for row in read_record(file)]
        return sorted(rows, key=lambda row: (row.group, row.index))


class HighEntropyShares(NamedTuple):
    """
    How planning tokens and those of high entropy overlap (paper, figure 10). NaN where there are none.

    Attributes:
        planning_that_are_high (`float`):
            Share of the planning tokens that are of high entropy; by chance, the share that counts as high.
        high_that_are_planning (`float`):
            Share of the tokens of high entropy that are planning tokens; by chance, `planning`.
        planning (`float`):
            Share of all tokens that are planning tokens.
    """

    planning_that_are_high: float
    high_that_are_planning: float
    planning: float


def high_entropy_shares(rows: Iterable[RecordedCompletion], share: float) -> HighEntropyShares:
    """
    Compares planning tokens with those of highest entropy among all the model's own tokens (paper, 4.2.4).

    Args:
        rows (`Iterable[RecordedCompletion]`):
            The completions. Tokens without an entropy do not count.
        share (`float`):
            Which part of all tokens counts as high, in (0, 1]. Of tokens with equal entropy at its border, each counts
            for the same part.

    Returns:
        [`HighEntropyShares`]: both directions.

    Example:

    ```python
    >>> from types import SimpleNamespace
    >>> entropy = np.array([2.0, 1.5, 0.1, 0.9, 0.0, 0.3, 0.2, 0.0, 0.0, 0.4])
    >>> planning = np.array([1, 0, 0, 1, 0, 0, 0, 0, 1, 0], dtype=bool)
    >>> # the top three are 2.0, 1.5 and 0.9, of which two plan; three tokens plan
    >>> shares = high_entropy_shares([SimpleNamespace(entropy=entropy, planning=planning)], 0.3)
    >>> [round(value, 3) for value in shares]
    [0.667, 0.667, 0.3]
    ```
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be in (0, 1], got {share}")
    pairs = [(row.entropy, row.planning) for row in rows]
    entropy = np.concatenate([np.zeros(0), *(entropy for entropy, _ in pairs)])
    planning = np.concatenate([np.zeros(0, dtype=bool), *(planning for _, planning in pairs)])
    planning = planning[~np.isnan(entropy)]
    entropy = entropy[~np.isnan(entropy)]
    count, plans = share * len(entropy), int(planning.sum())
    if not count:
        return HighEntropyShares(math.nan, math.nan, math.nan)
    border = np.sort(entropy)[-math.ceil(count)]
    above, at = entropy > border, entropy == border
    shared = (above & planning).sum() + (count - above.sum()) * (at & planning).sum() / at.sum()
    return HighEntropyShares(float(shared / plans) if plans else math.nan, float(shared / count), plans / len(entropy))


def _shown(steps: list[int]) -> str:
    if len(steps) <= 8:
        return ", ".join(map(str, steps))
    return f"{', '.join(map(str, steps[:4]))} ... {steps[-1]} ({len(steps)} steps)"
