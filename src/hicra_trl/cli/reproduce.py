"""`hicra reproduce`: the paper's claims, put to the test."""

import os
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from ..fields import Checked, Count, Name
from ..terminal import table
from .parsing import run_command


if TYPE_CHECKING:
    from ..claims.report import Result


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
            Runs side by side, of about 1 GB each. Defaults to the number of cores, at most 4.
        output (`str`, *optional*):
            The Markdown file; its figures go to `images/` beside it. Defaults to `docs/claims.md`, and of a part to
            `quick.md` in the folder.
        dry_run (`bool`, *optional*, defaults to `False`):
            Say what there is to train and what it costs, and stop.
    """

    folder: Name = "runs/claims"
    quick: bool = False
    jobs: Count | None = None
    output: Name | None = None
    dry_run: bool = False


def run(argv: list[str]) -> int:
    """Trains, tests and reports, and returns the exit status."""
    return run_command(PROG, (ReproduceArguments,), argv, reproduce)


def reproduce(args: ReproduceArguments) -> int:
    """Trains what is not finished, judges what is, and returns the exit status."""
    # Imported here: help does not wait for them.
    from ..claims import report
    from ..claims.campaign import record
    from ..claims.measure import minutes
    from ..claims.plan import campaigns, finished, write_plan
    from ..disk import check_own
    from ..playground.experiment import prepare
    from ..playground.worlds import WORLDS
    from .campaign import CampaignArguments, asked_campaign, read_conditions, train_campaign

    folder, jobs = Path(args.folder), args.jobs or min(4, len(os.sched_getaffinity(0)))
    output = Path(args.output) if args.output else folder / "quick.md" if args.quick else Path("docs", "claims.md")
    check_own(output, report.MARK)
    plans = campaigns(args.quick)
    asked = {name: CampaignArguments(**plan.fields(folder), jobs=jobs) for name, plan in plans.items()}
    # Runs of another recipe are refused now, and not hours later.
    for campaign in asked.values():
        record(asked_campaign(campaign, read_conditions(campaign)), is_dry=True)
    rows, total = [["", "conditions", "seeds", "runs", "to train", "minutes"]], 0.0
    for plan in plans.values():
        conditions, seeds = len(plan.conditions), len(plan.seeds)
        left = conditions * seeds - finished(plan, folder)
        cost = left * fmean(minutes(plan, folder) or [plan.minutes]) / jobs
        total += cost
        rows.append([plan.name, *map(str, (conditions, seeds, conditions * seeds, left)), f"{cost:.0f}"])
    bases = ", ".join(str(plan.model) for plan in plans.values() if not plan.model.is_dir())
    first = f", after {bases} are pretrained" if bases else ""
    print(f"{table(rows)}\n\nabout {total:.0f} minutes of training on free cores, {jobs} runs side by side{first}")
    print(f"into {folder}; then every run is judged, and the result goes to {output}", flush=True)
    if args.dry_run:
        return 0
    write_plan(folder, plans)
    failed = []
    for name, plan in plans.items():
        prepare(world=WORLDS[plan.world], base=plan.base)
        print(f"\n{name}", flush=True)
        failed += train_campaign(asked[name])
    found = judge(folder, args.quick)
    files = report.write_markdown(found, output)
    page = report.write_page(found, folder / "report.html")
    print("", *(f"{name:<5}{word:<16}{claim}" for name, claim, word, _ in found.rows()[1:]), sep="\n")
    print(f"\nreport: {files[0]}, {page}")
    return int(bool(failed))


def judge(folder: Path, quick: bool) -> "Result":
    """What the finished runs say."""
    from ..claims.measure import cost, measure, target
    from ..claims.plan import campaigns, changes
    from ..claims.report import Result
    from ..claims.verdicts import verdicts

    plans = campaigns(quick)
    found = {name: measure(plan, folder) for name, plan in plans.items()}
    checks, text = target(plans["playground"].model, folder)
    missing = [
        f"Not finished, and not counted: {name}, {condition}, seeds {', '.join(map(str, left))}"
        for name, plan in plans.items()
        for condition in plan.conditions
        if (left := [seed for seed in plan.seeds if seed not in found[name][condition]])
    ]
    costs, versions, unlike = cost(plans, folder)
    notes = [*changes(folder), *unlike, *missing]
    return Result(verdicts(found, checks), found, notes, costs, versions, text, quick)
