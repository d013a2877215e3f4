"""Where a run left what it trained: the folder, the step, and the form of the weights."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, safe_open
from transformers.trainer import TRAINER_STATE_NAME
from transformers.utils import (
    ADAPTER_CONFIG_NAME,
    ADAPTER_SAFE_WEIGHTS_NAME,
    CONFIG_NAME,
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
)

from ...disk import fingerprint, is_unchanged, read_mapping
from ...gguf import is_gguf, plain_model
from ..runs.checkpoints import checkpoints, defect, newest_checkpoint, step_of
from ..runs.files import CONFIG_FILE, MANIFEST_FILE
from ..runs.manifest import is_finished, read_manifest
from .shards import FSDP_FOLDER, ZERO_FILE


Form = Literal["whole", "adapter", "zero", "fsdp"]


@dataclass(frozen=True)
class Trained:
    """
    Weights where a run left them.

    Args:
        run (`Path`):
            The folder of the run.
        folder (`Path`):
            The folder with the weights: the run's, or that of one of its checkpoints.
        form (`str`):
            `"whole"`, `"adapter"`, or the shards that processes saved: `"zero"` or `"fsdp"`.
    """

    run: Path
    folder: Path
    form: Form

    @cached_property
    def step(self) -> int:
        """After how many steps they were saved."""
        return read_mapping(self.folder / TRAINER_STATE_NAME, global_step=int)["global_step"]

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe of the run, empty where there is none."""
        file = self.run / CONFIG_FILE
        return read_mapping(file) if file.is_file() else {}

    @property
    def trusts_remote_code(self) -> bool:
        """Whether the recipe allows code that comes with the model."""
        return bool(self.recipe.get("trust_remote_code"))

    @property
    def is_adapter(self) -> bool:
        """Whether the weights are to be added to a base."""
        # Beside ZeRO's shards, Transformers saves an adapter as a file of its own.
        return self.form == "adapter" or (self.form == "fsdp" and bool(self.recipe.get("use_peft")))

    @cached_property
    def base(self) -> tuple[str, str | None]:
        """
        The model that was trained, and its revision.

        Raises:
            `ValueError`: if neither the adapter nor the recipe names it.
        """
        file = self.folder / ADAPTER_CONFIG_NAME
        saved = read_mapping(file) if file.is_file() else {}
        asked = self.recipe.get("model_name_or_path")
        name = saved.get("base_model_name_or_path") or asked
        if name is None:
            raise ValueError(f"{self.folder} does not say what was trained: expected {CONFIG_FILE} in {self.run}")
        if is_gguf(asked or name):
            # Made again where its plain folder is gone.
            return plain_model(asked or name, self.recipe.get("model_revision")), None
        # What a branch pointed to when the run began.
        return name, self._recorded.get("commit") or saved.get("revision") or self.recipe.get("model_revision")

    def check_base(self) -> None:
        """Raises `ValueError` if the base is a folder whose content has changed since the run began."""
        folder, recorded = Path(self.base[0]), self._recorded.get("fingerprint")
        if recorded and (folder / CONFIG_NAME).is_file() and not is_unchanged(folder, recorded):
            raise ValueError(
                f"the base in {folder} has changed since the run began: expected fingerprint {recorded}, got "
                f"{fingerprint(folder)}"
            )

    @cached_property
    def _recorded(self) -> dict[str, str | None]:
        """What the manifest says of the base."""
        return read_manifest(self.run)["model"] if (self.run / MANIFEST_FILE).is_file() else {}

    @property
    def files(self) -> list[Path]:
        """The files of weights that are whole, or of an adapter; none of shards."""
        if self.form in ("zero", "fsdp"):
            return []
        if self.form == "adapter":
            return [self.folder / ADAPTER_SAFE_WEIGHTS_NAME]
        index = self.folder / SAFE_WEIGHTS_INDEX_NAME
        if not index.is_file():
            return [self.folder / SAFE_WEIGHTS_NAME]
        return [
            self.folder / name for name in sorted(set(read_mapping(index, weight_map=dict)["weight_map"].values()))
        ]


def find_trained(path: str | Path, step: int | None = None) -> Trained:
    """
    Finds the weights of a run.

    Args:
        path (`str` or `Path`):
            The folder of the run, or that of one of its checkpoints.
        step (`int`, *optional*):
            Which checkpoint to take. Defaults to the trained model, or the newest whole checkpoint of a run that is
            not finished.

    Returns:
        [`Trained`]: where they are.

    Raises:
        `ValueError`: if there is no such run or checkpoint, or it is not whole.
    """
    run = Path(path)
    if not run.is_dir():
        raise ValueError(f"no run at {path}: expected the output_dir of a run, or one of its checkpoints")
    if run.name in ("", ".."):
        run = run.resolve()
    if run in checkpoints(run.parent):
        if step is not None:
            raise ValueError(f"{path} is a checkpoint already: expected no other one, got {step}")
        run, step = run.parent, step_of(run)
    folder = _newest(run) if step is None else _checkpoint(run, step)
    form = _form(folder)
    if form is None:
        raise ValueError(f"{folder} has no weights: expected safetensors, or the shards of ZeRO or FSDP")
    trained = Trained(run, folder, form)
    for file in trained.files:
        try:
            with safe_open(file, "pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise ValueError(f"cannot read {file}: {error}") from error
    return trained


def _newest(run: Path) -> Path:
    # Of a run that saves shards, only the checkpoints have weights.
    folder = run if is_finished(run) and _form(run) else newest_checkpoint(run)
    if folder is None:
        raise ValueError(f"nothing to export in {run}: expected a finished run of hicra train, or a whole checkpoint")
    return folder


def _checkpoint(run: Path, step: int) -> Path:
    there = {step_of(folder): folder for folder in checkpoints(run)}
    if step not in there:
        raise ValueError(f"{run} has no checkpoint {step}: expected one of {sorted(there)}")
    if problem := defect(there[step]):
        raise ValueError(f"cannot export {there[step]}: it is {problem}")
    return there[step]


def _form(folder: Path) -> Form | None:
    if any((folder / name).is_file() for name in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME)):
        return "whole"
    if (folder / ADAPTER_SAFE_WEIGHTS_NAME).is_file():
        return "adapter"
    if (folder / ZERO_FILE).is_file():
        return "zero"
    return "fsdp" if (folder / FSDP_FOLDER).is_dir() else None
