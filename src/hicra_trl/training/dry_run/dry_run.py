"""The text of `hicra train --dry_run`: what a run would do and need, without network and without a GPU."""

from pathlib import Path
from typing import Any

import yaml
from transformers import IntervalStrategy
from transformers.trainer_utils import SaveStrategy
from trl import ModelConfig

from ...data.paper_datasets import REPOSITORIES
from ...grams import StrategicGrams
from ...terminal import labelled
from ..arguments import RunArguments
from ..config import HICRAConfig
from ..runs.checkpoints import checkpoints
from ..runs.launch import Launch
from .architectures import Architecture, load_architecture
from .fit import memory_lines


# Names of what `hicra train` makes itself.
_MADE_HERE = ("playground", "orders", "sums")
# A step of fewer prompts is warned of.
FEW_PROMPTS = 4
_CREDIT = {
    "planning": "planning tokens",
    "asymmetric": "planning tokens, by {alpha_below} below the mean of their group",
    "outcome": "strategic grams, each by what it goes along with",
    "plan": "strategic grams, each by what it goes along with, also where the answer is wrong",
    "random": "control: as many random tokens",
    "high_entropy": "control: as many high-entropy tokens",
    "execution": "control: as many low-entropy tokens outside of planning",
}


def plan(
    run_args: RunArguments,
    config: HICRAConfig,
    model_args: ModelConfig,
    grams: StrategicGrams,
    given: dict[str, Any],
    launch: Launch,
    planning_fraction: float,
) -> str:
    """
    What a run would do and need, for a reader; `config` is made for as many processes as `launch` has.

    Returns:
        `str`: one aligned line for each topic, the memory by GPU, and the settings that were `given`, in plain values.
    """
    try:
        architecture = load_architecture(model_args, config.trust_remote_code)
    except (ValueError, OSError) as error:
        architecture = None
        name, said = model_args.model_name_or_path, " ".join(str(error).split())
        memory = {"memory": f"not known: {f'{name} is pretrained first' if name in _MADE_HERE else said}"}
    else:
        memory = memory_lines(architecture, config, model_args, launch)
    pushed = f"pushed to the Hub as {config.repository}" if config.push_to_hub else "not pushed"
    steps = f"{config.max_steps} steps" if config.max_steps > 0 else f"{config.num_train_epochs:g} epochs"
    lines = {
        "model": _model(model_args, architecture),
        **_data(run_args),
        "credit": _credit(config, grams),
        **_moved(config, planning_fraction),
        "loss": _loss(config),
        "length": f"{steps}, learning rate {config.learning_rate}, seed {config.seed}",
        "machines": _machines(launch),
        **_batch(config),
        **_context(config),
        "engine": _generation_engine(config),
        **_held_out(run_args, config),
        "download": _download(run_args, model_args, architecture),
        "output": f"{config.output_dir}{_there(config)}, {pushed}",
        **memory,
        **_warnings(config),
    }
    return f"{labelled(lines, width=119)}\n\nset by the recipe and the command line:\n{yaml.safe_dump(given)}"


def _model(model_args: ModelConfig, architecture: Architecture | None) -> str:
    name = str(model_args.model_name_or_path)
    if architecture is None:
        return name
    text = f"{name}, {architecture.parameters / 1e9:.2f} billion parameters"
    if architecture.vision_parameters:
        text += f" ({architecture.vision_parameters / 1e9:.2f} in front of the language model)"
    if model_args.use_peft:
        text += f", LoRA of {architecture.trainable / 1e6:.1f} million"
    return text


def _download(run_args: RunArguments, model_args: ModelConfig, architecture: Architecture | None) -> str:
    """What is not on this machine by its name; the cache of the Hub may hold it."""
    datasets = [] if run_args.dataset_path else list(run_args.dataset_names)
    datasets += [name if Path(name).exists() else name.partition(":")[0] for name in run_args.decontaminate]
    datasets += [run_args.held_out_dataset_name, run_args.eval_dataset_name]
    names = [REPOSITORIES.get(name, (name,))[0] for name in datasets if name and not Path(name).exists()]
    names = [name for name in names if name not in _MADE_HERE]
    model = str(model_args.model_name_or_path)
    if model not in _MADE_HERE and not Path(model).exists():
        size = f" ({architecture.parameters * architecture.dtype_bytes / 1e9:.1f} GB)" if architecture else ""
        names = [model + size, *names]
    return ", ".join(dict.fromkeys(names)) or "nothing"


def _there(config: HICRAConfig) -> str:
    """What is in the folder of the output already, and is not gone on from."""
    there = [] if config.resume_from_checkpoint else checkpoints(config.output_dir)
    return f" (there already: {there[0].name}; a run would begin in another folder)" if there else ""


def _warnings(config: HICRAConfig) -> dict[str, str]:
    """What a run may well do, and is rarely meant to."""
    found = []
    strategy, steps = SaveStrategy(config.save_strategy), config.max_steps
    # Below 1, save_steps is a share of the run.
    if strategy == SaveStrategy.NO or (strategy == SaveStrategy.STEPS and 0 < steps <= config.save_steps):
        why = (
            f"save_steps {config.save_steps:g}, max_steps {steps}"
            if strategy == SaveStrategy.STEPS
            else "save_strategy no"
        )
        found.append(f"no checkpoint before the end ({why}): once stopped, a run begins anew")
    prompts = _per_step(config) / config.num_generations
    if prompts < FEW_PROMPTS:
        found.append(
            f"{prompts:g} prompt{'s' * (prompts != 1)} in a step: expected {FEW_PROMPTS} or more for a step that "
            "follows more than a problem's luck (completions_per_step, or gradient_accumulation_steps)"
        )
    return {"warning": "\n".join(found)} if found else {}


def _per_step(config: HICRAConfig) -> int:
    """Completions of an optimizer step, over all processes."""
    return config.world_size * config.per_device_train_batch_size * config.gradient_accumulation_steps


def _data(run_args: RunArguments) -> dict[str, str]:
    dataset = f"{' + '.join(run_args.dataset_names)} ({run_args.dataset_split})"
    if run_args.decontaminate:
        dataset += f", without what overlaps with {', '.join(run_args.decontaminate)}"
    return {"dataset": dataset, "rewards": ", ".join(run_args.reward_funcs)}


def _credit(config: HICRAConfig, grams: StrategicGrams) -> str:
    method = f"HICRA, alpha {config.alpha}" if config.alpha else "GRPO (alpha 0)"
    lexicon = f"{len(grams)} strategic grams ({config.strategic_grams}, {grams.fingerprint})"
    if not config.alpha:
        return f"{method}, {lexicon}"
    schedule = "" if config.alpha_schedule == "constant" else f" ({config.alpha_schedule})"
    whose = f"by {config.credit}"
    if config.credit in _CREDIT:
        whose = _CREDIT[config.credit].format(alpha_below=config.alpha_below or 0)
    return f"{method}{schedule}, {lexicon}, {whose}"


def _moved(config: HICRAConfig, planning_fraction: float) -> dict[str, str]:
    """How large the intervention is: what the credit moves cannot help or hurt by more."""
    if not config.alpha:
        return {}
    most = "" if config.credit in ("planning", "random", "high_entropy", "execution") else "at most "
    share = (
        f"{most}{100 * config.alpha * planning_fraction:.2f} % of the advantage mass (alpha x planning fraction), if"
    )
    given = f"{100 * planning_fraction:.1f} % of the tokens plan; --planning_fraction says another share"
    return {"moved": f"{share} {given}"}


def _loss(config: HICRAConfig) -> str:
    text = f"{config.loss_type}, clip {config.epsilon}/{config.epsilon_high}, beta {config.beta}"
    text += f", scale_rewards {config.scale_rewards}"
    if config.entropy_coef:
        text += f", entropy_coef {config.entropy_coef}"
    if config.top_entropy_quantile < 1:
        text += f", the {config.top_entropy_quantile:.0%} of tokens with the highest entropy"
    return text


def _machines(launch: Launch) -> str:
    each = launch.num_processes // launch.num_machines
    name = launch.name or "no accelerate config"
    engine = "not distributed" if launch.engine == "none" else launch.engine
    offload = ", offloaded to CPU memory" if launch.offload else ""
    machines = f"{launch.num_machines} machine{'s' * (launch.num_machines > 1)}"
    processes = f"{launch.num_processes} process{'es' * (launch.num_processes > 1)}"
    return f"{name}: {engine}{offload}, {machines} x {each} = {processes}"


def _batch(config: HICRAConfig) -> dict[str, str]:
    per_step = _per_step(config)
    per_generation, group = config.generation_batch_size, config.num_generations
    updates = per_generation / per_step
    share = f"{updates:g} steps for each generation" if updates >= 1 else f"{1 / updates:g} generations for each step"
    used = "once" if config.num_iterations == 1 else f"{config.num_iterations} times"
    return {
        "batch": f"{config.world_size} processes x {config.per_device_train_batch_size} completions x "
        f"{config.gradient_accumulation_steps} accumulation steps = {per_step} completions per step, "
        f"{per_step / group:g} prompts x {group}",
        "generation": f"{per_generation} completions of {per_generation // group} prompts x {group}, "
        f"up to {config.max_completion_length:,} tokens each: at most "
        f"{per_generation * config.max_completion_length:,} tokens",
        "updates": f"{share}, each completion is used {used}",
    }


def _context(config: HICRAConfig) -> dict[str, str]:
    lines = {}
    if config.extended_completion_length:
        most = config.generation_batch_size * config.extended_completion_length
        lines["context"] = (
            f"{config.max_completion_length:,} tokens, and {config.extended_completion_length:,} once more than "
            f"{config.extend_clipped_ratio:.0%} are cut in {config.extend_patience} generations in a row: "
            f"then at most {most:,} tokens"
        )
    if config.dynamic_sampling_attempts:
        lines["sampling"] = (
            f"dynamic: groups of equal rewards are replaced, in up to {config.dynamic_sampling_attempts} more rounds"
        )
    return lines


def _generation_engine(config: HICRAConfig) -> str:
    if not config.use_vllm:
        return "generation with transformers"
    if config.vllm_mode == "server":
        return "generation with a vLLM server, on GPUs of its own"
    share, parallel = config.vllm_gpu_memory_utilization, config.vllm_tensor_parallel_size
    length = f"{config.vllm_max_model_length:,} tokens" if config.vllm_max_model_length else "the length of the model"
    sleep = "sleeps while training" if config.vllm_enable_sleep_mode else "stays on the GPU while training"
    where = f"on the GPUs that train, {share:g} of each, tensor parallel {parallel}"
    return f"generation with vLLM {where}, {length}; {sleep}"


def _held_out(run_args: RunArguments, config: HICRAConfig) -> dict[str, str]:
    lines = {}
    if run_args.held_out_dataset_name:
        lines["held out"] = (
            f"pass@k on {run_args.held_out_dataset_name} every {run_args.held_out_steps} steps, "
            f"{run_args.held_out_samples} samples"
        )
    if config.eval_strategy != "no":
        dataset = run_args.eval_dataset_name or run_args.dataset_name
        lines["evaluation"] = f"{dataset} ({IntervalStrategy(config.eval_strategy).value})"
    return lines
