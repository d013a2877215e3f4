"""What trainings in a world begin with, its base and problems, and how a model of it is judged."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

from ..analysis.comparison import OUTCOMES_FILE
from ..disk import lock, write_whole
from .evaluate import Summary, judge, sample
from .pretrain import BASES, PretrainConfig, pretrain
from .world import problem_files, write_problems
from .worlds import PLAYGROUND, World


SAMPLES_FILE = "samples.jsonl"
SAMPLES_PER_PROBLEM = 8


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
