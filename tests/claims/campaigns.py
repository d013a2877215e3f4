"""Campaigns of the tiny run of `tests/training`."""

import pytest
import yaml

from conftest import TESTS
from hicra_trl.cli.main import main
from training.tiny_run import write_recipe


def write_campaign(folder, model_folder, lexicon_file, **fields):
    """A campaign of two conditions, in a folder that has its data."""
    write_recipe(folder, model_folder, lexicon_file)
    conditions = {"grpo": {"alpha": 0.0}, "hicra": {}}
    campaign = {"folder": "runs", "overrides": {"recipe": "recipe.yaml"}, "conditions": conditions, **fields}
    (folder / "campaign.yaml").write_text(yaml.safe_dump(campaign, sort_keys=False))


def assert_refused(folder, message, monkeypatch, capsys):
    """In one line, with status 2, and nothing is left behind."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(TESTS / "training")
    there = sorted(folder.rglob("*"))
    with pytest.raises(SystemExit) as ended:
        main(["campaign", "--config", "campaign.yaml"])
    shown = capsys.readouterr().err
    assert ended.value.code == 2 and message in shown and shown.count("\n") == 1, shown
    assert sorted(folder.rglob("*")) == there
