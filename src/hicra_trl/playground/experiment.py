"""The quickstart: one base, GRPO and HICRA trained from it with the same seeds, both judged on held-out problems."""

import json
import statistics
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml
from scipy.stats import t as student_t
from transformers import AutoModelForCausalLM, AutoTokenizer

from .evaluate import Summary, judge, sample
from .pretrain import PretrainConfig, pretrain
from .traces import read_trace
from .world import split_problems, write_problems


METHODS = ("grpo", "hicra")
EVALUATION_FILE = "evaluation.json"
SAMPLES_FILE = "samples.jsonl"
SAMPLES_PER_PROBLEM = 8


@dataclass(frozen=True)
class World:
    """Paths of the base model and of the problems."""

    model: Path
    train: Path
    held_out: Path


def prepare(folder: str | Path = "runs/playground", config: PretrainConfig | None = None) -> World:
    """Pretrains the base and writes the problems into `folder`, unless they are there already."""
    config = config or PretrainConfig()
    folder = Path(folder)
    train, held_out = write_problems(folder / "problems", config.seed)
    return World(pretrain(folder / "base", config), train, held_out)


def evaluate(model_folder: Path, folder: Path, max_new_tokens: int, problem_seed: int = 0) -> Summary:
    """
    Samples every held-out problem, judges the samples, and writes both into `folder`.

    Args:
        model_folder (`Path`):
            Model and tokenizer.
        folder (`Path`):
            Gets `evaluation.json` and `samples.jsonl`.
        max_new_tokens (`int`):
            Length limit, the one of training.
        problem_seed (`int`, *optional*, defaults to `0`):
            Seed of the split.

    Returns:
        [`Summary`]: what the samples amount to.
    """
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    _, held_out = split_problems(problem_seed)
    completions, problems = sample(
        model, tokenizer, held_out, samples_per_problem=SAMPLES_PER_PROBLEM, max_new_tokens=max_new_tokens
    )
    summary = judge(completions, problems, tokenizer)
    rows = [
        {"prompt": p.prompt, "completion": text, "outcome": read_trace(text, p).outcome}
        for text, p in zip(completions, problems, strict=True)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SAMPLES_FILE).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / EVALUATION_FILE).write_text(json.dumps(asdict(summary), indent=2) + "\n")
    return summary


def run_experiment(
    folder: Path,
    recipes: Path,
    seeds: Iterable[int],
    train: Callable[[list[str]], int],
    pretraining: PretrainConfig | None = None,
) -> dict[str, list[Summary]]:
    """
    Trains both methods with every seed and evaluates them; what is there already is kept.

    Args:
        folder (`Path`):
            Where everything goes: `base/`, `problems/`, `<method>-seed<n>/`.
        recipes (`Path`):
            Folder with `grpo.yaml` and `hicra.yaml`.
        seeds (`Iterable[int]`):
            Seeds of the training.
        train (`Callable[[list[str]], int]`):
            Runs `hicra train` with arguments and returns its exit status.
        pretraining ([`PretrainConfig`], *optional*):
            How the base is made.

    Returns:
        `dict[str, list[Summary]]`: the evaluations, by method, in the order of the seeds; `"base"` has one.

    Raises:
        `RuntimeError`: if a training fails.
    """
    world = prepare(folder, pretraining)
    limit = yaml.safe_load((recipes / "hicra.yaml").read_text())["max_completion_length"]
    results: dict[str, list[Summary]] = {"base": [_evaluated(world.model, folder / "base", limit)]}
    for seed in seeds:
        for method in METHODS:
            run = run_folder(folder, method, seed)
            if not (run / EVALUATION_FILE).is_file():
                print(f"\n{method.upper()}, seed {seed}: {recipes / method}.yaml -> {run}", flush=True)
                overrides = {
                    "config": recipes / f"{method}.yaml",
                    "model_name_or_path": world.model,
                    "dataset_name": world.train,
                    "eval_dataset_name": world.held_out,
                    "seed": seed,
                    "output_dir": run,
                }
                status = train([part for name, value in overrides.items() for part in (f"--{name}", str(value))])
                if status != 0:
                    raise RuntimeError(f"training {method} with seed {seed} failed with exit status {status}")
            results.setdefault(method, []).append(_evaluated(run, run, limit))
    return results


def run_folder(folder: Path, method: str, seed: int) -> Path:
    """Where a method's run with a seed goes."""
    return folder / f"{method}-seed{seed}"


def _evaluated(model: Path, folder: Path, limit: int) -> Summary:
    file = folder / EVALUATION_FILE
    return Summary(**json.loads(file.read_text())) if file.is_file() else evaluate(model, folder, limit)


def mean_and_interval(values: list[float]) -> tuple[float, float | None]:
    """
    Mean over seeds and half the width of its 95 % Student interval (`None` for a single seed).

    Example:

    ```python
    >>> mean_and_interval([0.7, 0.8, 0.9])  # 0.8 +- 4.303 * 0.1 / sqrt(3)
    (0.8, 0.24841377117194556)
    ```
    """
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, None
    return mean, float(student_t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5


def table(results: dict[str, list[Summary]]) -> str:
    """The comparison as plain text: held-out accuracy, gain over the base, length, and why the rest failed."""
    base = results["base"][0].accuracy
    rows = [("", "accuracy", "gain", "steps right", "tokens", "strategy errors", "execution errors")]
    for method, summaries in results.items():
        accuracies = [summary.accuracy for summary in summaries]
        rows.append(
            (
                method.upper() if method != "base" else method,
                _percent(*mean_and_interval(accuracies)),
                "" if method == "base" else f"{100 * (statistics.fmean(accuracies) - base):+.1f}",
                _percent(statistics.fmean(summary.step_accuracy for summary in summaries)),
                f"{statistics.fmean(summary.mean_length for summary in summaries):.1f}",
                _percent(_failures(summaries, "strategy")),
                _percent(_failures(summaries, "execution")),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([*lines, *_difference(results)])


def _difference(results: dict[str, list[Summary]]) -> list[str]:
    pairs = zip(results["hicra"], results["grpo"], strict=True)
    mean, half = mean_and_interval([hicra.accuracy - grpo.accuracy for hicra, grpo in pairs])
    if half is None:
        return [f"HICRA - GRPO: {100 * mean:+.1f} points with one seed, which cannot tell the two apart"]
    verdict = "they differ" if abs(mean) > half else "no difference that the seeds can show"
    return [
        f"HICRA - GRPO: {100 * mean:+.1f} +- {100 * half:.1f} points over {len(results['hicra'])} seeds: {verdict}"
    ]


def _percent(mean: float, half: float | None = None) -> str:
    return f"{100 * mean:.1f} %" if half is None else f"{100 * mean:.1f} +- {100 * half:.1f} %"


def _failures(summaries: list[Summary], kind: str) -> float:
    shares = [sum(v for k, v in summary.outcomes.items() if k.startswith(kind)) for summary in summaries]
    return statistics.fmean(shares)
