"""The limit of a completion goes up once, when too many have been cut for long enough."""

import pytest

from hicra_trl import HICRAConfig, HICRATrainer
from hicra_trl.training.sampling.staged_context import StagedContext
from training.helpers import config, vowel_share


def limits(trainer):
    return [entry["completions/limit"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.fixture
def build(model, tokenizer, prompts, lexicon_file, tmp_path):
    def make(folder="run", **overrides):
        staged = {"max_completion_length": 6, "extended_completion_length": 12, "extend_patience": 2, **overrides}
        args = config(tmp_path / folder, lexicon_file, **staged)
        return HICRATrainer(model, vowel_share, args, train_dataset=prompts, processing_class=tokenizer)

    return make


def test_the_limit_goes_up_after_enough_cut_generations(build, capsys):
    trainer = build()
    trainer.train()
    assert limits(trainer) == [6, 6, 12, 12, 12]
    longest = [entry["completions/max_length"] for entry in trainer.state.log_history if "loss" in entry]
    assert longest[:2] == [6, 6] and max(longest[2:]) == 12
    assert capsys.readouterr().out.count("from now on they may have 12 tokens") == 1


def test_it_stays_where_few_are_cut(build):
    trainer = build(extend_clipped_ratio=0.999, max_steps=3, max_completion_length=11)
    trainer.train()
    ratios = [entry["completions/clipped_ratio"] for entry in trainer.state.log_history if "loss" in entry]
    assert limits(trainer) == [11, 11, 11 if min(ratios[:2]) <= 0.999 else 12]


def test_a_resumed_run_has_the_limit_and_the_count_of_before(build, tmp_path):
    build(save_strategy="steps", save_steps=1, max_steps=3).train()
    for step, expected in ((1, [6, 12]), (3, [12])):
        resumed = build(save_strategy="no", max_steps=max(3, step + 1))
        resumed.train(resume_from_checkpoint=str(tmp_path / "run" / f"checkpoint-{step}"))
        assert limits(resumed)[step:] == expected


def test_a_resume_before_the_second_stage_leaves_the_limit_of_generation_kwargs(build, tmp_path):
    shorter = {"generation_kwargs": {"max_new_tokens": 3}, "extended_completion_length": None}
    build(save_strategy="steps", save_steps=1, max_steps=1, **shorter).train()
    resumed = build(max_steps=2, **shorter)
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-1"))
    lengths = [entry["completions/max_length"] for entry in resumed.state.log_history if "loss" in entry]
    assert lengths == [3, 3]


def test_a_generation_with_few_cut_ends_a_row():
    context = StagedContext(10, extended=20, threshold=0.2, patience=2)
    assert [context.observe(ratio) for ratio in (0.5, 0.2, 0.5, 0.5)] == [False, False, False, True]
    assert StagedContext(10, None, 0.2, 1).observe(1.0) is False


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"extended_completion_length": 8}, "must be above max_completion_length=8, got 8"),
        ({"extended_completion_length": 16, "extend_patience": 0}, "extend_patience must be at least 1, got 0"),
        (
            {"extended_completion_length": 16, "use_vllm": True, "vllm_max_model_length": 16},
            "vllm_max_model_length must hold a prompt and extended_completion_length=16 tokens, got 16",
        ),
    ],
)
def test_what_cannot_be_is_refused_early(fields, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        HICRAConfig(str(tmp_path), use_cpu=True, bf16=False, max_completion_length=8, **fields)
