"""Solutions to mine, from any dataset: a file, a folder of a run's completions, or a dataset on the Hub."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...data.rows import as_text, find_column, stream_rows
from ...fields import Checked, Count
from ...terminal import say


TEXT_COLUMNS = ("completion", "generation", "generations", "response", "solution", "text", "answer")
CORRECT_COLUMNS = ("correct", "is_correct", "correctness", "boxed_accuracy", "reward", "score")
_SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
_NAMED = ".jsonl or .parquet"
_PASSED = (".gz", ".zst", ".json", ".csv", ".tsv", ".arrow", ".txt")
_EXPECTED = "a .jsonl or .parquet file, a folder of such files, or a dataset on the Hub"


@dataclass
class CorpusArguments(Checked):
    """
    Where solutions come from.

    Args:
        dataset (`str`):
            A `.jsonl`, `.jsonl.gz` or `.parquet` file, a folder of such files (a run's folder, or its `completions/`),
            or a dataset on the Hub.
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
    max_solutions: Count | None = None


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
        empty (`int`):
            Rows that were left out because their text is null.

    Raises:
        `ValueError`: on iteration, if there is no such dataset or column, a file is broken, or no solution is left;
            the message says what was got and what was expected.
    """

    def __init__(self, args: CorpusArguments) -> None:
        if not args.dataset:
            raise ValueError(f"no dataset: expected {_EXPECTED}")
        self.args, self._dataset = args, args.dataset
        self.read = self.incorrect = self.empty = 0

    def __iter__(self) -> Iterator[str]:
        self.read = self.incorrect = self.empty = 0
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
            raise ValueError(f"{self._dataset} holds no solutions")
        if not kept:
            threshold = f"{self.args.correct_threshold:g}"
            raise ValueError(f"{self._dataset} holds no correct solution: none of {self.read} reaches {threshold}")

    def describe(self) -> dict[str, Any]:
        """What the provenance of a lexicon says of its corpus."""
        source = Path(self._dataset).resolve()
        # Of a local file only the name: provenance is published with the lexicon.
        described = {"dataset": source.name if source.exists() else self._dataset, "read": self.read}
        if self.empty:
            described["empty"] = self.empty
        if self.args.correct_only:
            described |= {"incorrect": self.incorrect, "correct_threshold": self.args.correct_threshold}
        return described

    def _solutions(self) -> Iterator[tuple[str, float]]:
        """Every text with its reward (1 where no verdict is asked for)."""
        args, dataset, source = self.args, self._dataset, Path(self._dataset)
        text_column = verdict_column = None
        files = _files(source) if source.is_dir() else [dataset]

        def chosen(names: list[str]) -> list[str]:
            nonlocal text_column, verdict_column
            if text_column is None:
                text_column = find_column(names, args.text_column, TEXT_COLUMNS, "solutions", dataset)
                if args.correct_only:
                    what = "rewards or verdicts"
                    verdict_column = find_column(names, args.correct_column, CORRECT_COLUMNS, what, dataset)
            return [name for name in names if name in (text_column, verdict_column)]

        where = {"split": args.dataset_split, "config": args.dataset_config, "columns": chosen}
        for row in (row for file in files for row in stream_rows(str(file), **where)):
            chosen(list(row.values))
            assert text_column is not None
            text = row.values.get(text_column)
            if text is None and text_column in row.values:
                self.empty += 1
                continue
            verdict = row.values.get(verdict_column) if verdict_column else 1
            if isinstance(text, list) and all(isinstance(part, str) for part in text):
                texts, verdicts = text, verdict if isinstance(verdict, list) else [verdict] * len(text)
            else:
                texts, verdicts = [as_text(text, text_column, row.where)], [verdict]
            if len(verdicts) != len(texts):
                counts = f"{len(texts)} texts but {len(verdicts)} verdicts"
                raise ValueError(f"{row.where}: {counts} in {verdict_column!r}")
            for one, value in zip(texts, verdicts):
                if not isinstance(value, bool | int | float):
                    expected = f"a number or a boolean in column {verdict_column!r}"
                    raise ValueError(f"{row.where}: expected {expected}, got {value!r}")
                yield one, value


def _files(folder: Path) -> list[Path]:
    inside = folder / "completions" if (folder / "completions").is_dir() else folder
    there = sorted(path for path in inside.rglob("*") if path.is_file())
    files = [path for path in there if path.name.endswith(_SUFFIXES)]
    if not files:
        raise ValueError(f"{folder} holds no {_NAMED} file")
    if passed := [path.name for path in there if path.suffix in _PASSED and path not in files]:
        say(f"{folder}: passed over {len(passed)} files that are not {_NAMED}, such as {passed[0]}")
    return files
