"""The plan says what a run does and needs, of models and machines that are not here."""

import re
from pathlib import Path

import pytest
from trl import ModelConfig

from hicra_trl.training.arguments import RunArguments
from hicra_trl.training.config import HICRAConfig
from hicra_trl.training.dry_run.dry_run import plan
from hicra_trl.training.dry_run.fit import table
from hicra_trl.training.runs.launch import Launch


SCALE = Path(__file__).parents[3] / "docs" / "scale.md"
TWO_NODES = Launch("two_nodes", 16, 2, "zero3", False, "bf16")
ONE_GPU = Launch("single_gpu", 1, 1, "none", False, "bf16")
FIELDS = {
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 16,
    "generation_batch_size": 2048,
    "num_generations": 16,
    "max_completion_length": 16_384,
    "max_steps": 10,
    "report_to": [],
    "use_vllm": True,
    "vllm_max_model_length": 34_816,
    "vllm_gpu_memory_utilization": 0.5,
    "vllm_enable_sleep_mode": True,
}


def lines(grams, launch, model="Qwen/Qwen2.5-7B", model_fields=None, data="dapo", **fields):
    """The plan as a dictionary of its topics."""
    kind = type("HICRAConfig", (HICRAConfig,), {"world_size": property(lambda self: launch.num_processes)})
    config = kind("runs/planned", **{**FIELDS, **fields})
    run_args = RunArguments(dataset_name=data, reward_funcs=["boxed_accuracy"])
    text = plan(
        run_args, config, ModelConfig(model, **(model_fields or {})), grams, {"alpha": config.alpha}, launch, 0.05
    )
    body, settings = text.split("\n\nset by the recipe and the command line:\n")
    assert settings == f"alpha: {config.alpha}\n"
    assert max(map(len, body.splitlines())) < 120
    topics, name = {}, None
    for line in body.splitlines():
        head, value = re.fullmatch(r"( {0,2}[A-Za-z0-9]\S*(?: [A-Za-z]+)?|)(?:  +)(.*)", line).groups()
        name = head or name
        topics[name] = value if head else f"{topics[name]} {value}"
    return topics


def numbers(text):
    return [float(number) for number in re.findall(r"\d+\.\d", text)]


def test_the_batch_is_spelled_out_for_all_processes(grams):
    topics = lines(grams, TWO_NODES, extended_completion_length=32_768, dynamic_sampling_attempts=3)
    assert topics["machines"] == "two_nodes: zero3, 2 machines x 8 = 16 processes"
    assert topics["batch"] == (
        "16 processes x 2 completions x 16 accumulation steps = 512 completions per step, 32 prompts x 16"
    )
    assert topics["generation"].startswith("2048 completions of 128 prompts x 16, up to 16,384 tokens each")
    assert topics["generation"].endswith(f"at most {2048 * 16_384:,} tokens")
    assert topics["updates"] == "4 steps for each generation, each completion is used once"
    assert topics["context"].endswith(f"then at most {2048 * 32_768:,} tokens")
    assert "in up to 3 more rounds" in topics["sampling"]
    assert topics["download"] == "Qwen/Qwen2.5-7B (15.2 GB), open-r1/DAPO-Math-17k-Processed"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "HICRA, alpha 0.2, 9 strategic grams"),
        ({"alpha": 0.0}, "GRPO (alpha 0), 9 strategic grams"),
        ({"credit": "random"}, "control: as many random tokens"),
        ({"credit": "high_entropy"}, "control: as many high-entropy tokens"),
        ({"credit": "outcome", "alpha_schedule": "procedural"}, "HICRA, alpha 0.2 (procedural), 9 strategic grams"),
        ({"credit": "/my {rules}/own.py:first"}, "by /my {rules}/own.py:first"),
    ],
)
def test_the_credit_is_named(grams, fields, text):
    assert text in lines(grams, ONE_GPU, **fields)["credit"]


def test_what_the_credit_moves_is_said(grams):
    assert lines(grams, ONE_GPU)["moved"].startswith("1.00 % of the advantage mass")
    assert lines(grams, ONE_GPU, credit="outcome")["moved"].startswith("at most 1.00 %")
    assert "moved" not in lines(grams, ONE_GPU, alpha=0.0)


@pytest.mark.parametrize(
    ("fields", "warning"),
    [
        ({"save_steps": 5}, None),
        ({"save_steps": 0.5}, None),
        ({"save_strategy": "epoch"}, None),
        ({"max_steps": -1, "save_steps": 500}, None),
        ({"save_steps": 10}, "no checkpoint before the end (save_steps 10, max_steps 10)"),
        ({"save_strategy": "no", "save_steps": 5}, "no checkpoint before the end (save_strategy no)"),
        ({"save_steps": 5, "gradient_accumulation_steps": 1}, "2 prompts in a step: expected 4 or more"),
    ],
)
def test_what_is_rarely_meant_is_warned_of(grams, fields, warning):
    said = lines(grams, TWO_NODES, **fields).get("warning")
    assert said is None if warning is None else said.startswith(warning)


@pytest.mark.parametrize("data", ["sums", "playground", "orders"])
def test_what_is_made_here_is_not_downloaded(data, grams):
    assert lines(grams, ONE_GPU, data=data)["download"] == "Qwen/Qwen2.5-7B (15.2 GB)"


def test_the_parts_of_the_memory_add_up(grams):
    topics = lines(grams, TWO_NODES)
    *parts, total = numbers(topics["  training"])
    assert sum(parts) == pytest.approx(total, abs=0.06 * len(parts))
    fits = [line for name, line in topics.items() if name.endswith(" GB")]
    assert [line.split(":")[0] for line in fits] == ["too small", "too small", "fits"]
    assert numbers(fits[2])[0] == total


def test_sharding_an_adapter_and_sleeping_take_less(grams):
    def training(launch, **settings):
        return numbers(lines(grams, launch, **settings)["  80 GB"])[0]

    ddp = Launch("ddp", 16, 2, "ddp", False, "bf16")
    assert training(TWO_NODES) < training(Launch("zero2", 16, 2, "zero2", False, "bf16")) < training(ddp)
    assert training(ddp, model_fields={"use_peft": True, "dtype": "bfloat16"}) < training(ddp) / 2
    assert training(TWO_NODES, vllm_enable_sleep_mode=False) == training(TWO_NODES) + 40
    assert training(TWO_NODES, model_fields={"attn_implementation": "flash_attention_2"}) < training(TWO_NODES)
    assert training(TWO_NODES, per_device_train_batch_size=1) < training(TWO_NODES)


def test_offloading_moves_the_optimizer_to_the_machine(grams):
    topics = lines(grams, Launch("zero3_offload", 16, 2, "zero3", True, "bf16"))
    assert "optimizer" not in topics["  training"] and "GiB of each machine" in topics["  CPU"]


def test_without_vllm_the_cache_of_the_whole_generation_is_held(grams):
    alone = {"generation_batch_size": 64, "gradient_accumulation_steps": 2, "max_completion_length": 1024}
    topics = lines(grams, ONE_GPU, "Qwen/Qwen3-0.6B", use_vllm=False, vllm_max_model_length=None, **alone)
    assert f"{112 * 1024 * 64 / 2**20:.1f} KV cache" in topics["  generation"]
    assert "prompts, which are not counted" in topics["memory"]


@pytest.mark.parametrize(
    ("model", "fields", "reason"),
    [
        ("some/model", {}, "some/model is no folder"),
        ("Qwen/Qwen2.5-7B", {"optim": "adafactor"}, "got optim adafactor"),
        ("Qwen/Qwen2.5-7B", {"model_fields": {"load_in_4bit": True}}, "not quantized"),
        ("Qwen/Qwen2.5-7B", {"model_fields": {"attn_implementation": "eager"}}, "got attn_implementation eager"),
    ],
)
def test_what_is_not_known_is_said_instead_of_guessed(grams, model, fields, reason):
    topics = lines(grams, ONE_GPU, model, **fields)
    assert topics["memory"].startswith("not known: ") and reason in topics["memory"]
    assert "  training" not in topics and "disk" not in topics


@pytest.mark.parametrize("tokens", [18_432, 34_816])
def test_the_documentation_has_the_tables_that_the_code_prints(tokens):
    assert table(tokens) in SCALE.read_text()
