"""Credit in a training: rules that remember, schedules, functions of the user's own."""

import copy
import json
import shutil

import pytest
import torch

from hicra_trl import HICRATrainer
from hicra_trl.training.assigner import load_rule
from hicra_trl.training.credit import RULES
from hicra_trl.training.credit.outcome import GramOutcomes
from hicra_trl.training.functions import beside
from training.helpers import config, vowel_share


RULE = """
import torch

def counting(advantages, labels, batch):
    plain = advantages[:, None].expand(batch.mask.shape)
    seen = (batch.state or 0) + int(batch.sum_over_ranks(torch.tensor(len(plain))))
    return torch.where(labels.planning_mask, plain + batch.alpha * plain.abs() / (1 + (batch.state or 0)), plain), seen

def long(advantages, labels, batch):
    return advantages

def raising(advantages, labels, batch):
    return batch.nothing
"""


@pytest.fixture
def train(model, tokenizer, prompts, lexicon_file, tmp_path):
    # It plans often, and has an opinion on what comes next.
    with torch.no_grad():
        model.lm_head.weight *= 10
        model.lm_head.weight[[tokenizer.encode(word)[0] for word in (" so", " but", " wait", " now", " thus")]] *= 3

    def run(folder="run", resume=None, **overrides):
        args = config(tmp_path / folder, lexicon_file, **{"max_steps": 4, "pass_threshold": 0.1, **overrides})
        trainer = HICRATrainer(
            copy.deepcopy(model), vowel_share, args=args, train_dataset=prompts, processing_class=tokenizer
        )
        trainer.train(resume_from_checkpoint=resume and str(resume))
        return trainer

    return run


def weights(trainer):
    return dict(trainer.model.named_parameters())


def logged(trainer):
    entries = [entry for entry in trainer.state.log_history if "loss" in entry]
    return [{name: value for name, value in entry.items() if "time" not in name} for entry in entries]


@pytest.fixture
def rules(tmp_path):
    (tmp_path / "my_credit.py").write_text(RULE)
    return tmp_path


@pytest.mark.parametrize("name", [*RULES, "counting"])
def test_a_resumed_run_equals_an_uninterrupted_one(name, train, rules):
    saving = {"credit": beside(f"my_credit.{name}", rules) if name == "counting" else name, "alpha": 0.5}
    saving |= {"save_strategy": "steps", "save_steps": 2, "alpha_schedule": "linear"}
    whole = train("whole", **saving)
    shutil.copytree(rules / "whole" / "checkpoint-2", rules / "part" / "checkpoint-2")
    resumed = train("part", resume=rules / "part" / "checkpoint-2", **saving)
    assert all(torch.equal(weight, weights(whole)[name]) for name, weight in weights(resumed).items())
    assert logged(resumed) == logged(whole)
    states = [json.loads((rules / run / "checkpoint-4" / "hicra_state.json").read_text()) for run in ("whole", "part")]
    assert states[0] == states[1]
    assert states[0]["credit"]["rule"] == (3 * 8 if name == "counting" else None)
    assert sum(states[0]["credit"]["outcomes"]["right"]) > 0 < sum(states[0]["credit"]["outcomes"]["wrong"])
    # At alpha 0, the first step is GRPO's, and nothing is moved.
    alphas = [entry["hicra/alpha"] for entry in logged(whole)]
    assert alphas == [0, 0.125, 0.25, 0.375]
    assert ["hicra/mass_moved/positive" in entry for entry in logged(whole)] == [False, True, True, True]


def test_the_mass_moved_is_what_planning_tokens_have_of_it(train):
    for entry in logged(train(alpha=0.2)):
        assert 0 < entry["hicra/mass_moved/positive"] < 0.2
        assert 0 < entry["hicra/mass_moved/negative"] < 0.2
        assert "hicra/credit_overlap" not in entry


def test_outcomes_are_counted_for_grpo_too_and_change_nothing(train):
    trainer = train(alpha=0.0)
    assert (trainer._credit.outcomes.right + trainer._credit.outcomes.wrong).sum() > 0
    assert not any("mass_moved" in name for entry in logged(trainer) for name in entry)


def test_an_evaluation_leaves_no_trace(train, prompts):
    trainer = train(max_steps=1)
    before = trainer._credit.checkpoint_state()
    trainer.evaluate(prompts.select(range(4)))
    assert trainer._credit.checkpoint_state() == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "long",
            r"my_credit.py:long' must return torch.float32 of shape \(8, \d+\), got torch.float32 of shape \(8,\)",
        ),
        (
            "raising",
            r"my_credit.py:raising' fails: AttributeError: .* has no attribute 'nothing' \(.*my_credit.py:13\)",
        ),
    ],
)
def test_a_broken_rule_ends_the_run_in_one_line(name, message, train, rules):
    with pytest.raises(ValueError, match=message) as caught:
        train(credit=beside(f"my_credit.{name}", rules))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("planing", "credit must be planning, outcome, .*, or the dotted path of a function, got 'planing'"),
        ("no_such_module.rule", "cannot load the credit 'no_such_module.rule': ModuleNotFoundError"),
        ("math.pi", "the credit 'math.pi' must be a function, got float"),
        ("/nowhere/rules.py:rule", "cannot load the credit .*: ImportError: no Python file at /nowhere/rules.py"),
    ],
)
def test_an_unknown_rule_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        load_rule(name)


def test_a_file_beside_the_recipe_comes_before_a_module(rules):
    assert beside("my_credit.counting", rules) == f"{rules / 'my_credit.py'}:counting"
    assert beside("math.sqrt", rules) == "math.sqrt" and beside("planning", rules) == "planning"


def test_clusters_share_what_they_go_along_with():
    outcomes = GramOutcomes(
        *(torch.tensor(values).double() for values in ([4.0, 0.0, 1.0], [0.0, 4.0, 0.0], [1] * 3, [1] * 3))
    )
    torch.testing.assert_close(outcomes.score(), torch.tensor([0.5, -0.5, 0.2]))
    torch.testing.assert_close(outcomes.score(torch.tensor([0, 0, 1])), torch.tensor([0.0, 0.0, 0.2]))
