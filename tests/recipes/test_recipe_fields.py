"""Recipes are complete, and those of one model differ in what they compare alone."""

from dataclasses import fields
from itertools import combinations

import pytest
from trl import ModelConfig

from hicra_trl.training import HICRAConfig
from hicra_trl.training.arguments import RunArguments

from .catalog import ALL, COMPLETE, FOLDER, GRPO, LAPTOP, NAMES, ONE_CARD, PAPER, PLAYGROUND, VISION, credit, read


REQUIRED = """
model_name_or_path model_revision trust_remote_code attn_implementation dtype bf16 cast_lm_head_to_fp32 disable_dropout
use_peft
alpha credit strategic_grams entropy_coef use_adaptive_entropy top_entropy_quantile
scale_rewards epsilon epsilon_high beta loss_type importance_sampling_level num_iterations delta
off_policy_mask_threshold mask_truncated_completions
dataset_name dataset_split shuffle_dataset decontaminate prompt_format instruction reward_funcs answer_after_think
grader_timeout unreadable_golds pass_threshold held_out_dataset_name eval_strategy
num_generations generation_batch_size completions_per_step per_device_train_batch_size max_completion_length
extended_completion_length dynamic_sampling_attempts temperature top_p top_k min_p repetition_penalty
use_vllm vllm_mode vllm_model_impl vllm_tensor_parallel_size vllm_gpu_memory_utilization vllm_enable_sleep_mode
vllm_max_model_length vllm_importance_sampling_correction vllm_importance_sampling_mode
vllm_importance_sampling_clip_min vllm_importance_sampling_clip_max
learning_rate lr_scheduler_type warmup_steps max_steps optim adam_beta1 adam_beta2 adam_epsilon weight_decay
max_grad_norm gradient_checkpointing gradient_checkpointing_kwargs use_liger_kernel seed data_seed
accelerate_config output_dir run_name logging_steps log_completions report_to save_strategy save_steps
save_total_limit save_only_model push_to_hub
"""
# A field that says more about another one is required where that one asks for it.
REQUIRED_WITH = {
    "extended_completion_length": "extend_clipped_ratio extend_patience",
    "decontaminate": "decontaminate_ngram decontaminate_coverage",
    "use_peft": "lora_r lora_alpha lora_dropout lora_target_modules use_rslora use_dora load_in_4bit",
    "held_out_dataset_name": "held_out_dataset_split held_out_steps held_out_samples held_out_at_start",
}
EVALUATION = "eval_steps eval_dataset_name eval_dataset_split num_generations_eval per_device_eval_batch_size"

# `max_position_embeddings` of the models' published configurations.
CONTEXTS = {
    "qwen3-4b-instruct-2507": 262_144,
    "qwen3-4b-nothink": 40_960,
    "qwen3-4b-base": 32_768,
    "llama-3.1-8b-instruct": 131_072,
    "qwen2.5-7b": 131_072,
    "mimo-vl-7b": 128_000,
    "qwen2.5-vl-7b": 128_000,
    "qwen3-0.6b": 40_960,
    "qwen3-1.7b": 40_960,
}

complete = pytest.mark.parametrize("recipe", COMPLETE)


def test_each_folder_holds_the_methods_that_it_is_for():
    models = PAPER | ONE_CARD | LAPTOP | PLAYGROUND
    assert {folder.name for folder in FOLDER.iterdir()} - {"eval"} == set(models)
    for model, methods in models.items():
        assert {file.stem for file in (FOLDER / model).iterdir()} == set(methods)


@complete
def test_a_recipe_is_complete_and_each_field_is_known(recipe):
    given = read(recipe)
    known = {f.name for kind in (RunArguments, HICRAConfig, ModelConfig) for f in fields(kind)}
    assert given.keys() <= known
    required = set(REQUIRED.split())
    for field, more in REQUIRED_WITH.items():
        if given[field]:
            required |= set(more.split())
    if given["eval_strategy"] != "no":
        required |= set(EVALUATION.split())
    assert required <= given.keys()


@pytest.mark.parametrize("recipe", ALL)
def test_a_recipe_does_what_its_name_says(recipe):
    given = read(recipe)
    assert given["output_dir"] == f"runs/{recipe}"
    assert given.get("run_name", recipe.replace("/", "-")) == recipe.replace("/", "-")
    assert {field: given.get(field, default) for field, default in GRPO.items()} == credit(recipe)


@pytest.mark.parametrize("folder", PAPER | ONE_CARD | LAPTOP | PLAYGROUND)
def test_methods_of_a_model_differ_in_the_credit_alone(folder):
    found = {file.stem: read(f"{folder}/{file.stem}") for file in (FOLDER / folder).iterdir()}
    for one, other in combinations(found, 2):
        if one.endswith("_lora") == other.endswith("_lora"):
            assert _differences(found[one], found[other]) <= {*GRPO, *NAMES}


@pytest.mark.parametrize("method", ["grpo", "hicra"])
def test_lora_differs_in_the_adapter_alone(method):
    lora = {"use_peft", "learning_rate", "dtype", *REQUIRED_WITH["use_peft"].split()}
    assert _differences(read(f"qwen3-0.6b/{method}"), read(f"qwen3-0.6b/{method}_lora")) == lora | NAMES


@complete
def test_the_longest_completion_fits_into_the_engine_and_the_model(recipe):
    given = read(recipe)
    longest = given["extended_completion_length"] or given["max_completion_length"]
    assert longest < given["vllm_max_model_length"] <= CONTEXTS[recipe.split("/")[0]]


@complete
def test_all_that_comes_regularly_comes_between_two_generations(recipe):
    given = read(recipe)
    updates = given["generation_batch_size"] // given["completions_per_step"]
    for field in ("save_steps", "held_out_steps", "eval_steps", "logging_steps", "max_steps"):
        assert given.get(field, updates) % updates == 0, field
    assert given["save_steps"] % given["logging_steps"] == 0


@pytest.mark.parametrize("recipe", [f"{model}/hicra" for model in PAPER])
def test_what_the_paper_gives_is_in_its_recipes(recipe):
    given = read(recipe)
    model = recipe.split("/")[0]
    data = ["virl39k"] if model in VISION else ["dapo", "deepscaler"]
    assert [given["dataset_name"], *given.get("extra_datasets", [])] == data
    assert given["max_completion_length"] == 16_384
    # Of a model that ends at 32K, a prompt takes its part.
    assert given["extended_completion_length"] == (30_720 if model == "qwen3-4b-base" else 32_768)
    assert (given["alpha"], given["strategic_grams"], given["extend_clipped_ratio"]) == (0.2, "paper", 0.2)
    assert (given["scale_rewards"], given["epsilon"], given["epsilon_high"], given["beta"]) == ("none", 0.2, 0.28, 0)
    assert (given["dynamic_sampling_attempts"] > 0) == (model == "llama-3.1-8b-instruct")
    assert given["accelerate_config"] in ("two_nodes", "four_nodes")


def _differences(one: dict, other: dict) -> set[str]:
    return {field for field in one.keys() | other.keys() if one.get(field) != other.get(field)}
