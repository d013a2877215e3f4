"""Results in a model's folder and on a Hub: the Hub's library reads them back, and nothing else moves.

The Hub is a server on this machine; its client is a process, because the libraries read HF_ENDPOINT when imported.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

from evaluation.sampling_world import samples
from hicra_trl.evaluation.problems.catalog import BENCHMARKS
from hicra_trl.evaluation.report.hub import eval_result_entry, eval_results, result_note, update_model_folder
from hicra_trl.evaluation.statistics.summary import summarize
from loopback_hub import LoopbackHub


SETTINGS = {"temperature": 0.6, "top_p": 0.95, "max_tokens": 32768, "max_items": None, "output_dir": "runs/x"}
AIME = replace(BENCHMARKS["aime24"], revision="a1b2c3")
MATH = BENCHMARKS["math500"]

CARD = """---
license: apache-2.0
custom: [kept]
model-index:
- name: Mine
  extra: kept
  results:
  - task: {type: text-generation}
    dataset: {type: user/other, name: other}
    metrics: [{type: accuracy, value: 0.5, unknown: kept}]
  - task: {type: text-generation}
    dataset: {type: HuggingFaceH4/aime_2024, name: theirs, split: train, revision: a1b2c3}
    metrics: [{type: pass@1, value: 1.0}, {type: accuracy, value: 2.0}]
---

# Mine

Text with --- and ünïcode.
"""


def summary(benchmark, rows):
    return summarize(benchmark.name, samples(rows), len(rows), len(rows[0]))


@pytest.fixture(scope="module")
def results():
    return [(summary(AIME, [[1, 1, 0, 1]] * 30), AIME), (summary(MATH, [[1], [0]] * 10), MATH)]


def model_results(folder):
    found = ModelCard.load(folder / "README.md").data.eval_results
    return {(r.dataset_type, r.metric_type): r.metric_value for r in found}


OURS = {
    ("HuggingFaceH4/aime_2024", "pass@1"): 75.0,
    ("HuggingFaceH4/aime_2024", "pass@4"): 100.0,
    ("HuggingFaceH4/aime_2024", "maj@4"): 100.0,
    ("HuggingFaceH4/MATH-500", "pass@1"): 50.0,
}


def test_a_result_says_what_was_measured_and_how(results):
    [(measured, _), _] = results
    first, *_ = eval_results(measured, AIME, SETTINGS)
    assert (first.dataset_type, first.dataset_split, first.dataset_revision) == (AIME.dataset, "train", "a1b2c3")
    interval = measured.metrics["pass@1"]
    note = (
        f"pass@1 of 30 items x 4 samples, 95 % interval {100 * interval.low:.2f} to {100 * interval.high:.2f}, "
        "strict \\boxed grading, temperature 0.6, top_p 0.95, max_tokens 32768"
    )
    assert first.metric_args == {"note": note}
    entry = eval_result_entry(measured, AIME, SETTINGS)
    assert (entry.dataset_id, entry.task_id, entry.value, entry.notes) == (AIME.dataset, "default", 75.0, note)


def test_a_result_says_what_was_changed(results):
    [(measured, _), _] = results
    changed = replace(AIME, relative_tolerance=0.05)
    prompt = {"prompt_format": "text", "system_prompt": "Think.\nThen answer."}
    note = result_note(measured, changed, SETTINGS | prompt, "pass@1")
    assert note.endswith(
        'max_tokens 32768, relative_tolerance 0.05, prompt_format "text", system_prompt "Think.\\nThen answer."'
    )


def test_a_folder_without_a_card_gets_one(tmp_path, results):
    written = update_model_folder(tmp_path, results, SETTINGS, "tiny")
    names = ["README.md", ".eval_results/aime24.yaml", ".eval_results/math500.yaml"]
    assert [str(file.relative_to(tmp_path)) for file in written] == names
    assert model_results(tmp_path) == OURS
    assert ModelCard.load(tmp_path / "README.md").data.model_name == "tiny"
    [entry] = parse_eval_result_entries(yaml.safe_load((tmp_path / names[1]).read_text()))
    assert entry == eval_result_entry(results[0][0], AIME, SETTINGS)


def test_what_was_there_stays(tmp_path, results):
    (tmp_path / "README.md").write_text(CARD, encoding="utf-8")
    update_model_folder(tmp_path, results, SETTINGS, "other name")
    card = ModelCard.load(tmp_path / "README.md")
    assert card.text == ModelCard(CARD).text
    data = yaml.safe_load((tmp_path / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert (data["license"], data["custom"], data["model-index"][0]["extra"]) == ("apache-2.0", ["kept"], "kept")
    assert data["model-index"][0]["name"] == "Mine"
    assert data["model-index"][0]["results"][0]["metrics"] == [{"type": "accuracy", "value": 0.5, "unknown": "kept"}]
    theirs = {("user/other", "accuracy"): 0.5, ("HuggingFaceH4/aime_2024", "accuracy"): 2.0}
    assert model_results(tmp_path) == theirs | OURS


def test_results_replace_themselves_and_not_those_of_other_datasets(tmp_path, results):
    update_model_folder(tmp_path, results, SETTINGS, "tiny")
    file = tmp_path / ".eval_results" / "aime24.yaml"
    other = {"dataset": {"id": "user/other", "task_id": "default"}, "value": 1, "evaluation_framework": "kept"}
    file.write_text(yaml.safe_dump([other, *yaml.safe_load(file.read_text())]))
    better = [(summary(AIME, [[1, 1, 1, 1]] * 30), AIME)]
    for _ in range(2):
        update_model_folder(tmp_path, better, SETTINGS, "tiny")
    assert model_results(tmp_path) == OURS | {("HuggingFaceH4/aime_2024", "pass@1"): 100.0}
    assert [entry["value"] for entry in yaml.safe_load(file.read_text())] == [1, 100.0]
    assert yaml.safe_load(file.read_text())[0] == other


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        (
            {"dataset": "data/aime.jsonl"},
            {},
            "aime24: expected results of a dataset on the Hub, got 'data/aime.jsonl'",
        ),
        ({"dataset": "aime.jsonl"}, {}, "aime24: expected results of a dataset on the Hub, got 'aime.jsonl'"),
        ({}, {"max_items": 4}, "aime24: expected results of the whole benchmark, got max_items=4"),
    ],
)
def test_what_is_no_result_of_a_published_benchmark_is_refused(tmp_path, results, changes, settings, message):
    given = [(results[0][0], replace(AIME, **changes)), results[1]]
    with pytest.raises(ValueError, match=message):
        update_model_folder(tmp_path, given, SETTINGS | settings, "tiny")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("README.md", "---\na: [\n---\n", r"cannot read the metadata of .*README.md: while parsing"),
        ("README.md", "---\nmodel-index: 3\n---\n", r"cannot add results to .*README.md: its model-index is broken"),
        (
            "README.md",
            "---\nmodel-index:\n- results:\n  - {task: {type: a}, dataset: [1], metrics: []}\n---\n",
            r"cannot add results to .*README.md: its model-index is broken",
        ),
        ("README.md", "---\n- a\n---\n", r"cannot read the metadata of .*README.md: "),
        (".eval_results/aime24.yaml", "- value: 3\n", r"cannot add results to .*aime24.yaml: KeyError\('dataset'\)"),
    ],
)
def test_what_is_broken_is_left_as_it_is(tmp_path, results, name, content, message):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        update_model_folder(tmp_path, results, SETTINGS, "tiny")
    assert "\n" not in str(error.value)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [tmp_path / name]
    assert (tmp_path / name).read_text() == content


PUSH = """
import json, sys
from hicra_trl.evaluation.problems.catalog import BENCHMARKS
from hicra_trl.evaluation.report.hub import push_results
from hicra_trl.evaluation.statistics.summary import summarize
from evaluation.sampling_world import samples

summary = summarize("math500", samples([[1], [0]] * 10), 20, 1)
for repo_id in sys.argv[1:]:
    try:
        answer = push_results(repo_id, [(summary, BENCHMARKS["math500"])], {"temperature": 0.6})
    except ValueError as error:
        answer = f"error: {error}"
    print(json.dumps(answer))
"""
WEIGHTS = b"weights" * 100
REFUSED = ["tester/nothing", "somebody/model", "not a name"]


@pytest.fixture(scope="module")
def hub():
    with LoopbackHub() as hub:
        hub.put("tester/model", "model", {"README.md": CARD.encode(), "model.safetensors": WEIGHTS})
        hub.put("tester/bare", "model", {"model.safetensors": WEIGHTS})
        hub.put("somebody/model", "model", {"README.md": CARD.encode()})
        yield hub


@pytest.fixture(scope="module")
def pushed(hub, tmp_path_factory):
    """What pushing answers, by repository."""
    repositories = ["tester/model", "tester/bare", *REFUSED]
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", PUSH, *repositories],
        env={**os.environ, **hub.environment(tmp_path_factory.mktemp("home")), "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(zip(repositories, map(json.loads, done.stdout.splitlines()), strict=True))


def test_results_are_pushed_in_one_commit_and_the_model_stays(hub, pushed, tmp_path):
    assert hub.commits("tester/model")[-1] == (pushed["tester/model"], "Results on math500")
    files = hub.files("tester/model")
    assert set(files) == {"README.md", "model.safetensors", ".eval_results/math500.yaml"}
    assert files["model.safetensors"] == WEIGHTS
    (tmp_path / "README.md").write_bytes(files["README.md"])
    assert model_results(tmp_path)["HuggingFaceH4/MATH-500", "pass@1"] == 50.0
    assert model_results(tmp_path)["user/other", "accuracy"] == 0.5
    [entry] = parse_eval_result_entries(yaml.safe_load(files[".eval_results/math500.yaml"]))
    assert (entry.dataset_id, entry.value) == ("HuggingFaceH4/MATH-500", 50.0)


def test_a_model_without_a_card_gets_one(hub, pushed):
    files = hub.files("tester/bare")
    assert set(files) == {"README.md", "model.safetensors", ".eval_results/math500.yaml"}
    assert ModelCard(files["README.md"].decode()).data.model_name == "bare"


@pytest.mark.parametrize("repo_id", REFUSED)
def test_a_push_that_cannot_be_made_is_one_line(pushed, repo_id):
    answer = pushed[repo_id]
    assert answer.startswith(f"error: cannot push results to {repo_id!r}: ") and "\n" not in answer
