"""Every field of every command with values that it does not take: one line that names it, and status 2."""

import dataclasses
import math
import types
import typing

import pytest
import yaml
from trl import ModelConfig

from hicra_trl.cli.campaign import CampaignArguments
from hicra_trl.cli.export import ExportArguments
from hicra_trl.cli.highlight import HighlightArguments
from hicra_trl.cli.judge import AskArguments, JudgeArguments
from hicra_trl.cli.lexicon import LexiconArguments
from hicra_trl.cli.mine import MineArguments
from hicra_trl.cli.parsing import parse
from hicra_trl.cli.playground import PlaygroundArguments
from hicra_trl.cli.reproduce import ReproduceArguments
from hicra_trl.cli.view import ViewArguments
from hicra_trl.evaluation.settings import EvalArguments
from hicra_trl.fields import Name, check_fields
from hicra_trl.grams import CorpusArguments, MiningConfig
from hicra_trl.training.arguments import RunArguments
from hicra_trl.training.config import HICRAConfig
from hicra_trl.training.limits import LIMITS


COMMANDS = {
    "eval": (EvalArguments,),
    "mine": (CorpusArguments, MineArguments, MiningConfig),
    "lexicon": (LexiconArguments, CorpusArguments),
    "campaign": (CampaignArguments,),
    "reproduce": (ReproduceArguments,),
    "export": (ExportArguments,),
    "judge": (JudgeArguments, AskArguments),
    "view": (ViewArguments,),
    "highlight": (HighlightArguments,),
    "playground": (PlaygroundArguments,),
}
NEEDED = {
    "campaign": {"folder": "f", "seeds": [1], "conditions": {}},
    "judge": {"judge": "exact"},
    "eval": {"model": "m", "benchmarks": ["aime24"]},
}
TRAINING = {"output_dir": "run", "use_cpu": True, "report_to": "none"}
# What is wrong inside of a mapping, TRL and Transformers say so.
ELSEWHERE = (TypeError, KeyError, AttributeError, NotImplementedError, RuntimeError, ImportError)
VALUES = (None, [], [1, 2], [None], {"a": 1}, {}, "text", "", math.nan, math.inf, -1, 0, 2.5, 10**30, True)


def taken(kind):
    """The plain types that a declaration takes."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return taken(inner[0])
    if origin in (typing.Union, types.UnionType):
        return {one for option in inner for one in taken(option)}
    if origin is typing.Literal:
        return {type(choice) for choice in inner}
    return {origin or kind}


def is_wrong(value, kind):
    """Whether a field that is declared so can take a value of this type at all."""
    kinds = taken(kind)
    if isinstance(value, int) and not isinstance(value, bool) and float in kinds:
        return False
    return not isinstance(value, list) and type(value) not in kinds and list not in kinds


def fields_of(*dataclass_types):
    """Names and declarations of the fields that can be given."""
    for one in dataclass_types:
        kinds = typing.get_type_hints(one, include_extras=True) | (LIMITS if one in (HICRAConfig, ModelConfig) else {})
        yield from ((field.name, kinds[field.name]) for field in dataclasses.fields(one) if field.init)


def complaints(name, kind, refused):
    """What is wrong with how a field takes the values; `refused` tries one, and returns what is said against it."""
    for value in VALUES:
        said = refused(value)
        if said is None:
            if is_wrong(value, kind) or (value == "" and Name in (kind, *typing.get_args(kind))):
                yield f"{name}: {value!r} is accepted"
        elif name.replace("_", "") not in said.lower().replace("_", ""):
            yield f"{name}: {value!r} gets {said!r}"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_value_of_another_type_gets_one_line(command, tmp_path, capsys):
    recipe = tmp_path / "r.yaml"

    def refused(value):
        recipe.write_text(yaml.safe_dump(NEEDED.get(command, {}) | {name: value}))
        try:
            parse(COMMANDS[command], ["--config", str(recipe)], f"hicra {command}")
        except SystemExit as stop:
            said = capsys.readouterr().err
            return said if stop.code == 2 and said.count("\n") == 1 else f"no line: {said!r}"

    found = []
    for name, kind in fields_of(*COMMANDS[command]):
        found += complaints(name, kind, refused)
    assert not found


def test_a_value_of_another_type_makes_no_training():
    """Fields alone, since a parser of all of them takes its time; test_wrong_recipes.py goes through it."""

    def refused(value):
        try:
            if made is HICRAConfig:
                HICRAConfig.for_processes(1, **(TRAINING | {name: value}))
            else:
                check_fields(made(**{name: value}), LIMITS)
        except (ValueError, OSError) as error:
            return str(error)
        except ELSEWHERE as error:
            return f"{name if isinstance(value, dict) else type(error)}: {error}"

    found = []
    for made in (HICRAConfig, RunArguments, ModelConfig):
        for name, kind in fields_of(made):
            found += complaints(name, kind, refused)
    # TRL reads a number from a text itself.
    assert [line for line in found if not line.startswith("pad_to_multiple_of: ")] == []
