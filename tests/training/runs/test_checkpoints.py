"""Which checkpoints a run goes on from, and which it passes over."""

import shutil

import pytest

from hicra_trl import HICRAConfig
from hicra_trl.training.runs.checkpoints import (
    check_save_steps,
    checkpoints,
    defect,
    exact_steps,
    newest_checkpoint,
    resume_point,
)
from training.tiny_run import train_here, write_recipe


@pytest.fixture(scope="module")
def source(model_folder, lexicon_file, tmp_path_factory):
    """A run with the checkpoints 2, 4 and 6."""
    folder = tmp_path_factory.mktemp("source")
    write_recipe(folder, model_folder, lexicon_file, max_steps=6)
    with pytest.MonkeyPatch.context() as patch:
        train_here(patch, folder, "--config", "recipe.yaml")
    return folder / "run"


@pytest.fixture
def run(source, tmp_path):
    return shutil.copytree(source, tmp_path / "run")


def resumed(run, value="true", **fields):
    return resume_point(HICRAConfig(str(run), use_cpu=True, resume_from_checkpoint=str(value), **fields))


def test_the_newest_step_comes_first(run):
    (run / "checkpoint-10").mkdir()
    (run / "checkpoint-last").mkdir()
    assert [folder.name for folder in checkpoints(run)] == [f"checkpoint-{step}" for step in (10, 6, 4, 2)]


def test_half_written_and_damaged_checkpoints_are_passed_over_with_a_line_each(run, capsys):
    assert newest_checkpoint(run) == run / "checkpoint-6" and capsys.readouterr().err == ""
    (run / "checkpoint-6" / "hicra_state.json").unlink()
    weights = run / "checkpoint-4" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert newest_checkpoint(run) == resumed(run) == run / "checkpoint-2"
    said = capsys.readouterr().err.splitlines()[:2]
    assert said == [
        f"passed over {run}/checkpoint-6: half-written, without hicra_state.json",
        f"passed over {run}/checkpoint-4: damaged, model.safetensors is unreadable",
    ]


@pytest.mark.parametrize(
    "name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "config.json"]
)
def test_a_file_that_was_cut_is_found(run, name):
    file = run / "checkpoint-2" / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert defect(run / "checkpoint-2") == f"damaged, {name} is unreadable"
    with pytest.raises(ValueError, match=f"cannot resume .*checkpoint-2: it is damaged, {name} is unreadable"):
        resumed(run, run / "checkpoint-2")


def test_there_has_to_be_something_to_resume(run, tmp_path):
    with pytest.raises(ValueError, match="nothing to resume: no complete checkpoint in"):
        resumed(tmp_path / "new")
    with pytest.raises(ValueError, match="nothing to resume: no checkpoint at nowhere"):
        resumed(run, "nowhere")
    with pytest.raises(ValueError, match="save_only_model leaves no optimizer in checkpoints"):
        resumed(run, save_only_model=True)


def test_a_new_run_does_not_mix_its_checkpoints_with_anothers(run):
    with pytest.raises(ValueError, match=r"holds checkpoints of another run \(checkpoint-6\)"):
        resumed(run, "false")
    for folder in checkpoints(run):
        (folder / "hicra_state.json").unlink()
    assert resumed(run, "false") is None
    # Without a manifest, these may be whole ones of another trainer.
    (run / "manifest.json").unlink()
    with pytest.raises(ValueError, match="holds checkpoints of another run"):
        resumed(run, "false")


def test_a_run_goes_back_in_another_folder_only(run, tmp_path):
    with pytest.raises(ValueError, match=r"cannot go back to .*checkpoint-2: the run left checkpoint-6 too"):
        resumed(run, run / "checkpoint-2")
    args = HICRAConfig(str(tmp_path / "other"), use_cpu=True, resume_from_checkpoint=str(run / "checkpoint-2"))
    assert resume_point(args) == run / "checkpoint-2"


@pytest.mark.parametrize(
    ("fields", "exact"),
    [
        ({}, 1),
        ({"steps_per_generation": 4}, 4),
        ({"steps_per_generation": 4, "gradient_accumulation_steps": 4}, 1),
        ({"steps_per_generation": 4, "gradient_accumulation_steps": 2, "num_iterations": 3}, 6),
        ({"steps_per_generation": 3, "gradient_accumulation_steps": 2}, 3),
        ({"logging_steps": 5}, 5),
        ({"logging_steps": 0.1, "max_steps": 40}, 4),
        ({"logging_strategy": "no"}, 1),
    ],
)
def test_a_run_is_continued_exactly_between_generations_and_logs(fields, exact):
    args = HICRAConfig("run", use_cpu=True, **{"logging_steps": 1, "save_steps": exact, **fields})
    assert exact_steps(args) == exact
    check_save_steps(args, 1000)
    if exact > 1:
        args.save_steps = exact + 1
        with pytest.raises(ValueError, match=f"save_steps must be a multiple of {exact}, got {exact + 1}"):
            check_save_steps(args, 1000)
        args.save_strategy = "no"
        check_save_steps(args, 1000)


def test_shares_of_all_steps_need_their_number():
    with pytest.raises(ValueError, match=r"save_steps=0\.5 is a share of max_steps, which is not set"):
        check_save_steps(HICRAConfig("run", use_cpu=True, save_steps=0.5), 1000)
    check_save_steps(HICRAConfig("run", use_cpu=True, save_steps=0.5, max_steps=20, logging_steps=5), 1000)


def test_checkpoints_at_the_end_of_an_epoch_must_be_at_a_log_too():
    # 6 prompts of which a step takes one.
    fields = {"use_cpu": True, "num_generations": 8, "num_train_epochs": 4}
    args = HICRAConfig("run", save_strategy="epoch", logging_steps=4, **fields)
    with pytest.raises(
        ValueError, match="save_strategy 'epoch': the steps of an epoch must be a multiple of 4, got 6"
    ):
        check_save_steps(args, 6)
    check_save_steps(args, 8)
    check_save_steps(HICRAConfig("run", save_strategy="epoch", logging_steps=3, **fields), 6)
    with pytest.raises(ValueError, match="save_steps must be a multiple of 6, got 4"):
        check_save_steps(HICRAConfig("run", save_steps=4, logging_strategy="epoch", **fields), 6)
    best = {"save_strategy": "best", "metric_for_best_model": "loss", "eval_strategy": "steps", "logging_steps": 4}
    with pytest.raises(ValueError, match="eval_steps must be a multiple of 4, got 2"):
        check_save_steps(HICRAConfig("run", eval_steps=2, **best, **fields), 6)
