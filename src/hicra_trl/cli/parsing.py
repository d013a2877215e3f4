"""Parsing as every subcommand does it: dataclasses, a YAML recipe, overrides; one line for wrong input."""

import argparse
import copy
import sys
from collections.abc import Sequence
from dataclasses import fields, make_dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml
from transformers import HfArgumentParser
from trl import TrlParser


class OneLineParser(TrlParser):
    """[`~trl.TrlParser`] that says what is wrong in one line, and takes no abbreviated flags."""

    def __init__(self, dataclass_types: Any, prog: str) -> None:
        super().__init__(dataclass_types, prog=prog, allow_abbrev=False, add_help=False)

    def error(self, message: str) -> NoReturn:
        """Exits with status 2."""
        stop(self.prog, message)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=110)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        # The parser adds a spelling with hyphens to every flag.
        shown = copy.copy(action)
        shown.option_strings = [flag for flag in action.option_strings if "-" not in flag.removeprefix("--")]
        return super()._format_action_invocation(shown)


def stop(prog: str, message: object) -> NoReturn:
    """Says in one line what was got and what was expected, and exits with status 2."""
    print(f"{prog}: {' '.join(str(message).split())}", file=sys.stderr)
    raise SystemExit(2)


def parse(types: Sequence[type], argv: list[str], prog: str) -> tuple[Any, ...]:
    """
    Parses a recipe and its overrides.

    Args:
        types (`Sequence[type]`):
            Dataclasses to fill.
        argv (`list[str]`):
            Arguments behind the subcommand.
        prog (`str`):
            Name in messages, such as `"hicra train"`.

    Returns:
        `tuple`: the instances, and the list of arguments that no dataclass has.
    """
    try:
        check_recipe(argv)
        *parsed, from_recipe, remaining = OneLineParser(types, prog).parse_args_and_config(
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


def help_text(prog: str, description: str, types: Sequence[type], names: Sequence[str] | None = None) -> str:
    """Help on the fields of `types`, or on those of them that `names` lists."""
    chosen = [f for kind in types for f in fields(kind) if f.init and (names is None or f.name in names)]
    shown = make_dataclass("Options", [(f.name, f.type, f) for f in chosen], kw_only=True)
    parser = HfArgumentParser(shown, prog=prog, description=description, formatter_class=_HelpFormatter)
    parser.usage = f"{prog} [--config recipe.yaml] [--field value ...]"
    return parser.format_help()
