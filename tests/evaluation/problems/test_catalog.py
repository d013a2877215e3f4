"""The registry of benchmarks, and what a command line may change in it."""

import dataclasses

import pytest

from hicra_trl.evaluation.problems.catalog import BENCHMARKS, Benchmark
from hicra_trl.evaluation.problems.overrides import override, select_benchmarks


TEXT = ("aime24", "aime25", "math500", "amc23", "minerva", "olympiadbench")
VISION = ("mathvista", "mathverse", "mathvision", "emma")


def error(names, overrides=()):
    """The message of the one error that selecting ends with."""
    with pytest.raises(ValueError) as raised:
        select_benchmarks(names, overrides)
    message = str(raised.value)
    assert len(message.splitlines()) == 1
    return message


def test_the_registry_has_the_papers_benchmarks_with_the_papers_samples():
    assert tuple(BENCHMARKS) == TEXT + VISION
    samples = {name: benchmark.num_samples for name, benchmark in BENCHMARKS.items() if benchmark.num_samples > 1}
    assert samples == {"aime24": 32, "aime25": 32, "amc23": 4}


def test_every_entry_says_in_one_line_what_was_decided():
    for name, benchmark in BENCHMARKS.items():
        assert benchmark.name == name
        assert benchmark.note.endswith(".") and "\n" not in benchmark.note


def test_benchmarks_with_images_name_their_columns():
    assert [name for name, benchmark in BENCHMARKS.items() if benchmark.image_columns] == list(VISION)


def test_names_are_selected_in_order_and_unchanged():
    assert select_benchmarks(["emma", "aime24"]) == [BENCHMARKS["emma"], BENCHMARKS["aime24"]]
    assert select_benchmarks([]) == []


def test_an_override_changes_its_field_and_nothing_else():
    [aime, math] = select_benchmarks(["aime24", "math500"], ["aime24.dataset=../x=1.jsonl", "aime24.num_samples=8"])
    assert aime == dataclasses.replace(BENCHMARKS["aime24"], dataset="../x=1.jsonl", num_samples=8)
    assert math == BENCHMARKS["math500"]
    assert BENCHMARKS["aime24"].num_samples == 32


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("config", "Math, Physics", ("Math", "Physics")),
        ("config", "none", ()),
        ("problem_column", "task.text", ("task.text",)),
        ("image_columns", "image_1,image_2", ("image_1", "image_2")),
        ("revision", "v1.0", "v1.0"),
        ("revision", "None", None),
        ("group_column", "level", "level"),
        ("choice_gold", "text", "text"),
        ("choice_instruction", "", ""),
        ("num_samples", "4", 4),
        ("relative_tolerance", "1e-3", 0.001),
        ("filter", "problem_version=Vision Only|Text Lite", "problem_version=Vision Only|Text Lite"),
    ],
)
def test_values_take_the_type_of_their_field(field, text, value):
    changed = getattr(override(BENCHMARKS["emma"], {field: text}), field)
    assert changed == value and type(changed) is type(value)


def test_every_field_but_the_name_can_be_overridden():
    texts = {"num_samples": "2", "absolute_tolerance": "0.5", "relative_tolerance": "0.5", "filter": "a=b"}
    values = {f.name: texts.get(f.name, "text") for f in dataclasses.fields(Benchmark) if f.name != "name"}
    changed = override(BENCHMARKS["aime24"], values)
    for field in values:
        assert getattr(changed, field) != getattr(BENCHMARKS["aime24"], field), field


def test_a_benchmark_of_ones_own_needs_but_a_dataset():
    assert select_benchmarks(["mine"], ["mine.dataset=problems.jsonl"]) == [Benchmark("mine", "problems.jsonl")]
    [mine] = select_benchmarks(["mine-2"], ["mine-2.num_samples=3", "mine-2.dataset=me/mine", "mine-2.split=dev"])
    assert mine == Benchmark("mine-2", "me/mine", split="dev", num_samples=3)


def test_overrides_of_benchmarks_not_asked_for_have_no_effect_but_are_checked():
    overrides = ["math500.num_samples=2", "mine.dataset=mine.jsonl"]
    assert select_benchmarks(["aime24"], overrides) == [BENCHMARKS["aime24"]]
    assert "unknown benchmark 'aime42'" in error(["aime24"], ["aime42.num_samples=8"])
    assert "math500.num_samples must be an integer" in error(["aime24"], ["math500.num_samples=many"])


def test_an_unknown_benchmark_lists_those_that_are_known():
    assert error(["aime23"]) == (
        "unknown benchmark 'aime23': expected one of aime24, aime25, math500, amc23, minerva, olympiadbench, "
        "mathvista, mathverse, mathvision, emma, or an override aime23.dataset=FILE_OR_HUB_ID "
        "(did you mean aime25?)"
    )


def test_an_unknown_field_lists_those_that_are_known():
    message = error(["aime24"], ["aime24.samples=8"])
    assert message.startswith("aime24 has no field 'samples': expected one of dataset, config, split, revision, ")
    assert message.endswith("num_samples, note (did you mean num_samples?)")
    assert "no field 'name'" in error(["aime24"], ["aime24.name=other"])


@pytest.mark.parametrize("text", ["aime24", "aime24.dataset", "dataset=x", "=x", "aime24.=x", ".dataset=x", ""])
def test_an_override_of_another_form_is_an_error(text):
    assert error(["aime24"], [text]) == f"an override must be NAME.FIELD=VALUE, got {text!r}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("num_samples=4.5", "aime24.num_samples must be an integer, got '4.5'"),
        ("num_samples=0", "aime24.num_samples must be at least 1, got 0"),
        ("absolute_tolerance=small", "aime24.absolute_tolerance must be a number, got 'small'"),
        ("absolute_tolerance=-1", "aime24.absolute_tolerance must be 0 or more, got -1.0"),
        ("relative_tolerance=nan", "aime24.relative_tolerance must be 0 or more, got nan"),
        ("choice_gold=index", "aime24.choice_gold must be letter or text, got 'index'"),
        ("filter=level", "aime24.filter must be COLUMN=VALUE, got 'level'"),
        ("problem_column=none", "aime24.problem_column must name a column, got none"),
        ("dataset=", "aime24 has no dataset: expected a .jsonl or .parquet file or a dataset on the Hub"),
    ],
)
def test_a_value_that_the_field_cannot_take_is_an_error(text, message):
    assert error(["aime24"], [f"aime24.{text}"]) == message


def test_what_is_given_twice_is_an_error():
    assert error(["aime24", "aime24"]) == "benchmark 'aime24' is given twice"
    message = error(["aime24"], ["aime24.split=a", "aime24.split=b"])
    assert message == "aime24.split is overridden twice: 'a' and 'b'"


def test_a_name_that_is_no_file_name_is_an_error():
    for name in ("my set", "runs/mine", "méta"):
        message = f"the name of a benchmark may have letters, digits, '-' and '_', got {name!r}"
        assert error([name], [f"{name}.dataset=x.jsonl"]) == message
