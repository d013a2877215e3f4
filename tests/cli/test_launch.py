"""What `hicra train` asks of `accelerate launch`, and that a run which became something else stops."""

import os
import re
from pathlib import Path

import pytest
import yaml
from accelerate import Accelerator
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from trl import ModelConfig, TrlParser

from hicra_trl import HICRAConfig
from hicra_trl.cli.launch import (
    check_engine,
    config_folder,
    launch_arguments,
    read_launch,
    unknown_to_accelerate,
)
from hicra_trl.cli.train import parse
from hicra_trl.training.arguments import RunArguments
from hicra_trl.training.runs.launch import Launch, check_checkpoint, check_launch, launch_environment
from hicra_trl.training.runs.manifest import resolved_recipe


# Engine, processes, machines, offload, precision.
SHIPPED = {
    "single_gpu": ("none", 1, 1, False, "bf16"),
    "ddp": ("ddp", 8, 1, False, "bf16"),
    "zero2": ("zero2", 8, 1, False, "bf16"),
    "zero3": ("zero3", 8, 1, False, "bf16"),
    "zero3_offload": ("zero3", 8, 1, True, "bf16"),
    "fsdp2": ("fsdp2", 8, 1, False, "bf16"),
    "two_nodes": ("zero3", 16, 2, False, "bf16"),
    "four_nodes": ("zero3", 32, 4, False, "bf16"),
    "cpu": ("none", 1, 1, False, "no"),
    "cpu_ddp": ("ddp", 2, 1, False, "no"),
    "cpu_zero2": ("zero2", 2, 1, False, "no"),
    "cpu_zero3": ("zero3", 2, 1, False, "no"),
    "cpu_fsdp2": ("fsdp2", 2, 1, False, "no"),
}

ZERO2 = [f"global_step2/zero_pp_rank_{rank}_mp_rank_00_optim_states.pt" for rank in range(2)]
ZERO3 = [*ZERO2, *(f"global_step2/zero_pp_rank_{rank}_mp_rank_00_model_states.pt" for rank in range(2))]


def launch(name=None, *flags):
    return read_launch(launch_arguments(name, list(flags)))


@pytest.fixture
def file(tmp_path):
    def write(name, **fields):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(fields))
        return str(path)

    return write


def test_there_are_no_other_configurations():
    assert {path.stem for path in config_folder().iterdir()} == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_configuration_is_what_its_name_says_for_us_and_for_accelerate(name):
    engine, processes, machines, offload, precision = SHIPPED[name]
    on_cpu = name.startswith("cpu")
    arguments = launch_arguments(name, [])
    assert read_launch(arguments) == Launch(name, processes, machines, engine, offload, precision, on_cpu)
    assert unknown_to_accelerate(arguments) == []
    args, _, _ = _validate_launch_command(launch_command_parser().parse_args([*arguments, "script"]))
    assert (args.num_processes, args.num_machines, args.mixed_precision) == (processes, machines, precision)
    assert (args.use_deepspeed, args.use_fsdp, args.multi_gpu) == (
        engine.startswith("zero"),
        engine == "fsdp2",
        engine == "ddp",
    )


def job(file, *argv, **fields):
    data = {"per_device_train_batch_size": 8, "num_generations": 4, "bf16": False}
    recipe = file("recipe", model_name_or_path="m", dataset_name="d", output_dir="run", **data, **fields)
    return parse(["--config", recipe, *argv])


def test_a_recipe_names_its_configuration_and_the_command_line_overrides_it(file):
    assert job(file, accelerate_config="zero2", max_steps=3).launch.name == "zero2"
    other = job(file, "--accelerate_config", "fsdp2", "--num_processes=3", accelerate_config="zero2")
    assert (other.launch.engine, other.config.world_size, other.flags) == ("fsdp2", 3, ["--num_processes", "3"])
    assert other.recipe["accelerate_config"] == "fsdp2"


def test_the_processes_find_what_was_asked_for_and_nothing_that_follows_from_it(file):
    asked = job(file, "--alpha", "0.4", "--completions_per_step", "32", accelerate_config="cpu_ddp")
    assert asked.config.gradient_accumulation_steps == 2 and asked.config.generation_batch_size == 32
    recipe = file("all", **asked.recipe)
    found = TrlParser((RunArguments, HICRAConfig, ModelConfig)).parse_args_and_config(["--config", recipe])
    assert resolved_recipe(*found) == resolved_recipe(asked.run_args, asked.config, asked.model_args)
    assert asked.recipe["use_cpu"] and asked.recipe["generation_batch_size"] is None


def test_flags_override_the_configuration():
    asked = launch("zero3", "--num_processes", "32", "--num_machines", "4")
    assert (asked.num_processes, asked.num_machines) == (32, 4)
    assert launch("zero3", "--mixed_precision", "no").mixed_precision == "no"


def test_one_process_is_not_distributed():
    arguments = launch_arguments("cpu_ddp", ["--num_processes", "1"])
    assert "--multi_gpu" not in arguments
    assert read_launch(arguments).engine == "none"


def test_one_process_sees_one_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")
    assert launch_arguments("single_gpu", [])[-2:] == ["--gpu_ids", "3"]
    assert "--gpu_ids" not in launch_arguments("ddp", [])


def test_a_cpu_gives_as_many_threads_as_the_environment_says(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("hicra_trl.cli.launch.default_config_file", "/nowhere.yaml")
    for given, threads in [("3", "3"), ("", str(os.cpu_count()))]:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
        arguments = launch_arguments(None, [])
        assert arguments[arguments.index("--num_cpu_threads_per_process") + 1] == threads


def test_a_configuration_of_ones_own_is_named_by_its_path(file):
    own = file("zero3", distributed_type="FSDP", fsdp_config={"fsdp_version": 2, "fsdp_offload_params": True})
    assert launch(own, "--num_processes", "4") == Launch(own, 4, 1, "fsdp2", True, "no")


def test_deepspeeds_own_file_is_read(file, tmp_path):
    (tmp_path / "deepspeed.json").write_text(
        '{"zero_optimization": {"stage": 1, "offload_optimizer": {"device": "cpu"}}}'
    )
    plugin = {"deepspeed_config_file": str(tmp_path / "deepspeed.json")}
    asked = launch(file("own", distributed_type="DEEPSPEED", deepspeed_config=plugin))
    assert (asked.engine, asked.offload) == ("zero1", True)


WRONG = [
    (["zero9"], "no accelerate config 'zero9': expected the path of a file or one of cpu, "),
    (["zero3", "--num_processes", "0"], "--num_processes must be a positive integer, got '0'"),
    (["two_nodes", "--num_processes", "3"], r"must be a multiple of num_machines \(2\), got 3"),
    (["LIST"], "expected a mapping with distributed_type"),
    (["FSDP1"], "fsdp_version must be 2, got 1"),
    (["ZERO0"], "zero_stage must be 1, 2 or 3, got 0"),
    (["XLA"], "distributed_type must be NO, MULTI_GPU, .* got XLA"),
    (["zero3", "--num_processes", "many"], "--num_processes.*: invalid int value: 'many'"),
]


@pytest.mark.parametrize(("argv", "message"), WRONG, ids=[" ".join(argv) for argv, _ in WRONG])
def test_wrong_launches_are_refused(argv, message, file, tmp_path):
    (tmp_path / "list.yaml").write_text("- 1\n")
    files = {
        "LIST": str(tmp_path / "list.yaml"),
        "FSDP1": file("fsdp1", distributed_type="FSDP", fsdp_config={"fsdp_version": 1}),
        "ZERO0": file("zero0", distributed_type="DEEPSPEED", deepspeed_config={"zero_stage": 0}),
        "XLA": file("xla", distributed_type="XLA"),
    }
    with pytest.raises(ValueError, match=message):
        launch(*(files.get(part, part) for part in argv))


MULTI = {"distributed_type": "MULTI_GPU", "num_processes": 2}
FSDP = {"distributed_type": "FSDP"}
ZERO = {"distributed_type": "DEEPSPEED", "num_processes": 2}
WRONG_FILES = [
    ("", "no accelerate config in acc.yaml: expected a mapping with distributed_type"),
    ("- 1\n", "expected a mapping with distributed_type"),
    ("[1, 2", "no accelerate config in acc.yaml: while parsing a flow sequence"),
    ("a: b: c", "mapping values are not allowed here"),
    ("\0", "no accelerate config in acc.yaml: unacceptable character"),
    ({"num_processes": 2}, "expected a mapping with distributed_type"),
    (MULTI | {"distributed_type": "GPU"}, "'GPU' is not a valid DistributedType"),
    (MULTI | {"nonsense": 1}, "unknown keys (['nonsense'])"),
    (MULTI | {"nonsense": 1, 2: 1}, "no accelerate config in acc.yaml"),
    *((MULTI | {"num_processes": value}, "num_processes must be ") for value in ("two", -1, 0, None, 2.5, [2], True)),
    (MULTI | {"num_machines": 0}, "num_machines must be at least 1, got 0"),
    (MULTI | {"machine_rank": -1}, "machine_rank must be at least 0, got -1"),
    (MULTI | {"mixed_precision": "bfloat16"}, "mixed_precision must be no, fp16, bf16, fp8 or False"),
    (MULTI | {"use_cpu": "yes"}, "use_cpu must be true or false, got 'yes'"),
    (MULTI | {"main_process_port": "x"}, "main_process_port must be a whole number, got 'x'"),
    (ZERO | {"deepspeed_config": "zero3"}, "deepspeed_config must be a mapping, got 'zero3'"),
    (ZERO | {"deepspeed_config": {"zero_stge": 3}}, "fields that are not known: zero_stge"),
    (ZERO | {"deepspeed_config": {"zero_stage": [3]}}, "zero_stage must be 1, 2 or 3, got [3]"),
    (ZERO | {"deepspeed_config": {"deepspeed_config_file": "no.json"}}, "deepspeed_config_file must be a JSON file"),
    (ZERO | {"deepspeed_config": {"deepspeed_config_file": 5}}, "deepspeed_config_file must be a JSON file"),
    (FSDP | {"fsdp_config": {"version": 2}}, "fields that are not known: version"),
    *(
        (FSDP | {"fsdp_config": {"fsdp_version": 2, name: value}}, f"{name} must be {expected}, got {value!r}")
        for name, value, expected in (
            ("fsdp_reshard_after_forward", "maybe", "true or false"),
            ("fsdp_offload_params", 2, "true or false"),
            ("fsdp_state_dict_type", "WHOLE", "FULL_STATE_DICT, SHARDED_STATE_DICT or LOCAL_STATE_DICT"),
            ("fsdp_min_num_params", "many", "a whole number"),
        )
    ),
    *(
        (ZERO | {"deepspeed_config": {"zero_stage": 3, name: value}}, f"{name} must be {expected}, got {value!r}")
        for name, value, expected in (
            ("offload_param_device", "disk", "none, cpu or nvme"),
            ("zero3_init_flag", [True], "true or false"),
            ("gradient_clipping", -1, "at least 0"),
        )
    ),
    (FSDP | {"fsdp_config": {"fsdp_version": "2"}}, "fsdp_version must be 2, got '2'"),
]


@pytest.mark.parametrize(("content", "message"), WRONG_FILES, ids=lambda value: str(value)[-50:])
def test_a_wrong_configuration_gets_one_line(content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("acc.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    with pytest.raises(ValueError, match=re.escape(message)):
        launch("acc.yaml")


def test_a_flag_without_its_value_is_refused():
    with pytest.raises(ValueError, match="--accelerate_config needs a path or a name"):
        parse(["--accelerate_config"])


def test_several_machines_need_to_know_each_other(file):
    def check(name, *flags):
        arguments = launch_arguments(name, list(flags))
        check_engine(read_launch(arguments), arguments)

    check("zero3")
    meet = ("--main_process_ip", "10.0.0.1", "--main_process_port", "29500")
    check("two_nodes", *meet, "--machine_rank", "1")
    with pytest.raises(ValueError, match="two_nodes starts on 2 machines: expected --machine_rank too"):
        check("two_nodes", *meet)
    pdsh = file("pdsh", distributed_type="DEEPSPEED", num_machines=2, num_processes=2, deepspeed_config={})
    with pytest.raises(ValueError, match="deepspeed_multinode_launcher must be 'standard'"):
        check(pdsh, *meet, "--machine_rank", "0")


def test_without_a_configuration_the_whole_machine_trains(tmp_path, monkeypatch):
    monkeypatch.setattr("hicra_trl.cli.launch.default_config_file", str(tmp_path / "none.yaml"))
    for gpus, engine in ((0, "none"), (1, "none"), (4, "ddp")):
        monkeypatch.setattr("torch.cuda.device_count", lambda gpus=gpus: gpus)
        assert launch() == Launch(None, max(gpus, 1), 1, engine, False, "no")
    assert launch(None, "--num_processes", "3").num_processes == 3


def test_a_run_that_became_something_else_stops(monkeypatch):
    alone = Accelerator(cpu=True)
    two = launch("cpu_ddp")
    for name, value in launch_environment(two).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="cpu_ddp: expected 2 processes with engine ddp, got 1 with engine none"):
        check_launch(alone)
    monkeypatch.setenv("HICRA_LAUNCH", launch_environment(launch("cpu"))["HICRA_LAUNCH"])
    check_launch(alone)
    monkeypatch.delenv("HICRA_LAUNCH")
    check_launch(alone)


@pytest.mark.parametrize(
    ("saved", "fitting", "unfitting", "message"),
    [
        (
            ["optimizer.pt"],
            ["cpu", "cpu_ddp", "ddp"],
            ["zero2", "fsdp2"],
            "by DDP or a single process: expected",
        ),
        (["pytorch_model_fsdp.bin", "optimizer.bin"], ["cpu_fsdp2", "fsdp2"], ["ddp", "zero3"], "by FSDP2: expected"),
        (ZERO2, ["cpu_zero2"], ["cpu_zero3", "cpu_ddp"], "by ZeRO-1 or ZeRO-2: expected a config with it, got"),
        (ZERO2, ["cpu_zero2"], ["zero2"], r"on 2 processes: expected as many, got zero2 on 8 \(zero2\)"),
        (ZERO3, ["cpu_zero3"], ["cpu_zero2", "cpu"], "by ZeRO-3: expected a config with it, got"),
        (["model.safetensors"], ["cpu", "zero3", "fsdp2"], [], ""),
    ],
)
def test_a_checkpoint_is_read_by_the_engine_that_saved_it(saved, fitting, unfitting, message, tmp_path):
    for file in saved:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    for name in fitting:
        check_checkpoint(tmp_path, launch(name))
    for name in unfitting:
        with pytest.raises(ValueError, match=message):
            check_checkpoint(tmp_path, launch(name))
