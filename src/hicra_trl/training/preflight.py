"""What would stop a run later is found before anything is launched."""

from pathlib import Path

from httpx import HTTPError
from huggingface_hub import HfApi
from transformers import AutoTokenizer
from trl import ModelConfig

from ..grams import PlanningTokenLabeler, StrategicGrams
from ..terminal import first_line
from .arguments import RunArguments
from .config import HICRAConfig
from .inputs import data_records, load_inputs
from .rewards import check_golds
from .runs.checkpoints import check_save_steps, is_own, resume_point
from .runs.files import MANIFEST_FILE
from .runs.lexicon import check_same_lexicon
from .runs.manifest import batch_record, read_manifest
from .runs.provenance import model_record
from .runs.resume import check_same_run
from .upstream.mixed_images import check_images


def check(run_args: RunArguments, config: HICRAConfig, model_args: ModelConfig, grams: StrategicGrams) -> Path | None:
    """
    Checks what would stop the run later: tokenizer, data, rewards, checkpoints, Hub.

    Returns:
        `Path`, *optional*: the checkpoint that the run goes on from.

    Raises:
        `ValueError` or `OSError`: for what is wrong.
    """
    name, revision = str(model_args.model_name_or_path), model_args.model_revision
    tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=config.trust_remote_code)
    PlanningTokenLabeler(tokenizer, grams)
    checkpoint = resume_point(config)
    inputs = load_inputs(run_args, config)
    config.check_prompts(len(inputs.prompts["train"]))
    check_save_steps(config, len(inputs.prompts["train"]))
    for rows in inputs.prompts.values():
        check_golds(rows, run_args)
        check_images(rows, config.world_size)
    if checkpoint is not None:
        check_same_lexicon(checkpoint, grams)
        if Path(checkpoint.parent, MANIFEST_FILE).is_file() and is_own(checkpoint, config):
            manifest = read_manifest(checkpoint.parent)
            found = {
                "batch": batch_record(config),
                "model": model_record(name, manifest["model"]["commit"]),
                "data": data_records(run_args, inputs),
            }
            check_same_run(manifest, found)
    # Last: it makes the repository, which nothing else that is wrong shall leave behind.
    if config.push_to_hub:
        check_repository(config)
    return checkpoint


def check_repository(config: HICRAConfig) -> None:
    """Makes the repository that the trainer will make; raises `ValueError` where the Hub refuses."""
    repo_id = config.repository
    try:
        HfApi(token=config.hub_token).create_repo(repo_id, private=config.hub_private_repo, exist_ok=True)
    except (HTTPError, OSError) as error:
        raise ValueError(f"cannot push to {repo_id!r}: {first_line(error)}") from error
