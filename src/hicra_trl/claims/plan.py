"""What is claimed and what is trained to test it, from `claims.yaml`."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ..disk import write_whole
from ..training.runs.manifest import is_finished


CLAIMS_FILE = Path(__file__).with_name("claims.yaml")


@dataclass(frozen=True)
class Planned:
    """
    A campaign to train: conditions x seeds from one base of one world.

    Attributes:
        name, world, base (`str`):
            What it is called, and what its runs begin with.
        minutes (`float`):
            What a run takes on one core, about.
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
    runs = (folder / plan.name / f"{name}-seed{seed}" for name in plan.conditions for seed in plan.seeds)
    return sum(map(is_finished, runs))


def write_plan(folder: Path, plans: Mapping[str, Planned]) -> None:
    """Writes each campaign as `hicra campaign --config` takes it, and a copy of the claims as they are before it."""
    write_whole(folder / f"claims-{claims_hash()}.yaml", CLAIMS_FILE.read_text(encoding="utf-8"))
    for name, plan in plans.items():
        write_whole(folder / f"{name}.yaml", yaml.safe_dump(plan.fields(folder), sort_keys=False))
