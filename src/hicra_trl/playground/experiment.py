"""The quickstart: one base, GRPO and HICRA trained from it with the same seeds, both judged on held-out problems."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from ..analysis.comparison import OUTCOMES_FILE, read_outcomes
from ..disk import lock, write_whole
from .evaluate import Summary, judge, sample
from .pretrain import BASES, RECORD, PretrainConfig, pretrain
from .world import problem_files, write_problems
from .worlds import PLAYGROUND, World


METHODS = ("grpo", "hicra")
SAMPLES_FILE = "samples.jsonl"
SAMPLES_PER_PROBLEM = 8
# It changes no training, so that no recipe says it, and a run that is there without one is kept.
RECORD_STEPS = 10


@dataclass(frozen=True)
class Files:
    """Paths of the base model and of the problems."""

    model: Path
    train: Path
    held_out: Path

    @classmethod
    def at(cls, folder: str | Path = "runs/playground", base: str = "base") -> "Files":
        """Where they are, or would be, in a folder."""
        return cls(Path(folder, base), *problem_files(Path(folder, "problems")))


def prepare(
    folder: str | Path | None = None,
    config: PretrainConfig | None = None,
    world: World = PLAYGROUND,
    base: str = "base",
) -> Files:
    """Pretrains a world's base and writes its problems into `folder`, `runs/` and its name, unless they are there."""
    config = config or BASES[world.name][base]
    files = Files.at(folder or Path("runs", world.name), base)
    files.train.parent.parent.mkdir(parents=True, exist_ok=True)
    # Runs that begin side by side make one base.
    with (files.train.parent.parent / ".lock").open("w") as file:
        lock(file, world.name, wait=True)
        write_problems(files.train.parent, config.seed, world.split)
        pretrain(files.model, config, world)
    return files


def evaluate(
    model_folder: Path,
    folder: Path,
    max_new_tokens: int,
    origin: str,
    problem_seed: int = 0,
    world: World = PLAYGROUND,
) -> Summary:
    """
    Samples every held-out problem, judges the samples, and writes both into `folder`.

    Args:
        model_folder (`Path`):
            Model and tokenizer.
        folder (`Path`):
            Gets `outcomes.json` and `samples.jsonl`.
        max_new_tokens (`int`):
            Length limit, the one of training.
        origin (`str`):
            What the model comes from; recorded.
        problem_seed (`int`, *optional*, defaults to `0`):
            Seed of the split.
        world ([`World`], *optional*):
            Whose problems are held out.

    Returns:
        [`Summary`]: what the samples amount to.
    """
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    _, held_out = world.split(problem_seed)
    completions, problems = sample(
        model, tokenizer, held_out, samples_per_problem=SAMPLES_PER_PROBLEM, max_new_tokens=max_new_tokens
    )
    summary = judge(completions, problems, tokenizer, world)
    rows = [
        {"prompt": p.prompt, "completion": text, "outcome": world.read(text, p).outcome}
        for text, p in zip(completions, problems, strict=True)
    ]
    write_whole(folder / SAMPLES_FILE, "".join(json.dumps(row) + "\n" for row in rows))
    write_whole(folder / OUTCOMES_FILE, json.dumps({**asdict(summary), "origin": origin}, indent=2) + "\n")
    return summary


def run_experiment(
    folder: Path,
    recipes: Path,
    seeds: Iterable[int],
    train: Callable[[list[str]], int],
    pretraining: PretrainConfig | None = None,
) -> dict[str, list[Path]]:
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
        `dict[str, list[Path]]`: folders with the evaluations, by method, in the order of the seeds; `"base"` has one.

    Raises:
        `RuntimeError`: if a training fails.
        `ValueError`: if a run is there that comes from another base or recipe.
    """
    files = prepare(folder, pretraining)
    limit = yaml.safe_load((recipes / "hicra.yaml").read_text())["max_completion_length"]
    folders = {"base": [folder / "base"], **{method: [] for method in METHODS}}
    base = json.loads((files.model / RECORD).read_text())["fingerprint"]
    if _origin_of(files.model) != base:
        evaluate(files.model, files.model, limit, base)
    for seed in seeds:
        for method in METHODS:
            run = folder / f"{method}-seed{seed}"
            origin = hashlib.sha256((base + (recipes / f"{method}.yaml").read_text()).encode()).hexdigest()[:16]
            if _origin_of(run) not in (None, origin):
                raise ValueError(f"{run} comes from another base or recipe: delete it, or choose another --folder")
            if _origin_of(run) is None:
                print(f"\n{method.upper()}, seed {seed}: {recipes / method}.yaml -> {run}", flush=True)
                overrides = {
                    "config": recipes / f"{method}.yaml",
                    "model_name_or_path": files.model,
                    "dataset_name": files.train,
                    "eval_dataset_name": files.held_out,
                    "seed": seed,
                    "output_dir": run,
                    "token_record": RECORD_STEPS,
                }
                status = train([part for name, value in overrides.items() for part in (f"--{name}", str(value))])
                if status != 0:
                    raise RuntimeError(f"training {method} with seed {seed} failed with exit status {status}")
                evaluate(run, run, limit, origin)
            folders[method].append(run)
    return folders


def _origin_of(folder: Path) -> str | None:
    try:
        return read_outcomes(folder).get("origin")
    except FileNotFoundError:
        return None
