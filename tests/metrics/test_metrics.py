import doctest
import json
import math
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from hicra_trl.dynamics import DynamicsMeter
from hicra_trl.grams import PlanningTokenLabeler
from hicra_trl.metrics import METRICS, metric_path
from loopback_hub import LoopbackHub


evaluate = pytest.importorskip("evaluate")


@pytest.fixture
def load(tmp_path):
    """Loads a metric as a user does, and keeps its inputs in a folder of its own."""
    load = evaluate.load
    return lambda name: load(metric_path(name), cache_dir=str(tmp_path / "cache"))


def test_accuracy_is_that_of_the_last_box(load):
    predictions = [r"so \boxed{0.5}", "so 7", r"\boxed{7}, no: \boxed{8", r"\boxed{6}, no: \boxed{7}", r"\boxed{6}"]
    assert load("boxed_accuracy").compute(predictions=predictions, references=["1/2", "7", "7", "7", "7"]) == {
        "accuracy": 2 / 5,
        "completions": 5,
        "unanswered": 2,
        "failures": 0,
    }


def test_accuracy_weighs_problems_alike_however_many_samples_they_have(load):
    predictions = [[r"\boxed{1}"], [r"\boxed{2}", r"\boxed{3}", r"\boxed{3}", "none"]]
    result = load("boxed_accuracy").compute(predictions=predictions, references=["1", "2"])
    assert result == {"accuracy": (1 + 1 / 4) / 2, "completions": 5, "unanswered": 1, "failures": 0}


def test_pass_at_k_by_hand(load):
    right, wrong = r"\boxed{5}", r"\boxed{4}"
    predictions = [[right, wrong, wrong, right], [wrong] * 4, [right] * 5]
    result = load("pass_at_k").compute(predictions=predictions, references=["5"] * 3, k=[1, 2, 4])
    assert result == pytest.approx({"pass_at_1": 1.5 / 3, "pass_at_2": (5 / 6 + 0 + 1) / 3, "pass_at_4": 2 / 3})


def test_batches_add_up(load):
    whole, parts = load("boxed_accuracy"), load("boxed_accuracy")
    predictions, references = [[r"\boxed{1}"], ["no", r"\boxed{2}"], [r"\boxed{3}"]], ["1", "2", "4"]
    parts.add_batch(predictions=predictions[:2], references=references[:2])
    parts.add(prediction=predictions[2], reference=references[2])
    assert parts.compute() == whole.compute(predictions=predictions, references=references)


def test_semantic_entropy_is_what_training_logs(load, tokenizer, grams, lexicon_file):
    texts = [" so wait now", " but now, so what? let's", " nothing", " also  but\nnow"]
    batch = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")
    meter = DynamicsMeter(len(grams))
    labels = PlanningTokenLabeler(tokenizer, grams).label(batch.input_ids, batch.attention_mask)
    meter.add_completions(labels, batch.attention_mask, torch.zeros(batch.input_ids.shape))
    result = load("semantic_entropy").compute(predictions=texts, strategic_grams=str(lexicon_file))
    assert result == pytest.approx({name: meter.compute()[name] for name in result})
    # "so wait", "now", "but now" twice, "so", "let's"
    assert (result["distinct_grams"], result["grams_per_completion"]) == (5, 6 / 4)
    assert result["semantic_entropy"] == pytest.approx(4 / 6 * math.log(6) + 2 / 6 * math.log(3))


def test_semantic_entropy_tells_traces_apart_from_silence(load, traces):
    result = load("semantic_entropy").compute(predictions=traces[:100])
    assert 1 < result["semantic_entropy"] <= math.log(result["distinct_grams"])
    silent = load("semantic_entropy").compute(predictions=["2 + 2 = 4"])
    assert silent == {"semantic_entropy": 0.0, "distinct_grams": 0, "grams_per_completion": 0.0}


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("boxed_accuracy", {"predictions": [], "references": []}, "at least one prediction, got none"),
        ("boxed_accuracy", {"predictions": [[], ["a"]], "references": ["1", "2"]}, r"predictions\[0\] must have"),
        ("boxed_accuracy", {"predictions": ["a", ["b"]], "references": ["1", "2"]}, "or all lists of texts, got both"),
        ("boxed_accuracy", {"predictions": ["a", None], "references": ["1", "2"]}, r"\[1\] must be text, got None"),
        ("boxed_accuracy", {"predictions": [["a", 7]], "references": ["1"]}, r"predictions\[0\] must be text, got 7"),
        (
            "boxed_accuracy",
            {"predictions": ["a", "b"], "references": ["1", 2]},
            r"references\[1\] must be text, got 2",
        ),
        (
            "boxed_accuracy",
            {"predictions": ["a", "b"], "references": ["1"]},
            r"Mismatch .* \(2\) and references \(1\)",
        ),
        ("pass_at_k", {"predictions": ["a"], "references": ["1"]}, "must be a list of texts, got no list: 'a'"),
        (
            "pass_at_k",
            {"predictions": [["a"]], "references": ["1"], "k": [2]},
            "needs 2 samples of every problem, got 1",
        ),
        ("pass_at_k", {"predictions": [["a"]], "references": ["1"], "k": 1}, "k must be a list of numbers .* got 1"),
        ("pass_at_k", {"predictions": [["a"]], "references": ["1"], "k": [0]}, r"of at least 1, got \[0\]"),
        ("semantic_entropy", {"predictions": [["a"]]}, r"must be a text, got a list: \['a'\]"),
    ],
)
def test_wrong_input_gets_one_line(name, inputs, message, load):
    with pytest.raises(ValueError, match=message) as raised:
        load(name).compute(**inputs)
    assert "\n" not in str(raised.value)


def test_an_unknown_metric_is_named():
    with pytest.raises(ValueError, match="no metric 'rouge': expected boxed_accuracy, pass_at_k or semantic_entropy"):
        metric_path("rouge")


@pytest.mark.parametrize("name", METRICS)
def test_what_cards_and_docstrings_print_is_what_is_computed(name, load, monkeypatch):
    monkeypatch.setattr(evaluate, "load", lambda path: load(Path(path).name))
    names = {"evaluate": evaluate, "metric_path": metric_path}
    card = Path(metric_path(name), "README.md").read_text()
    for text in (card, load(name).inputs_description):
        test = doctest.DocTestParser().get_doctest(text, names, name, None, 0)
        assert len(test.examples) >= 2
        assert doctest.DocTestRunner().run(test).failed == 0


@pytest.mark.parametrize("name", METRICS)
def test_a_card_says_what_a_space_and_a_reader_need(name):
    card = Path(metric_path(name), "README.md").read_text()
    for expected in ("sdk: static", "- evaluate", "2509.03646", "## Limitations"):
        assert expected in card
    assert re.search(r'evaluate\.load\("user/(\w+)"\)', card)[1] == name


SPACES = r"""
import json, sys
import evaluate
from huggingface_hub import create_repo, upload_folder
from hicra_trl.metrics import METRICS, metric_path

for name in METRICS:
    create_repo(f"tester/{name}", repo_type="space", space_sdk="static")
    upload_folder(repo_id=f"tester/{name}", repo_type="space", folder_path=metric_path(name))
print(json.dumps([
    evaluate.load("tester/boxed_accuracy").compute(predictions=[r"\boxed{7}"], references=["7"])["accuracy"],
    evaluate.load("tester/pass_at_k").compute(predictions=[[r"\boxed{7}", "7"]], references=["7"], k=[1, 2]),
    evaluate.load("tester/semantic_entropy").compute(predictions=["But wait."])["distinct_grams"],
]))
"""


def test_each_folder_is_a_space_that_evaluate_loads(tmp_path):
    with LoopbackHub() as hub:
        environment = {**os.environ, **hub.environment(tmp_path)}
        command = [sys.executable, "-c", SPACES]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        assert json.loads(done.stdout.splitlines()[-1]) == [1.0, {"pass_at_1": 0.5, "pass_at_2": 1.0}, 1]
        for name in METRICS:
            files = hub.files(f"tester/{name}", "space")
            assert {"README.md", f"{name}.py"} <= set(files)


def test_only_the_metrics_themselves_import_evaluate():
    source = Path(metric_path("pass_at_k")).parents[1]
    importing = {
        file.relative_to(source).as_posix()
        for file in source.rglob("*.py")
        if re.search(r"^\s*(import|from) evaluate\b", file.read_text(), re.MULTILINE)
    }
    assert importing == {"metrics/base.py", *(f"metrics/{name}/{name}.py" for name in METRICS)}
    alone = "import sys, hicra_trl.metrics; print('evaluate' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", alone], capture_output=True).stdout.split() == [b"False"]


def test_the_wheel_has_all_files_of_a_space(tmp_path):
    builder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(Path(__file__).parents[2]))
    (wheel,) = builder.build(directory=str(tmp_path), versions=["standard"])
    files = set(zipfile.ZipFile(wheel).namelist())
    for name in METRICS:
        for file in ("README.md", f"{name}.py"):
            assert f"hicra_trl/metrics/{name}/{file}" in files
