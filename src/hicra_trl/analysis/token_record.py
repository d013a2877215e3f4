"""Reads the token record of a run: what each sampled token was, and what it got."""

from pathlib import Path

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


def _shown(steps: list[int]) -> str:
    if len(steps) <= 8:
        return ", ".join(map(str, steps))
    return f"{', '.join(map(str, steps[:4]))} ... {steps[-1]} ({len(steps)} steps)"
