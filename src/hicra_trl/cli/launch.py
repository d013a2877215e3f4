"""What `hicra train` tells `accelerate launch`."""

import json
import os
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate.commands.config.config_args import default_config_file
from accelerate.commands.launch import launch_command_parser

from ..training.runs.launch import Engine, Launch


FLAG = "--accelerate_config"
MACHINE_FLAGS = ("machine_rank", "main_process_ip", "main_process_port")


def split_launch(argv: list[str]) -> tuple[list[str], list[str]]:
    """
    Takes `--accelerate_config` out of the arguments; without it, the recipe's `accelerate_config` counts.

    Args:
        argv (`list[str]`):
            Arguments of `hicra train`.

    Returns:
        `tuple[list[str], list[str]]`: arguments for `accelerate launch`, and what is left.

    Raises:
        `ValueError`: if there is no such Accelerate configuration.
    """
    name = _recipe(argv).get(FLAG.removeprefix("--"))
    if FLAG in argv:
        at = argv.index(FLAG)
        if at + 1 == len(argv):
            raise ValueError(f"{FLAG} needs a path or a name")
        name, argv = argv[at + 1], argv[:at] + argv[at + 2 :]
    if name is None:
        return [*([] if os.path.isfile(default_config_file) else _whole_machine(argv)), "--quiet"], argv
    file = _config_file(name)
    launch_argv, config = ["--config_file", str(file), "--quiet"], _read(file)
    if config.get("use_cpu"):
        argv = [*argv, "--use_cpu", "true"]
    elif config["distributed_type"] == "NO" and "gpu_ids" not in config:
        # One process that sees several GPUs would copy the model to all of them.
        launch_argv += ["--gpu_ids", os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]]
    if config["distributed_type"] == "MULTI_CPU" and num_processes(launch_argv, argv) > 1:
        # Accelerate starts such processes through mpirun, or else a single one; this is its torchrun.
        launch_argv += ["--multi_gpu"]
    return launch_argv, argv


def num_processes(launch_argv: list[str], argv: list[str]) -> int:
    """How many processes will train: `--num_processes`, else what the Accelerate configuration says."""
    return _count("num_processes", launch_argv, argv)


def read_launch(launch_argv: list[str], argv: list[str]) -> Launch:
    """
    Reads what a run asks for.

    Args:
        launch_argv (`list[str]`):
            Arguments for `accelerate launch`, from [`split_launch`].
        argv (`list[str]`):
            Arguments of `hicra train`.

    Returns:
        [`~hicra_trl.training.runs.launch.Launch`]: as the processes that train should find it.

    Raises:
        `ValueError`: if the engine is none that is supported, or the processes cannot be spread over the machines.
    """
    config, processes = _config(launch_argv), num_processes(launch_argv, argv)
    machines = _count("num_machines", launch_argv, argv)
    if processes % machines:
        raise ValueError(f"num_processes must be a multiple of num_machines ({machines}), got {processes}")
    engine = _engine(config, "--multi_gpu" in launch_argv)
    sharding = config.get("deepspeed_config") or config.get("fsdp_config") or {}
    zero = _deepspeed(sharding)
    devices = [sharding.get(key) for key in ("offload_optimizer_device", "offload_param_device")]
    devices += [zero.get(key, {}).get("device") for key in ("offload_optimizer", "offload_param")]
    precision = _given("mixed_precision", argv, launch_argv) or config.get("mixed_precision")
    return Launch(
        name=_name(launch_argv),
        num_processes=processes,
        num_machines=machines,
        engine="none" if engine == "ddp" and processes == 1 else engine,
        offload=bool(sharding.get("fsdp_offload_params")) or any(device not in (None, "none") for device in devices),
        # An unquoted `no` is false in YAML.
        mixed_precision=precision or "no",
        use_cpu=bool(config.get("use_cpu")),
    )


def check_machines(launch: Launch, launch_argv: list[str], argv: list[str]) -> None:
    """
    Checks that a launch on several machines says which of them this is and where they meet.

    Args:
        launch ([`~hicra_trl.training.runs.launch.Launch`]):
            What is asked for.
        launch_argv (`list[str]`):
            Arguments for `accelerate launch`.
        argv (`list[str]`):
            Arguments of `hicra train`.

    Raises:
        `ValueError`: if it does not, or if DeepSpeed would start the other machines by itself.
    """
    if launch.num_machines == 1:
        return
    config = _config(launch_argv)
    missing = [f"--{name}" for name in MACHINE_FLAGS if name not in config and _given(name, argv) is None]
    if missing:
        raise ValueError(f"{launch.name} starts on {launch.num_machines} machines: expected {', '.join(missing)} too")
    # The others, pdsh for one, would lose the environment, and with it what the processes are to be.
    if "deepspeed_config" in config and config["deepspeed_config"].get("deepspeed_multinode_launcher") != "standard":
        raise ValueError(f"{launch.name}: deepspeed_multinode_launcher must be 'standard' for several machines")


def unknown_to_accelerate(launch_argv: list[str]) -> list[str]:
    """The arguments that `accelerate launch` has no use for."""
    parsed, unknown = launch_command_parser().parse_known_args([*launch_argv, "script"])
    # A stray value takes the place of the script.
    return unknown if parsed.training_script == "script" else [*unknown, parsed.training_script]


def config_folder() -> Path:
    """The configurations that are shipped: in the repository when it is installed from there, else in the package."""
    package = Path(__file__).parents[1]
    inside = package / "accelerate_configs"
    return inside if inside.is_dir() else package.parents[1] / "accelerate_configs"


def _recipe(argv: list[str]) -> dict[str, Any]:
    """Fields of the recipe; what is wrong with it is said where it is parsed."""
    file = _given("config", argv)
    if file is None or not Path(file).is_file():
        return {}
    try:
        fields = yaml.safe_load(Path(file).read_text())
    except yaml.YAMLError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _given(name: str, *arguments: list[str]) -> str | None:
    """Value of `--name` in the first of `arguments` that has it."""
    for argv in arguments:
        if f"--{name}" in argv[:-1]:
            return argv[argv.index(f"--{name}") + 1]
    return None


def _count(name: str, launch_argv: list[str], argv: list[str]) -> int:
    given = _given(name, argv, launch_argv)
    if given is None:
        return _config(launch_argv).get(name) or 1
    if not given.isdecimal() or int(given) < 1:
        raise ValueError(f"--{name} must be a positive integer, got {given!r}")
    return int(given)


def _config(launch_argv: list[str]) -> dict[str, Any]:
    """The Accelerate configuration that the arguments name, or Accelerate's own default one; empty without either."""
    file = _given("config_file", launch_argv)
    if file is None and not os.path.isfile(default_config_file):
        return {}
    return _read(Path(file or default_config_file))


def _read(file: Path) -> dict[str, Any]:
    config = yaml.safe_load(file.read_text())
    if not isinstance(config, dict) or "distributed_type" not in config:
        raise ValueError(f"no accelerate config in {file}: expected a mapping with distributed_type")
    return config


def _config_file(name: str) -> Path:
    if Path(name).is_file():
        return Path(name)
    names = sorted(path.stem for path in config_folder().glob("*.yaml"))
    if name not in names:
        raise ValueError(f"no accelerate config {name!r}: expected the path of a file or one of {', '.join(names)}")
    return config_folder() / f"{name}.yaml"


def _name(launch_argv: list[str]) -> str | None:
    file = _given("config_file", launch_argv)
    return Path(file).stem if file and Path(file).parent == config_folder() else file


def _engine(config: dict[str, Any], multi_gpu: bool) -> Engine:
    kind = config.get("distributed_type", "NO")
    if kind == "DEEPSPEED":
        plugin = config.get("deepspeed_config") or {}
        stage = plugin.get("zero_stage", _deepspeed(plugin).get("stage", 2))
        if stage not in (1, 2, 3):
            raise ValueError(f"zero_stage must be 1, 2 or 3, got {stage}")
        return f"zero{stage}"
    if kind == "FSDP":
        version = (config.get("fsdp_config") or {}).get("fsdp_version", 1)
        if version != 2:
            raise ValueError(f"fsdp_version must be 2, got {version}")
        return "fsdp2"
    if kind == "NO":
        return "ddp" if multi_gpu else "none"
    if not kind.startswith("MULTI_"):
        raise ValueError(f"distributed_type must be NO, MULTI_GPU, MULTI_CPU, DEEPSPEED or FSDP, got {kind}")
    return "ddp"


def _deepspeed(plugin: dict[str, Any]) -> dict[str, Any]:
    """The `zero_optimization` section of DeepSpeed's own configuration, if there is one."""
    file = plugin.get("deepspeed_config_file")
    return json.loads(Path(file).read_text()).get("zero_optimization", {}) if file else {}


def _whole_machine(argv: list[str]) -> list[str]:
    """All GPUs, or one process on the CPU; said in full, since Accelerate warns of what is not said."""
    gpus = torch.cuda.device_count()
    return [
        *([] if "--num_processes" in argv else ["--num_processes", str(max(gpus, 1))]),
        *([] if gpus else ["--num_cpu_threads_per_process", str(os.cpu_count())]),
        *(["--multi_gpu"] if gpus > 1 else []),
        *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
    ]
