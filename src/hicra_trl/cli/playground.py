"""`hicra playground`: the quickstart."""

import sys
from dataclasses import dataclass
from pathlib import Path

from ..analysis.comparison import comparison_text
from ..analysis.report import write_report
from ..fields import Checked, Count, Name
from ..playground import PretrainConfig
from ..playground.experiment import METHODS, run_experiment
from . import train
from .parsing import run_command, shipped


PROG = "hicra playground"

DESCRIPTION = """Pretrains a tiny reasoner from nothing, trains it with GRPO and with HICRA from the same base and
seeds, and reports what changed: a table here, and figures in one HTML file.

  hicra playground              one seed, a few minutes on two CPU cores
  hicra playground --seeds 5    means and intervals over seeds 1 to 5

The base is pretrained once. A run that finished is kept: delete its folder to train it again. Neither a GPU nor a
network is used."""


@dataclass
class PlaygroundArguments(Checked):
    """
    What the playground runs.

    Args:
        seeds (`int`, *optional*, defaults to `1`):
            Trains both methods with the seeds 1 to this.
        folder (`str`, *optional*, defaults to `"runs/playground"`):
            Where everything goes.
        recipes (`str`, *optional*):
            Folder with `grpo.yaml` and `hicra.yaml`. Defaults to the package's own.
        pretrain_steps (`int`, *optional*, defaults to `1200`):
            Steps of the pretraining. With fewer, execution is not mastered.
    """

    seeds: Count = 1
    folder: Name = "runs/playground"
    recipes: Name | None = None
    pretrain_steps: Count = PretrainConfig().steps


def run(argv: list[str]) -> int:
    """Runs the comparison and returns the exit status."""
    return run_command(PROG, (PlaygroundArguments,), argv, compare)


def compare(args: PlaygroundArguments) -> int:
    """Pretrains, trains, and reports; returns the exit status."""
    recipes = Path(args.recipes or shipped("recipes") / "playground")
    for method in METHODS:
        if not (recipes / f"{method}.yaml").is_file():
            raise ValueError(f"no recipe at {recipes / method}.yaml")
    folder, seeds = Path(args.folder), range(1, args.seeds + 1)
    try:
        folders = run_experiment(folder, recipes, seeds, train.run, PretrainConfig(steps=args.pretrain_steps))
    except RuntimeError as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return 1
    report = write_report(folder / "report.html", folders)
    print(f"\n{comparison_text(folders)}\n\nreport: {report}")
    return 0
