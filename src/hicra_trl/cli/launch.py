"""What `hicra train` tells `accelerate launch`."""

import os
from importlib import resources
from pathlib import Path

import torch
import yaml
from accelerate.commands.config.config_args import default_config_file
from accelerate.commands.launch import launch_command_parser


def split_launch(argv: list[str]) -> tuple[list[str], list[str]]:
    """
    Takes `--accelerate_config` out of the arguments.

    Args:
        argv (`list[str]`):
            Arguments of `hicra train`.

    Returns:
        `tuple[list[str], list[str]]`: arguments for `accelerate launch`, and what is left.

    Raises:
        `ValueError`: if there is no such Accelerate configuration.
    """
    if "--accelerate_config" not in argv:
        return [*([] if os.path.isfile(default_config_file) else _whole_machine(argv)), "--quiet"], argv
    at = argv.index("--accelerate_config")
    if at + 1 == len(argv):
        raise ValueError("--accelerate_config needs a path or a name")
    return ["--config_file", str(_config_file(argv[at + 1])), "--quiet"], argv[:at] + argv[at + 2 :]


def num_processes(launch_argv: list[str], argv: list[str]) -> int:
    """How many processes will train: `--num_processes`, else what the Accelerate configuration says."""
    for arguments in (argv, launch_argv):
        if "--num_processes" in arguments[:-1]:
            given = arguments[arguments.index("--num_processes") + 1]
            if not given.isdecimal() or int(given) < 1:
                raise ValueError(f"--num_processes must be a positive integer, got {given!r}")
            return int(given)
    file = launch_argv[1] if "--config_file" in launch_argv else default_config_file
    return yaml.safe_load(Path(file).read_text()).get("num_processes") or 1


def unknown_to_accelerate(launch_argv: list[str]) -> list[str]:
    """The arguments that `accelerate launch` has no use for."""
    parsed, unknown = launch_command_parser().parse_known_args([*launch_argv, "script"])
    # A stray value takes the place of the script.
    return unknown if parsed.training_script == "script" else [*unknown, parsed.training_script]


def _config_file(name: str) -> Path:
    if Path(name).is_file():
        return Path(name)
    shipped = Path(str(resources.files("trl").joinpath("accelerate_configs")))
    names = sorted(path.stem for path in shipped.glob("*.yaml"))
    if name not in names:
        raise ValueError(f"no accelerate config {name!r}: expected the path of a file or one of {', '.join(names)}")
    return shipped / f"{name}.yaml"


def _whole_machine(argv: list[str]) -> list[str]:
    """All GPUs, or one process on the CPU; said in full, since Accelerate warns of what is not said."""
    gpus = torch.cuda.device_count()
    return [
        *([] if "--num_processes" in argv else ["--num_processes", str(max(gpus, 1))]),
        *([] if gpus else ["--num_cpu_threads_per_process", str(os.cpu_count())]),
        *(["--multi_gpu"] if gpus > 1 else []),
        *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
    ]
