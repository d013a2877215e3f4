"""What is claimed and what is trained to test it, from `claims.yaml`."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ..disk import write_whole


CLAIMS_FILE = Path(__file__).with_name("claims.yaml")
_HISTORY = "claims.json"


@dataclass(frozen=True)
class Planned:
    """
    A campaign to train: conditions x seeds from one base of one world.

    Attributes:
        name, world, base (`str`):
            What it is called, and what its runs begin with.
        minutes (`float`):
            What a run takes on a core of its own, about.
        seeds (`list[int]`):
            Of the training.
        overrides (`dict[str, Any]`):
            Fields of all conditions.
        conditions (`dict[str, dict[str, Any]]`):
            By name, the first is what the others are compared with.
    """

    name: str
    world: str
    base: str
    minutes: float
    seeds: list[int]
    overrides: dict[str, Any]
    conditions: dict[str, dict[str, Any]]

    @property
    def model(self) -> Path:
        """The folder of the base."""
        return Path("runs", self.world, self.base)

    def fields(self, folder: Path) -> dict[str, Any]:
        """What `hicra campaign --config` takes."""
        overrides = {"model_name_or_path": str(self.model), **self.overrides}
        return {
            "folder": str(folder / self.name),
            "seeds": self.seeds,
            "overrides": overrides,
            "conditions": self.conditions,
        }


@cache
def read_claims() -> Mapping[str, Any]:
    """All of `claims.yaml`."""
    return yaml.safe_load(CLAIMS_FILE.read_text(encoding="utf-8"))


def claims_hash() -> str:
    """16 hexadecimal digits that change with any byte of `claims.yaml`."""
    return hashlib.sha256(CLAIMS_FILE.read_bytes()).hexdigest()[:16]


def campaigns(quick: bool = False) -> dict[str, Planned]:
    """What is to be trained, by name; the quick plan is a part of the same runs."""
    plans = {}
    for name, given in read_claims()["campaigns"].items():
        given = dict(given)
        part = given.pop("quick", None)
        if quick and part is None:
            continue
        if quick:
            given["seeds"] = part["seeds"]
            given["conditions"] = {condition: given["conditions"][condition] for condition in part["conditions"]}
        plans[name] = Planned(name, **given)
    return plans


def finished(plan: Planned, folder: Path) -> int:
    """How many of its runs are finished."""
    # Imported here: verdicts do not wait for torch.
    from ..training.runs.manifest import is_finished

    runs = (folder / plan.name / f"{name}-seed{seed}" for name in plan.conditions for seed in plan.seeds)
    return sum(map(is_finished, runs))


def write_plan(folder: Path, plans: Mapping[str, Planned]) -> None:
    """Writes each campaign as `hicra campaign --config` takes it, and that these claims are those of now."""
    for name, plan in plans.items():
        write_whole(folder / f"{name}.yaml", yaml.safe_dump(plan.fields(folder), sort_keys=False))
    history = _history(folder)
    if not history or history[-1]["claims"] != claims_hash():
        write_whole(folder / f"claims-{claims_hash()}.yaml", CLAIMS_FILE.read_text(encoding="utf-8"))
        done = sum(finished(plan, folder) for plan in campaigns().values())
        entry = {"claims": claims_hash(), "since": f"{datetime.now():%Y-%m-%d %H:%M}", "finished_runs": done}
        write_whole(folder / _HISTORY, json.dumps([*history, entry], indent=2) + "\n")


def changes(folder: Path) -> list[str]:
    """A line for each time that the claims were changed while there were finished runs; or were not there before."""
    lines = []
    history = _history(folder)
    for before, now in zip([None, *history], history):
        if not (done := now["finished_runs"]):
            continue
        what = f"claims.yaml {now['claims']} came to this folder on {now['since']}, when {done} runs were finished"
        if before is not None:
            old, new = (yaml.safe_load((folder / f"claims-{e['claims']}.yaml").read_text()) for e in (before, now))
            parts = {**{key: old.get(key) for key in (*old, *new) if key != "claims"}, **old["claims"]}
            changed = [key for key, value in parts.items() if value != {**new, **new["claims"]}.get(key)]
            changed += [key for key in new["claims"] if key not in old["claims"]]
            what += f", in place of {before['claims']}: {', '.join(changed) or 'words between the claims'} changed"
        lines.append(what)
    return lines


def _history(folder: Path) -> list[dict[str, Any]]:
    file = folder / _HISTORY
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
