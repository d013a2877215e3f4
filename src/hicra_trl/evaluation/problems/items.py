"""The items of a benchmark: what is asked, and what is right."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from ...rewards import Gold
from .catalog import Benchmark
from .golds import read_gold
from .images import IMAGE_MARK, EncodedImage, place_images
from .rows import Fields, Row, find_columns, is_missing, needed, plain, read_rows


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
        # A lone surrogate, which JSON can spell, has no bytes for a tokenizer or a file: this raises.
        "".join((self.id, self.problem, self.gold.answer, *self.gold.choices, self.group or "")).encode()


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
    columns = find_columns(benchmark, rows)
    rows = _filtered(benchmark, rows)
    items: dict[tuple[Any, ...], Item] = {}
    places: dict[str, str] = {}
    for row in rows:
        try:
            item = _item(benchmark, Fields(row, columns))
        except ValueError as error:
            raise ValueError(f"{row.where}: {error}") from error
        asked = (item.problem.strip(), item.images, item.gold, item.group)
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


def _filtered(benchmark: Benchmark, rows: list[Row]) -> list[Row]:
    if not benchmark.filter:
        return rows
    column, _, values = benchmark.filter.partition("=")
    needed(benchmark, rows, (column,), "filter")
    wanted = {value.strip() for value in values.split("|")}
    present = ["" if is_missing(value := row.get(column)) else plain(value, column) for row in rows]
    if absent := sorted(wanted - set(present)):
        got = ", ".join(sorted(set(present))[:20])
        raise ValueError(f"{benchmark.name}.filter: no row has {absent[0]!r} in {column!r}, got {got}")
    return [row for row, value in zip(rows, present) if value in wanted]


def _item(benchmark: Benchmark, fields: Fields) -> Item:
    gold = read_gold(benchmark, fields)
    folder = _folder(benchmark)
    images = [image for column in benchmark.image_columns for image in _images(fields.row.get(column), folder)]
    problem, placed = place_images(_problem(benchmark, fields, gold), images)
    number = plain(fields.value("id"), fields.columns["id"]) if "id" in fields.columns else fields.row.number
    return Item(number, problem, gold, placed, fields.text("group"))


def _problem(benchmark: Benchmark, fields: Fields, gold: Gold) -> str:
    problem = fields.value("problem")
    if problem is None:
        problem = benchmark.empty_problem
    if not isinstance(problem, str):
        raise ValueError(f"expected a problem in {fields.columns['problem']!r}, got {str(problem)[:60]!r}")
    parts = (fields.text("context"), problem.strip(), *_answer_format(benchmark, fields, gold, problem))
    asked = [part for part in parts if part]
    # By itself it stays as it is: training without an instruction asks it with its last line break, too.
    return problem if asked == [problem.strip()] else "\n\n".join(asked)


def _answer_format(benchmark: Benchmark, fields: Fields, gold: Gold, problem: str) -> Iterator[str]:
    """What is said of the answer behind the problem: options and that a letter is asked for, or unit and decimals."""
    if gold.choices:
        labelled = list(zip(ascii_uppercase, gold.choices))
        if not _are_shown(labelled, problem):
            yield "\n".join(f"({letter}) {option}" for letter, option in labelled)
        yield benchmark.choice_instruction
        return
    if unit := fields.text("unit"):
        yield f"The unit of the answer is {unit}; leave it out."
    if gold.precision is not None:
        yield f"Round the answer to {gold.precision} decimal place{'' if gold.precision == 1 else 's'}."


def _are_shown(labelled: list[tuple[str, str]], problem: str) -> bool:
    """Whether the problem lists the options itself, or its image does: then they are nothing but letters."""
    return all(option == letter for letter, option in labelled) or all(
        re.search(rf"\b{letter}\s*[).:]\s*{re.escape(option)}", problem) for letter, option in labelled
    )


def _images(value: Any, folder: Path) -> Iterator[EncodedImage | None]:
    """Images of one column: a path, the content of a file, or a list of these."""
    if isinstance(value, list):
        for one in value:
            yield from _images(one, folder)
        return
    stored = value if isinstance(value, dict) else {"bytes" if isinstance(value, bytes) else "path": value}
    content, path = stored.get("bytes"), stored.get("path")
    if isinstance(content, bytes) and content:
        yield EncodedImage(data=content)
    elif is_missing(content) and is_missing(path):
        yield None
    elif isinstance(path, str) and len(path) < 1000 and (folder / path).is_file():
        yield EncodedImage(path=folder / path)
    elif isinstance(path, str) and len(path) < 1000:
        raise ValueError(f"no image file at {folder / path}")
    else:
        raise ValueError(f"expected an image as the path or the content of a file, got {str(content or path)[:60]!r}")


def _folder(benchmark: Benchmark) -> Path:
    """Where the images of a dataset are that names their files."""
    source = Path(benchmark.dataset)
    return source.parent if source.is_file() else source
