"""Wrong recipes: each ends in one line and status 2, before anything is launched."""

import json
import shutil
import sys

import pytest
import torch
import yaml

from hicra_trl.cli import train


ROWS = [{"problem": f"{i} + 1", "answer": str(i + 1)} for i in range(16)]
FIELDS = {
    "prompt_format": "text",
    "per_device_train_batch_size": 8,
    "num_generations": 4,
    "max_completion_length": 16,
    "overlong_buffer": 8,
    "max_steps": 2,
    "logging_steps": 1,
    "save_steps": 2,
    "report_to": "none",
    "use_cpu": True,
    "bf16": False,
}
REWARDS = """
class Needy:
    def __init__(self, scale):
        pass

def level(completions, level, **kwargs):
    return [0.0 for _ in completions]

def short(completions, **kwargs):
    return [1.0]

def infinite(completions, **kwargs):
    return [float("inf") for _ in completions]

def words(completions, **kwargs):
    return ["good" for _ in completions]

def fine(completions, solution, **kwargs):
    return [None for _ in completions]

number = 3
"""


@pytest.fixture
def refused(model_folder, lexicon_file, tmp_path, monkeypatch, capfd):
    """What `hicra train` says of a recipe, and with `--dry_run`; nothing may be launched."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "launch", lambda job: 0)

    def run(rows=None, **fields):
        data = tmp_path / "d.jsonl"
        data.write_text(rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows or ROWS))
        given = {
            "model_name_or_path": str(model_folder), "dataset_name": "d.jsonl", "output_dir": "run",
            "strategic_grams": str(lexicon_file), **FIELDS, **fields,
        }  # fmt: skip
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(given))
        (status, said), dry = outcome(), outcome("--dry_run")
        if status == 2:
            assert said.startswith("hicra train: ") and said.count("\n") == 1, said
        assert dry == (status, said)
        return status, said

    def outcome(*flags):
        capfd.readouterr()
        try:
            status = train.run(["--config", "recipe.yaml", *flags])
        except SystemExit as stop:
            status = stop.code
        return status, capfd.readouterr().err

    return run


@pytest.fixture
def own_model(model_folder, tmp_path):
    """The folder `model`, to be spoiled."""
    return shutil.copytree(model_folder, tmp_path / "model")


FIELD_ROWS = [
    ({"alpha": None}, "alpha must be a number, got None"),
    ({"alpha": [1]}, "alpha must be a number, got [1]"),
    ({"num_generations": None}, "num_generations must be a whole number, got None"),
    ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps must be at least 1, got 0"),
    ({"num_iterations": 0}, "num_iterations must be at least 1"),
    ({"steps_per_generation": 0}, "steps_per_generation must be at least 1"),
    ({"reward_funcs": None}, "reward_funcs must be a list of text, got None"),
    ({"reward_funcs": [3]}, "reward_funcs must be a list of text, got [3]"),
    ({"reward_funcs": []}, "reward_funcs must name at least one reward"),
    ({"strategic_grams": 5}, "strategic_grams must be text, got 5"),
    ({"strategic_grams": None}, "strategic_grams must be text, got None"),
    ({"output_dir": 5}, "output_dir must be text, got 5"),
    ({"dataset_name": ["a", "b"]}, "dataset_name must be text"),
    ({"dataset_name": 5}, "dataset_name must be text, got 5"),
    ({"dataset_name": "none.jsonl"}, "no dataset file at none.jsonl"),
    ({"dataset_name": "../some/problems"}, "no dataset file at ../some/problems"),
    ({"held_out_dataset_name": "none.jsonl.gz"}, "no dataset file at none.jsonl.gz"),
    ({"decontaminate": ["none.parquet"]}, "no dataset file at none.parquet"),
    ({"dataset_path": ["./none"]}, "no dataset file at ./none"),
    ({"model_name_or_path": "./none"}, "no model at ./none: expected a folder, or a model on the Hub"),
    ({"accelerate_config": 5}, "accelerate_config must be text, got 5"),
    ({"prompt_format": "Chat"}, "prompt_format must be chat or text, got 'Chat'"),
    ({"unreadable_golds": "Drop"}, "unreadable_golds must be error or drop, got 'Drop'"),
    ({"loss_type": "Grpo"}, "loss_type must be grpo, "),
    ({"scale_rewards": "std"}, "scale_rewards must be group, batch or none"),
    ({"importance_sampling_level": "seq"}, "importance_sampling_level must be token or sequence"),
    ({"temperature": 0}, "temperature must be above 0, got 0"),
    ({"temperature": float("inf")}, "temperature must be a finite number, got inf"),
    ({"max_steps": None}, "max_steps must be a whole number, got None"),
    ({"max_steps": 2.0}, "max_steps must be a whole number, got 2.0"),
    ({"max_steps": 0}, "max_steps must be at least 1, or -1"),
    ({"dtype": "foo"}, "dtype must be auto, bfloat16, float16 or float32, got 'foo'"),
    ({"sync_ref_model": True}, "expected beta above 0, got 0"),
    ({"held_out_steps": 0}, "held_out_steps must be at least 1, got 0"),
    ({"learning_rate": float("nan")}, "learning_rate must be at least 0, got nan"),
    ({"lora_r": 0}, "lora_r must be at least 1"),
    ({"lora_target_modules": {"a": 1}}, "another type than it takes"),
    ({"model_init_kwargs": "foo"}, "model_init_kwargs must be a mapping, got 'foo'"),
    ({"fsdp_config": {"reshard_after_forward": "maybe"}}, "reshard_after_forward must be true or false, got 'maybe'"),
    ({"fsdp_config": {"state_dict_type": "WHOLE"}}, "state_dict_type must be FULL_STATE_DICT, "),
    ({"use_vllm": 1}, "use_vllm must be true or false, got 1"),
]
RUN_ROWS = [
    ({"report_to": "tensorboard"}, "report_to: TensorBoardCallback requires"),
    ({"report_to": "foo"}, "report_to: foo is not supported"),
    ({"prompt_format": "chat"}, "has no chat template"),
    ({"output_dir": "d.jsonl"}, "output_dir must be a folder that can be written, got d.jsonl"),
    ({"output_dir": "d.jsonl/run"}, "output_dir must be a folder that can be written"),
    ({"output_dir": "/proc/run"}, "output_dir must be a folder that can be written"),
    ({"use_liger_kernel": True}, 'pip install "liger-kernel"'),
    ({"load_in_4bit": True}, 'pip install "bitsandbytes"'),
    ({"reward_weights": [1.0, 2.0]}, "reward_weights must be 1, one for each reward, got [1.0, 2.0]"),
    ({"use_peft": True, "lora_target_modules": ["nothing"]}, "cannot make the model that the recipe describes"),
    ({"use_peft": True, "lora_target_modules": ["lm_head"]}, "an adapter of lm_head"),
    ({"attn_implementation": "foo"}, "cannot make the model that the recipe describes"),
    ({"reward_funcs": "mine.broken"}, "mine.py:broken': AttributeError: module 'mine' has no attribute 'broken'"),
    ({"reward_funcs": "syntax.f"}, "syntax.py:1"),
    ({"reward_funcs": "name_error.f"}, "NameError: name 'nothing' is not defined"),
    ({"reward_funcs": "leaves.f"}, "leaves.py:f': SystemExit"),
    ({"reward_funcs": "mine.Needy"}, "missing 1 required positional argument: 'scale'"),
    ({"reward_funcs": "mine.number"}, "must be a function, got int"),
    ({"reward_funcs": "mine.level"}, "missing 1 required positional argument: 'level'"),
    ({"reward_funcs": "mine.short"}, "for each of 2 completions, got [1.0]"),
    ({"reward_funcs": "mine.infinite"}, "a finite number or None"),
    ({"reward_funcs": "mine.words"}, "could not convert string to float"),
]
DATA_ROWS = [
    ("", "d.jsonl is empty"),
    ("no json\n", "cannot read d.jsonl"),
    ([*ROWS, {"problem": None, "answer": "6"}], "d.jsonl, row 16, 'problem': expected a prompt"),
    ([{"problem": 7, "answer": "6"}], "row 0, 'problem': expected a prompt"),
    ([*ROWS, {"problem": " ", "answer": "6"}], "row 16, 'problem': expected a prompt"),
    ([{"problem": [], "answer": "6"}] * 8, "row 0, 'problem': expected a prompt"),
    ([{"prompt": [{"content": "a"}], "answer": "6"}] * 8, "row 0, 'prompt': expected a prompt"),
    ([row | {"completions": "a"} for row in ROWS], "columns that TRL passes to rewards itself: completions"),
    ([row | {"prompts": "a"} for row in ROWS], "columns that TRL passes to rewards itself: prompts"),
]


@pytest.mark.parametrize(("fields", "expected"), FIELD_ROWS + RUN_ROWS, ids=lambda value: str(value)[:60])
def test_a_wrong_field_gets_one_line(fields, expected, refused, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(REWARDS)
    (tmp_path / "syntax.py").write_text("def f(:\n")
    (tmp_path / "name_error.py").write_text("nothing\n")
    (tmp_path / "leaves.py").write_text("raise SystemExit(1)\n")
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    status, said = refused(**fields)
    assert status == 2 and expected in said, said


@pytest.mark.parametrize(("rows", "expected"), DATA_ROWS, ids=lambda value: str(value)[-40:])
def test_a_wrong_row_gets_one_line(rows, expected, refused):
    status, said = refused(rows)
    assert status == 2 and expected in said, said


def test_a_tokenizer_without_an_end_gets_one_line(refused, own_model):
    file = own_model / "tokenizer_config.json"
    file.write_text(json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != "eos_token"}))
    status, said = refused(model_name_or_path="model")
    assert status == 2 and "the tokenizer of model has no eos_token: expected one" in said


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tokenizer.json", ""),
        ("tokenizer.json", '{"version": "9"}'),
        ("tokenizer.json", "version https://git-lfs.github.com/spec/v1"),
        ("tokenizer_config.json", "{"),
        ("tokenizer_config.json", "[]"),
        ("tokenizer_config.json", '{"eos_token": 5}'),
        ("config.json", "{"),
        ("config.json", "[]"),
        ("config.json", '{"model_type": "qwen3"}'),
    ],
)
def test_a_broken_tokenizer_or_config_gets_one_line(file, content, refused, own_model):
    (own_model / file).write_text(content)
    status, said = refused(model_name_or_path="model")
    assert status == 2 and ("cannot read model by Auto" in said or "config.json" in said), said


def test_a_model_folder_without_whole_weights_gets_one_line(refused, own_model):
    weights = own_model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    status, said = refused(model_name_or_path="model")
    assert status == 2 and "model/model.safetensors are not whole" in said
    weights.unlink()
    status, said = refused(model_name_or_path="model")
    assert status == 2 and "no weights in model: expected model.safetensors" in said


def test_cut_weights_of_torch_get_one_line(refused, own_model):
    (own_model / "model.safetensors").unlink()
    weights = own_model / "pytorch_model.bin"
    torch.save({"a": torch.ones(100)}, weights)
    whole = weights.read_bytes()
    assert refused(model_name_or_path="model")[0] == 0
    for broken in (whole[:-100], whole[: len(whole) // 2], b"", b"version https://git-lfs.github.com/spec/v1"):
        weights.write_bytes(broken)
        status, said = refused(model_name_or_path="model")
        assert status == 2 and "model/pytorch_model.bin are not whole" in said


def test_a_setting_that_the_chat_template_does_not_read_gets_one_line(refused, own_model):
    (own_model / "chat_template.jinja").write_text("{{ messages[0].content }}{{ enable_thinking }}")
    given = {"model_name_or_path": "model", "prompt_format": "chat"}
    assert refused(**given, chat_template_kwargs={"enable_thinking": False})[0] == 0
    status, said = refused(**given, chat_template_kwargs={"thinks": False})
    assert status == 2 and "chat_template_kwargs: the chat template of model does not read thinks" in said


def test_a_right_recipe_is_launched(refused, tmp_path):
    (tmp_path / "fine_rewards.py").write_text(REWARDS)
    status, said = refused(reward_funcs="fine_rewards.fine", learning_rate="1e-6", use_peft=True)
    assert status == 0, said


def test_a_field_that_is_given_twice_is_refused(refused, tmp_path, capfd):
    (tmp_path / "twice.yaml").write_text("alpha: 0.1\nalpha: 0.2\n")
    with pytest.raises(SystemExit) as stop:
        train.run(["--config", "twice.yaml"])
    assert stop.value.code == 2 and "fields more than once: alpha" in capfd.readouterr().err
