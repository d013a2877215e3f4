"""An evaluation from its settings to its results."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ..disk import write_whole
from ..grams import StrategicGrams
from ..rewards import Grader
from .engines.engine import Engine, Request
from .judging import Marker
from .problems.items import load_items
from .problems.overrides import select_benchmarks
from .protocol import Task, benchmark_of, items_fingerprint, make_record, merge, protocol
from .report.hub import push_results
from .report.tables import Row, paper_rows, results_json, results_markdown, results_text
from .samples.sample import Sample
from .samples.storage import RECORD_FILE, SampleFile, read_record, read_samples, samples_file, write_record
from .settings import EvalArguments
from .statistics.comparison import Comparison, compare
from .statistics.summary import Summary, summarize


RESULTS = "results"


def load_tasks(args: EvalArguments) -> list[Task]:
    """Loads the benchmarks that are asked for."""
    tasks = []
    for benchmark in select_benchmarks(args.benchmarks, args.override):
        items = load_items(benchmark)
        chosen = items[: args.max_items]
        samples = args.num_samples or benchmark.num_samples
        tasks.append(Task(benchmark, chosen, len(items), items_fingerprint(items), samples))
    return tasks


def build_engine(args: EvalArguments, tasks: Sequence[Task]) -> Engine:
    """The engine that is asked for; it loads no weights yet."""
    images = any(item.images for task in tasks for item in task.items)
    if args.engine == "server":
        from .engines.server_engine import ServerEngine

        return ServerEngine(args)
    if args.engine == "vllm":
        from .engines.vllm_engine import VLLMEngine

        return VLLMEngine(args, images)
    from .engines.transformers_engine import TransformersEngine

    return TransformersEngine(args, images)


def evaluate(args: EvalArguments) -> list[Summary]:
    """
    Samples, grades and stores what is not stored yet, and writes the results.

    Args:
        args ([`EvalArguments`]):
            What is asked for.

    Returns:
        `list[Summary]`: one per benchmark.

    Raises:
        `ValueError`: for what is wrong with the settings, the data, the model or the folder.
    """
    tasks = load_tasks(args)
    grams = StrategicGrams.load(args.strategic_grams)
    engine = build_engine(args, tasks)
    requests = {task.name: make_requests(engine, task) for task in tasks}
    folder = Path(args.output_dir)
    with Grader(after_think=args.answer_after_think) as grader:
        marker = Marker(grader, grams, engine.tokenizer)
        record = make_record(args, tasks, grams, engine.origin)
        if (folder / RECORD_FILE).exists():
            record = merge(read_record(folder), record)
        write_record(folder, record)
        for task in tasks:
            draw(folder, task.name, requests[task.name], engine, marker)
    return write_results(folder)


def make_requests(engine: Engine, task: Task) -> list[Request]:
    """All requests of a benchmark: item by item, and the samples of each."""
    prompts = [engine.prompt(item) for item in task.items]
    return [Request(prompt, index) for prompt in prompts for index in range(task.num_samples)]


def draw(folder: Path, name: str, requests: Sequence[Request], engine: Engine, marker: Marker) -> None:
    """Samples, marks and stores what is missing of a benchmark."""
    with SampleFile(folder, name) as stored:
        done = {(sample.item, sample.index) for sample in stored.samples}
        correct = sum(sample.correct for sample in stored.samples)
        with tqdm(desc=name, total=len(requests), initial=len(done), unit="sample") as bar:
            for completions in engine.sample(name, requests, done):
                samples = marker(completions)
                stored.append(samples)
                correct += sum(sample.correct for sample in samples)
                bar.set_postfix_str(f"accuracy {correct / (bar.n + len(samples)):.1%}", refresh=False)
                bar.update(len(samples))


def stored_samples(folder: Path, record: Mapping[str, Any]) -> dict[str, list[Sample]]:
    """All stored samples of an evaluation, by benchmark."""
    return {name: read_samples(samples_file(folder, name)) for name in record["benchmarks"]}


def write_results(folder: str | Path) -> list[Summary]:
    """
    Summarises what is stored, and writes `results.md` and `results.json` beside it.

    Raises:
        `ValueError`: if the folder holds no evaluation, or one that is not finished.
    """
    folder = Path(folder)
    record = read_record(folder)
    summaries = _summaries(folder, record)
    settings = {**protocol(record), "lexicon": record["lexicon"], "versions": record["versions"]}
    write_whole(folder / f"{RESULTS}.md", results_markdown(summaries, settings, _beside_the_paper(summaries, record)))
    write_whole(folder / f"{RESULTS}.json", results_json(summaries, settings))
    return summaries


def results_page(folder: str | Path) -> str:
    """Writes the results as [`write_results`] does, and returns them for the terminal."""
    summaries = write_results(folder)
    return results_text(summaries, _beside_the_paper(summaries, read_record(folder)))


def _summaries(folder: Path, record: Mapping[str, Any]) -> list[Summary]:
    sizes = record["benchmarks"]
    return [
        summarize(name, samples, sizes[name]["items"], sizes[name]["num_samples"])
        for name, samples in stored_samples(folder, record).items()
    ]


def _beside_the_paper(summaries: Sequence[Summary], record: Mapping[str, Any]) -> list[Row]:
    settings = record["settings"]
    return paper_rows(summaries, settings["paper_model"], settings["model"]) if settings["paper_model"] else []


def push_stored(folder: str | Path, repo_id: str) -> str:
    """
    Adds the results of a stored evaluation to a model on the Hub, and returns the commit's hash.

    Raises:
        `ValueError`: if the folder holds no finished evaluation, or as in [`push_results`].
    """
    summaries = write_results(folder)
    record = read_record(folder)
    results = [(summary, benchmark_of(record, summary.benchmark)) for summary in summaries]
    return push_results(repo_id, results, protocol(record))


def compare_folders(a: str | Path, b: str | Path) -> Comparison:
    """
    Compares two stored evaluations.

    Raises:
        `ValueError`: if a folder holds no evaluation, or they have nothing in common.
    """
    records = [read_record(folder) for folder in (a, b)]
    for folder, record in zip((a, b), records):
        # Raises where one is not finished: two that stopped at the same place would look complete to each other.
        _summaries(Path(folder), record)
    shared = [name for name in records[0]["benchmarks"] if name in records[1]["benchmarks"]]
    settings = [
        {
            **protocol(record),
            "lexicon": record["lexicon"]["fingerprint"],
            **{f"items of {name}": record["benchmarks"][name]["fingerprint"] for name in shared},
        }
        for record in records
    ]
    samples = [stored_samples(Path(folder), record) for folder, record in zip((a, b), records)]
    return compare(*samples, *settings)
