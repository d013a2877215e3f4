"""What TRL, Transformers and PEFT refuse only when a model is loaded, or not at all: types, choices and ranges."""

from typing import Annotated, Any, Literal

from transformers.debug_utils import DebugOption

from ..fields import Count, CountOrZero, Name, NotNegative, Positive, Range, Share, SomeShare, check_value


def _or_none(kind: Any) -> Any:
    return kind | None


_SEED = Annotated[int, Range("[0, 4294967295]")]
_DECLARED: tuple[tuple[Any, str], ...] = (
    (
        Count,
        """per_device_train_batch_size per_device_eval_batch_size gradient_accumulation_steps num_iterations
        max_completion_length ref_model_sync_steps ddp_timeout vllm_tensor_parallel_size lora_r lora_alpha""",
    ),
    (
        _or_none(Count),
        """num_generations_eval generation_batch_size steps_per_generation eval_accumulation_steps ddp_bucket_cap_mb
        torch_empty_cache_steps dataloader_prefetch_factor vllm_max_model_length""",
    ),
    (_or_none(Count) | str, "pad_to_multiple_of"),
    (Annotated[int, Range("[2, inf)")], "num_generations"),
    (Annotated[int, Range("[-1, inf)")], "max_steps"),
    (Annotated[int, Range("[1, 65535]")], "vllm_server_port vllm_group_port"),
    (_SEED, "seed"),
    (_or_none(_SEED), "data_seed"),
    (CountOrZero, "top_k dataloader_num_workers"),
    (_or_none(CountOrZero), "save_total_limit num_completions_to_print max_tool_calling_iterations"),
    (
        Positive,
        """num_train_epochs logging_steps save_steps temperature repetition_penalty vllm_server_timeout
        sapo_temperature_neg sapo_temperature_pos""",
    ),
    (
        _or_none(Positive),
        "vllm_importance_sampling_clip_max vllm_importance_sampling_cap off_policy_mask_threshold delta",
    ),
    (
        NotNegative,
        """eval_delay learning_rate warmup_steps weight_decay adam_epsilon max_grad_norm beta epsilon vespo_k_pos
        vespo_lambda_pos vespo_k_neg vespo_lambda_neg entropy_coef_min entropy_coef_max entropy_coef_delta
        entropy_target""",
    ),
    (
        _or_none(NotNegative),
        "eval_steps neftune_noise_alpha router_aux_loss_coef vllm_importance_sampling_clip_min epsilon_high",
    ),
    (Annotated[float, Range("[0, 1)")], "adam_beta1 adam_beta2 lora_dropout"),
    (_or_none(Name), "output_dir hub_model_id"),
    (Share, "label_smoothing_factor ref_model_mixup_alpha top_entropy_quantile"),
    (_or_none(Share), "min_p"),
    (SomeShare, "top_p vllm_gpu_memory_utilization"),
    (str | list[str] | None, "report_to"),
    (str | list[DebugOption] | None, "debug"),
    # Text first: ModelConfig makes a text of a list of one, and of "all-linear" PEFT takes no list.
    (str | list[str] | None, "lora_target_modules"),
    (Literal["grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"], "loss_type"),
    (Literal["token", "sequence"], "importance_sampling_level"),
    (Literal["group", "batch", "none"] | bool, "scale_rewards"),
    (Literal["sum_then_normalize", "normalize_then_sum"], "multi_objective_aggregation"),
    (Literal["server", "colocate"], "vllm_mode"),
    (Literal["vllm", "transformers"], "vllm_model_impl"),
    (
        Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"],
        "vllm_importance_sampling_mode",
    ),
    (
        Literal["CAUSAL_LM", "SEQ_CLS", "SEQ_2_SEQ_LM", "TOKEN_CLS", "QUESTION_ANS", "FEATURE_EXTRACTION"],
        "lora_task_type",
    ),
)
LIMITS: dict[str, Any] = {name: kind for kind, names in _DECLARED for name in names.split()}
# What TRL takes as a mapping or its JSON, and what as the path of a file too.
MAPPINGS = (
    "gradient_checkpointing_kwargs", "lr_scheduler_kwargs", "model_init_kwargs", "generation_kwargs",
    "transformers_continuous_batching_config", "chat_template_kwargs",
)  # fmt: skip
FILES = ("accelerator_config", "fsdp_config", "deepspeed")
# What leaves vLLM the whole vocabulary to sample from.
_WHOLE: dict[str, tuple[Any, ...]] = {
    "top_p": (1.0,), "top_k": (0, -1), "min_p": (None, 0.0), "vllm_structured_outputs_regex": (None,),
}  # fmt: skip
# What stands in `fsdp_config`, and in that and the `deepspeed_config` of Accelerate, which takes all as text.
_SHARDING: dict[str, Any] = {
    **dict.fromkeys(
        (
            "offload_params", "cpu_offload", "reshard_after_forward", "forward_prefetch", "use_orig_params",
            "cpu_ram_efficient_loading", "sync_module_states", "limit_all_gathers", "activation_checkpointing",
            "activation_checkpointing_offload", "zero3_init_flag", "zero3_save_16bit_model",
        ),
        bool | Literal["true", "false"] | None,
    ),
    "auto_wrap_policy": Literal["TRANSFORMER_BASED_WRAP", "SIZE_BASED_WRAP", "NO_WRAP"] | None,
    "state_dict_type": Literal["FULL_STATE_DICT", "SHARDED_STATE_DICT", "LOCAL_STATE_DICT"] | None,
    "min_num_params": _or_none(CountOrZero),
    **dict.fromkeys(("offload_optimizer_device", "offload_param_device"), Literal["none", "cpu", "nvme"] | None),
    "gradient_accumulation_steps": _or_none(Count) | Literal["auto"],
    "gradient_clipping": _or_none(NotNegative) | Literal["auto"],
}  # fmt: skip


def check_sharding(settings: dict[str, Any]) -> None:
    """Raises `ValueError` if a setting of FSDP, with `fsdp_` before it or not, or of DeepSpeed has a wrong value."""
    for name, value in settings.items():
        check_value(name, value, _SHARDING.get(name.removeprefix("fsdp_"), Any))


def check_truncation(settings: dict[str, Any], instead: str = "") -> None:
    """
    Raises `ValueError` if vLLM would sample from a part of the vocabulary, for a loss that its probabilities enter.

    They are those within that part, the policy's those in the whole, so that their ratio is at most the probability of
    the part. At `top_p=0.8` that takes from an uncertain token as much as HICRA gives to a planning token, and over a
    sequence the ratios multiply to 0.
    """
    for name, whole in _WHOLE.items():
        if (value := settings.get(name, whole[0])) not in whole:
            raise ValueError(
                f"{name} must be {whole[0]} where vLLM's probabilities enter the loss, got {value!r}: they would "
                f"scale it for each token by the probability of what may be sampled; leave it out{instead}"
            )
