r"""The training sets of the paper (appendix E.1): DAPO, DeepScaleR and ViRL39K, made ready for answers in `\boxed{}`.

Each becomes rows of `problem`, `solution` (the gold answer) and, for ViRL39K, `images`. Rows that training cannot use
are left out, and one line on stderr counts them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import Dataset

from ..terminal import say
from .duplicates import distinct
from .rows import as_gold, as_text, is_missing, read_folder, read_rows, require_columns
from .virl import read_virl


# Of each, the repository that its short name stands for comes first.
REPOSITORIES = {
    "dapo": ("open-r1/DAPO-Math-17k-Processed", "BytedTsinghua-SIA/DAPO-Math-17k"),
    "deepscaler": ("agentica-org/DeepScaleR-Preview-Dataset",),
    "virl39k": ("TIGER-Lab/ViRL39K",),
}
# Only the processed DAPO has configurations: both languages, English, Chinese.
DAPO_CONFIGS = ("all", "en", "cn")
_DAPO_PREFIX = (
    "Solve the following math problem step by step. The last line of your response should be of the form "
    "Answer: $Answer (without quotes) where $Answer is the answer to the problem."
)
_DAPO_SUFFIX = 'Remember to put your answer on its own line after "Answer:".'


def find_known(name: str) -> tuple[str, str] | None:
    """
    Short name and repository of a dataset of the paper; `None` for any other dataset.

    Example:

    ```python
    >>> find_known("dapo"), find_known("BytedTsinghua-SIA/DAPO-Math-17k"), find_known("./dapo")
    (('dapo', 'open-r1/DAPO-Math-17k-Processed'), ('dapo', 'BytedTsinghua-SIA/DAPO-Math-17k'), None)
    ```
    """
    for known, repositories in REPOSITORIES.items():
        for repository in repositories:
            if name.lower() in (known, repository.lower()):
                return known, repository
    return None


def read_known(
    known: str, repository: str, split: str = "train", config: str | None = None, path: str | None = None
) -> Dataset:
    """
    Reads a dataset of the paper.

    Args:
        known (`str`):
            Its short name.
        repository (`str`):
            Where it is on the Hub.
        split (`str`, *optional*, defaults to `"train"`):
            Split to read, or a part such as `"train[:100]"`; there is no other than `train`.
        config (`str`, *optional*):
            Of the processed DAPO `"all"`, `"en"` or `"cn"`. Defaults to `"all"`.
        path (`str`, *optional*):
            A file or a folder that holds the dataset, instead of the Hub.

    Returns:
        [`~datasets.Dataset`]: with `problem`, `solution` and, for ViRL39K, `images`.

    Raises:
        `ValueError`: if it is not there, has not the columns of this dataset, or no row is left.
    """
    has_configs = repository == REPOSITORIES["dapo"][0]
    if config is not None and not (has_configs and config in DAPO_CONFIGS):
        expected = ", ".join(DAPO_CONFIGS) if has_configs else "none"
        raise ValueError(f"{repository} has no configuration {config!r}: expected {expected}")
    if path is not None and not Path(path).exists():
        raise ValueError(f"no {known} at {path}: expected a file or a folder")
    if known == "virl39k":
        return read_virl(repository, split, path)
    if path is None:
        rows = read_rows(repository, split, config or ("all" if has_configs else None))
    elif Path(path).is_file():
        rows = read_rows(path, split, config)
    else:
        rows = read_folder(_config_folder(Path(path), config), split)
    if known == "deepscaler":
        return _distinct_rows(rows, known, "problem", "answer")
    return _distinct_rows(rows, known, "prompt", "solution" if "solution" in rows.column_names else "reward_model")


def plain_problem(prompt: str | list[dict[str, Any]]) -> str:
    r"""
    The problem of a prompt, text or conversation, without DAPO's template, which asks for a last line `Answer:`.

    Example:

    ```python
    >>> plain_problem('1 + 1?\n\nRemember to put your answer on its own line after "Answer:".')
    '1 + 1?'
    ```
    """
    text = as_text(prompt, "prompt", "a prompt", "user")
    return text.strip().removeprefix(_DAPO_PREFIX).removesuffix(_DAPO_SUFFIX).strip()


def _config_folder(folder: Path, config: str | None) -> Path:
    """The folder of a configuration in a copy of a repository; the copy itself where it has no such folders."""
    inside = folder / (config or "all")
    if config is not None and not inside.is_dir():
        raise ValueError(f"no configuration {config!r} in {folder}: expected a folder {inside}")
    return inside if inside.is_dir() else folder


def _distinct_rows(rows: Dataset, known: str, prompt: str, gold: str) -> Dataset:
    require_columns(rows, (prompt, gold), known)
    found = distinct(_answered(rows, known, prompt, gold))
    unanswered = len(rows) - len(found.keep) - found.duplicates - found.conflicts
    say(
        f"{known}: {len(rows):,} rows read, {unanswered:,} without a problem or a gold answer, "
        f"{found.duplicates:,} duplicates, {found.conflicts:,} with conflicting gold answers, {len(found.keep):,} kept"
    )
    if not found.keep:
        raise ValueError(f"{known}: expected problems with gold answers, got none in {len(rows):,} rows")

    def to_row(row: dict[str, Any]) -> dict[str, str]:
        return {"problem": plain_problem(row[prompt]), "solution": as_gold(_answer(row[gold]), known)}

    return rows.select(found.keep).map(to_row, remove_columns=rows.column_names, desc=f"Reading {known}")


def _answered(rows: Dataset, known: str, prompt: str, gold: str) -> Iterator[tuple[int, str, str]]:
    """Index, problem and gold answer of the rows that have both. The raw DAPO has 1.8 million: none are held."""
    index = 0
    for batch in rows.select_columns([prompt, gold]).iter(batch_size=1000):
        assert isinstance(batch, dict)
        for asked, value in zip(batch[prompt], batch[gold]):
            problem, answer = plain_problem(asked or ""), _answer(value)
            if problem and not is_missing(answer):
                yield index, problem, as_gold(answer, f"{known}, row {index}, {gold!r}")
            index += 1


def _answer(value: Any) -> Any:
    return value["ground_truth"] if isinstance(value, dict) else value
