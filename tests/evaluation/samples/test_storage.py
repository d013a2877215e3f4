"""What is stored survives what can happen to a process, and another evaluation is not taken for the same."""

import copy
import json

import pytest

from hicra_trl.evaluation.problems.catalog import BENCHMARKS
from hicra_trl.evaluation.problems.items import Item
from hicra_trl.evaluation.protocol import benchmark_of, merge
from hicra_trl.evaluation.samples.sample import Sample
from hicra_trl.evaluation.samples.storage import (
    SampleFile,
    check_folder,
    read_record,
    read_samples,
    samples_file,
    write_record,
)
from hicra_trl.evaluation.settings import EvalArguments
from hicra_trl.evaluation.tasks import Task, items_fingerprint, make_record
from hicra_trl.rewards import Gold


AWKWARD = "line\nline\r\n\u2028\x00 \\boxed{½} ’ 証明 \U0001f600"


def sample(item, index, completion="text"):
    return Sample(item, index, "prompt", completion, 3, "stop", None, False, None, 1, {"wait": 2}, 7, "easy")


def store(folder, *samples):
    with SampleFile(folder, "aime24") as file:
        file.append(samples)
    return samples_file(folder, "aime24")


def test_samples_come_back_as_they_were(tmp_path):
    stored = [sample("a", 0, AWKWARD), sample("a", 1), sample("b", 0, "")]
    file = store(tmp_path, *stored[:2])
    store(tmp_path, stored[2])
    assert read_samples(file) == stored and len(file.read_bytes().splitlines()) >= 3


def test_a_torn_last_line_is_dropped_wherever_it_is_torn(tmp_path):
    whole = store(tmp_path, sample("a", 0, AWKWARD), sample("a", 1, AWKWARD)).read_bytes()
    first = whole.index(b"\n", whole.index(b'"group"')) + 1
    for cut in range(first, len(whole)):
        file = samples_file(tmp_path, "aime24")
        file.write_bytes(whole[:cut])
        assert [s.index for s in read_samples(file)] == [0]
        with SampleFile(tmp_path, "aime24") as opened:
            assert [s.index for s in opened.rows] == [0]
            assert file.read_bytes() == whole[:first]
    assert store(tmp_path, sample("a", 1, AWKWARD)).read_bytes() == whole


def test_a_broken_line_before_the_last_is_named(tmp_path):
    file = store(tmp_path, sample("a", 0), sample("a", 1))
    lines = file.read_bytes().splitlines(keepends=True)
    for broken in (b'{"item": 1}\n', b"\xff\n", b"[]\n"):
        file.write_bytes(lines[0] + broken + lines[1])
        with pytest.raises(ValueError, match=r"aime24.jsonl, line 2: expected a sample, got"):
            SampleFile(tmp_path, "aime24")
        assert file.read_bytes() == lines[0] + broken + lines[1]


def test_a_sample_that_is_there_twice_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="line 2: sample 0 of item 'a' is there twice"):
        read_samples(store(tmp_path, sample("a", 0), sample("a", 0)))


def test_two_evaluations_do_not_write_into_one_file(tmp_path):
    with SampleFile(tmp_path, "aime24"):
        with pytest.raises(ValueError, match="in use: another evaluation writes there"):
            SampleFile(tmp_path, "aime24")
        SampleFile(tmp_path, "amc23").close()
    SampleFile(tmp_path, "aime24").close()


def test_a_folder_without_an_evaluation_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"expected a folder with evaluation\.json"):
        read_record(tmp_path)
    (tmp_path / "evaluation.json").write_text("{")
    with pytest.raises(ValueError, match=r"cannot read .*evaluation\.json"):
        read_record(tmp_path)


def record(grams, golds=("1", "2", "3"), available=3, num_samples=2, origin="abc", name="aime24", **settings):
    args = EvalArguments(model="m", benchmarks=[name], output_dir="runs/x", **settings)
    items = [Item(str(number), "?", Gold(gold)) for number, gold in enumerate(golds)]
    chosen = items[: args.max_items]
    task = Task(BENCHMARKS[name], chosen, available, items_fingerprint(items), args.num_samples or num_samples)
    return make_record(args, [task], grams, {"fingerprint": origin})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"temperature": 1.0}, "temperature is 0.6, asked for 1.0"),
        ({"seed": 1, "top_p": 0.5}, "top_p is 0.95, asked for 0.5; seed is 0, asked for 1"),
        ({"origin": "def"}, "model fingerprint is 'abc', asked for 'def'"),
        ({"golds": ("1", "2", "4")}, "aime24 items is"),
        ({"max_items": 1}, "aime24 has 3 items, asked for 1"),
        ({"num_samples": 1}, "aime24 has 2 num_samples, asked for 1"),
        ({"name": "amc23"}, "benchmark aime24 is there, but not asked for"),
    ],
)
def test_other_settings_are_refused_by_name(grams, changed, message):
    with pytest.raises(ValueError, match="runs/x holds an evaluation with other settings: ") as error:
        merge(record(grams), record(grams, **changed))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_another_lexicon_is_refused(grams):
    with pytest.raises(ValueError, match=r"lexicon fingerprint is .*lexicon size is 9, asked for 7"):
        merge(record(grams), record(grams.drop(0.2, seed=0)))


def test_more_items_and_samples_and_another_way_of_working_are_accepted(grams):
    small = record(grams, max_items=1, num_samples=1)
    large = record(grams, num_samples=4, batch_size=1, base_url=None, gpu_memory_utilization=0.5)
    assert merge(small, large)["benchmarks"] == large["benchmarks"]
    assert merge(small, large)["settings"]["batch_size"] == 1


def test_versions_are_all_kept(grams):
    old, new = record(grams), record(grams)
    old["versions"] = [{"torch": "1.0"}]
    assert merge(old, new)["versions"] == [{"torch": "1.0"}, *new["versions"]]
    assert merge(new, copy.deepcopy(new))["versions"] == new["versions"]


def test_a_record_says_what_it_is_compared_by(grams, tmp_path):
    write_record(tmp_path, record(grams))
    stored = read_record(tmp_path)
    assert merge(stored, record(grams)) == stored == json.loads(json.dumps(record(grams)))
    assert benchmark_of(stored, "aime24") == BENCHMARKS["aime24"]
    assert stored["lexicon"]["fingerprint"] == grams.fingerprint and stored["versions"][0]["transformers"]


@pytest.mark.parametrize("wrong", [{"tokens": None}, {"tokens": "5"}, {"grams": {"wait": None}}, {"answer": 7}])
def test_a_sample_of_another_type_is_named_by_its_line(tmp_path, wrong):
    file = store(tmp_path, sample("a", 0))
    file.write_text(json.dumps(json.loads(file.read_text()) | wrong) + "\n")
    with pytest.raises(ValueError, match=r"aime24.jsonl, line 1: expected a sample"):
        read_samples(file)


@pytest.mark.parametrize("text", ["{}", "[]", '{"settings": {}}', '{"accuracy": 0.5, "origin": "x"}'])
def test_a_record_of_something_else_is_named(tmp_path, text):
    (tmp_path / "evaluation.json").write_text(text)
    with pytest.raises(ValueError, match=r"evaluation\.json: expected"):
        read_record(tmp_path)


@pytest.mark.parametrize("name", ["results.md", "results.json", "samples/aime24.jsonl"])
def test_what_no_evaluation_wrote_is_neither_replaced_nor_taken_for_its_own(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match="is there"):
        check_folder(tmp_path, ["aime24"], None)
    check_folder(tmp_path / "new", ["aime24"], None)
