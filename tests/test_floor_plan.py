"""Imports go down only: what each room may import. Nothing below knows what is above."""

import ast
from pathlib import Path

import pytest


SOURCE = Path(__file__).parents[1] / "src" / "hicra_trl"

# A room is the longest key that begins a module's path; it may import itself, and what its key lists.
MAY_IMPORT = {
    "__init__": "",
    "paper": "",
    "terminal": "",
    "disk": "",
    "rewards": "rewards/equality terminal",
    "rewards/gold": "",
    "rewards/equality": "rewards/gold",
    "data": "rewards terminal disk",
    "grams": "paper disk terminal",
    "grams/__init__": "grams grams/mining",
    "grams/mining": "grams data/rows terminal disk",
    "dynamics": "grams",
    "training/credit": "grams",
    "training/config": "",
    "training/upstream": "training/config data",
    "training/sampling": "training/upstream training/config",
    "training/runs": "training/config training/upstream grams data disk terminal",
    "training/trainer": "training/config training/credit training/sampling training/upstream training/runs/files grams dynamics",
    "training/held_out": "training/trainer",
    "training/callbacks": "",
    "training/__init__": "training training/config training/credit training/held_out training/trainer",
}
