"""`hicra campaign`: conditions x seeds of any recipe, and what they found."""

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import yaml

from ..fields import Checked, Count, CountOrZero, Name, Positive, Share
from ..terminal import labelled, table
from .parsing import check_keys, run_command, with_recipe_file


if TYPE_CHECKING:
    from ..analysis.campaign import Campaign, Trial
    from .train import Job


PROG = "hicra campaign"

DESCRIPTION = """Trains conditions with the same seeds, from the same base on the same problems, and compares them seed
by seed. A condition is a recipe and fields that override it:

  folder: runs/mine
  seeds: [1, 2, 3, 4, 5]
  overrides: {max_steps: 100}                        # of all conditions
  conditions:                                        # the first is what the others are compared with
    grpo: {recipe: playground/grpo}
    hicra: {recipe: playground/hicra}
    hicra-0.4: {recipe: playground/hicra, alpha: 0.4}

  hicra campaign --config campaign.yaml --dry_run    what it costs, and the smallest difference that it can show
  hicra campaign --config campaign.yaml --jobs 2     runs that are finished are kept, those that were killed go on
  sbatch --array 0-14 slurm/campaign.sbatch --config campaign.yaml
  hicra campaign show runs/mine                      the results again, or so far; report.html has the curves

A run that fails is said, and holds nothing up; the exit status is 1 then."""

# Runs are paired: in these, conditions are the same.
_PAIRED = ("model_name_or_path", "model_revision", "data_seed", "shuffle_dataset", "held_out_dataset_name")
_NAME = re.compile(r"\w[\w.+-]*")


@dataclass
class CampaignArguments(Checked):
    """
    What to run.

    Args:
        folder (`str`):
            Where the runs go: `<condition>-seed<n>`, and beside each what `hicra train` said.
        seeds (`list[int]`):
            Seeds of the training, each with every condition.
        conditions (`dict`):
            By name, a mapping with a `recipe`, a file or one of the package's, and the fields that override it.
        overrides (`dict`, *optional*, defaults to `{}`):
            Fields that all conditions override, the `recipe` too.
        accuracies (`list[float]`, *optional*):
            Held-out accuracies to count steps to. Defaults to what the first condition ends with.
        spread (`float`, *optional*):
            Standard deviation over seeds of the difference in accuracy between two conditions, such as 0.02, to say
            the smallest difference that can be shown. Defaults to that of the runs that are in the folder.
        jobs (`int`, *optional*, defaults to `1`):
            Runs side by side. They share the cores, and the GPUs.
        only (`int`, *optional*):
            Train this run alone, counted from 0: a task of a SLURM array.
        dry_run (`bool`, *optional*, defaults to `False`):
            Say what it costs and what it can show, and stop.
    """

    folder: Name
    seeds: list[CountOrZero]
    conditions: dict
    overrides: dict = field(default_factory=dict)
    accuracies: list[Share] = field(default_factory=list)
    spread: Positive | None = None
    jobs: Count = 1
    only: CountOrZero | None = None
    dry_run: bool = False


@dataclass
class ShowArguments(Checked):
    """
    What to show of a campaign.

    Args:
        folder (`str`):
            Of the campaign. Given without its name.
        baseline (`str`, *optional*):
            The condition to compare the others with. Defaults to the first.
        accuracies (`list[float]`, *optional*):
            Accuracies to count steps to. Defaults to those of the campaign.
        json (`bool`, *optional*, defaults to `False`):
            Print all numbers as JSON.
        output (`str`, *optional*):
            The HTML file; only one of this command is replaced. Defaults to `report.html` in the folder.
    """

    folder: Name
    baseline: str | None = None
    accuracies: list[Share] = field(default_factory=list)
    json: bool = False
    output: Name | None = None


def run(argv: list[str]) -> int:
    """Runs a campaign, or shows what one found, and returns the exit status."""
    if argv[0] == "show":
        named = ["--folder"] if argv[1:] and not argv[1].startswith("-") else []
        return run_command(f"{PROG} show", (ShowArguments,), [*named, *argv[1:]], show)
    return run_command(PROG, (CampaignArguments,), argv, campaign)


def show(args: ShowArguments) -> None:
    """Prints what the finished runs amount to, and writes the page."""
    from ..analysis.campaign import Campaign
    from ..analysis.findings import find

    found = find(Campaign.read(args.folder), args.baseline, args.accuracies)
    page = found.write_page(args.output or Path(args.folder, "report.html"))
    print(json.dumps(found.to_json(), indent=2) if args.json else f"{found.text()}\n\nreport: {page}")


def campaign(args: CampaignArguments) -> int:
    """Trains what is not finished, shows what was found, and returns the exit status."""
    from ..analysis.campaign import Campaign

    failed = train_campaign(args)
    # Read anew: more is finished now.
    if not args.dry_run and args.only is None and any(Campaign.read(args.folder).runs.values()):
        print()
        show(ShowArguments(args.folder))
    return int(bool(failed))


def train_campaign(args: CampaignArguments) -> "list[Trial]":
    """Checks every condition, says what is to come, trains what is not finished, and returns what failed."""
    # Imported here: who only shows results does not wait for what trains.
    from ..claims.campaign import record, run_trials

    recipes = read_conditions(args)
    asked = asked_campaign(args, recipes)
    if args.only is not None and args.only >= len(asked.trials):
        raise ValueError(f"only must be below {len(asked.trials)}, the number of runs, got {args.only}")
    left = [trial for trial in asked.unfinished if args.only is None or trial == asked.trials[args.only]]
    with tempfile.TemporaryDirectory() as scratch:

        def recipe(trial: "Trial") -> Path:
            file = Path(scratch, f"{trial.folder.name}.yaml")
            file.write_text(
                yaml.safe_dump({**recipes[trial.condition], "seed": trial.seed, "output_dir": str(trial.folder)})
            )
            return file

        jobs: dict[str, Job] = {}
        # All conditions, to see that they are paired; where nothing is left to train, nothing has to be right.
        for trial in (*left, *asked.trials) if left else ():
            if trial.condition not in jobs:
                jobs[trial.condition], made = _checked(trial, recipe(trial), args.dry_run)
                recipes[trial.condition] |= made
        _check_paired(jobs)
        everything = record(asked, args.dry_run)
        print(_announcement(args, asked, everything, jobs, len(left)), flush=True)
        return [] if args.dry_run else run_trials(left, recipe, _places(args.jobs))


def asked_campaign(args: CampaignArguments, recipes: Mapping[str, Mapping[str, Any]]) -> "Campaign":
    """What is asked for, of recipes from [`read_conditions`]."""
    from ..analysis.campaign import Campaign

    conditions = {name: _public(of) for name, of in recipes.items()}
    return Campaign(Path(args.folder), conditions, args.seeds, args.accuracies)


def read_conditions(args: CampaignArguments) -> dict[str, dict[str, Any]]:
    """The fields of each condition; raises `ValueError` for a campaign that makes no sense."""
    if not args.conditions or not args.seeds:
        raise ValueError(f"expected conditions and seeds, got {len(args.conditions)} and {len(args.seeds)}")
    if len({*args.seeds}) < len(args.seeds):
        raise ValueError(f"seeds must be different, got {args.seeds}")
    recipes = {}
    for name, given in args.conditions.items():
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"a condition's name is part of a folder's: expected letters, digits and _.+-, got {name!r}"
            )
        if not isinstance(given, dict | None):
            raise ValueError(f"condition {name} must be a mapping of a recipe and what overrides it, got {given!r}")
        changes = {**args.overrides, **(given or {})}
        if own := sorted({"seed", "output_dir"} & changes.keys()):
            raise ValueError(f"condition {name} sets {' and '.join(own)}: expected the campaign to")
        if not isinstance(file := changes.pop("recipe", None), str):
            raise ValueError(f"condition {name} must name a recipe, got {file!r}")
        file = with_recipe_file(["--config", file])[1]
        check_keys(file)
        recipes[name] = {**yaml.safe_load(Path(file).read_text(encoding="utf-8")), **changes}
    return recipes


def _public(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What is recorded of a recipe, without secrets."""
    ours = ("seed", "output_dir", "env")
    kept = {name: value for name, value in recipe.items() if name not in ours and not name.endswith("_token")}
    return json.loads(json.dumps(kept, default=str))


def _checked(trial: "Trial", recipe: Path, is_dry: bool) -> "tuple[Job, dict[str, Any]]":
    """A run as `hicra train` understands it, and the paths of a base and of problems that were made for it."""
    from . import train

    environment = dict(os.environ)
    try:
        argv = ["--config", str(recipe), *(["--dry_run"] if is_dry else [])]
        asked = train.parse(argv, f"{PROG}: condition {trial.condition}")
        job = train.resolve(asked)
        # What has begun was checked then, and goes on with what it left.
        if not trial.folder.exists():
            train.check(job)
    except (ValueError, OSError) as error:
        raise ValueError(f"condition {trial.condition}: {error}") from error
    finally:
        # A recipe's `env` is of its own runs.
        os.environ.clear()
        os.environ.update(environment)
    return job, {name: value for name, value in job.recipe.items() if value != asked.recipe.get(name)}


def _check_paired(jobs: "Mapping[str, Job]") -> None:
    """Raises `ValueError` if conditions are the same, or differ in base or problems."""
    from ..data.prompts import DataArguments

    recipes = {name: {**job.recipe, "output_dir": None, "seed": None} for name, job in jobs.items()}
    paired = (*_PAIRED, *(field.name for field in fields(DataArguments)))
    for (a, one), (b, other) in combinations(recipes.items(), 2):
        if one == other:
            raise ValueError(f"conditions {a} and {b} are the same: expected different ones")
        if unlike := [f"{name} ({one[name]!r} and {other[name]!r})" for name in paired if one[name] != other[name]]:
            raise ValueError(
                f"conditions {a} and {b} differ in {', '.join(unlike)}: expected the same base and problems"
            )


def _places(jobs: int) -> list[dict[str, str]]:
    """What each of so many runs side by side gets of the machine, as environment."""
    import torch

    if jobs == 1:
        return [{}]
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, len(os.sched_getaffinity(0)) // jobs))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
    gpus = visible.split(",")
    shares = [",".join(gpus[i % len(gpus) :: jobs]) for i in range(jobs)]
    return [{"OMP_NUM_THREADS": threads, **({"CUDA_VISIBLE_DEVICES": share} if share else {})} for share in shares]


def _announcement(
    args: CampaignArguments, asked: "Campaign", everything: "Campaign", jobs: "Mapping[str, Job]", num_left: int
) -> str:
    """What is to come: what it costs, which difference it can show, and how much each condition moves."""
    planning = [value for of in everything.values("hicra/planning_fraction").values() for value in of.values()]
    rows = [["", "steps", "completions of a run", "tokens at most", "advantage mass moved"]]
    moved = [everything.values(f"hicra/mass_moved/{sign}") for sign in ("positive", "negative")]
    rows += [
        [
            name,
            *_length(job),
            _mass_moved(job.config.alpha, [v for of in moved for v in of.get(name, {}).values()], planning),
        ]
        for name, job in jobs.items()
    ]
    beside = max(1, min(args.jobs, num_left))
    lines = {
        "runs": f"{len(asked.conditions)} conditions x {len(asked.seeds)} seeds = {len(asked.trials)} runs in "
        f"{asked.folder}, {num_left} to train" + (f", {beside} side by side" if beside > 1 else ""),
        "time": _time(everything, num_left, beside),
        "can show": _can_show(args.spread, asked, everything),
    }
    return labelled(lines, width=119) + (f"\n\n{table(rows)}" if jobs else "")


def _length(job: "Job") -> list[str]:
    """Steps of a run, and what it samples in them at most."""
    from ..training.runs.manifest import batch_record

    config = job.config
    if config.max_steps <= 0:
        return [f"{config.num_train_epochs:g} epochs", "not known", "not known"]
    sampled = config.max_steps * batch_record(config)["completions_per_step"] // config.num_iterations
    longest = config.extended_completion_length or config.max_completion_length or 0
    return [str(config.max_steps), f"{sampled:,}", f"{sampled * longest:,}"]


def _mass_moved(alpha: float, measured: list[float], planning: list[float]) -> str:
    """As its finished runs logged it, else for HICRA's credit at the share of planning tokens that is known."""
    if not alpha:
        return "none"
    if measured:
        return f"{100 * fmean(measured):.1f} %"
    return (
        f"about {100 * alpha * fmean(planning):.1f} %" if planning else f"about {alpha:g} x share of planning tokens"
    )


def _time(everything: "Campaign", num_left: int, jobs: int) -> str:
    manifests = [run.manifest for seeds in everything.runs.values() for run in seeds.values()]
    took = [
        (datetime.fromisoformat(of["finished"]) - datetime.fromisoformat(of["started"])).total_seconds() / 60
        for of in manifests
        if not of["resumed"]
    ]
    if not took:
        return "not known before a run is finished"
    return f"about {fmean(took) * num_left / jobs:.0f} minutes; a finished run took {fmean(took):.1f}"


def _can_show(given: float | None, asked: "Campaign", everything: "Campaign") -> str:
    """The smallest difference that so many seeds can show."""
    from ..evaluation.statistics.seeds import pooled_spread, smallest_difference

    seeds, others = len(asked.seeds), len(asked.conditions) - 1
    if seeds == 1 or not others:
        return "no difference: expected two seeds and two conditions"
    spread, source = given, "as given"
    if spread is None:
        if (found := pooled_spread(everything.values(everything.main), next(iter(asked.conditions)))) is None:
            return "not known: expected spread, or two finished seeds of two conditions"
        spread, source = found[0], f"that of {found[1]} differences in {everything.main} of finished runs"
    text = f"a true difference of {smallest_difference(spread, seeds):.2g}, four times out of five"
    if others > 1:
        text += f" ({smallest_difference(spread, seeds, others):.2g} as one of {others}, by Holm's correction)"
    return f"{text}: paired t-test over {seeds} seeds, with a spread of {spread:.2g} between them, {source}"
