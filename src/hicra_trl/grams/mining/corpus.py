"""Solutions to mine, from any dataset: a file, a folder of a run's completions, or a dataset on the Hub."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...data.rows import Row, as_text, find_column, stream_rows


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
        for row in self._rows():
            if columns is None:
                columns = self._columns(list(row.values))
            text, verdict = (None if column is None else row.values.get(column) for column in columns)
            many = isinstance(text, list) and all(isinstance(part, str) for part in text)
            texts = text if many else [as_text(text, columns[0], row.where)]
            verdicts = verdict if many and isinstance(verdict, list) else [verdict] * len(texts)
            if len(verdicts) != len(texts):
                raise ValueError(f"{row.where}: {len(texts)} texts but {len(verdicts)} verdicts in {columns[1]!r}")
            for one, value in zip(texts, verdicts):
                yield one, _as_reward(value, row.where, columns[1])

    def _columns(self, names: list[str]) -> tuple[str, str | None]:
        args = self.args
        text = find_column(names, args.text_column, TEXT_COLUMNS, "solutions", args.dataset)
        if not args.correct_only:
            return text, None
        return text, find_column(names, args.correct_column, CORRECT_COLUMNS, "rewards or verdicts", args.dataset)

    def _rows(self) -> Iterator[Row]:
        source = Path(self.args.dataset)
        for name in _files(source) if source.is_dir() else [self.args.dataset]:
            yield from stream_rows(str(name), self.args.dataset_split, self.args.dataset_config)


def _files(folder: Path) -> list[Path]:
    inside = folder / "completions" if (folder / "completions").is_dir() else folder
    files = sorted(path for path in inside.rglob("*") if path.suffix in _SUFFIXES and path.is_file())
    if not files:
        raise ValueError(f"{folder} holds no {' or '.join(_SUFFIXES)} file")
    return files


def _as_reward(value: Any, where: str, column: str | None) -> float:
    if column is None:
        return 1.0
    if not isinstance(value, bool | int | float):
        raise ValueError(f"{where}: expected a number or a boolean in column {column!r}, got {value!r}")
    return float(value)
