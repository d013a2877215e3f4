"""Figures from the folders of runs: their numbers are those of the logs, and what a run lacks is said in one line."""

import csv
import json

import numpy as np
import pytest

from analysis.run_folders import leave_completions, leave_run, leave_verdicts, made_up_logs
from analysis.synthetic_record import write_synthetic_record
from hicra_trl.analysis.figures import FIGURES, write_figures
from hicra_trl.analysis.runs import read_runs
from hicra_trl.analysis.token_record import TokenRecord
from hicra_trl.training.runs.gram_outcomes import GramOutcome, add_gram_outcomes


def draw(folder, names, *runs, formats=("svg",)):
    """The files, what is missing, and the numbers by figure."""
    files, missing = write_figures(read_runs(runs), names, folder, formats)
    tables = {file.stem: [*csv.DictReader(file.with_suffix(".csv").open())] for file in files}
    return files, missing, tables


def points(table, **which):
    found = [row for row in table if all(row[name] == value for name, value in which.items())]
    return {int(row["step"]): float(row["value"]) for row in found}


@pytest.fixture
def runs(tmp_path):
    return [
        leave_run(tmp_path / f"{method}-{seed}", seed, made_up_logs(12, seed + 10 * (method == "h")), alpha=alpha)
        for method, alpha in (("g", 0.0), ("h", 0.2))
        for seed in (1, 2)
    ]


def test_the_numbers_are_those_of_the_logs(runs, tmp_path):
    _, missing, tables = draw(tmp_path / "figures", ["dynamics", "methods", "exploration"], *runs)
    assert not missing
    log = made_up_logs(12, 11)
    for figure, panel, kind, key in (
        ("dynamics", "Relative perplexity", "execution", "hicra/relative_perplexity/execution"),
        ("dynamics", "Token entropy", "planning", "hicra/entropy/planning"),
        ("dynamics", "Conditional entropy", "", "hicra/conditional_entropy"),
        ("dynamics", "Accuracy", "held out", "eval_hicra/pass_at_1"),
        ("dynamics", "Accuracy", "training", "hicra/pass_at_1"),
        ("dynamics", "Length", "", "completions/mean_length"),
        ("methods", "Semantic entropy", "", "hicra/semantic_entropy"),
        ("methods", "Token entropy", "", "entropy"),
        ("methods", "pass@k in training", "k = 8", "hicra/pass_at_8"),
        ("methods", "Planning tokens", "", "hicra/planning_fraction"),
        ("exploration", "Validation accuracy", "", "eval_hicra/pass_at_1"),
    ):
        expected = {row["step"]: row[key] for row in log if key in row}
        assert points(tables[figure], panel=panel, kind=kind, method="HICRA", seed="1") == expected, (figure, panel)
        both = [{row["step"]: row[key] for row in made_up_logs(12, seed) if key in row} for seed in (11, 12)]
        mean = {step: np.mean([values[step] for values in both]) for step in expected}
        assert points(tables[figure], panel=panel, kind=kind, method="HICRA", seed="mean") == pytest.approx(mean)
    panels = {figure: [*dict.fromkeys(row["panel"] for row in table)] for figure, table in tables.items()}
    assert panels["exploration"] == ["Semantic entropy", "Validation accuracy"]
    assert len(panels["dynamics"]) == len(panels["methods"]) == 6


def test_errors_are_verdicts_times_what_is_wrong(tmp_path):
    logs = [{"step": step, "hicra/pass_at_1": accuracy} for step, accuracy in ((2, 0.2), (4, 0.6))]
    run = leave_run(tmp_path / "run", logs=logs)
    labels = ["strategy", "strategy", "execution", "dummy", "acceptable", "unreadable"]
    # A token record has steps of its own: step 3 lies in the window of the log at step 4.
    leave_verdicts(run, {2: labels, 3: ["execution"], None: ["strategy"]})
    with (run / "judge" / "verdicts.jsonl").open("a") as file:
        file.write('{"step": 4, "label": "stra')
    _, _, tables = draw(tmp_path / "figures", ["errors"], run)
    # Of 80 % wrong ones, two and two of the five that could be read; one was right after all.
    assert points(tables["errors"], kind="strategy") == pytest.approx({2: 0.32, 3: 0})
    assert points(tables["errors"], kind="other") == pytest.approx({2: 0.32, 3: 0.4})


def test_without_verdicts_errors_are_the_playgrounds_classes(tmp_path):
    outcomes = {"correct": 0.4, "strategy: gave up": 0.3, "strategy: ran out": 0.1, "execution: wrong step": 0.2}
    for name, shares in (("base", {**outcomes, "strategy: gave up": 0.5, "correct": 0.2}), ("run", outcomes)):
        if name == "run":
            leave_run(tmp_path / name, logs=[{"step": 7}], base="base")
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "outcomes.json").write_text(json.dumps({"accuracy": 0.4, "outcomes": shares}))
    _, _, tables = draw(tmp_path / "figures", ["errors"], tmp_path / "run")
    assert points(tables["errors"], kind="strategy") == pytest.approx({0: 0.6, 7: 0.4})
    assert points(tables["errors"], kind="other") == pytest.approx({0: 0.2, 7: 0.2})


def test_forks_are_both_directions_of_the_token_record(tmp_path):
    run = leave_run(tmp_path / "run", logs=made_up_logs(6))
    write_synthetic_record(run, steps=(1, 3), group_size=8)
    _, missing, tables = draw(tmp_path / "figures", ["forks"], run)
    record = TokenRecord.read(run)
    expected = {"planning": {}, "high": {}, "all": {}}
    for step in record.steps:
        rows = record.rows(step)
        entropy = np.concatenate([row.entropy for row in rows]).astype(float)
        planning = np.concatenate([row.planning for row in rows])
        # Some entropies in half precision equal that of the border; `high_entropy_shares` shares them out.
        high = entropy >= np.sort(entropy)[-round(0.3 * len(entropy))]
        expected["planning"][step] = high[planning].mean()
        expected["high"][step] = planning[high].mean()
        expected["all"][step] = planning.mean()
    table = tables["forks"]
    assert not missing
    panel = "Planning tokens of high entropy"
    assert points(table, panel=panel, kind="top 30%") == pytest.approx(expected["planning"], abs=0.04)
    panel = "High-entropy tokens that plan"
    assert points(table, panel=panel, kind="top 30%") == pytest.approx(expected["high"], abs=0.04)
    assert points(table, panel=panel, kind="all tokens") == pytest.approx(expected["all"])
    assert {row["kind"] for row in table} == {"top 20%", "top 30%", "all tokens"}


def test_sensitivity_has_the_whole_lexicon_and_each_draw(tmp_path):
    run = leave_run(tmp_path / "run", logs=made_up_logs(6))
    leave_completions(run, {2: ["But wait, so what?"] * 3, 4: ["Let me check. But wait."] * 3})
    _, _, tables = draw(tmp_path / "figures", ["sensitivity"], run)
    names = {(row["method"], row["seed"]) for row in tables["sensitivity"]}
    dropped = "30% removed at random"
    assert names == {("whole lexicon", "1"), (dropped, "mean"), *((dropped, f"draw {i}") for i in range(5))}


def test_outcomes_are_the_last_ones_of_the_most_frequent_grams(runs, tmp_path):
    for run, s in zip(runs, (0.1, 0.3, 0.5, 0.7)):
        rare = [GramOutcome(f"rare {i}", 1, 1, 0, 0.9) for i in range(20)]
        rows = [GramOutcome("so", 40, 30, 10, s), GramOutcome("but wait", 300, 0, 300, -0.6), *rare]
        add_gram_outcomes(run, 2, [GramOutcome("so", 9, 9, 0, -0.9)])
        add_gram_outcomes(run, 4, rows)
    [file], missing, tables = draw(tmp_path / "figures", ["outcomes"], *runs)
    table = tables["outcomes"]
    assert not missing
    # Runs of GRPO and of HICRA, two seeds each; n is that of all four.
    assert points(table, kind="so (n = 160)", method="GRPO", seed="2") == pytest.approx({4: 0.3})
    assert points(table, kind="so (n = 160)", method="HICRA", seed="mean") == pytest.approx({4: 0.6})
    kinds = [*dict.fromkeys(row["kind"] for row in table)]
    assert len(kinds) == 20 and kinds[-2:] == ["so (n = 160)", "but wait (n = 1,200)"]
    assert "but wait (n = 1,200)" in file.read_text()


def test_a_gram_that_one_seed_lacks_is_drawn_for_the_others(runs, tmp_path):
    add_gram_outcomes(runs[0], 4, [GramOutcome("so", 4, 3, 1, 0.3), GramOutcome("wait", 2, 1, 1, 0.1)])
    add_gram_outcomes(runs[1], 6, [GramOutcome("so", 4, 3, 1, 0.5)])
    _, missing, tables = draw(tmp_path / "figures", ["outcomes"], *runs)
    assert missing == [f"no gram outcomes yet in {runs[2]}, {runs[3]}"]
    # Steps differ, so that there is no mean.
    seeds = [(row["kind"], row["seed"], row["step"]) for row in tables["outcomes"]]
    assert seeds == [("so (n = 8)", "1", "4"), ("so (n = 8)", "2", "6"), ("wait (n = 2)", "1", "4")]


def test_what_a_run_lacks_is_one_line_each_and_the_rest_is_drawn(runs, tmp_path):
    bare = leave_run(tmp_path / "bare", 3, [{"step": 1, "entropy": 0.5}, {"step": 2, "entropy": 0.4}])
    begun = leave_run(tmp_path / "begun", 4)
    (begun / "trainer_state.json").unlink()
    files, missing, tables = draw(tmp_path / "figures", list(FIGURES), *runs, bare, begun)
    assert [file.stem for file in files] == ["dynamics", "methods", "exploration"]
    everywhere = ", ".join(map(str, (*runs[:2], bare, begun, *runs[2:])))
    assert f"no hicra/semantic_entropy logged in {bare}" in missing
    assert f"no log yet, neither in trainer_state.json nor in a checkpoint, in {begun}" in missing
    assert f"no token record (token_record of a recipe leaves one) in {everywhere}" in missing
    assert f"no verdicts ('hicra judge' gives them) in {everywhere}" in missing
    assert f"no strategic grams yet in {everywhere}" in missing
    assert f"no gram outcomes yet in {everywhere}" in missing
    assert len(set(missing)) == len(missing) and not any("\n" in line for line in missing)
    assert points(tables["methods"], panel="Token entropy", seed="3") == {1: 0.5, 2: 0.4}


def test_what_is_broken_is_one_line_and_the_rest_is_drawn(runs, tmp_path):
    leave_verdicts(runs[0], {2: ["strategy"]})
    with (runs[0] / "judge" / "verdicts.jsonl").open("a") as file:
        file.write('["strategy"]\n')
    write_synthetic_record(runs[1], steps=(1,))
    [record] = (runs[1] / "token_records").iterdir()
    record.write_bytes(b"PAR1")
    (runs[2] / "outcomes.json").write_text("{")
    files, missing, _ = draw(tmp_path / "figures", list(FIGURES), *runs)
    assert [file.stem for file in files] == ["dynamics", "methods", "exploration"]
    for broken in (runs[0] / "judge" / "verdicts.jsonl, line 2: expected a verdict", record, "outcomes.json"):
        assert len([line for line in missing if str(broken) in line]) == 1, broken
    assert not any("\n" in line for line in missing)


def test_nothing_to_draw_is_said_with_what_is_missing(tmp_path):
    run = leave_run(tmp_path / "run", logs=made_up_logs(6))
    with pytest.raises(ValueError, match=r"nothing to draw: no token record .* in .*run$"):
        draw(tmp_path / "figures", ["forks"], run)


def test_figures_are_replaced_and_other_files_are_not(runs, tmp_path):
    folder = tmp_path / "figures"
    formats = ("svg", "pdf", "png")
    draw(folder, ["exploration"], *runs, formats=formats)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert sorted(before) == [f"exploration.{suffix}" for suffix in ("csv", "pdf", "png", "svg")]
    draw(folder, ["exploration"], *runs, formats=formats)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    for name in before:
        (folder / name).write_text("mine")
        with pytest.raises(ValueError, match="is there already, and not from this command"):
            draw(folder, ["exploration"], *runs, formats=formats)
        (folder / name).write_bytes(before[name])
