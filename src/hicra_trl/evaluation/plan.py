"""What an evaluation would do, for a reader: nothing is written, and no weights are loaded."""

from collections.abc import Sequence
from pathlib import Path

from ..grams import StrategicGrams
from ..terminal import labelled
from .engines.prompts import text_prompt
from .evaluate import build_engine
from .settings import PLAYGROUND, EvalArguments
from .tasks import Task, load_tasks


def plan(args: EvalArguments) -> str:
    """What is sampled from what, how much at most, and the first prompt."""
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


def _first_prompt(args: EvalArguments, tasks: Sequence[Task]) -> str:
    item = tasks[0].items[0]
    if args.model == PLAYGROUND:
        # Pretrained when it is first needed; its prompts are plain text.
        return text_prompt(item, args.instruction)
    return build_engine(args, tasks).prompt(item).text


def _whence(args: EvalArguments) -> str:
    if args.base_url or Path(args.model).exists():
        return ""
    return ", pretrained where it is not there yet" if args.model == PLAYGROUND else ", from the Hub"


def _task_line(task: Task) -> str:
    sampled, available = len(task.items), task.available
    shown = f"{sampled:,}" if sampled == available else f"{sampled:,} of {available:,}"
    return f"{task.name}: {shown} items x {task.num_samples} = {task.size:,} samples ({task.benchmark.dataset})"
