"""`hicra eval`: how good a model is, on the paper's benchmarks or any others."""

import sys
from collections.abc import Callable

from ..evaluation.settings import PLAYGROUND, EvalArguments
from ..terminal import did_you_mean
from .parsing import run_command, stop


PROG = "hicra eval"

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
    readers = {"show": ("RUN", _show), "compare": ("A B", _compare), "push": ("RUN MODEL", _push)}
    if argv[0] in readers:
        return _read(argv[0], argv[1:], *readers[argv[0]])
    if not argv[0].startswith("-"):
        hint = did_you_mean(argv[:1], readers)
        stop(PROG, f"unknown action {argv[0]!r}, expected --model or one of {', '.join(readers)}{hint}")
    return run_command(PROG, (EvalArguments,), argv, _evaluate)


# What each of these needs is imported in it: who only looks at results does not wait for torch.


def _evaluate(args: EvalArguments) -> int | None:
    if args.dry_run:
        from ..evaluation.plan import plan

        print(plan(args))
        return None
    from ..evaluation.evaluate import evaluate

    try:
        if args.model == PLAYGROUND and args.engine != "server":
            from ..playground.experiment import prepare

            args.model = str(prepare().model)
        results = evaluate(args)
    except KeyboardInterrupt:
        print(f"\n{PROG}: interrupted; the same command goes on with what is in {args.output_dir}", file=sys.stderr)
        return 130
    print(f"\n{results.text()}\n\nresults and samples: {args.output_dir}")
    if args.push_to_hub:
        try:
            print(f"published: {args.push_to_hub}@{results.push(args.push_to_hub)}")
        except ValueError as error:
            raise ValueError(
                f"{error}; the results are in {args.output_dir}, and 'hicra eval push' publishes them from there"
            ) from error
    return None


def _show(folder: str) -> str:
    from ..evaluation.results import Results

    results = Results.read(folder)
    results.write(folder)
    return results.text()


def _compare(a: str, b: str) -> str:
    from ..evaluation.report.tables import comparison_text
    from ..evaluation.results import Results

    return comparison_text(Results.read(a).compared_with(Results.read(b)))


def _push(folder: str, repo_id: str) -> str:
    from ..evaluation.results import Results

    return f"published: {repo_id}@{Results.read(folder).push(repo_id)}"


def _read(command: str, folders: list[str], expected: str, text: Callable[..., str]) -> int:
    prog = f"{PROG} {command}"
    if len(folders) != len(expected.split()) or any(folder.startswith("-") for folder in folders):
        stop(prog, f"expected {prog} {expected}, got {' '.join(folders) or 'nothing'}")
    try:
        print(text(*folders))
    except (ValueError, OSError) as error:
        stop(prog, error)
    return 0
