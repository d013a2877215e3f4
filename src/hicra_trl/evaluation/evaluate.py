"""An evaluation from its settings to its results."""

import os
from collections.abc import Sequence
from pathlib import Path

from tqdm.auto import tqdm

from ..grams import StrategicGrams
from ..rewards import Grader
from .engines.engine import Engine, Request
from .judging import Marker
from .protocol import merge
from .results import Results
from .samples.storage import RECORD_FILE, SampleFile, check_folder, read_record, write_record
from .settings import EvalArguments
from .tasks import Task, load_tasks, make_record


def evaluate(args: EvalArguments) -> Results:
    """
    Samples, grades and stores what is not stored yet, and writes the results.

    Args:
        args ([`EvalArguments`]):
            What is asked for.

    Returns:
        [`Results`]: those of everything that is stored.

    Raises:
        `ValueError`: for what is wrong with the settings, the data, the model or the folder.
    """
    folder = Path(args.output_dir)
    stored = read_record(folder) if os.path.lexists(folder / RECORD_FILE) else None
    tasks = load_tasks(args)
    check_folder(folder, [task.name for task in tasks], stored)
    grams = StrategicGrams.load(args.strategic_grams)
    engine = build_engine(args, tasks)
    requests = {task.name: make_requests(engine, task) for task in tasks}
    with Grader(after_think=args.answer_after_think) as grader:
        marker = Marker(grader, grams, engine.tokenizer)
        record = make_record(args, tasks, grams, engine.origin)
        if stored is not None:
            record = merge(stored, record)
        write_record(folder, record)
        for task in tasks:
            draw(folder, task.name, requests[task.name], engine, marker)
    results = Results.read(folder)
    results.write(folder)
    return results


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


def make_requests(engine: Engine, task: Task) -> list[Request]:
    """All requests of a benchmark: item by item, and the samples of each."""
    prompts = [engine.prompt(item) for item in task.items]
    return [Request(prompt, index) for prompt in prompts for index in range(task.num_samples)]


def draw(folder: Path, name: str, requests: Sequence[Request], engine: Engine, marker: Marker) -> None:
    """Samples, marks and stores what is missing of a benchmark."""
    with SampleFile(folder, name) as stored:
        done = {(sample.item, sample.index) for sample in stored.rows}
        correct = sum(sample.correct for sample in stored.rows)
        with tqdm(desc=name, total=len(requests), initial=len(done), unit="sample") as bar:
            for completions in engine.sample(name, requests, done):
                samples = marker(completions)
                stored.append(samples)
                correct += sum(sample.correct for sample in samples)
                bar.set_postfix_str(f"accuracy {correct / (bar.n + len(samples)):.1%}", refresh=False)
                bar.update(len(samples))
