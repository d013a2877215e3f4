"""Parsing as every subcommand does it: dataclasses, a YAML recipe, overrides; one line for wrong input."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import yaml

from .help import help_page


def stop(prog: str, message: object) -> NoReturn:
    """Says in one line what was got and what was expected, and exits with status 2."""
    print(f"{prog}: {' '.join(str(message).split())}", file=sys.stderr)
    raise SystemExit(2)


def one_line_parser(types: Sequence[type], prog: str) -> Any:
    """A [`~trl.TrlParser`] that says what is wrong in one line, and takes no abbreviated flags."""
    # Imported here: commands that only read do not wait for it.
    from trl import TrlParser

    parser = TrlParser(types, prog=prog, allow_abbrev=False, add_help=False)
    parser.error = partial(stop, prog)
    return parser


def parse(
    types: Sequence[type], argv: list[str], prog: str, defaults: dict[str, Any] | None = None
) -> tuple[Any, ...]:
    """
    Parses a recipe and its overrides. `--field=value` and `--field value` are the same.

    Args:
        types (`Sequence[type]`):
            Dataclasses to fill.
        argv (`list[str]`):
            Arguments behind the subcommand.
        prog (`str`):
            Name in messages, such as `"hicra train"`.
        defaults (`dict`, *optional*):
            Values of fields that neither the recipe nor the command line sets.

    Returns:
        `tuple`: the instances, and the list of arguments that no dataclass has.
    """
    argv = [part for argument in argv for part in (argument.split("=", 1) if argument[:2] == "--" else [argument])]
    parser = one_line_parser(types, prog)
    parser.set_defaults(**(defaults or {}))
    try:
        check_recipe(argv)
        *parsed, from_recipe, remaining = parser.parse_args_and_config(
            argv, return_remaining_strings=True, separate_remaining_strings=True
        )
    except (ValueError, OSError, yaml.YAMLError) as error:
        stop(prog, error)
    if from_recipe:
        names = ", ".join(flag.removeprefix("--") for flag in from_recipe[::2])
        stop(prog, f"the recipe has fields that are not known: {names}")
    return (*parsed, remaining)


def check_recipe(argv: list[str]) -> None:
    """Raises if `--config` names no readable file."""
    if "--config" not in argv:
        return
    given = argv[argv.index("--config") + 1 :]
    if not given:
        raise ValueError("--config needs the path of a YAML recipe")
    if not Path(given[0]).is_file():
        raise ValueError(f"no recipe at {given[0]}")


def refuse_unknown(prog: str, remaining: list[str]) -> None:
    """Exits if arguments are left over."""
    if remaining:
        stop(prog, f"unknown arguments: {' '.join(remaining)}")


def run_command(
    prog: str,
    types: Sequence[type],
    argv: list[str],
    function: Callable[..., int | None],
    defaults: dict[str, Any] | None = None,
) -> int:
    """
    Parses the arguments of a command and calls what does its work; what is wrong is said in one line.

    Args:
        prog (`str`):
            Name in messages, such as `"hicra mine"`.
        types (`Sequence[type]`):
            Dataclasses to fill.
        argv (`list[str]`):
            Arguments behind the subcommand.
        function (`Callable`):
            Called with one instance of each of `types`. Returns an exit status, or `None` where all went well; a
            `ValueError` or an `OSError` is wrong input.
        defaults (`dict`, *optional*):
            Values of fields that neither the recipe nor the command line sets.

    Returns:
        `int`: the exit status.
    """
    *parsed, remaining = parse(types, argv, prog, defaults)
    refuse_unknown(prog, remaining)
    try:
        return function(*parsed) or 0
    except (ValueError, OSError) as error:
        stop(prog, error)


# What `train` and `eval` still call.
OneLineParser = one_line_parser


def help_text(prog: str, *_: Any) -> str:
    """Help on a command."""
    return help_page(prog.removeprefix("hicra "))
