"""Prompts of several datasets as one, and without what benchmarks have too."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Image, List, concatenate_datasets

from ..terminal import say
from .decontamination import COVERAGE, NGRAM, find_overlaps
from .duplicates import distinct
from .rows import PROMPT_COLUMNS, as_text, find_column, read_rows


SHOWN = 3


def mix(parts: Sequence[Dataset], names: Sequence[str], instruction: str = "") -> Dataset:
    """
    Puts datasets one behind the other; of a problem that comes again the first is kept, or none, as
    [`~hicra_trl.data.duplicates.distinct`] decides.

    Args:
        parts (`Sequence[Dataset]`):
            Datasets with `prompt`, `solution` and, some of them, `images`.
        names (`Sequence[str]`):
            What to call them.
        instruction (`str`, *optional*):
            End of prompts that is not part of a problem.

    Raises:
        `ValueError`: if columns of the same name have different types, or nothing is left.
    """
    if any("images" in part.column_names for part in parts):
        # Where a prompt has no image, TRL wants an empty list.
        parts = [part if "images" in part.column_names else _without_images(part) for part in parts]
    name = " + ".join(names)
    try:
        mixed = concatenate_datasets(list(parts))
    except ValueError as error:
        raise ValueError(f"cannot put {name} together: {error}") from error
    pictured, texts = has_images(mixed), _texts(mixed, instruction)
    # Two questions on different images may have the same words: they are not compared.
    found = distinct((i, texts[i], gold) for i, gold in enumerate(mixed["solution"]) if not pictured[i])
    keep = sorted([*found.keep, *(i for i, has in enumerate(pictured) if has)])
    say(
        f"{name}: {len(mixed):,} prompts, {found.duplicates:,} duplicates, {found.conflicts:,} with conflicting gold "
        f"answers, {len(keep):,} kept"
    )
    if not keep:
        raise ValueError(f"{name}: expected problems with one gold answer each, got conflicting ones for all")
    return mixed.select(keep)


def drop_overlaps(
    prompts: Dataset, benchmarks: Sequence[str], n: int = NGRAM, coverage: float = COVERAGE, instruction: str = ""
) -> Dataset:
    """
    Drops the prompts that overlap with a problem of a benchmark, as [`~hicra_trl.data.decontamination.find_overlaps`]
    finds them, and prints the first of them.

    Args:
        prompts (`Dataset`):
            With a column `prompt`.
        benchmarks (`Sequence[str]`):
            Files, or datasets on the Hub, as [`read_problems`] reads them.
        n (`int`, *optional*, defaults to `8`):
            Words of an n-gram.
        coverage (`float`, *optional*, defaults to `0.5`):
            Least share of words in shared n-grams.
        instruction (`str`, *optional*):
            End of prompts that is not part of a problem.

    Raises:
        `ValueError`: if a benchmark cannot be read, or no prompt is left.
    """
    problems, sources = [], []
    for name in benchmarks:
        read = read_problems(name)
        problems += read
        sources += [f"{Path(name).name}, row {row}" for row in range(len(read))]
    texts = _texts(prompts, instruction)
    overlaps = find_overlaps(texts, problems, n, coverage)
    say(f"decontamination: {len(overlaps):,} of {len(prompts):,} prompts overlap with {len(problems):,} problems")
    for overlap in overlaps[:SHOWN]:
        start = " ".join(texts[overlap.prompt].split())[:80]
        say(f"  dropped: {start!r} ({overlap.coverage:.0%} of {sources[overlap.problem]})")
    dropped = {overlap.prompt for overlap in overlaps}
    if len(dropped) == len(prompts):
        raise ValueError(
            f"all {len(prompts):,} prompts overlap with {', '.join(benchmarks)}: none is left to train on"
        )
    return prompts.select([row for row in range(len(prompts)) if row not in dropped])


def read_problems(name: str) -> list[str]:
    """The problems of a benchmark: a file, or `user/dataset[:config]` on the Hub, of which all splits are read."""
    source, _, config = (name, "", "") if Path(name).exists() else name.partition(":")
    rows = read_rows(source, split=None, config=config or None)
    column = find_column(rows.column_names, None, PROMPT_COLUMNS, "problems", name)
    problems = rows[column][:]
    for row, problem in enumerate(problems):
        if not isinstance(problem, str):
            raise ValueError(f"{name}, row {row}, {column!r}: expected a problem of plain text, got {problem!r}")
    return problems


def _texts(prompts: Dataset, instruction: str) -> list[str]:
    return [
        as_text(prompt, "prompt", f"row {row}", "user").removesuffix(instruction)
        for row, prompt in enumerate(prompts["prompt"])
    ]


def has_images(prompts: Dataset) -> list[bool]:
    """Which prompts have an image, in the column `image` or `images`; none is read."""
    for column in ("image", "images"):
        if column in prompts.column_names:
            filled: list[bool] = []
            for batch in prompts.select_columns(column).with_format("arrow").iter(1000):
                images = batch[column]  # pyright: ignore[reportCallIssue, reportArgumentType] (an Arrow table)
                listed = pa.types.is_list(images.type) or pa.types.is_large_list(images.type)
                counts = pc.call_function("list_value_length", [images]) if listed else images.is_valid()
                filled += map(bool, counts.to_pylist())
            return filled
    return [False] * len(prompts)


def _without_images(prompts: Dataset) -> Dataset:
    return prompts.add_column("images", [[]] * len(prompts), feature=List(Image()))
