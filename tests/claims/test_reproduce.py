"""`hicra reproduce`: what it plans, that it goes on, and that nobody changes a claim unseen."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import fields

import pytest
import yaml

from hicra_trl.claims import plan
from hicra_trl.cli.campaign import CampaignArguments, read_conditions
from hicra_trl.cli.main import main
from hicra_trl.playground import PretrainConfig, pretrain
from hicra_trl.playground.pretrain import BASES, RECORD
from hicra_trl.training.config import HICRAConfig


TINY = PretrainConfig(hidden_size=32, num_layers=1, intermediate_size=32, steps=3, batch_size=4)


@pytest.fixture
def claims(tmp_path, monkeypatch):
    """The claims in a file that may be changed, and how to."""
    file = tmp_path / "claims.yaml"
    file.write_text(plan.CLAIMS_FILE.read_text())
    monkeypatch.setattr(plan, "CLAIMS_FILE", file)
    monkeypatch.chdir(tmp_path)

    def change(edit):
        content = yaml.safe_load(file.read_text())
        edit(content)
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        plan.read_claims.cache_clear()

    yield change
    plan.read_claims.cache_clear()


def finish(folder):
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"finished": "2026-01-01", "model": {}, "resumed": []}))


def test_a_claim_is_not_changed_unseen(claims, tmp_path):
    def threshold(content):
        content["claims"]["C3"]["parts"]["more"]["above"] = -1.0

    def seeds(content):
        content["campaigns"]["playground"]["seeds"] = [1]

    first = plan.claims_hash()
    plan.write_plan(tmp_path, plan.campaigns())
    claims(seeds)
    second = plan.claims_hash()
    plan.write_plan(tmp_path, plan.campaigns())
    # No result was there.
    assert first != second and plan.changes(tmp_path) == []
    finish(tmp_path / "playground" / "grpo-seed1")
    claims(threshold)
    plan.write_plan(tmp_path, plan.campaigns())
    plan.write_plan(tmp_path, plan.campaigns())
    [line] = plan.changes(tmp_path)
    assert plan.claims_hash() in line and f"1 runs were finished, in place of {second}: C3 changed" in line


def test_claims_that_came_after_the_runs_are_said(claims, tmp_path):
    finish(tmp_path / "playground" / "grpo-seed11")
    plan.write_plan(tmp_path, plan.campaigns())
    [line] = plan.changes(tmp_path)
    assert plan.claims_hash() in line and "when 1 runs were finished" in line and "in place of" not in line


def test_the_quick_plan_is_a_part_of_the_whole():
    whole = plan.campaigns()
    for name, part in plan.campaigns(quick=True).items():
        assert {*part.seeds} <= {*whole[name].seeds} and part.conditions.items() <= whole[name].conditions.items()
        assert part.overrides == whole[name].overrides and part.model == whole[name].model
        assert next(iter(part.conditions)) == "grpo"
    minutes = [len(p.conditions) * len(p.seeds) * p.minutes / 2 for p in plan.campaigns(quick=True).values()]
    assert sum(minutes) < 20


def test_what_is_planned_can_be_trained(tmp_path):
    known = {field.name for field in fields(HICRAConfig)}
    for campaign in plan.campaigns().values():
        recipes = read_conditions(CampaignArguments(**campaign.fields(tmp_path)))
        assert len(campaign.seeds) >= 5
        for recipe in recipes.values():
            given = {key: value for key, value in recipe.items() if key in known}
            config = HICRAConfig(**{**given, "output_dir": str(tmp_path)})
            # 8 problems x 8 completions, and a measure every ten steps.
            assert (config.generation_batch_size, config.num_generations) == (64, 8)
            assert (config.eval_steps, config.token_record, config.log_completions) == (10, 10, True)
        # GRPO and the others differ in the credit alone.
        changed = Counter(
            key for recipe in recipes.values() for key in recipe if recipe[key] != recipes["grpo"].get(key)
        )
        credit = {"alpha", "credit", "alpha_schedule", "entropy_coef", "top_entropy_quantile", "output_dir"}
        assert changed.keys() <= credit


def test_a_file_of_another_hand_is_not_replaced(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.md").write_text("mine\n")
    with pytest.raises(SystemExit) as ended:
        main(["reproduce", "--output", "mine.md"])
    assert ended.value.code == 2 and "mine.md is there already" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["mine.md"]


def test_runs_of_another_recipe_are_refused_before_anything_is_trained(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    last = [*plan.campaigns()][-1]
    finish(tmp_path / "runs" / "claims" / last / "grpo-seed11")
    with pytest.raises(SystemExit) as ended:
        main(["reproduce"])
    assert ended.value.code == 2 and f"{last}/grpo-seed11 is of another recipe" in capsys.readouterr().err
    assert [file.name for file in (tmp_path / "runs").iterdir()] == ["claims"]


def test_it_trains_tests_and_reports_and_goes_on(claims, tmp_path, capsys):
    def tiny(content):
        playground = content["campaigns"]["playground"]
        short = {"max_steps": 4, "eval_steps": 2, "logging_steps": 1, "token_record": 2, "max_completion_length": 16}
        playground["overrides"] |= {**short, "num_generations": 4, "per_device_train_batch_size": 8}
        playground["quick"] = {"seeds": [11], "conditions": ["grpo", "hicra"]}

    claims(tiny)
    # A base that was made in a moment, in the place of the real one.
    record = pretrain(tmp_path / "runs" / "playground" / "base", TINY) / RECORD
    made = {**json.loads(record.read_text()), "fingerprint": BASES["playground"]["base"].fingerprint}
    record.write_text(json.dumps(made))
    # Such a base solves nothing, and has no step to take.
    mark = {"claims": plan.claims_hash(), "base": made["fingerprint"]}
    kept = {**mark, "checks": {"tables": [0.2, 0.25, 0.3]}, "text": "a table"}
    (tmp_path / "runs" / "claims").mkdir()
    (tmp_path / "runs" / "claims" / "target.json").write_text(json.dumps(kept))
    # What is patched here is of this process.
    script = (
        "import sys; from pathlib import Path; from hicra_trl.claims import plan\n"
        "plan.CLAIMS_FILE = Path('claims.yaml')\n"
        "from hicra_trl.cli.main import main; sys.exit(main(['reproduce', '--quick', '--jobs', '2']))"
    )

    def reproduce():
        done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = reproduce()
    before = (tmp_path / "runs/claims/playground/hicra-seed11/model.safetensors").stat().st_mtime_ns
    assert "playground           2      1     2         2" in said and "2 runs side by side" in said
    told = [line.split(maxsplit=1) for line in said.splitlines() if line[:1] == "C"]
    assert [name for name, _ in told] == [f"C{i}" for i in range(1, 11)]
    # One seed of two tiny runs tells nothing.
    assert all(text.startswith("cannot be told") for _, text in told[:9]) and told[9][1].startswith("holds here")
    written = (tmp_path / "runs/claims/quick.md").read_text()
    for claims_hash in (written, (tmp_path / "runs/claims/playground/grpo-seed11.numbers.json").read_text()):
        assert plan.claims_hash() in claims_hash
    assert "<svg" in (tmp_path / "runs/claims/report.html").read_text()
    again = reproduce()
    assert "2 runs in runs/claims/playground, 0 to train" in again
    assert (tmp_path / "runs/claims/playground/hicra-seed11/model.safetensors").stat().st_mtime_ns == before
    assert (tmp_path / "runs/claims/quick.md").read_text() == written
    # What the others cost is what these took, and not what was expected of them.
    assert main(["reproduce", "--dry_run", "--jobs", "2"]) == 0
    [row] = [line.split() for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["playground"]]
    assert row[4] == "53" and int(row[5]) < 53 * plan.campaigns()["playground"].minutes / 2
