"""Parsing as every subcommand does it: dataclasses, a YAML recipe, overrides; one line for wrong input."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import yaml

from ..terminal import did_you_mean


def stop(prog: str, message: object) -> NoReturn:
    """Says in one line what was got and what was expected, and exits with status 2."""
    print(f"{prog}: {' '.join(str(message).split())}", file=sys.stderr)
    raise SystemExit(2)


def one_line_parser(types: Sequence[Any], prog: str) -> Any:
    """A [`~trl.TrlParser`] that says what is wrong in one line, and takes no abbreviated flags."""
    # Imported here: commands that only read do not wait for it.
    from trl import TrlParser

    parser = TrlParser(types, prog=prog, allow_abbrev=False, add_help=False)
    parser.error = partial(stop, prog)
    for action in parser._actions:
        if action.type is dict:
            # An empty text would be an empty mapping.
            action.type = str
    return parser


def shipped(name: str) -> Path:
    """A folder that is shipped: in the repository when the package is installed from there, else in the package."""
    package = Path(__file__).parents[1]
    inside = package / name
    return inside if inside.is_dir() else package.parents[1] / name


def shipped_recipes() -> list[str]:
    """Names of the recipes that are shipped, such as `playground/hicra`."""
    folder = shipped("recipes")
    return sorted(file.relative_to(folder).with_suffix("").as_posix() for file in folder.glob("*/*.yaml"))


def with_recipe_file(argv: list[str]) -> list[str]:
    """
    Arguments with the file of the recipe behind `--config`: as it is named, or else the package's own recipe of that
    name, such as `playground/hicra` or `recipes/playground/hicra.yaml`.

    Raises:
        `ValueError`: if there is none.
    """
    if "--config" not in argv:
        return argv
    at = argv.index("--config") + 1
    if at == len(argv):
        raise ValueError("--config needs the path of a YAML recipe")
    file = Path(argv[at])
    if not file.is_file():
        name = argv[at].removeprefix("recipes/").removesuffix(".yaml")
        if name not in (known := shipped_recipes()):
            raise ValueError(
                f"no recipe at {argv[at]}: expected a file, or one of the package's, like playground/hicra, which "
                f"'hicra train --help' lists{did_you_mean([name], known)}"
            )
        file = shipped("recipes") / f"{name}.yaml"
    return [*argv[:at], str(file), *argv[at + 1 :]]


def separated(argv: list[str]) -> list[str]:
    """Arguments with each `--field=value` as `--field value`."""
    return [part for argument in argv for part in (argument.split("=", 1) if argument[:2] == "--" else [argument])]


def parse(
    types: Sequence[type], argv: list[str], prog: str, defaults: dict[str, Any] | None = None
) -> tuple[Any, ...]:
    """Parses as [`run_command`] does; returns the instances, and the list of arguments that no dataclass has."""
    argv = separated(argv)
    parser = one_line_parser(types, prog)
    parser.set_defaults(**(defaults or {}))
    try:
        argv = with_recipe_file(argv)
        if "--config" in argv:
            check_keys(argv[argv.index("--config") + 1])
        *parsed, from_recipe, remaining = parser.parse_args_and_config(
            argv, return_remaining_strings=True, separate_remaining_strings=True
        )
    except (ValueError, OSError, yaml.YAMLError) as error:
        stop(prog, error)
    except (TypeError, KeyError) as error:  # of a dataclass that is not ours
        stop(prog, f"a field holds a value of another type than it takes ({type(error).__name__}: {error})")
    if from_recipe:
        names = [flag.removeprefix("--") for flag in from_recipe[::2]]
        hint = did_you_mean(names, field_names(types))
        stop(prog, f"the recipe has fields that are not known: {', '.join(names)}{hint}")
    return (*parsed, remaining)


def field_names(types: Sequence[Any]) -> list[str]:
    """The fields that dataclasses take."""
    return [field.name for kind in types for field in fields(kind) if field.init]


def unknown_arguments(arguments: Sequence[str], types: Sequence[Any], flags: Iterable[str] = ()) -> str:
    """The message on arguments that are neither fields of the dataclasses nor of the other flags."""
    known = [*(f"--{name}" for name in field_names(types)), *flags]
    return f"unknown arguments: {' '.join(arguments)}{did_you_mean(arguments, known)}"


def check_keys(recipe: str) -> None:
    """Raises `ValueError` if a recipe is no mapping, or names a field twice, of which YAML takes the last."""
    node = yaml.compose(Path(recipe).read_text(encoding="utf-8"), yaml.SafeLoader)
    if not isinstance(node, yaml.MappingNode):
        raise ValueError(f"{recipe} is no recipe: expected a mapping of fields to values")
    if wrong := [str(key.value) for key, _ in node.value if key.tag != "tag:yaml.org,2002:str"]:
        raise ValueError(f"the recipe has fields that are not known: {', '.join(wrong)}")
    inner = [node]
    for node in inner:
        names = [str(key.value) for key, _ in node.value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"the recipe has fields more than once: {', '.join(twice)}")
        inner += [value for _, value in node.value if isinstance(value, yaml.MappingNode) and value not in inner]


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
            Dataclasses to fill, from a recipe and what overrides it.
        argv (`list[str]`):
            Arguments behind the subcommand. `--field=value` and `--field value` are the same.
        function (`Callable`):
            Called with one instance of each of `types`. Returns an exit status, or `None` where all went well; a
            `ValueError` or an `OSError` is wrong input.
        defaults (`dict`, *optional*):
            Values of fields that neither the recipe nor the command line sets.

    Returns:
        `int`: the exit status.
    """
    *parsed, remaining = parse(types, argv, prog, defaults)
    if remaining:
        stop(prog, unknown_arguments(remaining, types))
    try:
        return function(*parsed) or 0
    except (ValueError, OSError) as error:
        stop(prog, error)
