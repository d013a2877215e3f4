"""What would stop a run later is found before anything is launched."""

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from zipfile import is_zipfile

import torch
import transformers
from datasets import Dataset
from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError, HTTPError
from huggingface_hub.utils import validate_repo_id
from jinja2 import TemplateError
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoProcessor, AutoTokenizer, PreTrainedTokenizerBase, Trainer
from transformers.integrations import get_reporting_integration_callbacks
from transformers.utils import CONFIG_NAME
from trl import ModelConfig, get_peft_config, get_quantization_config

from ..data.rows import check_there
from ..disk import from_pretrained
from ..extras import not_installed
from ..gguf import is_gguf, plain_model
from ..grams import PlanningTokenLabeler, StrategicGrams
from ..terminal import first_line
from .arguments import RunArguments
from .assigner import try_rule
from .config import HICRAConfig
from .held_out import check_problems
from .inputs import data_records, load_inputs
from .rewards import check_columns, check_golds, try_rewards
from .runs.checkpoints import check_save_steps, is_own, resume_point
from .runs.files import MANIFEST_FILE
from .runs.lexicon import check_same_lexicon
from .runs.manifest import batch_record, read_manifest
from .runs.provenance import model_record
from .runs.resume import check_same_run
from .upstream.mixed_images import check_images


def check(
    run_args: RunArguments, config: HICRAConfig, model_args: ModelConfig, grams: StrategicGrams, is_dry: bool = False
) -> Path | None:
    """
    Checks what would stop the run later: packages, folder, tokenizer, data, rewards, weights, checkpoints, Hub. A dry
    run is for another machine too: it looks at those models and datasets that are here, and asks for no network.

    Returns:
        `Path`, *optional*: the checkpoint that the run goes on from.

    Raises:
        `ValueError` or `OSError`: for what is wrong.
    """
    check_packages(config, model_args, is_dry)
    check_folder(Path(config.output_dir))
    try_rule(config)
    name = str(model_args.model_name_or_path)
    if not is_dry:
        name = plain_model(name, model_args.model_revision)
        model_args = replace(model_args, model_name_or_path=name)
    tokenizer = None
    if not is_dry or Path(name, CONFIG_NAME).is_file():
        tokenizer = check_tokenizer(config, model_args, grams)
        check_model(config, model_args)
    # The plan says what is in the folder.
    checkpoint = resume_point(config) if config.resume_from_checkpoint or not is_dry else None
    inputs = load_inputs(run_args, config, only_local=is_dry)
    if (prompts := inputs.prompts.get("train")) is not None:
        config.check_prompts(len(prompts))
        check_save_steps(config, len(prompts))
    for role, rows in inputs.prompts.items():
        check_columns(rows, role)
        if tokenizer is not None:
            check_chat(rows, tokenizer, config, model_args)
        check_golds(rows, run_args)
        check_images(rows, config.world_size)
    if prompts is not None:
        try_rewards(run_args, inputs.reward_funcs, prompts)
    if (problems := inputs.prompts.get("held_out")) is not None:
        check_problems(problems)
    weights = config.reward_weights
    if weights is not None and len(weights) != len(run_args.reward_funcs):
        raise ValueError(f"reward_weights must be {len(run_args.reward_funcs)}, one for each reward, got {weights}")
    if checkpoint is not None:
        check_same_lexicon(checkpoint, grams)
        if Path(checkpoint.parent, MANIFEST_FILE).is_file() and is_own(checkpoint, config):
            manifest = read_manifest(checkpoint.parent)
            if not is_dry or (tokenizer and manifest["data"].keys() == inputs.prompts.keys()):
                found = {
                    "batch": batch_record(config),
                    "model": model_record(name, manifest["model"]["commit"]),
                    "data": data_records(run_args, inputs),
                }
                check_same_run(manifest, found)
    # Last: it makes the repository, which nothing else that is wrong shall leave behind.
    if config.push_to_hub and not is_dry:
        check_repository(config)
    return checkpoint


def check_names(run_args: RunArguments, config: HICRAConfig, model_args: ModelConfig) -> None:
    """Raises `ValueError` for a file or folder that the recipe names and that is not here; of the Hub all may be."""
    unseen = [run_args.held_out_dataset_name, run_args.eval_dataset_name if config.eval_strategy != "no" else None]
    for name in filter(None, [*(run_args.dataset_path or run_args.dataset_names), *unseen]):
        check_there(name)
    for name in run_args.decontaminate:
        check_there(name if Path(name).exists() else name.partition(":")[0])
    name = str(model_args.model_name_or_path)
    try:
        if not Path(name).exists() and not is_gguf(name):
            validate_repo_id(name)
    except HFValidationError as error:
        raise ValueError(f"no model at {name}: expected a folder, or a model on the Hub as user/name") from error


def check_packages(config: HICRAConfig, model_args: ModelConfig, is_dry: bool) -> None:
    """Raises `ValueError` if a field needs a package that is not there, with what installs it."""
    # Like a GPU, vLLM is where the run will be: it cannot be had everywhere.
    needed = {
        "vllm": ("use_vllm", config.use_vllm and not is_dry),
        "peft": ("use_peft", model_args.use_peft),
        "deepspeed": ("deepspeed", bool(config.deepspeed)),
        "liger_kernel": ("use_liger_kernel", config.use_liger_kernel),
        "bitsandbytes": ("load_in_4bit or load_in_8bit", model_args.load_in_4bit or model_args.load_in_8bit),
    }
    for package, (field, is_needed) in needed.items():
        if is_needed and find_spec(package) is None:
            raise ValueError(f"{field}: {not_installed(package)}")
    try:
        for callback in get_reporting_integration_callbacks(config.report_to):
            callback()
    except (ImportError, RuntimeError, ValueError) as error:
        raise ValueError(f"report_to: {first_line(error)}") from error


def check_folder(folder: Path) -> None:
    """Raises `ValueError` if a folder is none, or cannot be made and written."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    try:
        with TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ValueError(f"output_dir must be a folder that can be written, got {folder}: {error.strerror}") from error


def check_tokenizer(config: HICRAConfig, model_args: ModelConfig, grams: StrategicGrams) -> PreTrainedTokenizerBase:
    """The tokenizer of the model; raises `ValueError` or `OSError` if it is none that completions end and plan by."""
    name = str(model_args.model_name_or_path)
    tokenizer = _read(AutoTokenizer, config, model_args)
    if tokenizer.eos_token is None:
        raise ValueError(f"the tokenizer of {name} has no eos_token: expected one, in tokenizer_config.json")
    PlanningTokenLabeler(tokenizer, grams)
    return tokenizer


def _read(kind: Any, config: HICRAConfig, model_args: ModelConfig) -> Any:
    """The tokenizer or processor of the model."""
    source = {"revision": model_args.model_revision, "trust_remote_code": config.trust_remote_code}
    return from_pretrained(kind, str(model_args.model_name_or_path), mistral_format=False, **source)


def check_chat(
    rows: Dataset, tokenizer: PreTrainedTokenizerBase, config: HICRAConfig, model_args: ModelConfig
) -> None:
    """Raises `ValueError` if prompts are conversations that the chat template does not put."""
    name = str(model_args.model_name_or_path)
    if isinstance(rows[0]["prompt"], str):
        return
    processor = tokenizer
    if tokenizer.chat_template is None:
        processor = _read(AutoProcessor, config, model_args)
    if processor.chat_template is None:
        raise ValueError(f"{name} has no chat template: expected one, or prompts of plain text (prompt_format: text)")
    if processor is not tokenizer or {"image", "images"} & {*rows.column_names}:
        return
    kwargs: Any = config.chat_template_kwargs or {}
    if unread := [key for key in kwargs if key not in str(tokenizer.chat_template)]:
        raise ValueError(f"chat_template_kwargs: the chat template of {name} does not read {', '.join(unread)}")
    shapes = {tuple(turn["role"] for turn in prompt): row for row, prompt in enumerate(rows["prompt"])}
    for roles, row in shapes.items():
        try:
            tokenizer.apply_chat_template(rows[row]["prompt"], tokenize=False, add_generation_prompt=True, **kwargs)
        except (TemplateError, TypeError, ValueError) as error:
            raise ValueError(
                f"the chat template of {name} refuses row {row} ({', '.join(roles)}): {first_line(error)}"
            ) from error


def check_model(config: HICRAConfig, model_args: ModelConfig) -> None:
    """Raises `ValueError` if the model, its adapter or its optimizer cannot be made; no weights are loaded."""
    name = str(model_args.model_name_or_path)
    if Path(name).is_dir():
        check_weights(Path(name))
    kwargs = {"trust_remote_code": config.trust_remote_code, "attn_implementation": model_args.attn_implementation}
    kwargs |= {"revision": model_args.model_revision, **(config.model_init_kwargs or {})}
    model_config = from_pretrained(
        AutoConfig, name, revision=kwargs["revision"], trust_remote_code=kwargs["trust_remote_code"]
    )
    if not model_config.architectures:
        raise ValueError(f"the config.json of {name} names no architectures: expected the class of the model")
    architecture = getattr(transformers, model_config.architectures[0], None)
    if architecture is None:  # with code of its own
        return
    try:
        get_quantization_config(model_args)
        with torch.device("meta"):
            model = architecture._from_config(model_config, attn_implementation=kwargs["attn_implementation"])
        if (adapter := get_peft_config(model_args)) is not None:
            from peft import get_peft_model
            from peft.tuners.tuners_utils import BaseTunerLayer

            model = get_peft_model(model, adapter)
            if isinstance(model.get_output_embeddings(), BaseTunerLayer):
                raise ValueError("an adapter of lm_head is not trained: remove it from lora_target_modules")
        Trainer.get_optimizer_cls_and_kwargs(config, model)  # pyright: ignore[reportArgumentType]
    except (ImportError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError) as error:
        raise ValueError(f"cannot make the model that the recipe describes: {first_line(error)}") from error


def check_weights(folder: Path) -> None:
    """Raises `ValueError` if a model's folder has no whole weights; only their headers are read."""
    if not (folder / "config.json").is_file():
        raise ValueError(f"no model in {folder}: no config.json")
    names = [f"{stem}{index}" for stem in ("model.safetensors", "pytorch_model.bin") for index in ("", ".index.json")]
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise ValueError(f"no weights in {folder}: expected {' or '.join(names)}")
    files = [found]
    if found.suffix == ".json":
        try:
            files = sorted({folder / name for name in json.loads(found.read_text())["weight_map"].values()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{found} is no index of weights: expected a weight_map") from error
    for file in files:
        if not file.is_file():
            raise ValueError(f"no weights at {file}, which {found.name} names")
        if file.suffix == ".bin":
            # A zip archive, or, of old, a pickle; a cut archive has lost its list of contents, which ends it.
            with file.open("rb") as opened:
                is_pickle = opened.read(1) == b"\x80"
            if not is_pickle and not is_zipfile(file):
                raise ValueError(f"the weights in {file} are not whole: expected a file that torch.save writes")
            continue
        try:
            with safe_open(file, framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise ValueError(f"the weights in {file} are not whole: {first_line(error)}") from error


def check_repository(config: HICRAConfig) -> None:
    """Makes the repository that the trainer will make; raises `ValueError` where the Hub refuses."""
    repo_id = config.repository
    try:
        HfApi(token=config.hub_token).create_repo(repo_id, private=config.hub_private_repo, exist_ok=True)
    except (HTTPError, OSError) as error:
        raise ValueError(f"cannot push to {repo_id!r}: {first_line(error)}") from error
