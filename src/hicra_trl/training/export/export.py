"""What a run trained, as one plain folder that Transformers, vLLM and `hicra eval` load."""

import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from huggingface_hub import HfApi, ModelCard
from huggingface_hub.errors import HFValidationError, HTTPError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from transformers.utils import CONFIG_NAME, GENERATION_CONFIG_NAME, SAFE_WEIGHTS_INDEX_NAME

from ...disk import from_pretrained
from ...extras import not_installed
from ...terminal import first_line
from ..runs.files import CARD_FIGURE, CONFIG_FILE, LEXICON_FOLDER, MANIFEST_FILE
from .shards import read_fsdp, read_zero
from .weights import Trained


CARD_FILE = "README.md"
_SHARDS = {"zero": "the shards of DeepSpeed ZeRO", "fsdp": "the shards of FSDP"}


def export(trained: Trained, output_dir: str | Path) -> Path:
    """
    Writes a model with all that belongs to it: processor, chat template, generation config, lexicon, recipe and card.

    An adapter is added to its base, in the dtype in which the base is stored; shards are put together, in the dtype
    of the training.

    Args:
        trained ([`~hicra_trl.training.export.weights.Trained`]):
            What to export.
        output_dir (`str` or `Path`):
            The new folder. It appears when everything is in it.

    Returns:
        `Path`: the folder.

    Raises:
        `ValueError`: if the folder exists, the base cannot be loaded, or the weights do not fit.
    """
    target = Path(output_dir).absolute()
    check_target(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    card = _read_card(trained)
    # Of a text model this is its tokenizer.
    processor = _from_saved_or_base(AutoProcessor, trained, "tokenizer_config.json", mistral_format=False)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        folder = Path(scratch, "model")
        folder.mkdir()
        if trained.form == "whole":
            _copy_model(trained, folder)
        else:
            _assemble(trained, Path(scratch)).save_pretrained(folder)
        processor.save_pretrained(folder)
        shutil.copytree(trained.folder / LEXICON_FOLDER, folder / LEXICON_FOLDER)
        for name in (CONFIG_FILE, MANIFEST_FILE, CARD_FIGURE):
            if (trained.run / name).is_file():
                shutil.copyfile(trained.run / name, folder / name)
        _complete(card, trained, AutoConfig.from_pretrained(folder).dtype).save(folder / CARD_FILE)
        folder.rename(target)
    return Path(output_dir)


def check_target(folder: Path) -> None:
    """Raises `ValueError` if there is something already where an export shall be."""
    if folder.exists():
        raise ValueError(f"{folder} exists already: expected a new folder")


def make_repository(repo_id: str, private: bool) -> None:
    """Makes a model repository if there is none yet; raises `ValueError` where the Hub refuses."""
    try:
        HfApi().create_repo(repo_id, private=private or None, exist_ok=True)
    except (HTTPError, OSError, HFValidationError) as error:
        raise ValueError(f"cannot push to {repo_id!r}: {first_line(error)}") from error


def push(folder: Path, repo_id: str) -> str:
    """
    Uploads an exported folder in one commit, and removes what other weights the repository had.

    Args:
        folder (`Path`):
            What [`export`] wrote.
        repo_id (`str`):
            The model on the Hub, `user/name`.

    Returns:
        `str`: the commit's hash.

    Raises:
        `ValueError`: if the upload fails.
    """
    try:
        commit = HfApi().upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            commit_message=f"Export of {folder.name}",
            # An adapter that stayed would be loaded onto the weights that have it already.
            delete_patterns=["*.safetensors", "*.safetensors.index.json", "adapter_config.json"],
        )
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"the push to {repo_id!r} failed ({first_line(error)}); the model is complete in {folder}, and "
            f"'hf upload {repo_id} {folder}' publishes it from there"
        ) from error
    return commit.oid


def _copy_model(trained: Trained, folder: Path) -> None:
    for file in trained.files:
        shutil.copyfile(file, folder / file.name)
    for name in (CONFIG_NAME, GENERATION_CONFIG_NAME, SAFE_WEIGHTS_INDEX_NAME):
        if (trained.folder / name).is_file():
            shutil.copyfile(trained.folder / name, folder / name)


def _assemble(trained: Trained, scratch: Path) -> PreTrainedModel:
    """The model of an adapter or of shards."""
    if not trained.is_adapter:
        return _model_of_shards(trained, _read_shards(trained, scratch))
    try:
        from .adapter import adapter_config, merge, read_adapter
    except ImportError as error:
        raise ValueError(f"{trained.folder} has an adapter: {not_installed('peft')}") from error
    trained.check_base()
    state = read_adapter(trained.folder) if trained.form == "adapter" else _read_shards(trained, scratch)
    base = _from_base(_model_class(_from_base(AutoConfig, trained)), trained, dtype="auto")
    return merge(base, adapter_config(trained.folder, trained.recipe), state)


def _read_shards(trained: Trained, scratch: Path) -> dict[str, torch.Tensor]:
    return read_zero(trained.folder) if trained.form == "zero" else read_fsdp(trained.folder, scratch)


def _model_of_shards(trained: Trained, state: dict[str, torch.Tensor]) -> PreTrainedModel:
    config = _from_saved_or_base(AutoConfig, trained, CONFIG_NAME)
    if trained.form == "zero":
        # The optimizer's copies are in float32, whatever the model was trained in.
        state = {name: tensor.to(config.dtype) for name, tensor in state.items()}
    with torch.device("meta"):
        model = _model_class(config).from_config(config)
    unexpected = model.load_state_dict(state, strict=False, assign=True).unexpected_keys
    model.tie_weights()
    missing = [name for name, tensor in model.state_dict().items() if tensor.is_meta]
    if missing or unexpected:
        raise ValueError(
            f"the shards in {trained.folder} are of another model: expected the tensors of a {type(model).__name__}, "
            f"got {len(missing)} of them not, and {len(unexpected)} others, such as {[*missing, *unexpected][0]}"
        )
    if (trained.folder / GENERATION_CONFIG_NAME).is_file():
        model.generation_config = GenerationConfig.from_pretrained(trained.folder)
    return model


def _model_class(config: PreTrainedConfig) -> type:
    sees = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    return AutoModelForImageTextToText if sees else AutoModelForCausalLM


def _from_saved_or_base(kind: type, trained: Trained, file: str, **kwargs: Any) -> Any:
    """Loads from the checkpoint or the run, whichever has `file`, or else what the training started from."""
    for folder in (trained.folder, trained.run):
        if (folder / file).is_file():
            return from_pretrained(kind, folder, trust_remote_code=trained.trusts_remote_code, **kwargs)
    return _from_base(kind, trained, **kwargs)


def _from_base(kind: type, trained: Trained, **kwargs: Any) -> Any:
    name, revision = trained.base
    try:
        return from_pretrained(kind, name, revision=revision, trust_remote_code=trained.trusts_remote_code, **kwargs)
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot load the base {name!r}: {first_line(error)}") from error


def _read_card(trained: Trained) -> ModelCard:
    file = trained.run / CARD_FILE
    try:
        return ModelCard.load(file) if file.is_file() else ModelCard(f"---\n---\n\n# {trained.run.name}\n")
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise ValueError(f"cannot read the model card {file}: {first_line(error)}") from error


def _complete(card: ModelCard, trained: Trained, dtype: torch.dtype | str | None) -> ModelCard:
    """The card of the run, with a section on where the weights come from."""
    data: Any = card.data
    sentences = [f"These are the weights after step {trained.step} of the run `{trained.run.name}`, in {dtype}."]
    if trained.form in _SHARDS:
        sentences.append(f"They were put together from {_SHARDS[trained.form]}.")
    if trained.is_adapter:
        name, revision = trained.base
        is_local = Path(name).is_dir()
        shown = Path(name).name if is_local else f"{name}@{revision or 'main'}"
        sentences.append(f"The adapter that was trained is part of them; its base was `{shown}`.")
        data.base_model = None if is_local else name
        data.tags = [tag for tag in data.tags or [] if tag != "lora" and "adapter" not in str(tag)]
    data.library_name = "transformers"
    section = f"## Export\n\n{' '.join(sentences)} Exported by hicra-trl {version('hicra-trl')}.\n\n"
    marker = "### Framework versions"
    card.text = card.text.replace(marker, section + marker) if marker in card.text else f"{card.text}\n{section}"
    return card
