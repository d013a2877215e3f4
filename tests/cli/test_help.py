"""Help comes from docstrings, which say what the dataclasses declare."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from dataclasses import MISSING, dataclass, fields, is_dataclass
from types import NoneType
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
import yaml
from trl import ModelConfig

from hicra_trl.cli.campaign import CampaignArguments, ShowArguments
from hicra_trl.cli.export import ExportArguments
from hicra_trl.cli.help import DATACLASSES, FOR_LATER, TO_KNOW, described, documented, help_page
from hicra_trl.cli.highlight import HighlightArguments
from hicra_trl.cli.judge import AskArguments, JudgeArguments, ValidateArguments
from hicra_trl.cli.lexicon import ACTIONS, LexiconArguments
from hicra_trl.cli.main import COMMANDS, main
from hicra_trl.cli.mine import MineArguments
from hicra_trl.cli.playground import PlaygroundArguments
from hicra_trl.cli.plot import PlotArguments
from hicra_trl.cli.reproduce import ReproduceArguments
from hicra_trl.cli.train import LaunchArguments
from hicra_trl.cli.view import ViewArguments
from hicra_trl.evaluation.settings import EvalArguments
from hicra_trl.grams import CorpusArguments, MiningConfig
from hicra_trl.playground import PretrainConfig
from hicra_trl.training import HICRAConfig
from hicra_trl.training.arguments import RunArguments


PARSED = {
    "train": (LaunchArguments, RunArguments, HICRAConfig, ModelConfig),
    "mine": (CorpusArguments, MineArguments, MiningConfig),
    "lexicon": (LexiconArguments, CorpusArguments),
    "eval": (EvalArguments,),
    **dict.fromkeys(("eval show", "eval compare", "eval push"), ()),
    "playground": (PlaygroundArguments,),
    "campaign": (CampaignArguments,),
    "campaign show": (ShowArguments,),
    "reproduce": (ReproduceArguments,),
    "export": (ExportArguments,),
    "plot": (PlotArguments,),
    "health": (),
    "judge": (JudgeArguments, AskArguments),
    "judge validate": (ValidateArguments, AskArguments),
    "view": (ViewArguments,),
    "highlight": (HighlightArguments,),
}
OURS = sorted({path for paths in DATACLASSES.values() for path in paths.split() if path.startswith("hicra_trl.")})


def load(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def disagreements(kind):
    """What the docstring of a dataclass leaves out, invents, or says otherwise than its declaration."""
    declared, hints = {f.name: f for f in fields(kind)}, get_type_hints(kind)
    entries = {entry.name: entry for entry in described(inspect.getdoc(kind))}
    found = [
        f"{name} is missing" for name in inspect.get_annotations(kind) if name in declared and name not in entries
    ]
    for name, entry in entries.items():
        if name not in declared:
            found.append(f"{name} is gone")
            continue
        field = declared[name]
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if entry.default is not None:
            agrees = ast.literal_eval(entry.default) == default
        elif entry.is_optional:
            agrees = default in (None, []) or is_dataclass(default) or "Defaults to" in entry.text
        else:
            agrees = default in (None, [], MISSING)
        if not agrees:
            found.append(f"{name} defaults to {default!r}")
        if re.sub(r"\[`~(?:\w+\.)*(\w+)`\]", r"\1", entry.kind) != spelled(hints[name]):
            found.append(f"{name} is {spelled(hints[name])}")
    return found


def spelled(hint):
    """A type as a docstring spells it, where `None` is what *optional* says."""
    parts = [part for part in get_args(hint) if part is not NoneType]
    if get_origin(hint) is Literal:
        return "Literal[{}]".format(", ".join(f'"{part}"' for part in parts))
    if NoneType in get_args(hint):
        [hint] = parts
        return spelled(hint)
    if all(map(is_dataclass, parts)) and len(parts) > 1:
        return " or ".join(map(spelled, parts))
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)


@pytest.mark.parametrize("kind", [*map(load, OURS), PretrainConfig], ids=lambda kind: kind.__name__)
def test_a_docstring_says_what_its_dataclass_declares(kind):
    assert disagreements(kind) == []


def test_disagreements_are_found():
    @dataclass
    class Wrong:
        """
        Args:
            gone (`int`, *optional*, defaults to `1`):
                No field.
            share (`float`, *optional*, defaults to `0.2`):
                Another default.
            name (`int`, *optional*):
                Another type.
            form (`Literal["a"]`):
                One of two, and not required.
        """

        missing: int = 0
        share: float = 0.3
        name: str | None = None
        form: Literal["a", "b"] = "a"

    assert disagreements(Wrong) == [
        "missing is missing",
        "gone is gone",
        "share defaults to 0.3",
        "name is str",
        "form defaults to 'a'",
        'form is Literal["a", "b"]',
    ]


@pytest.mark.parametrize("command", PARSED)
def test_help_all_shows_each_field_that_the_command_takes_and_its_default(command):
    taken = {field.name: field for kind in PARSED[command] for field in fields(kind) if field.init}
    assert {field.name for path in DATACLASSES[command].split() for field in documented(path)} == taken.keys()
    page = help_page(*command.split(), everything=True)
    shown = re.findall(r"^  --(\w+)((?:.*\n {4})*.*)", page, re.MULTILINE)
    assert [name for name, _ in shown] == [*dict(shown)] and dict(shown).keys() == taken.keys()
    for name, text in shown:
        default, said = taken[name].default, re.search(r"\(default: (.*)\)", " ".join(text.split()))
        if default is None or default == "" or not isinstance(default, bool | int | float | str):
            continue
        if said is None:
            assert "efaults to" in text, name
        elif isinstance(default, str):
            # That of Transformers' optimizer depends on the version of torch: both are told.
            assert said[1] == default or default in re.findall(r"\w+", said[1]), name
        else:
            assert yaml.safe_load(said[1]) == default or float(said[1]) == default, name


@pytest.mark.parametrize("command", COMMANDS)
def test_each_action_of_a_command_has_a_page_of_its_own(command, capsys):
    description = importlib.import_module(f"hicra_trl.cli.{command}").DESCRIPTION
    actions = re.findall(rf"^  hicra {command} ([a-z]+) ", description, re.MULTILINE)
    assert {name.split()[1] for name in PARSED if name.startswith(f"{command} ")} <= set(actions)
    assert (command == "lexicon") == (actions == [*ACTIONS])
    for action in actions:
        assert main([command, action, "--help"]) == 0
        page = capsys.readouterr().out
        assert page.startswith(f"usage: hicra {command} {action} ") and "For `" not in page
        others = {*actions} - {action}
        assert not re.search(rf"For ({'|'.join(others)}):", page), page


def test_the_pages_of_train_and_eval_list_the_recipes():
    train, evaluation = (help_page(command).partition("\nrecipes, ")[2] for command in ("train", "eval"))
    assert "  qwen2.5-7b              entropy, fork20," in train and "eval" not in train
    assert "paper_text" in evaluation and "qwen" not in evaluation


def test_the_short_help_of_train_shows_the_fields_to_know():
    page = help_page("train")
    shown = set(re.findall(r"^  --(\w+)", page, re.MULTILINE))
    every = {field.name for kind in PARSED["train"] for field in fields(kind)}
    assert set(TO_KNOW.split()) <= shown and set(FOR_LATER.split()) <= every - shown
    assert "\n  --learning_rate LEARNING_RATE   The initial learning rate for AdamW. (default: 1e-06)\n" in page
    assert "StrategicGrams.load takes" in page and "`" not in page.partition("options:")[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_that_is_heavy(command):
    code = f"""
import sys
from hicra_trl.cli.main import main
assert main([{command!r}, "--help"]) == 0
sys.exit(str({{"numpy", "torch", "transformers", "trl", "datasets", "pandas", "matplotlib"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == "set()\n"
    assert done.stdout.count("\n") < 175 and max(map(len, done.stdout.splitlines())) < 120
    assert f"hicra {command}" in done.stdout and ("options:\n  --" in done.stdout) == bool(PARSED[command])
