"""`hicra playground`: the quickstart."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..analysis.campaign import Campaign
from ..analysis.comparison import OUTCOMES_FILE, comparison_text, read_outcomes
from ..analysis.findings import find
from ..analysis.report import judged_folders
from ..claims.campaign import record
from ..fields import Checked, Count, Name
from ..playground import PretrainConfig
from ..playground.experiment import Files, evaluate, prepare
from ..playground.pretrain import is_pretrained
from ..playground.worlds import PLAYGROUND
from ..terminal import say
from ..training.runs.files import MANIFEST_FILE
from .campaign import CampaignArguments, asked_campaign, read_conditions, train_campaign
from .parsing import run_command, shipped


METHODS = ("grpo", "hicra")
# For looking, and for going on after a kill: it changes no training, so that no recipe says it.
_BESIDE = {"token_record": 10, "save_strategy": "steps", "save_steps": 50, "save_total_limit": 2}

PROG = "hicra playground"

DESCRIPTION = """Pretrains a tiny reasoner from nothing, trains it with GRPO and with HICRA from the same base and
seeds, and reports what changed: a table here, and figures in one HTML file.

  hicra playground              one seed, a few minutes on two CPU cores
  hicra playground --seeds 5    means and intervals over seeds 1 to 5

The runs are a campaign, side by side, as many as there are cores: what is finished is kept, and what was killed goes
on with the same command. Delete a run's folder to train it again. Neither a GPU nor a network is used."""


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
    """Pretrains, trains, judges and reports; returns the exit status."""
    recipes, folder = Path(args.recipes or shipped("recipes") / "playground"), Path(args.folder)
    for method in METHODS:
        if not (recipes / f"{method}.yaml").is_file():
            raise ValueError(f"no recipe at {recipes / method}.yaml")
    pretraining, files = PretrainConfig(steps=args.pretrain_steps), Files.at(folder)
    overrides = {
        "model_name_or_path": str(files.model),
        "dataset_name": str(files.train),
        "eval_dataset_name": str(files.held_out),
        **_BESIDE,
    }
    campaign = CampaignArguments(
        folder=str(folder),
        seeds=[*range(1, args.seeds + 1)],
        conditions={method: {"recipe": str(recipes / f"{method}.yaml")} for method in METHODS},
        overrides=overrides,
        # Models so small are fastest on one thread each.
        jobs=len(os.sched_getaffinity(0)),
    )
    # What is there has to be of these recipes, and of this base, before another one takes its place.
    asked = asked_campaign(campaign, read_conditions(campaign))
    record(asked, is_dry=True)
    begun = sorted(folder.glob(f"*-seed*/{MANIFEST_FILE}"))
    if begun and not is_pretrained(files.model, pretraining):
        raise ValueError(f"{begun[0].parent} comes from another base: delete it, or choose another --folder")
    prepare(folder, pretraining)
    _judge(files.model, pretraining.fingerprint)
    if train_campaign(campaign):
        return 1
    for trial in asked.trials:
        _judge(trial.folder, pretraining.fingerprint)
    report = find(Campaign.read(folder)).write_page(folder / "report.html")
    print(f"\n{comparison_text(judged_folders(asked))}\n\nreport: {report}")
    return 0


def _judge(folder: Path, base: str) -> None:
    """Judges a model exactly on held-out problems, unless it was, as one of this base."""
    if not (folder / OUTCOMES_FILE).is_file() or read_outcomes(folder).get("origin") != base:
        say(f"{datetime.now():%H:%M:%S} {folder.name} is judged on held-out problems")
        evaluate(folder, folder, PLAYGROUND.max_new_tokens, base)
