"""`hicra judge`: why the wrong completions of a run are wrong."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from ..analysis.judge.judges import Judge, RuleJudge
from ..analysis.judge.question import UNREADABLE, Solution
from ..analysis.judge.report import agreement, agreement_text, shares_by_range, shares_text
from ..analysis.judge.solutions import chosen, read_solutions, with_references
from ..analysis.judge.verdicts import JUDGE_FOLDER, VERDICTS_FILE, Verdict, judge_all, read_verdicts, work
from ..disk import write_whole
from ..fields import Checked, Count, Name, NotNegative, Share, SomeShare
from ..terminal import labelled
from .parsing import run_command


PROG = "hicra judge"

DESCRIPTION = """Asks a judge why wrong completions are wrong, as the paper's Listing 2 does: dummy (not about the
problem), execution (a step of a good plan fails), strategy (the plan fails), or acceptable after all. Every verdict
quotes the completion and is stored at once in judge/verdicts.jsonl; the same command goes on where it was interrupted.

  hicra judge runs/mine --judge server --model Qwen/Qwen3-32B --base_url http://host/v1 --dry_run
  hicra judge runs/mine --judge vllm --model Qwen/Qwen3-32B --max_per_step 50
  hicra judge runs/eval/mine --judge transformers --model Qwen/Qwen3-4B-Instruct-2507
  hicra judge runs/playground/hicra-seed1 --judge exact     the playground's own rule, without a model
  hicra judge validate --labels labels.jsonl --judge ...    how far the judge agrees with labels, beyond chance

RUN is a run with completions/ or token_records/, an evaluation, or a .jsonl or .parquet file of completions."""

# What verdicts depend on; how the work is done (where, how many at once) they do not.
_PARAMETERS = ("model_revision", "temperature", "max_tokens", "seed", "prompt_format", "enable_thinking")
_ENGINE = (
    *_PARAMETERS, "model", "max_model_length", "base_url", "api_key_env", "concurrency", "batch_size",
    "tensor_parallel_size", "gpu_memory_utilization",
)  # fmt: skip


@dataclass
class JudgeArguments(Checked):
    """
    What is judged.

    Args:
        run (`str`):
            The `output_dir` of a run or an evaluation, or a file of completions. Given without its name.
        max_per_step (`int`, *optional*):
            Judge at most so many wrong completions of each step, drawn at random, always the same. Defaults to all.
    """

    run: Name | None = None
    max_per_step: Count | None = None


@dataclass
class ValidateArguments(Checked):
    """
    What `hicra judge validate` compares a judge with.

    Args:
        labels (`str`, *optional*):
            A .jsonl or .parquet file with the columns `prompt`, `completion` and `label`
            (`dummy`, `execution`, `strategy` or `acceptable`), and a `reference` where there is one. The playground's
            `samples.jsonl` is one.
        twice (`bool`, *optional*, defaults to `False`):
            Judge a second time, with other seeds, and say how far the judge agrees with
            itself. At temperature 0 only the engine's own noise differs.
        min_kappa (`float`, *optional*, defaults to `0.6`):
            A kappa below is a failure, with exit status 1.
    """

    labels: Name | None = None
    twice: bool = False
    min_kappa: Share = 0.6


@dataclass
class AskArguments(Checked):
    """
    Who judges, and how.

    Args:
        judge (`Literal["exact", "server", "vllm", "transformers"]`):
            `"exact"` is the playground's own rule. The others ask a model: any `"server"` with an OpenAI-compatible
            interface, vLLM in this process, or Transformers.
        model (`str`, *optional*):
            A folder, a model on the Hub, or the name that the server knows.
        model_revision (`str`, *optional*):
            Branch, tag or commit of a model on the Hub.
        base_url (`str`, *optional*):
            Address of the server, such as `http://localhost:8000/v1`.
        api_key_env (`str`, *optional*, defaults to `"OPENAI_API_KEY"`):
            Environment variable with the server's key; none is sent where it is not set.
        references (`str`, *optional*):
            Dataset with the problems and their gold answers, or `"none"` to ask without. Defaults to what the run was
            trained on, or evaluated on; of a file its column `reference`.
        reward (`str`, *optional*):
            Column of the reward that says which completions are right. Defaults to the run's first reward.
        attempts (`int`, *optional*, defaults to `3`):
            Times that a judge is asked about one completion before the verdict is "unreadable": the answer must have
            one of the four labels, and a quote that occurs in the completion.
        temperature (`float`, *optional*, defaults to `0.0`):
            Sampling temperature of the judge; 0 is greedy.
        max_tokens (`int`, *optional*, defaults to `4096`):
            Most tokens of an answer.
        seed (`int`, *optional*, defaults to `0`):
            Every answer's own seed depends on it.
        prompt_format (`Literal["chat", "text"]`, *optional*, defaults to `"chat"`):
            `"chat"` asks in the judge's chat template, `"text"` in plain text.
        enable_thinking (`bool`, *optional*):
            Passed to the chat template where it is set.
        max_model_length (`int`, *optional*):
            Context length of the judge. Defaults to the one in its config.
        concurrency (`int`, *optional*, defaults to `64`):
            Requests that a server gets at once.
        batch_size (`int`, *optional*, defaults to `8`):
            Answers that Transformers samples together.
        tensor_parallel_size (`int`, *optional*, defaults to `1`):
            GPUs that vLLM spreads the model over.
        gpu_memory_utilization (`float`, *optional*, defaults to `0.9`):
            Share of a GPU's memory that vLLM takes.
        output_dir (`str`, *optional*):
            Folder of the verdicts of one judge. Defaults to `judge/` in the run, and for a file to its name with
            `-judge`.
        dry_run (`bool`, *optional*, defaults to `False`):
            Print what would be judged and what it would cost, and stop.
    """

    judge: Literal["exact", "server", "vllm", "transformers"] | None = None
    model: Name | None = None
    model_revision: Name | None = None
    base_url: Name | None = None
    api_key_env: str = "OPENAI_API_KEY"
    references: Name | None = None
    reward: Name | None = None
    attempts: Count = 3
    temperature: NotNegative = 0.0
    max_tokens: Count = 4096
    seed: int = 0
    prompt_format: Literal["chat", "text"] = "chat"
    enable_thinking: bool | None = None
    max_model_length: Count | None = None
    concurrency: Count = 64
    batch_size: Count = 8
    tensor_parallel_size: Count = 1
    gpu_memory_utilization: SomeShare = 0.9
    output_dir: Name | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.judge is None:
            raise ValueError("no judge: expected --judge exact, server, vllm or transformers")
        if (self.judge == "exact") != (self.model is None):
            raise ValueError(
                f"a judge that is asked needs a model, and 'exact' has none; got judge {self.judge!r} and model "
                f"{self.model!r}"
            )
        if (self.judge == "server") != (self.base_url is not None):
            raise ValueError(
                f"the judge 'server' goes with a base_url, got judge {self.judge!r} and base_url {self.base_url!r}"
            )


def run(argv: list[str]) -> int:
    """Judges, or validates a judge, and returns the exit status."""
    if argv[0] == "validate":
        return run_command(f"{PROG} validate", (ValidateArguments, AskArguments), argv[1:], validate)
    argv = argv if argv[0].startswith("-") else ["--run", *argv]
    return run_command(PROG, (JudgeArguments, AskArguments), argv, judge_run)


def judge_run(args: JudgeArguments, asking: AskArguments) -> None:
    """Judges the wrong completions of a run."""
    if args.run is None:
        raise ValueError("expected a run: hicra judge RUN --judge NAME")
    source = Path(args.run)
    solutions = read_solutions(source, asking.reward)
    graded = [solution for solution in solutions if solution.correct is not None]
    if not graded:
        raise ValueError(f"{source} does not say which completions are right: expected --reward to name the column")
    wrong = [solution for solution in graded if not solution.correct]
    found = f"{len(wrong):,} wrong of {len(graded):,}"
    found += f", {len(solutions) - len(graded):,} more without a reward" if len(graded) < len(solutions) else ""
    file = _output_dir(asking, source) / VERDICTS_FILE
    verdicts = _ask(chosen(wrong, args.max_per_step), found, source, asking, file)
    if verdicts is None:
        return
    ranges = shares_by_range(solutions, verdicts)
    summary = {
        "judge": verdicts[0].judge if verdicts else None,
        **_cost(verdicts),
        "ranges": list(map(asdict, ranges)),
    }
    write_whole(file.with_name("summary.json"), json.dumps(summary, indent=2) + "\n")
    print(
        f"\n{shares_text(ranges)}\n[]: 95 % interval over problems, of the verdicts that can be read\n\n"
        f"{_cost_text(verdicts)}\nverdicts: {file}"
    )


def validate(args: ValidateArguments, asking: AskArguments) -> int | None:
    """Compares a judge with labels, and with itself."""
    if args.labels is None or not Path(args.labels).is_file():
        raise ValueError(f"expected --labels to name a .jsonl or .parquet file, got {args.labels!r}")
    source = Path(args.labels)
    solutions = [solution for solution in read_solutions(source, asking.reward) if solution.label is not None]
    if not solutions:
        raise ValueError(f"{source} has no labels: expected a column label")
    folder = _output_dir(asking, source)
    passes = []
    for number in range(1, 2 + args.twice):
        file = folder / (VERDICTS_FILE if number == 1 else f"second_{VERDICTS_FILE}")
        verdicts = _ask(solutions, f"{len(solutions):,} labelled", source, asking, file, number)
        if verdicts is not None:
            passes.append(verdicts)
            print(f"\n{_cost_text(verdicts)}\n")
    if asking.dry_run:
        return None
    problems, said = [one.problem for one in solutions], [[one.label for one in verdicts] for verdicts in passes]
    found = agreement(problems, [str(one.label) for one in solutions], said[0])
    results = {"judge": passes[0][0].judge, "labels": asdict(found), **_cost(passes[0])}
    print(f"{agreement_text(found, 'labels', 'judge')}\n")
    if args.twice:
        # Of a first verdict that is unreadable there is nothing to agree with.
        pairs = [pair for pair in zip(problems, *said) if pair[1] != UNREADABLE]
        if pairs:
            itself = agreement(*zip(*pairs))
            results["itself"] = asdict(itself)
            print(f"with itself:\n{agreement_text(itself, 'first', 'second')}\n")
    write_whole(folder / "agreement.json", json.dumps(results, indent=2) + "\n")
    print(f"verdicts: {folder}")
    if found.kappa is not None and found.kappa.value >= args.min_kappa:
        return None
    reached = "is undefined" if found.kappa is None else f"{found.kappa.value:.2f} is below {args.min_kappa:g}"
    print(f"{PROG} validate: kappa {reached}: do not trust this judge")
    return 1


def _output_dir(asking: AskArguments, source: Path) -> Path:
    if asking.output_dir:
        return Path(asking.output_dir)
    return source.with_name(f"{source.stem}-judge") if source.is_file() else source / JUDGE_FOLDER


def _ask(
    solutions: list[Solution], found: str, source: Path, asking: AskArguments, file: Path, number: int = 1
) -> list[Verdict] | None:
    """Says what is judged and what that costs, and unless that was all, judges."""
    judge = _judge(asking, number)
    if judge.asks:
        solutions = with_references(solutions, source, asking.references)
    stored = read_verdicts(file) if file.is_file() else []
    todo = work(solutions, judge, stored, file)
    lines = {"judge": judge.name, "solutions": f"{found}; {len(solutions):,} to judge, {len(todo.done):,} already are"}
    if judge.asks:
        first = [equal[0] for equal in todo.waiting.values()]
        tokens = sum(map(judge.prompt_tokens, first))
        lines |= {
            "references": f"{sum(one.reference is not None for one in solutions):,} have one",
            "to ask": f"{len(first):,} different ones: about {tokens:,} tokens of prompts and at most "
            f"{len(first) * asking.max_tokens:,} of answers, and as much again wherever an answer cannot be used",
        }
    print(labelled({**lines, "output": str(file)}))
    return None if asking.dry_run else judge_all(solutions, judge, file)


def _judge(asking: AskArguments, number: int) -> Judge:
    if asking.judge in (None, "exact"):
        # What a judge needs is imported for it alone: without a model, nothing waits for its libraries.
        from ..playground.exact import exact_answer

        return RuleJudge("exact", exact_answer)
    from ..analysis.judge.model_judge import ModelJudge
    from ..evaluation.evaluate import build_engine
    from ..evaluation.settings import EvalArguments

    settings = {name: getattr(asking, name) for name in _ENGINE}
    engine = build_engine(
        EvalArguments(engine=asking.judge, benchmarks=[PROG], instruction="", top_p=1.0, **settings), []
    )
    parameters = {name: getattr(asking, name) for name in _PARAMETERS}
    # What a server says of itself would have to be asked for.
    origin = {} if asking.judge == "server" else engine.origin
    name = f"{asking.judge} {asking.model}"
    return ModelJudge(engine, name, parameters | origin, asking.attempts, f"judge {number}", asking.max_model_length)


def _cost(verdicts: Sequence[Verdict]) -> dict[str, int]:
    prompts = [verdict.tokens["prompt"] for verdict in verdicts]
    return {
        "asked": sum(verdict.asked for verdict in verdicts),
        "prompt_tokens": sum(tokens or 0 for tokens in prompts),
        "untold": sum(tokens is None for tokens in prompts),
        "answer_tokens": sum(verdict.tokens["answer"] or 0 for verdict in verdicts),
        "unreadable": sum(verdict.label == UNREADABLE for verdict in verdicts),
    }


def _cost_text(verdicts: Sequence[Verdict]) -> str:
    cost = _cost(verdicts)
    text = f"{len(verdicts):,} verdicts, {cost['unreadable']:,} of them unreadable"
    if cost["asked"]:
        text += (
            f"; asked {cost['asked']:,} times: {cost['prompt_tokens']:,} tokens of prompts, "
            f"{cost['answer_tokens']:,} of answers"
        )
        text += f"; the server did not tell the prompts of {cost['untold']:,}" if cost["untold"] else ""
    return text
