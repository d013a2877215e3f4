"""The items of a benchmark: what is asked, and what is right."""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from ...rewards import Gold
from .catalog import Benchmark
from .golds import is_missing, is_multiple_choice, plain, read_gold, read_options, read_precision
from .images import IMAGE_MARK, EncodedImage, place_images
from .rows import Row, read_rows


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Item:
    """
    A problem of a benchmark.

    Attributes:
        id (`str`):
            Its name within the benchmark, the same at every loading.
        problem (`str`):
            All that is asked, without the instruction: context, problem, options, and in what form the answer is
            expected. In a problem with images each stands as `<image>`.
        gold ([`~hicra_trl.rewards.Gold`]):
            The right answer; of a multiple-choice question its letter.
        images (`tuple[EncodedImage, ...]`):
            The images, in the order of their marks.
        group (`str` or `None`):
            Part of the benchmark that it belongs to.
    """

    id: str
    problem: str
    gold: Gold
    images: tuple[EncodedImage, ...] = ()
    group: str | None = None

    def __post_init__(self) -> None:
        if self.images and self.problem.count(IMAGE_MARK) != len(self.images):
            raise ValueError(
                f"item {self.id!r}: expected one {IMAGE_MARK} for each of {len(self.images)} images in the problem, "
                f"got {self.problem.count(IMAGE_MARK)}"
            )


def load_items(benchmark: Benchmark) -> list[Item]:
    """
    Loads a benchmark.

    Rows that ask the same (same problem, images, gold answer and group) are one item, with the id of the first.

    Args:
        benchmark ([`Benchmark`]):
            Where its items come from and how they are read.

    Returns:
        `list[Item]`: in the order of the rows.

    Raises:
        `ValueError`: if the dataset or a column is missing, an id is there twice, or a row cannot be used; the message
            names the row.
    """
    rows = read_rows(benchmark)
    columns = _columns(benchmark, rows)
    rows = _filtered(benchmark, rows)
    items: dict[tuple[Any, ...], Item] = {}
    places: dict[str, str] = {}
    for row in rows:
        try:
            item = _item(benchmark, columns, row)
        except ValueError as error:
            raise ValueError(f"{row.where}: {error}") from error
        asked = (item.problem, item.images, item.gold, item.group)
        if asked in items:
            continue
        if item.id in places:
            raise ValueError(
                f"{row.where}: id {item.id!r} is also that of {places[item.id]}; expected different ones, or "
                f"{benchmark.name}.id_column=none to number the rows"
            )
        items[asked], places[item.id] = item, row.where
    if len(items) < len(rows):
        logger.warning("%s: %d rows ask %d different problems", benchmark.dataset, len(rows), len(items))
    return list(items.values())


@dataclass(frozen=True)
class _Columns:
    problem: str
    gold: str
    boxed: bool
    id: str | None


def _columns(benchmark: Benchmark, rows: Sequence[Row]) -> _Columns:
    """Which of the candidates a dataset has; raises where it has none of a kind that is named."""
    for field in ("context", "unit", "choices", "kind", "precision", "tolerance", "group"):
        if column := getattr(benchmark, f"{field}_column"):
            _needed(benchmark, rows, (column,), f"{field}_column")
    for column in benchmark.image_columns:
        _needed(benchmark, rows, (column,), "image_columns")
    solution = (benchmark.solution_column,) if benchmark.solution_column else ()
    gold = _first(rows, benchmark.gold_column)
    return _Columns(
        problem=_needed(benchmark, rows, benchmark.problem_column, "problem_column"),
        gold=gold or _needed(benchmark, rows, (*benchmark.gold_column, *solution), "gold_column"),
        boxed=gold is None,
        id=_first(rows, benchmark.id_column),
    )


def _first(rows: Sequence[Row], candidates: Sequence[str]) -> str | None:
    return next((column for column in candidates if any(row.has(column) for row in rows)), None)


def _needed(benchmark: Benchmark, rows: Sequence[Row], candidates: Sequence[str], field: str) -> str:
    column = _first(rows, candidates)
    if column is None:
        got = ", ".join(dict.fromkeys(name for row in rows for name in row.values))
        raise ValueError(
            f"{benchmark.dataset} has no {benchmark.name}.{field}: expected {' or '.join(candidates)}, got {got}"
        )
    return column


def _filtered(benchmark: Benchmark, rows: list[Row]) -> list[Row]:
    if not benchmark.filter:
        return rows
    column, _, values = benchmark.filter.partition("=")
    _needed(benchmark, rows, (column,), "filter")
    wanted = {value.strip() for value in values.split("|")}
    present = [_text(row, column) or "" for row in rows]
    if absent := sorted(wanted - set(present)):
        got = ", ".join(sorted(set(present))[:20])
        raise ValueError(f"{benchmark.name}.filter: no row has {absent[0]!r} in {column!r}, got {got}")
    return [row for row, value in zip(rows, present) if value in wanted]


def _item(benchmark: Benchmark, columns: _Columns, row: Row) -> Item:
    images = [image for column in benchmark.image_columns for image in _images(row.get(column), _folder(benchmark))]
    problem, placed = place_images(_problem(benchmark, columns, row), images)
    return Item(
        id=plain(row.get(columns.id), columns.id) if columns.id else row.number,
        problem=problem,
        gold=read_gold(benchmark, row, columns.gold, columns.boxed),
        images=placed,
        group=_text(row, benchmark.group_column),
    )


def _problem(benchmark: Benchmark, columns: _Columns, row: Row) -> str:
    problem = row.get(columns.problem)
    if is_missing(problem):
        problem = benchmark.empty_problem
    if not isinstance(problem, str):
        raise ValueError(f"expected a problem in {columns.problem!r}, got {str(problem)[:60]!r}")
    parts = (_text(row, benchmark.context_column), problem.strip(), *_answer_format(benchmark, row, problem))
    return "\n\n".join(part for part in parts if part)


def _text(row: Row, column: str | None) -> str | None:
    value = row.get(column) if column else None
    return None if is_missing(value) else plain(value, column)


def _answer_format(benchmark: Benchmark, row: Row, problem: str) -> Iterator[str]:
    """What is said of the answer behind the problem: options and that a letter is asked for, or unit and decimals."""
    if is_multiple_choice(benchmark, row):
        options = read_options(benchmark, row)
        if not _shown(options, problem):
            yield "\n".join(f"({letter}) {option}" for letter, option in zip(ascii_uppercase, options))
        yield benchmark.choice_instruction
        return
    if unit := _text(row, benchmark.unit_column):
        yield f"The unit of the answer is {unit}; leave it out."
    decimals = read_precision(benchmark, row)
    if decimals is not None:
        yield f"Round the answer to {decimals} decimal place{'' if decimals == 1 else 's'}."


def _shown(options: Sequence[str], problem: str) -> bool:
    """Whether the problem lists the options itself, or its image does: then they are nothing but letters."""
    labelled = list(zip(ascii_uppercase, options))
    return all(option == letter for letter, option in labelled) or all(
        re.search(rf"\b{letter}\s*[).:]\s*{re.escape(option)}", problem) for letter, option in labelled
    )


def _images(value: Any, folder: Path) -> Iterator[EncodedImage | None]:
    """Images of one column: a path, the content of a file, or a list of these."""
    if isinstance(value, list):
        for one in value:
            yield from _images(one, folder)
        return
    stored = value if isinstance(value, dict) else {"path": value}
    if stored.get("bytes"):
        yield EncodedImage(data=stored["bytes"])
    elif path := stored.get("path"):
        if not (folder / path).is_file():
            raise ValueError(f"no image file at {folder / path}")
        yield EncodedImage(path=folder / path)
    else:
        yield None


def _folder(benchmark: Benchmark) -> Path:
    """Where the images of a dataset are that names their files."""
    source = Path(benchmark.dataset)
    return source.parent if source.is_file() else source
