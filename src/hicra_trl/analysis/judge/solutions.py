"""The solutions that a run, an evaluation or a file holds, which of them are wrong, and the gold answers."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ...data.prompts import DataArguments, load_prompts
from ...data.rows import PROMPT_COLUMNS, Row, as_text, stream_rows
from ...disk import read_mapping
from ...evaluation.problems.items import load_items
from ...evaluation.protocol import benchmark_of
from ...evaluation.samples.storage import RECORD_FILE, read_record, read_samples, samples_file
from ...terminal import one_line
from ...training.runs.files import CONFIG_FILE
from .question import LABELS, Solution


NO_REFERENCES = "none"


def read_solutions(source: Path, reward: str | None = None) -> list[Solution]:
    """
    Reads everything that was written, right or wrong.

    Args:
        source (`Path`):
            The folder of a run with `completions/` or `token_records/`, that of an evaluation, or a JSONL or parquet
            file with the columns `prompt` and `completion`, and one that says what is right: `correct`, `outcome`, or
            the reward.
        reward (`str`, *optional*):
            Column of the reward that says what is right. Defaults to a run's first, as in `hicra/pass_at_k`.

    Raises:
        `ValueError`: if nothing is there, or a row cannot be read.
    """
    if source.is_file():
        return list(_of_file(source, reward, 1.0))
    config = source / CONFIG_FILE
    threshold = read_mapping(config).get("pass_threshold", 1.0) if config.is_file() else 1.0
    for folder, read in (("completions", _of_file), ("token_records", _of_record)):
        if files := sorted((source / folder).glob("*.parquet")):
            return [solution for file in files for solution in read(file, reward, threshold)]
    if (source / RECORD_FILE).is_file():
        return list(_of_evaluation(source))
    raise ValueError(
        f"nothing to judge in {source}: expected a run with completions/ (log_completions: true) or token_records/, "
        "an evaluation, or a .jsonl or .parquet file of completions"
    )


def _of_file(file: Path, reward: str | None, threshold: float) -> Iterator[Solution]:
    for row in stream_rows(str(file)):
        names = [name for name in PROMPT_COLUMNS if row.values.get(name) is not None]
        if not names:
            raise ValueError(f"{row.where}: expected a problem in {' or '.join(PROMPT_COLUMNS)}, got {_names(row)}")
        yield Solution(
            f"{file.stem}/{row.number}",
            as_text(row.values[names[0]], names[0], row.where, role="user"),
            as_text(row.values.get("completion"), "completion", row.where),
            _optional(row, "step", int, "a whole number"),
            _correct(row, reward, threshold),
            _optional(row, "reference", str, "text"),
            _label(row),
        )


def _of_record(file: Path, reward: str | None, threshold: float) -> Iterator[Solution]:
    stored = pq.ParquetFile(file).schema_arrow.metadata or {}
    names = json.loads(stored.get(b"reward_names", b"[]"))
    if reward is not None and reward not in names:
        raise ValueError(f"{file}: expected the reward {reward!r}, got {', '.join(names)}")
    wanted = ["step", "prompt", "completion", "rewards"]
    for row in stream_rows(str(file), columns=lambda _: wanted):
        values = row.values
        value = values["rewards"][names.index(reward) if reward else 0]
        text = values["completion"].decode(errors="replace")
        correct = None if value is None or value != value else value >= threshold
        yield Solution(f"{file.stem}/{row.number}", values["prompt"], text, values["step"], correct)


def _of_evaluation(folder: Path) -> Iterator[Solution]:
    for name in read_record(folder)["benchmarks"]:
        if (file := samples_file(folder, name)).is_file():
            for sample in read_samples(file):
                key = f"{name}/{sample.item}/{sample.index}"
                yield Solution(key, sample.prompt, sample.completion, correct=sample.correct)


def _correct(row: Row, reward: str | None, threshold: float) -> bool | None:
    values = row.values
    if reward is None and isinstance(right := values.get("correct"), bool):
        return right
    if reward is None and "outcome" in values:
        return values["outcome"] == "correct"
    names = list(values)
    if reward is None and "advantage" in names:
        # TRL writes the rewards in their order behind the completion.
        reward = names[names.index("completion") + 1]
    if reward is None:
        return None
    value = values.get(reward)
    if reward not in names or not isinstance(value, float | int | None):
        got = one_line(repr(value)) if reward in names else _names(row)
        raise ValueError(f"{row.where}: expected a reward in {reward!r}, got {got}")
    return None if value is None or value != value else value >= threshold


def _label(row: Row) -> str | None:
    """What a file of labels says; of the playground's outcomes the class."""
    label = row.values.get("label", row.values.get("outcome"))
    if label is None:
        return None
    known = {"correct": "acceptable", **{name: name for name in LABELS}}.get(str(label).partition(":")[0])
    if known is None:
        raise ValueError(f"{row.where}: expected a label, one of {', '.join(LABELS)}, got {one_line(repr(label))}")
    return known


def _optional(row: Row, column: str, kind: type, expected: str) -> Any:
    value = row.values.get(column)
    if value is not None and not isinstance(value, kind):
        raise ValueError(f"{row.where}: expected {expected} in column {column!r}, got {one_line(repr(value))}")
    return value


def _names(row: Row) -> str:
    return "the columns " + ", ".join(row.values)


def chosen(solutions: Iterable[Solution], most: int | None) -> list[Solution]:
    """At most so many of each step, drawn by the hash of their keys: more of them contain those of fewer."""
    by_step: dict[int | None, list[Solution]] = defaultdict(list)
    for solution in solutions:
        by_step[solution.step].append(solution)
    drawn = {
        solution.key
        for of_step in by_step.values()
        for solution in sorted(of_step, key=lambda one: hashlib.sha256(one.key.encode()).digest())[:most]
    }
    return [solution for of_step in by_step.values() for solution in of_step if solution.key in drawn]


def with_references(solutions: list[Solution], source: Path, given: str | None) -> list[Solution]:
    """
    Solutions with the gold answers that their source names, where it has them.

    Args:
        solutions (`list[Solution]`):
            Those to judge.
        source (`Path`):
            Where they are from: a run's recipe names the dataset, an evaluation's record the benchmarks. Of a file,
            the column `reference` counts.
        given (`str`, *optional*):
            Another dataset with the problems and their gold answers, or `"none"`.

    Raises:
        `ValueError`: if they cannot be read, or none of the problems is among them.
    """
    if given == NO_REFERENCES:
        return [replace(solution, reference=None) for solution in solutions]
    if given is None and (source / RECORD_FILE).is_file():
        record = read_record(source)
        items = {
            f"{name}/{item.id}": item
            for name in record["benchmarks"]
            for item in load_items(benchmark_of(record, name))
        }
        asked = ((one, items.get(one.key.rpartition("/")[0])) for one in solutions)
        # The stored prompt has the turns of a chat template around the problem.
        return [replace(one, problem=i.problem, reference=i.gold.answer) if i else one for one, i in asked]
    config = source / CONFIG_FILE
    recipe = read_mapping(config) if config.is_file() else {}
    known = {field.name: recipe[field.name] for field in fields(DataArguments) if field.name in recipe}
    if given is not None:
        known |= {"dataset_name": given, "extra_datasets": [], "dataset_path": [], "dataset_config": None}
    if not known.get("dataset_name"):
        return solutions
    try:
        args = DataArguments(**known)
        rows: list[Any] = [row for name in args.dataset_names for row in load_prompts(name, args.dataset_split, args)]
    except ValueError as error:
        raise ValueError(f"no gold answers: {error}; expected --references to name them, or none") from error
    golds = {as_text(row["prompt"], "prompt", args.dataset_names[0], role="user"): row["solution"] for row in rows}
    found = [replace(one, reference=golds.get(one.problem)) for one in solutions]
    if found and all(one.reference is None for one in found):
        raise ValueError(
            f"no gold answers: none of the problems is in {', '.join(args.dataset_names)}; expected --references to "
            "name the dataset that was trained on, or none"
        )
    return found
