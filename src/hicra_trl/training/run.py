"""One training run from a parsed recipe; every process of `accelerate launch` runs this file."""

import os
import sys

from accelerate import PartialState
from httpx import HTTPError
from transformers import AutoProcessor, PrinterCallback, ProgressCallback
from trl import ModelConfig, TrlParser, get_peft_config, get_quantization_config

from ..terminal import first_line
from .arguments import RunArguments
from .callbacks import HealthCallback, SummaryCallback
from .config import HICRAConfig
from .held_out import PassAtKCallback
from .inputs import Inputs, data_records, load_inputs
from .runs.checkpoints import check_save_steps, resume_point
from .runs.failures import NamedFailure, StepCallback
from .runs.launch import check_launch
from .runs.manifest import mark_finished, recipe_environment, resolved_recipe, write_record
from .runs.provenance import model_record
from .trainer import HICRATrainer
from .upstream.cpu_ranks import leave_cpu_ranks, prepare_cpu_ranks


def build_trainer(
    run_args: RunArguments, config: HICRAConfig, model_args: ModelConfig, inputs: Inputs
) -> HICRATrainer:
    """The trainer that a recipe describes, with what [`~hicra_trl.training.inputs.load_inputs`] gives for it."""
    config.model_init_kwargs = {
        "revision": model_args.model_revision,
        "trust_remote_code": config.trust_remote_code,
        "attn_implementation": model_args.attn_implementation,
        "dtype": model_args.dtype,
        **(config.model_init_kwargs or {}),
    }
    peft_config = get_peft_config(model_args)
    if peft_config is not None:
        # PEFT records it, and loads the base of this revision again.
        peft_config.revision = model_args.model_revision
    name = str(model_args.model_name_or_path)
    # As TRL loads it, but never Mistral's own class, which does not tell the bytes of its tokens.
    processor = AutoProcessor.from_pretrained(
        name,
        revision=config.model_init_kwargs["revision"],
        truncation_side="left",
        padding_side="left",
        trust_remote_code=config.trust_remote_code,
        mistral_format=False,
    )
    trainer = HICRATrainer(
        model=name,
        args=config,
        processing_class=processor,
        quantization_config=get_quantization_config(model_args),
        peft_config=peft_config,
        train_dataset=inputs.prompts["train"],
        eval_dataset=inputs.prompts.get("eval"),
        reward_funcs=inputs.reward_funcs,
    )
    for callback in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(callback)
    for callback in (SummaryCallback, HealthCallback, StepCallback):
        trainer.add_callback(callback)
    if (problems := inputs.prompts.get("held_out")) is not None:
        steps, samples = run_args.held_out_steps, run_args.held_out_samples
        trainer.add_callback(PassAtKCallback(trainer, problems, steps, samples, run_args.held_out_at_start))
    return trainer


def push(trainer: HICRATrainer) -> None:
    """Pushes what is saved to the Hub; where that fails, exits with one line that says so."""
    try:
        trainer.push_to_hub()
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        raise SystemExit(
            f"hicra train: the push to the Hub failed ({first_line(error)}); the trained model is complete in "
            f"{trainer.args.output_dir}, and 'hf upload' publishes it from there"
        ) from error


def main() -> None:
    """Parses the recipe and the overrides of the command line, trains and saves."""
    parser = TrlParser((RunArguments, HICRAConfig, ModelConfig))  # pyright: ignore[reportArgumentType]
    run_args, config, model_args = parser.parse_args_and_config()
    if config.hub_token:
        # Trainer pickles its arguments into training_args.bin, and pushes that.
        os.environ["HF_TOKEN"], config.hub_token = config.hub_token, None
    # Now: the trainer completes its configuration.
    recipe = resolved_recipe(run_args, config, model_args) | recipe_environment(sys.argv)
    checkpoint = resume_point(config)
    prepare_cpu_ranks(PartialState())
    inputs = load_inputs(run_args, config)
    check_save_steps(config, len(inputs.prompts["train"]))
    trainer = build_trainer(run_args, config, model_args, inputs)
    with NamedFailure(trainer):
        check_launch(trainer.accelerator)
    if trainer.accelerator.is_main_process:
        model = model_record(str(model_args.model_name_or_path), trainer.model.config._commit_hash)
        write_record(recipe, config, trainer.labeler.grams, model, data_records(run_args, inputs), checkpoint)
    with NamedFailure(trainer):
        trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
        # Called by the user, this pushes before the rest is saved.
        trainer.save_model(config.output_dir, _internal_call=True)
        trainer.save_state()
        trainer.create_model_card(model_name=config.repository.split("/")[-1])
    if trainer.accelerator.is_main_process:
        mark_finished(config.output_dir)
    trainer.accelerator.print(f"Model, metrics and completions are in {config.output_dir}")
    if config.push_to_hub:
        push(trainer)
    # A colocated engine takes down its shared memory and all process groups when the interpreter ends.
    if not (config.use_vllm and config.vllm_mode == "colocate"):
        trainer.accelerator.end_training()
        leave_cpu_ranks(trainer.accelerator.state)


if __name__ == "__main__":
    main()
