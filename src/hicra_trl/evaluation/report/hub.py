r"""Results in a model's repository, in the formats that the Hub shows: the card's `model-index`, and `.eval_results`.

Values are in percent. What a reader must know beside the value (items, samples, interval, sampling) goes with it.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import (
    EvalResult,
    EvalResultEntry,
    HfApi,
    eval_result_entries_to_yaml,
    metadata_load,
    metadata_save,
    snapshot_download,
)
from huggingface_hub.errors import HFValidationError, HTTPError
from huggingface_hub.repocard_data import eval_results_to_model_index
from huggingface_hub.utils import validate_repo_id

from ...terminal import first_line, one_line
from ..problems.catalog import BENCHMARKS, Benchmark
from ..settings import EvalArguments
from ..statistics.summary import Summary


CARD = "README.md"
FOLDER = ".eval_results"
_FILES = (".jsonl", ".json", ".parquet")
# What stands beside a result anyway.
_TOLD = ("dataset", "config", "revision", "filter", "num_samples", "note", "group_column")
_CHANGED = ("prompt_format", "instruction", "system_prompt", "answer_after_think", "max_model_length", "dtype")
_USUAL = {f.name: f.default for f in fields(EvalArguments) if f.name in _CHANGED}
_NOTED = ("temperature", "top_p", "top_k", "max_tokens", "enable_thinking")


def eval_results(summary: Summary, benchmark: Benchmark, settings: Mapping[str, Any]) -> list[EvalResult]:
    """
    Results for the `model-index` of a model card: pass@1 and, of several samples, pass@n and maj@n.

    Args:
        summary ([`Summary`]):
            The numbers.
        benchmark ([`~hicra_trl.evaluation.problems.catalog.Benchmark`]):
            What they were measured on.
        settings (`Mapping[str, Any]`):
            How, such as `temperature` and `max_tokens`.

    Raises:
        `ValueError`: if the benchmark is not a dataset on the Hub, or only a part of it was evaluated.
    """
    _check(benchmark, settings)
    n = summary.num_samples
    metrics = ["pass@1"] if n == 1 else ["pass@1", f"pass@{n}", f"maj@{n}"]
    return [
        EvalResult(
            task_type="image-text-to-text" if benchmark.image_columns else "text-generation",
            dataset_type=benchmark.dataset,
            dataset_name=benchmark.name,
            dataset_config="+".join(benchmark.config) or None,
            dataset_split=benchmark.split,
            dataset_revision=benchmark.revision,
            metric_type=metric,
            metric_name=metric,
            metric_value=_percent(summary[metric].value),
            metric_args={"note": result_note(summary, benchmark, settings, metric)},
        )
        for metric in metrics
    ]


def eval_result_entry(summary: Summary, benchmark: Benchmark, settings: Mapping[str, Any]) -> EvalResultEntry:
    """The entry of `.eval_results`, with pass@1; arguments and errors are those of [`eval_results`]."""
    _check(benchmark, settings)
    return EvalResultEntry(
        dataset_id=benchmark.dataset,
        task_id="+".join(benchmark.config) or "default",
        value=_percent(summary["pass@1"].value),
        dataset_revision=benchmark.revision,
        notes=result_note(summary, benchmark, settings, "pass@1"),
    )


def result_note(summary: Summary, benchmark: Benchmark, settings: Mapping[str, Any], metric: str) -> str:
    """How a value was measured, in one line."""
    low, high = summary[metric].ends
    parts = [
        f"{metric} of {summary.num_items} items x {summary.num_samples} samples",
        f"95 % interval {100 * low:.2f} to {100 * high:.2f}",
        "strict \\boxed grading",
        *(f"{name} {settings[name]}" for name in _NOTED if settings.get(name) is not None),
    ]
    usual = asdict(BENCHMARKS.get(benchmark.name, Benchmark(benchmark.name, benchmark.dataset)))
    changed = {name: value for name, value in asdict(benchmark).items() if value != usual[name] and name not in _TOLD}
    changed |= {name: settings[name] for name, value in _USUAL.items() if settings.get(name, value) != value}
    parts += [f"{name} {one_line(json.dumps(value, ensure_ascii=False))}" for name, value in changed.items()]
    return ", ".join([*parts, f"only {benchmark.filter}"] if benchmark.filter else parts)


def update_model_folder(
    folder: str | Path,
    results: Sequence[tuple[Summary, Benchmark]],
    settings: Mapping[str, Any],
    model_name: str,
) -> list[Path]:
    """
    Writes results into a model's folder; what its card says otherwise, and other results, stay.

    Args:
        folder (`str` or `Path`):
            The folder; a missing `README.md` is made.
        results (`Sequence[tuple[Summary, Benchmark]]`):
            Each benchmark's numbers. An earlier value of the same metric of the same dataset is replaced.
        settings (`Mapping[str, Any]`):
            As in [`eval_results`].
        model_name (`str`):
            What the `model-index` calls the model, where the card has none yet.

    Returns:
        `list[Path]`: the files written.

    Raises:
        `ValueError`: as in [`eval_results`]; or if what is there is broken. Nothing is written then.
    """
    folder = Path(folder)
    card = folder / CARD
    new = [result for summary, benchmark in results for result in eval_results(summary, benchmark, settings)]
    metadata = _read_card(card)
    metadata["model-index"] = _merged_index(metadata.get("model-index"), new, model_name, card)
    entries = {}
    for summary, benchmark in results:
        file = folder / FOLDER / f"{benchmark.name}.yaml"
        entries[file] = _merged_entries(file, eval_result_entry(summary, benchmark, settings))
    metadata_save(card, metadata)
    for file, content in entries.items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return [card, *entries]


def push_results(repo_id: str, results: Sequence[tuple[Summary, Benchmark]], settings: Mapping[str, Any]) -> str:
    """
    Adds results to a model on the Hub, `user/name`, as [`update_model_folder`] does to a folder.

    Returns:
        `str`: the hash of the one commit.

    Raises:
        `ValueError`: if there is no such model or it may not be written, or as in [`update_model_folder`].
    """
    api = HfApi()
    names = ", ".join(summary.benchmark for summary, _ in results)
    with tempfile.TemporaryDirectory() as folder:
        try:
            parent = api.model_info(repo_id).sha
            snapshot_download(repo_id, revision=parent, local_dir=folder, allow_patterns=[CARD, f"{FOLDER}/*.yaml"])
            written = update_model_folder(folder, results, settings, repo_id.split("/")[-1])
            commit = api.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                allow_patterns=[str(file.relative_to(folder)) for file in written],
                parent_commit=parent,
                commit_message=f"Results on {names}",
            )
        except (HTTPError, OSError, RuntimeError, HFValidationError) as error:
            raise ValueError(f"cannot push results to {repo_id!r}: {first_line(error)}") from error
    return commit.oid


def _check(benchmark: Benchmark, settings: Mapping[str, Any]) -> None:
    if settings.get("max_items") is not None:
        raise ValueError(
            f"{benchmark.name}: expected results of the whole benchmark, got max_items={settings['max_items']}"
        )
    path = Path(benchmark.dataset)
    is_local = "/" not in benchmark.dataset or path.suffix in _FILES or path.exists()
    try:
        validate_repo_id("" if is_local else benchmark.dataset)
    except HFValidationError as error:
        raise ValueError(
            f"{benchmark.name}: expected results of a dataset on the Hub, got {benchmark.dataset!r}"
        ) from error


def _percent(value: float) -> float:
    return round(100 * value, 2)


def _read_card(card: Path) -> dict[str, Any]:
    if not card.is_file():
        return {}
    try:
        return metadata_load(card) or {}
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"cannot read the metadata of {card}: {' '.join(str(error).split())}") from error


def _merged_index(index: Any, new: list[EvalResult], model_name: str, card: Path) -> list[dict[str, Any]]:
    """
    The `model-index` with the new results in the place of what they replace.

    Not by way of [`~huggingface_hub.EvalResult`], which would lose what others wrote beside the fields that it knows.
    """
    [made] = eval_results_to_model_index(model_name, new)
    if not index:
        return [made]
    try:
        first, *others = index
        kept = list(first["results"])
        for result in made["results"]:
            replaced = {metric["type"] for metric in result["metrics"]}
            kept = [_without(old, replaced) if _about(old) == _about(result) else old for old in kept]
        return [first | {"results": [*filter(lambda old: old["metrics"], kept), *made["results"]]}, *others]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"cannot add results to {card}: its model-index is broken ({error!r})") from error


def _about(result: dict[str, Any]) -> tuple[Any, ...]:
    return (result["task"]["type"], *(result["dataset"].get(key) for key in ("type", "config", "split", "revision")))


def _without(result: dict[str, Any], metric_types: set[str]) -> dict[str, Any]:
    return result | {"metrics": [metric for metric in result["metrics"] if metric["type"] not in metric_types]}


def _merged_entries(file: Path, new: EvalResultEntry) -> list[dict[str, Any]]:
    try:
        old = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else []
        kept = [e for e in old or [] if (e["dataset"]["id"], e["dataset"]["task_id"]) != (new.dataset_id, new.task_id)]
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"cannot add results to {file}: {' '.join(repr(error).split())}") from error
    return [*kept, *eval_result_entries_to_yaml([new])]
