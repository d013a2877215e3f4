"""The folder of a run, read: which method and seed it is, and what it logged, finished or not."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..disk import read_mapping
from ..dynamics.logged import method_name
from ..training.runs.files import CONFIG_FILE, LEXICON_FOLDER, MANIFEST_FILE
from .comparison import read_outcomes


TRAINER_STATE = "trainer_state.json"
# Fields that say where, on what and how visibly a run trains, and its seed: runs that differ in these alone are seeds
# of one method. What the manifest records as fingerprints counts instead of names.
_SAME_METHOD = re.compile(
    "seed|data_seed|output_dir|run_name|project|debug|env|local_rank|accelerate_config|disable_tqdm|use_cpu|deepspeed|"
    "gradient_accumulation_steps|generation_batch_size|completions_per_step|strategic_grams|model_name_or_path|"
    "model_revision|model_init_kwargs|num_completions_to_print|report_to|push_to_hub|token_record|"
    "vllm_gpu_memory_utilization|vllm_group_port|"
    "(dataset|dataloader|ddp|do|eval|fsdp|grader|gradient_checkpointing|health|held_out|hub|include|log|logging|"
    "per_device|save|token_record|trackio|vllm_server)_.*"
)
_TOLD_VERSIONS = ("hicra-trl", "trl", "transformers", "torch", "vllm", "deepspeed", "peft", "Python")
_EVALUATED = "eval_hicra/pass_at_1"


@dataclass(frozen=True)
class Run:
    """
    A run of `hicra train`.

    Attributes:
        folder (`Path`):
            Its folder.
        manifest (`dict[str, Any]`):
            What the run recorded of itself.
        settings (`dict[str, Any]`):
            What tells methods apart: the fields of its recipe that change what is learned, and the fingerprints of
            model, data and lexicon.
    """

    folder: Path
    manifest: dict[str, Any]
    settings: dict[str, Any]

    @classmethod
    def read(cls, folder: str | Path) -> "Run":
        """Reads what the run is; raises `ValueError` if there is none."""
        folder = Path(folder)
        if not (folder / MANIFEST_FILE).is_file() or not (folder / CONFIG_FILE).is_file():
            raise ValueError(
                f"no run at {folder}: expected a folder with {MANIFEST_FILE} and {CONFIG_FILE}, the output_dir of "
                "'hicra train'"
            )
        manifest = read_mapping(folder / MANIFEST_FILE, seed=int, model=dict, lexicon=dict)
        recipe = read_mapping(folder / CONFIG_FILE)
        settings = {
            "alpha": recipe.get("alpha"),
            "model": next(filter(None, map(manifest["model"].get, ("fingerprint", "commit", "name"))), None),
            "lexicon": manifest["lexicon"].get("fingerprint"),
            "data": _data(manifest).get("fingerprint"),
            **(manifest.get("batch") or {}),
            **{name: value for name, value in recipe.items() if not _SAME_METHOD.fullmatch(name)},
        }
        return cls(folder, manifest, settings)

    @cached_property
    def logs(self) -> list[dict[str, Any]]:
        """
        What it logged, of a run that is not finished up to its newest checkpoint; empty before the first.

        Where the playground judged the model that it began with, that is the first of its evaluations.
        """
        logs, base = read_logs(self.folder) or [], self.outcomes_before
        if base and any(_EVALUATED in row for row in logs):
            logs = [{"step": 0, _EVALUATED: base["accuracy"]}, *logs]
        return logs

    @property
    def lexicon(self) -> Path:
        """Its strategic grams, of a run that is not finished those beside its newest checkpoint."""
        lexicons = (folder / LEXICON_FOLDER for folder in (self.folder, *_checkpoints(self.folder)))
        return next(filter(Path.is_dir, lexicons), self.folder / LEXICON_FOLDER)

    @property
    def base(self) -> Path:
        """Where the model that it began with is, if that is a folder."""
        return Path(self.manifest.get("folder") or "", str(self.manifest["model"].get("name")))

    @property
    def outcomes_before(self) -> dict[str, Any] | None:
        """How the model that it began with failed, where that was judged."""
        return _outcomes(self.base)

    @property
    def outcomes(self) -> dict[str, Any] | None:
        """How its model fails, where that was judged."""
        return _outcomes(self.folder)

    def named(self, setting: str) -> str:
        """A setting as a label shows it."""
        value = self.settings.get(setting)
        if setting == "model":
            return Path(str(self.manifest["model"].get("name"))).name
        if setting == "lexicon":
            return Path(str(self.manifest["lexicon"].get("source"))).name
        if setting == "data":
            return " ".join(Path(source).name for source in _data(self.manifest).get("source", []))
        return f"{value:g}" if isinstance(value, float) else str(value)


def read_runs(folders: Iterable[str | Path]) -> dict[str, dict[str, Run]]:
    """
    Runs by method and seed.

    Runs whose recipes differ in nothing but the seed are seeds of one method. Methods of the same credit are named
    apart by the settings in which they differ.

    Args:
        folders (`Iterable[str | Path]`):
            Their folders; GRPO comes first, and otherwise their order is kept.

    Returns:
        `dict[str, dict[str, Run]]`: the runs; a seed that a method has twice is told apart by the folder's name.

    Raises:
        `ValueError`: if a folder is no run, or is given twice.
    """
    runs: dict[Path, Run] = {}
    for folder in map(Path, folders):
        if folder.resolve() in runs:
            raise ValueError(f"{folder} is given more than once: expected different runs")
        runs[folder.resolve()] = Run.read(folder)
    found = sorted(runs.values(), key=lambda run: bool(run.settings["alpha"]))
    # A field that some recipes lack is of another version.
    names = [name for name in found[0].settings if all(name in run.settings for run in found)] if found else []
    groups: dict[str, list[Run]] = {}
    for run in found:
        groups.setdefault(json.dumps([run.settings[name] for name in names], default=str), []).append(run)
    labels = _labels([members[0] for members in groups.values()], names)
    return {label: _by_seed(members) for label, members in zip(labels, groups.values(), strict=True)}


def _labels(runs: list[Run], names: list[str]) -> list[str]:
    """A name for each method, with as few of the settings as tell it from others of the same credit."""
    labels = [method_name(run.settings) for run in runs]
    for name in names:
        for label in {label for label in labels if labels.count(label) > 1}:
            same = [i for i, other in enumerate(labels) if other == label]
            if len({runs[i].named(name) for i in same}) > 1:
                for i in same:
                    labels[i] = f"{label}, {name} {runs[i].named(name)}"
    # Files of one name with different content.
    counts = [labels[: i + 1].count(label) for i, label in enumerate(labels)]
    return [label if count == 1 else f"{label} ({count})" for label, count in zip(labels, counts)]


def _by_seed(runs: list[Run]) -> dict[str, Run]:
    seeds = [run.manifest["seed"] for run in runs]
    return {
        str(seed) if seeds.count(seed) == 1 else f"{seed} ({run.folder})": run
        for seed, run in zip(seeds, runs, strict=True)
    }


def _data(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return manifest.get("data", {}).get("train") or {}


def origin(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What a run comes from, by name, as pages show it; what its manifest does not say is left out."""
    model, lexicon, data = manifest.get("model", {}), manifest.get("lexicon", {}), _data(manifest)
    versions = {**manifest.get("versions", {}), "Python": manifest.get("python")}
    code = manifest.get("code") or {}
    modified = " (modified)" if code.get("modified") else ""
    commit = f" of commit {code['commit'][:12]}{modified}" if code.get("commit") else ""
    finished = {"finished": manifest["finished"] or "not yet"} if "finished" in manifest else {}
    found = {
        "seed": manifest.get("seed"),
        "started": manifest.get("started"),
        **finished,
        "base": _identified(model.get("name"), model.get("commit") or model.get("fingerprint")),
        "problems": _identified(", ".join(data.get("source", [])), data.get("fingerprint")),
        "lexicon": _identified(lexicon.get("source"), lexicon.get("fingerprint")),
        "versions": ", ".join(
            f"{name} {number}{commit if name == 'hicra-trl' else ''}"
            for name, number in versions.items()
            if number and name in _TOLD_VERSIONS
        ),
        "command": manifest.get("command"),
    }
    return {name: str(value) for name, value in found.items() if value not in (None, "")}


def _identified(name: str | None, fingerprint: str | None) -> str:
    return f"{name} ({fingerprint[:16]})" if name and fingerprint else name or ""


def read_logs(run: str | Path) -> list[dict[str, Any]] | None:
    """
    What a run has logged, finished or not, of this package or of another trainer; `None` before there is anything.

    Raises:
        `ValueError`: if what there is is broken.
    """
    logs, broken = [], None
    # A run that goes on has newer checkpoints than what it had left at its end. The newest may be half-written.
    for folder in (Path(run), *_checkpoints(Path(run))[:2]):
        if (file := folder / TRAINER_STATE).is_file():
            try:
                logs.append(_rows(file))
            except ValueError as error:
                broken = error
    if not logs and broken is not None:
        raise broken
    return max(logs, key=lambda rows: rows[-1]["step"] if rows else 0, default=None)


def _rows(file: Path) -> list[dict[str, Any]]:
    rows = read_mapping(file, log_history=list)["log_history"]
    last = 0
    for row in rows:
        step = row.get("step") if isinstance(row, dict) else None
        if not isinstance(step, int) or step < last:
            raise ValueError(f"{file}: expected logs with growing steps, got {repr(row)[:60]} after step {last}")
        last = step
    return rows


def _checkpoints(run: Path) -> list[Path]:
    """Newest first."""
    steps = {folder: folder.name.rpartition("-")[2] for folder in run.glob("checkpoint-*")}
    return sorted((folder for folder in steps if steps[folder].isdecimal()), key=lambda folder: -int(steps[folder]))


def _outcomes(folder: Path) -> dict[str, Any] | None:
    try:
        return read_outcomes(folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
