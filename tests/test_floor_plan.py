"""The floor plan of `src/`: what each room may import. Arrows go down only; nothing below knows what is above."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest


SOURCE = Path(__file__).parents[1] / "src" / "hicra_trl"

# The longest key that begins a module's path is its room. A room imports itself, the listed ones, and nothing else.
ALGORITHM = (
    "training/config training/credit training/assigner training/functions training/sampling training/upstream "
    "training/runs/files training/runs/lexicon training/token_record training/gram_outcomes "
    "grams dynamics rewards paper terminal"
)
MAY_IMPORT = {
    "paper": "",
    "terminal": "",
    "disk": "",
    "lazy": "",
    "extras": "",
    "fields": "terminal",
    "gguf": "extras terminal",
    "rewards": "rewards/gold rewards/equality terminal",
    "rewards/gold": "",
    "rewards/equality": "rewards/gold",
    "data": "rewards rewards/gold fields terminal disk",
    "grams": "paper disk terminal lazy",
    "grams/mining": "grams data fields disk terminal",
    "dynamics": "grams",
    "training/credit": "grams",
    "training/limits": "fields",
    "training/config": "training/limits training/credit fields",
    "training/functions": "terminal",
    "training/assigner": "training/config training/credit training/functions training/sampling grams",
    "training/upstream": "training/config training/runs/files data disk",
    "training/sampling": "training/upstream training/config",
    "training/runs": "training/runs/files training/runs/lexicon training/config grams data disk terminal",
    "training/runs/files": "",
    "training/runs/lexicon": "training/runs/files grams",
    "training/runs/token_record": "training/runs/files disk",
    "training/runs/gram_outcomes": "training/runs/files disk",
    "training/token_record": "training/config training/runs/token_record grams",
    "training/gram_outcomes": "training/assigner training/runs/gram_outcomes grams",
    "training/card": "training/config training/runs/files grams dynamics disk",
    "training/trainer": f"{ALGORITHM} training/card",
    "training/async_grpo": "training/credit training/limits grams fields",
    "training/held_out": ALGORITHM,
    "training/callbacks": f"{ALGORITHM} disk",
    "training/rewards": "training/config training/functions rewards rewards/gold data fields terminal",
    "training/arguments": "training/rewards data fields",
    "training": f"{ALGORITHM} extras lazy training/trainer training/held_out training/callbacks training/rewards "
    "training/arguments training/runs rewards/gold data disk gguf",
    "training/dry_run": "training/config training/arguments training/runs data grams gguf terminal",
    "training/export": "training/runs training/runs/files disk extras gguf terminal",
    "evaluation/settings": "rewards evaluation/paper_tables fields",
    "evaluation/paper_tables": "",
    "evaluation/protocol": "rewards evaluation/settings evaluation/problems grams disk",
    "evaluation/problems": "rewards rewards/gold data disk terminal",
    "evaluation/engines": "evaluation/problems evaluation/settings rewards data disk gguf terminal",
    "evaluation/samples": "disk",
    "evaluation/statistics": "evaluation/samples dynamics rewards/equality",
    "evaluation/report": "evaluation/statistics evaluation/problems evaluation/settings "
    "evaluation/paper_tables terminal",
    "evaluation": "evaluation/settings evaluation/protocol evaluation/paper_tables evaluation/problems "
    "evaluation/engines evaluation/samples evaluation/statistics evaluation/report "
    "dynamics grams rewards disk terminal lazy",
    "metrics": "rewards grams dynamics evaluation/statistics paper",
    "analysis": "grams dynamics rewards data evaluation/statistics evaluation/engines training/runs/files "
    "training/runs/token_record training/runs/gram_outcomes terminal disk",
    # Engines put the question, and evaluations are judged too.
    "analysis/judge": "evaluation/engines evaluation/problems evaluation/protocol evaluation/samples "
    "evaluation/statistics rewards data training/runs/files terminal disk fields",
    "playground": "rewards grams dynamics analysis analysis/judge disk terminal",
    "claims": "playground analysis analysis/judge evaluation/statistics dynamics grams training/credit "
    "training/runs training/runs/files terminal disk",
}
# These are the doors of their rooms: `cli` opens any, and a room's `__init__` shows what lies in it.
ABOVE_ALL = ("cli", "__init__")


def modules():
    for file in sorted(SOURCE.rglob("*.py")):
        yield file.relative_to(SOURCE).with_suffix("").as_posix()


def room(module):
    parts = module.split("/")
    names = ("/".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in names if name in MAY_IMPORT), parts[0])


def imports(module):
    """The modules of ours that a module imports, wherever in it, as paths."""
    package = module.split("/")[:-1]
    known = set(modules())
    for node in ast.walk(ast.parse((SOURCE / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("hicra_trl")):
            base = package[: len(package) - node.level + 1] if node.level else []
            path = base + (node.module or "").removeprefix("hicra_trl").strip(".").split(".")
            name = "/".join(part for part in path if part)
            for alias in node.names:
                inside = f"{name}/{alias.name}".strip("/")
                yield inside if inside in known else name
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.split(".", 1)[1].replace(".", "/") for alias in node.names if "hicra_trl." in alias.name
            )


def trespasses(module):
    own = room(module)
    allowed = {own, *MAY_IMPORT.get(own, "").split()}
    # A room's `__init__` shows what lies in it, its inner rooms too.
    inner = f"{module.removesuffix('__init__')}" if module.endswith("__init__") else None
    for name in imports(module):
        if room(name) not in allowed and not (inner is not None and name.startswith(inner)):
            yield name


@pytest.mark.parametrize("module", [name for name in modules() if room(name) not in ABOVE_ALL])
def test_a_room_imports_only_what_its_row_says(module):
    assert sorted(set(trespasses(module))) == []


def test_no_module_imports_itself_by_way_of_others():
    """Imports inside functions and under `TYPE_CHECKING` count."""
    known = set(modules())
    door = {module.removesuffix("/__init__"): module for module in known}
    TopologicalSorter({module: {door.get(name, name) for name in imports(module)} for module in known}).prepare()


def test_every_room_has_a_row():
    assert {room(name) for name in modules()} - set(MAY_IMPORT) == set(ABOVE_ALL)


def test_a_trespass_is_found(monkeypatch):
    monkeypatch.setitem(MAY_IMPORT, "dynamics", "")
    assert "grams" in set(trespasses("dynamics/meter"))
