"""What `hicra train` tells `accelerate launch`."""

import json
import os
from argparse import ArgumentError, Namespace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import yaml
from accelerate.commands.config.config_args import ClusterConfig, default_config_file
from accelerate.commands.launch import launch_command_parser
from accelerate.utils import ComputeEnvironment, DistributedType

from ..extras import not_installed
from ..fields import Count, CountOrZero, Range, check_fields
from ..terminal import did_you_mean
from ..training.limits import check_sharding
from ..training.runs.launch import Engine, Launch
from .parsing import shipped


MACHINE_FLAGS = ("machine_rank", "main_process_ip", "main_process_port")
_PORT: Any = Annotated[int, Range("[0, 65535]")]
# What Accelerate's own files hold, where they are declared otherwise or wider than what starts.
_DECLARED: dict[str, Any] = {
    # An unquoted `no` is false in YAML.
    "mixed_precision": Literal["no", "fp16", "bf16", "fp8", False] | None,
    "downcast_bf16": bool | str,
    "num_machines": Count,
    "machine_rank": CountOrZero,
    "main_process_port": _PORT | None,
    **dict.fromkeys(("commands", "tpu_vm", "tpu_env"), list[str] | None),
}


def launch_arguments(name: str | None, flags: list[str]) -> list[str]:
    """
    Arguments for `accelerate launch`.

    Args:
        name (`str`, *optional*):
            Name of a configuration that is shipped, or the path of another. Defaults to this machine's.
        flags (`list[str]`):
            What overrides it.

    Raises:
        `ValueError`: if there is no such configuration, or a flag has no such value.
    """
    if name is None:
        return [*([] if os.path.isfile(default_config_file) else _whole_machine(flags)), "--quiet", *flags]
    file = config_file(name)
    arguments, config = ["--config_file", str(file), "--quiet"], _read(file)
    if config.distributed_type == DistributedType.NO and not config.use_cpu and config.gpu_ids is None:
        # One process that sees several GPUs would copy the model to all of them.
        arguments += ["--gpu_ids", os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]]
    if config.distributed_type == DistributedType.MULTI_CPU and _count("num_processes", _parse(flags)[0], config) > 1:
        # Accelerate starts such processes through mpirun, or else a single one; this is its torchrun.
        arguments += ["--multi_gpu"]
    return arguments + flags


def read_launch(arguments: list[str]) -> Launch:
    """
    What arguments from [`launch_arguments`] ask for, as the processes that train should find it.

    Raises:
        `ValueError`: if the engine is none that is supported, or the processes cannot be spread over the machines.
    """
    flags, _ = _parse(arguments)
    file = _file(flags)
    # What Accelerate takes for granted without a configuration.
    config = (
        _read(file)
        if file
        else ClusterConfig(ComputeEnvironment.LOCAL_MACHINE, DistributedType.NO, "no", False, False)
    )
    processes, machines = _count("num_processes", flags, config), _count("num_machines", flags, config)
    if processes % machines:
        raise ValueError(f"num_processes must be a multiple of num_machines ({machines}), got {processes}")
    sharding = config.deepspeed_config or config.fsdp_config or {}
    zero = _zero(sharding.get("deepspeed_config_file"))
    engine = _engine(config.distributed_type.value, sharding, zero, bool(flags.multi_gpu))
    devices = [sharding.get(key) for key in ("offload_optimizer_device", "offload_param_device")]
    devices += [(zero.get(key) or {}).get("device") for key in ("offload_optimizer", "offload_param")]
    return Launch(
        name=file.stem if file and file.parent == config_folder() else flags.config_file,
        num_processes=processes,
        num_machines=machines,
        engine="none" if engine == "ddp" and processes == 1 else engine,
        offload=bool(sharding.get("fsdp_offload_params")) or any(device not in (None, "none") for device in devices),
        mixed_precision=flags.mixed_precision or config.mixed_precision or "no",
        use_cpu=config.use_cpu,
    )


def check_engine(launch: Launch, arguments: list[str]) -> None:
    """
    Checks that the engine is there, and that a launch on several machines says which of them this is and where they
    meet.

    Raises:
        `ValueError`: if not, or if DeepSpeed would start the other machines by itself.
    """
    if launch.engine.startswith("zero") and find_spec("deepspeed") is None:
        raise ValueError(f"{launch.name} needs DeepSpeed: {not_installed('deepspeed')}")
    if launch.num_machines == 1:
        return
    flags, _ = _parse(arguments)
    file = _file(flags)
    # Accelerate's own reader takes each machine for the first one.
    fields = yaml.safe_load(file.read_text()) if file else {}
    missing = [f"--{name}" for name in MACHINE_FLAGS if name not in fields and getattr(flags, name) is None]
    if missing:
        raise ValueError(f"{launch.name} starts on {launch.num_machines} machines: expected {', '.join(missing)} too")
    # The others, pdsh for one, would lose the environment, and with it what the processes are to be.
    if "deepspeed_config" in fields and fields["deepspeed_config"].get("deepspeed_multinode_launcher") != "standard":
        raise ValueError(f"{launch.name}: deepspeed_multinode_launcher must be 'standard' for several machines")


def unknown_to_accelerate(flags: list[str]) -> list[str]:
    """The arguments that `accelerate launch` has no use for."""
    parsed, unknown = _parse(flags)
    # A stray value takes the place of the script.
    return unknown if parsed.training_script == "script" else [*unknown, parsed.training_script]


def launch_flags() -> list[str]:
    """The flags of `accelerate launch`."""
    return [flag for flag in launch_command_parser()._option_string_actions if flag.startswith("--")]


def config_folder() -> Path:
    """The configurations that are shipped."""
    return shipped("accelerate_configs")


def config_file(name: str) -> Path:
    """File of the configuration that is shipped as `name`, or lies there; raises `ValueError` if there is none."""
    if Path(name).is_file():
        return Path(name)
    names = sorted(path.stem for path in config_folder().glob("*.yaml"))
    if name not in names:
        expected = f"the path of a file or one of {', '.join(names)}{did_you_mean([name], names)}"
        raise ValueError(f"no accelerate config {name!r}: expected {expected}")
    return config_folder() / f"{name}.yaml"


def _parse(flags: list[str]) -> tuple[Namespace, list[str]]:
    parser = launch_command_parser()
    parser.exit_on_error = False
    try:
        return parser.parse_known_args([*flags, "script"])
    except ArgumentError as error:
        raise ValueError(str(error)) from error


def _file(flags: Namespace) -> Path | None:
    """The configuration that the flags name, or Accelerate's own default one, if there is either."""
    file = flags.config_file or default_config_file
    return Path(file) if flags.config_file or os.path.isfile(file) else None


def _read(file: Path) -> ClusterConfig:
    try:
        fields = yaml.safe_load(file.read_text())
        if not isinstance(fields, dict) or not isinstance(fields.get("distributed_type"), str):
            raise ValueError("expected a mapping with distributed_type")
        config = ClusterConfig.from_yaml_file(str(file))
        # Where nothing is said, Accelerate has -1.
        check_fields(config, _DECLARED | ({"num_processes": Count} if "num_processes" in fields else {}))
        flags, sharding = vars(_parse([])[0]), {**(config.deepspeed_config or {}), **(config.fsdp_config or {})}
        if unknown := [key for key in sharding if key not in flags]:
            raise ValueError(f"fields that are not known: {', '.join(map(str, unknown))}")
        check_sharding(sharding)
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise ValueError(f"no accelerate config in {file}: {error}") from error
    return config


def _zero(own: Any) -> dict[str, Any]:
    """The section on ZeRO of DeepSpeed's own configuration, if there is one."""
    if own is None:
        return {}
    try:
        section = json.loads(Path(own).read_text())["zero_optimization"]
        parts = [section, *(section.get(key) or {} for key in ("offload_optimizer", "offload_param"))]
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ValueError(f"deepspeed_config_file must be a JSON file with zero_optimization, got {own!r}") from error
    if not all(isinstance(part, dict) for part in parts):
        raise ValueError(f"zero_optimization in {own} must be a mapping of mappings")
    return section


def _count(name: str, flags: Namespace, config: ClusterConfig) -> int:
    given = getattr(flags, name)
    if given is None:
        return max(getattr(config, name), 1)
    if given < 1:
        raise ValueError(f"--{name} must be a positive integer, got '{given}'")
    return given


def _engine(kind: str, sharding: dict[str, Any], zero: dict[str, Any], multi_gpu: bool) -> Engine:
    if kind == DistributedType.DEEPSPEED:
        stage = sharding.get("zero_stage", zero.get("stage", 2))
        engines: dict[int, Engine] = {1: "zero1", 2: "zero2", 3: "zero3"}
        if type(stage) is not int or stage not in engines:
            raise ValueError(f"zero_stage must be 1, 2 or 3, got {stage!r}")
        return engines[stage]
    if kind == DistributedType.FSDP:
        version = sharding.get("fsdp_version", 1)
        if version != 2:
            raise ValueError(f"fsdp_version must be 2, got {version!r}")
        return "fsdp2"
    if kind == DistributedType.NO:
        return "ddp" if multi_gpu else "none"
    if not kind.startswith("MULTI_"):
        raise ValueError(f"distributed_type must be NO, MULTI_GPU, MULTI_CPU, DEEPSPEED or FSDP, got {kind}")
    return "ddp"


def _whole_machine(flags: list[str]) -> list[str]:
    """All GPUs, or one process on the CPU; said in full, since Accelerate warns of what is not said."""
    gpus = torch.cuda.device_count()
    return [
        *([] if "--num_processes" in flags else ["--num_processes", str(max(gpus, 1))]),
        *([] if gpus else ["--num_cpu_threads_per_process", os.environ.get("OMP_NUM_THREADS") or str(os.cpu_count())]),
        *(["--multi_gpu"] if gpus > 1 else []),
        *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
    ]
