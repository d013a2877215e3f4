"""An evaluation ends with the same samples whatever happens on the way, and its results are what is stored."""

import json
import multiprocessing
import signal
import time

import pytest
import torch
from safetensors.torch import load_file, save_file

from hicra_trl.evaluation.evaluate import evaluate
from hicra_trl.evaluation.results import Results
from hicra_trl.evaluation.samples.storage import read_record, read_samples, samples_file
from hicra_trl.evaluation.settings import EvalArguments


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    folder = tmp_path_factory.mktemp("problems")
    for name, size in (("sums", 12), ("words", 3)):
        rows = [{"problem": f"{name} {'So ' * (n % 4)}{n} + 1?", "answer": n + 1, "level": n % 2} for n in range(size)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def settings(model_folder, lexicon_file, problems, tmp_path):
    def make(name, **changed):
        given = {
            "model": str(model_folder),
            "benchmarks": ["sums", "words"],
            "override": [f"{name}.dataset={problems / name}.jsonl" for name in ("sums", "words")],
            "num_samples": 3,
            "prompt_format": "text",
            "temperature": 1.0,
            "max_tokens": 48,
            "batch_size": 5,
            "strategic_grams": str(lexicon_file),
            "output_dir": str(tmp_path / name),
        }
        return EvalArguments(**{**given, **changed})

    return make


def stored(args):
    return {name: read_samples(samples_file(args.output_dir, name)) for name in args.benchmarks}


def test_what_is_killed_goes_on_to_the_same_samples(settings):
    killed, whole = settings("killed"), settings("whole")
    # A fork, since a process from nothing would spend most of its time on imports.
    process = multiprocessing.get_context("fork").Process(target=evaluate, args=(killed,))
    process.start()
    file = samples_file(killed.output_dir, "sums")
    while process.is_alive() and not (file.exists() and file.read_bytes().count(b"\n") >= 10):
        time.sleep(0.001)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    before = len(read_samples(file))
    # It was killed between two batches; now as if in the middle of one: three samples of it, and half of a fourth.
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:8]) + lines[8][:50])
    assert 10 <= before < 36 and not samples_file(killed.output_dir, "words").exists()
    evaluate(killed)
    evaluate(whole)
    assert stored(killed) == stored(whole)
    assert len(stored(whole)["sums"]) == 36 and len(stored(whole)["words"]) == 9


def test_what_is_finished_is_not_drawn_again(settings, model_folder):
    args = settings("again")
    first = evaluate(args)
    files = {file: file.read_bytes() for name in args.benchmarks for file in [samples_file(args.output_dir, name)]}
    assert evaluate(args) == first
    assert {file: file.read_bytes() for file in files} == files


def test_an_evaluation_grows(settings):
    small = settings("grown", benchmarks=["sums"], max_items=4, num_samples=1)
    evaluate(small)
    first = stored(small)["sums"]
    large = settings("grown")
    [sums, words] = evaluate(large).summaries
    assert (sums.num_items, sums.num_samples, words.num_items) == (12, 3, 3)
    grown = stored(large)["sums"]
    assert grown[:4] == first and len({(s.item, s.index) for s in grown}) == len(grown) == 36
    with pytest.raises(ValueError, match=r"sums has 12 items, asked for 4; sums has 3 num_samples, asked for 1"):
        evaluate(settings("grown", max_items=4, num_samples=1))


def test_other_settings_leave_a_folder_as_it_is(settings):
    args = settings("kept", benchmarks=["words"])
    evaluate(args)
    record = read_record(args.output_dir)
    with pytest.raises(
        ValueError, match=r"temperature is 1.0, asked for 0.5; max_tokens is 48, asked for 8\. Expected"
    ):
        evaluate(settings("kept", benchmarks=["words"], temperature=0.5, max_tokens=8))
    assert read_record(args.output_dir) == record and len(stored(args)["words"]) == 9


def test_a_model_that_was_trained_on_is_another_model(settings, base_model, tokenizer, tmp_path):
    folder = tmp_path / "model"
    base_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    args = settings("trained", model=str(folder), benchmarks=["words"])
    evaluate(args)
    (folder / "trainer_state.json").write_text("{}")
    evaluate(args)
    weights = load_file(folder / "model.safetensors")
    trained = {name: weight + 0.001 * torch.ones_like(weight) for name, weight in weights.items()}
    save_file(trained, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"model fingerprint is '[0-9a-f]{16}', asked for"):
        evaluate(args)


def test_results_come_from_what_is_stored(settings, tmp_path):
    args = settings("results", override=[*settings("x").override, "sums.group_column=level"])
    found = evaluate(args)
    results = {name: (tmp_path / "results" / f"results.{name}").read_text() for name in ("md", "json")}
    stored = Results.read(args.output_dir)
    stored.write(args.output_dir)
    assert stored == found and stored.summaries == found.summaries
    assert {name: (tmp_path / "results" / f"results.{name}").read_text() for name in results} == results
    assert json.loads(results["json"])["settings"]["temperature"] == 1.0 and "output_dir" not in results["md"]
    assert set(found.summaries[0].groups) == {"0", "1"} and "| - 0 |" in results["md"]
    file = samples_file(args.output_dir, "sums")
    file.write_bytes(file.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(ValueError, match="sums: expected 12 items x 3 samples = 36, got 1"):
        Results.read(args.output_dir)


def test_the_papers_figures_stand_beside_and_may_be_asked_for_later(settings, tmp_path):
    problems = tmp_path / "aime.jsonl"
    problems.write_text('{"problem": "1 + 1?", "answer": "2"}\n')
    override = [f"aime24.dataset={problems}", "aime24.split=train", "aime24.num_samples=1"]
    args = settings("paper", benchmarks=["aime24"], override=override)
    assert "paper" not in evaluate(args).text()
    evaluate(settings("paper", benchmarks=["aime24"], override=override, paper_model="Qwen3-4B-Base"))
    page = Results.read(args.output_dir).text()
    assert "paper: HICRA" in page and "31.0 %" in page and "ours: " in page
    assert "paper: HICRA" in (tmp_path / "paper" / "results.md").read_text()
    with pytest.raises(ValueError, match="the paper has no figures of 'Qwen9'"):
        settings("paper", paper_model="Qwen9")


def test_two_evaluations_are_compared_by_what_is_stored(settings):
    for args in (
        settings("a"),
        settings("b", seed=1, batch_size=7),
        settings("c", benchmarks=["words"], max_tokens=4),
    ):
        evaluate(args)
    a, b, c = (Results.read(settings(name).output_dir) for name in "abc")
    comparison = a.compared_with(b)
    assert [row.benchmark for row in comparison.of("pass@1")] == ["sums", "words", "average"]
    assert comparison.warnings == []
    warnings = a.compared_with(c).warnings
    assert warnings == ["only A has sums", "max_tokens differs: A 48, B 4"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": None}, "no model: expected"),
        ({"benchmarks": []}, "no benchmarks: expected"),
        ({"max_tokens": 0}, "max_tokens must be at least 1, got 0"),
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\], got 0.0"),
        ({"temperature": -1.0}, "temperature must be at least 0, got -1.0"),
        ({"engine": "server"}, "got engine 'server' and base_url None"),
        ({"base_url": "http://x"}, "got engine 'transformers' and base_url 'http://x'"),
        ({"system_prompt": "Be brief."}, "system_prompt needs prompt_format 'chat', got 'text'"),
    ],
)
def test_wrong_settings_say_what_is_expected(settings, changed, message):
    with pytest.raises(ValueError, match=message):
        settings("wrong", **changed)
