"""`hicra eval`: how good a model is, on the paper's benchmarks or any others."""

import sys
from collections.abc import Callable
from pathlib import Path

from ..evaluation.engines.prompts import text_prompt
from ..evaluation.evaluate import build_engine, compare_folders, evaluate, load_tasks, push_stored, results_page
from ..evaluation.protocol import Task
from ..evaluation.report.tables import comparison_text
from ..evaluation.settings import EvalArguments
from ..grams import StrategicGrams
from ..terminal import labelled
from .parsing import help_text, parse, refuse_unknown, stop


PROG = "hicra eval"
PLAYGROUND = "playground"

DESCRIPTION = """Samples a model on benchmarks, grades strictly, and reports pass@k with intervals and what planning
there is. What is sampled is stored at once: the same command goes on where it was interrupted.

  hicra eval --config recipes/eval/paper_text.yaml --model Qwen/Qwen3-4B-Base --engine vllm
  hicra eval --config recipes/eval/paper_text.yaml --model runs/mine --output_dir runs/eval/mine
  hicra eval --benchmarks aime24 math500 --model X --max_items 20 --dry_run
  hicra eval --benchmarks mine --override mine.dataset=mine.jsonl --model X --engine server --base_url http://host/v1
  hicra eval show RUN               the results of a finished evaluation again, without a model
  hicra eval compare A B            two evaluations, problem by problem
  hicra eval push RUN user/model    its results into the card of a model on the Hub"""


def run(argv: list[str]) -> int:
    """Runs an evaluation, or shows what some have found, and returns the exit status."""
    if argv[:1] == ["show"]:
        return _read("show", argv[1:], ("RUN",), results_page)
    if argv[:1] == ["compare"]:
        return _read("compare", argv[1:], ("A", "B"), lambda a, b: comparison_text(compare_folders(a, b)))
    if argv[:1] == ["push"]:
        return _read("push", argv[1:], ("RUN", "MODEL"), _push)
    if not argv or {"-h", "--help"} & set(argv):
        print(help_text(PROG, DESCRIPTION, (EvalArguments,)))
        return 0
    argv = [part for argument in argv for part in (argument.split("=", 1) if argument[:2] == "--" else [argument])]
    args, remaining = parse((EvalArguments,), argv, PROG)
    refuse_unknown(PROG, remaining)
    try:
        if args.dry_run:
            print(plan(args))
            return 0
        if args.model == PLAYGROUND and args.engine != "server":
            from ..playground.experiment import prepare

            args.model = str(prepare().model)
        evaluate(args)
        print(f"\n{results_page(args.output_dir)}\n\nresults and samples: {args.output_dir}")
    except (ValueError, OSError) as error:
        stop(PROG, error)
    except KeyboardInterrupt:
        print(f"\n{PROG}: interrupted; the same command goes on with what is in {args.output_dir}", file=sys.stderr)
        return 130
    if args.push_to_hub:
        try:
            print(_push(args.output_dir, args.push_to_hub))
        except ValueError as error:
            stop(
                PROG, f"{error}; the results are in {args.output_dir}, and 'hicra eval push' publishes them from there"
            )
    return 0


def plan(args: EvalArguments) -> str:
    """What an evaluation would do, for a reader; nothing is written, and no weights are loaded."""
    tasks = load_tasks(args)
    grams = StrategicGrams.load(args.strategic_grams)
    samples = sum(task.size for task in tasks)
    sampled = ", ".join(f"{name} {getattr(args, name)}" for name in ("temperature", "top_p", "top_k", "seed"))
    lines = {
        "model": args.model + _whence(args),
        "engine": args.engine + (f" at {args.base_url}" if args.base_url else ""),
        "benchmarks": "\n".join(_task_line(task) for task in tasks),
        "samples": f"{samples:,} of at most {args.max_tokens:,} tokens: {samples * args.max_tokens:,} at most",
        "sampling": sampled,
        "grams": f"{len(grams)} strategic grams ({args.strategic_grams}, {grams.fingerprint})",
        "output": args.output_dir,
        "pushed to": args.push_to_hub or "nowhere",
    }
    return f"{labelled(lines)}\n\nfirst prompt:\n{_first_prompt(args, tasks)}"


def _first_prompt(args: EvalArguments, tasks: list[Task]) -> str:
    item = tasks[0].items[0]
    if args.model == PLAYGROUND:
        # Pretrained when it is first needed; its prompts are plain text.
        return text_prompt(item, args.instruction)
    return build_engine(args, tasks).prompt(item).text


def _whence(args: EvalArguments) -> str:
    if args.base_url or Path(args.model).is_dir():
        return ""
    return ", pretrained where it is not there yet" if args.model == PLAYGROUND else ", from the Hub"


def _task_line(task: Task) -> str:
    shown = (
        f"{len(task.items):,}" if len(task.items) == task.available else f"{len(task.items):,} of {task.available:,}"
    )
    return f"{task.name}: {shown} items x {task.num_samples} = {task.size:,} samples ({task.benchmark.dataset})"


def _read(command: str, folders: list[str], expected: tuple[str, ...], text: Callable[..., str]) -> int:
    prog = f"{PROG} {command}"
    if len(folders) != len(expected) or any(folder.startswith("-") for folder in folders):
        stop(prog, f"expected {prog} {' '.join(expected)}, got {' '.join(folders) or 'nothing'}")
    try:
        print(text(*folders))
    except (ValueError, OSError) as error:
        stop(prog, error)
    return 0


def _push(folder: str, repo_id: str) -> str:
    return f"published: {repo_id}@{push_stored(folder, repo_id)}"
