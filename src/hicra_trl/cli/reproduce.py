"""`hicra reproduce`: the paper's claims, put to the test."""

import os
from dataclasses import dataclass
from pathlib import Path

from ..fields import Checked, Count, Name
from ..terminal import table
from .parsing import run_command


PROG = "hicra reproduce"

DESCRIPTION = """Trains what ten claims of the paper need, in worlds for two CPU cores, tests each claim in the way
that was decided before, and writes down which hold here, which fail here, and which cannot be told.

  hicra reproduce --quick      under half an hour on two cores: says what it can, and calls the rest undecided
  hicra reproduce              an evening; goes on from what --quick has trained
  hicra reproduce --dry_run    what it trains and costs

The same command goes on where it was stopped. Neither a GPU nor a network is used."""


@dataclass
class ReproduceArguments(Checked):
    """
    What is tested.

    Args:
        folder (`str`, *optional*, defaults to `"runs/claims"`):
            Where the campaigns go, a folder each, and `report.html`.
        quick (`bool`, *optional*, defaults to `False`):
            A part of the runs, of the playground alone.
        jobs (`int`, *optional*):
            Runs side by side. Defaults to the number of cores.
        dry_run (`bool`, *optional*, defaults to `False`):
            Say what there is to train and what it costs, and stop.
    """

    folder: Name = "runs/claims"
    quick: bool = False
    jobs: Count | None = None
    dry_run: bool = False


def run(argv: list[str]) -> int:
    """Trains, tests and reports, and returns the exit status."""
    return run_command(PROG, (ReproduceArguments,), argv, reproduce)


def reproduce(args: ReproduceArguments) -> int:
    """Trains what is not finished, and returns the exit status."""
    # Imported here: help does not wait for them.
    from ..claims.plan import campaigns, finished, write_plan
    from ..playground.experiment import prepare
    from ..playground.worlds import WORLDS
    from .campaign import CampaignArguments, train_campaign

    folder, jobs = Path(args.folder), args.jobs or len(os.sched_getaffinity(0))
    plans = campaigns(args.quick)
    rows, minutes = [["", "conditions", "seeds", "runs", "to train", "minutes"]], 0.0
    for plan in plans.values():
        conditions, seeds = len(plan.conditions), len(plan.seeds)
        left = conditions * seeds - finished(plan, folder)
        cost = left * plan.minutes / jobs
        minutes += cost
        rows.append([plan.name, *map(str, (conditions, seeds, conditions * seeds, left)), f"{cost:.0f}"])
    print(f"{table(rows)}\n\nabout {minutes:.0f} minutes of training, {jobs} runs side by side, into {folder}")
    if args.dry_run:
        return 0
    write_plan(folder, plans)
    failed = []
    for plan in plans.values():
        prepare(world=WORLDS[plan.world], base=plan.base)
        print(f"\n{plan.name}", flush=True)
        failed += train_campaign(CampaignArguments(**plan.fields(folder), jobs=jobs))
    return int(bool(failed))
