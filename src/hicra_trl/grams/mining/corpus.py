"""Solutions to mine, from any dataset: a file, a folder of a run's completions, or a dataset on the Hub."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from datasets import load_dataset
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError
from pyarrow import ArrowException


TEXT_COLUMNS = ("completion", "generation", "generations", "response", "solution", "text", "answer")
CORRECT_COLUMNS = ("correct", "is_correct", "correctness", "boxed_accuracy", "reward", "score")
_SUFFIXES = (".jsonl", ".parquet")
_EXPECTED = "a .jsonl or .parquet file, a folder of such files, or a dataset on the Hub"


@dataclass
class CorpusArguments:
    """
    Where solutions come from.

    Args:
        dataset (`str`):
            A `.jsonl` or `.parquet` file, a folder of such files (a run's folder, or its `completions/`), or a
            dataset on the Hub.
        dataset_config (`str`, *optional*):
            Configuration of a dataset on the Hub.
        dataset_split (`str`, *optional*, defaults to `"train"`):
            Split of a dataset on the Hub.
        text_column (`str`, *optional*):
            Column of the solutions: text, a conversation, or a list of texts. Defaults to the first of `completion`,
            `generation`, `generations`, `response`, `solution`, `text`, `answer` that is there.
        correct_only (`bool`, *optional*, defaults to `False`):
            Take only correct solutions: those whose value in `correct_column` is at least `correct_threshold`.
        correct_column (`str`, *optional*):
            Column of rewards or verdicts. Defaults to the first of `correct`, `is_correct`, `correctness`,
            `boxed_accuracy`, `reward`, `score` that is there.
        correct_threshold (`float`, *optional*, defaults to `1.0`):
            Least value of a correct solution; true counts as 1.
        max_solutions (`int`, *optional*):
            Stop after this many.
    """

    dataset: str | None = None
    dataset_config: str | None = None
    dataset_split: str = "train"
    text_column: str | None = None
    correct_only: bool = False
    correct_column: str | None = None
    correct_threshold: float = 1.0
    max_solutions: int | None = None


class Corpus:
    """
    Iterates over the solutions of a dataset, without holding them.

    Args:
        args ([`CorpusArguments`]):
            Where they come from.

    Attributes:
        read (`int`):
            Solutions seen by the last iteration.
        incorrect (`int`):
            Those of them left out because they are not correct.

    Raises:
        `ValueError`: on iteration, if there is no such dataset or column, a file is broken, or no solution is left;
            the message says what was got and what was expected.
    """

    def __init__(self, args: CorpusArguments) -> None:
        if not args.dataset:
            raise ValueError(f"no dataset: expected {_EXPECTED}")
        if args.max_solutions is not None and args.max_solutions < 1:
            raise ValueError(f"max_solutions must be at least 1, got {args.max_solutions}")
        self.args = args
        self.read = self.incorrect = 0

    def __iter__(self) -> Iterator[str]:
        self.read = self.incorrect = 0
        kept = 0
        for text, value in self._solutions():
            self.read += 1
            if self.args.correct_only and not value >= self.args.correct_threshold:
                self.incorrect += 1
                continue
            yield text
            kept += 1
            if kept == self.args.max_solutions:
                return
        if not self.read:
            raise ValueError(f"{self.args.dataset} holds no solutions")
        if not kept:
            raise ValueError(
                f"{self.args.dataset} holds no correct solution: none of {self.read} reaches "
                f"{self.args.correct_threshold:g}"
            )

    def describe(self) -> dict[str, Any]:
        """What the provenance of a lexicon says of its corpus."""
        source = Path(self.args.dataset).resolve()
        # Of a local file only the name: provenance is published with the lexicon.
        described = {"dataset": source.name if source.exists() else self.args.dataset, "read": self.read}
        if self.args.correct_only:
            described |= {"incorrect": self.incorrect, "correct_threshold": self.args.correct_threshold}
        return described

    def _solutions(self) -> Iterator[tuple[str, float]]:
        """Every text with its reward (1 where no verdict is asked for)."""
        columns: tuple[str, str | None] | None = None
        for row, where in self._rows():
            if columns is None:
                columns = self._columns(list(row))
            text, verdict = (None if column is None else row.get(column) for column in columns)
            many = isinstance(text, list) and all(isinstance(part, str) for part in text)
            texts = text if many else [as_text(text, where, columns[0])]
            verdicts = verdict if many and isinstance(verdict, list) else [verdict] * len(texts)
            if len(verdicts) != len(texts):
                raise ValueError(f"{where}: {len(texts)} texts but {len(verdicts)} verdicts in {columns[1]!r}")
            for one, value in zip(texts, verdicts):
                yield one, _as_reward(value, where, columns[1])

    def _columns(self, names: list[str]) -> tuple[str, str | None]:
        text = _column(names, self.args.text_column, TEXT_COLUMNS, "solutions", self.args.dataset)
        if not self.args.correct_only:
            return text, None
        return text, _column(
            names, self.args.correct_column, CORRECT_COLUMNS, "rewards or verdicts", self.args.dataset
        )

    def _rows(self) -> Iterator[tuple[dict[str, Any], str]]:
        source = Path(self.args.dataset)
        if source.is_dir():
            for file in _files(source):
                yield from _read_file(file)
        elif source.is_file():
            yield from _read_file(source)
        elif source.suffix in _SUFFIXES:
            raise ValueError(f"no dataset file at {source}")
        else:
            try:
                rows = load_dataset(self.args.dataset, self.args.dataset_config, split=self.args.dataset_split)
            except (DatasetNotFoundError, FileNotFoundError, ConnectionError) as error:
                raise ValueError(f"no dataset {self.args.dataset!r}: expected {_EXPECTED}") from error
            except DatasetGenerationError as error:
                raise ValueError(f"cannot read {self.args.dataset}: {error.__cause__ or error}") from error
            for number, row in enumerate(rows):
                yield row, f"{self.args.dataset}, row {number}"


def _files(folder: Path) -> list[Path]:
    inside = folder / "completions" if (folder / "completions").is_dir() else folder
    files = sorted(path for path in inside.rglob("*") if path.suffix in _SUFFIXES and path.is_file())
    if not files:
        raise ValueError(f"{folder} holds no {' or '.join(_SUFFIXES)} file")
    return files


def _read_file(file: Path) -> Iterator[tuple[dict[str, Any], str]]:
    if file.suffix == ".parquet":
        try:
            for batch in pq.ParquetFile(file).iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    yield row, str(file)
        except (ArrowException, OSError) as error:
            raise ValueError(f"cannot read {file}: {error}") from error
    elif file.suffix == ".jsonl":
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _json_object(line, f"{file}, line {number}"), f"{file}, line {number}"
    else:
        raise ValueError(f"dataset file {file} must end in {' or '.join(_SUFFIXES)}, got {file.suffix!r}")


def _json_object(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: expected a JSON object, got {_start(line)} ({str(error)[:100]})") from error
    if not isinstance(row, dict):
        raise ValueError(f"{where}: expected a JSON object, got {_start(line)}")
    return row


def _start(line: bytes) -> str:
    return repr(line[:60].decode(errors="replace"))


def _column(names: list[str], given: str | None, candidates: tuple[str, ...], what: str, dataset: str) -> str:
    wanted = (given,) if given else candidates
    for column in wanted:
        if column in names:
            return column
    raise ValueError(f"{dataset} has no column of {what}: expected {' or '.join(wanted)}, got {', '.join(names)}")


def as_text(value: Any, where: str, column: str) -> str:
    """Text of a completion: itself, or what the model wrote in a conversation; else raises `ValueError`."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(
        isinstance(turn, dict) and isinstance(turn.get("content"), str) for turn in value
    ):
        return "\n\n".join(turn["content"] for turn in value if turn.get("role", "assistant") == "assistant")
    raise ValueError(f"{where}: expected text in column {column!r}, got {type(value).__name__}: {str(value)[:60]!r}")


def _as_reward(value: Any, where: str, column: str | None) -> float:
    if column is None:
        return 1.0
    if not isinstance(value, bool | int | float):
        raise ValueError(f"{where}: expected a number or a boolean in column {column!r}, got {value!r}")
    return float(value)
