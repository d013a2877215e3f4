"""`hicra campaign`: conditions x seeds of any recipe, and what they found."""

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
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
        overrides (`dict`, *optional*):
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
            Say what it costs and can show, with the plan of the first condition, and stop.
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
    from ..analysis.campaign import Campaign, find

    found = find(Campaign.read(args.folder), args.baseline, args.accuracies)
    page = found.write_page(args.output or Path(args.folder, "report.html"))
    print(json.dumps(found.to_json(), indent=2) if args.json else f"{found.text()}\n\nreport: {page}")


def campaign(args: CampaignArguments) -> int:
    """Checks every condition, says what is to come, trains what is not finished, and returns the exit status."""
    # Imported here: who only shows results does not wait for what trains.
    from ..analysis.campaign import Campaign, find
    from ..claims.campaign import record, run_trials

    recipes = read_conditions(args)
    asked = Campaign(
        Path(args.folder), {name: _public(of) for name, of in recipes.items()}, args.seeds, args.accuracies
    )
    if args.only is not None and args.only >= len(asked.trials):
        raise ValueError(f"only must be below {len(asked.trials)}, the number of runs, got {args.only}")
    left = [trial for trial in asked.unfinished if args.only is None or trial == asked.trials[args.only]]
    with tempfile.TemporaryDirectory() as scratch:

        def recipe(trial: "Trial") -> Path:
            file = Path(scratch, f"{trial.folder.name}.yaml")
            given = {**recipes[trial.condition], "seed": trial.seed, "output_dir": str(trial.folder)}
            file.write_text(yaml.safe_dump(given))
            return file

        jobs: dict[str, Job] = {}
        for trial in left:
            if trial.condition not in jobs:
                jobs[trial.condition], made = _checked(trial, recipe(trial), args.dry_run)
                recipes[trial.condition] |= made
        _check_paired(jobs)
        everything = record(asked, args.dry_run)
        print(_announcement(args, asked, everything, jobs, len(left)), flush=True)
        if args.dry_run:
            return 0
        failed = run_trials(left, recipe, _places(args.jobs))
    if args.only is None:
        found = find(everything)
        print(f"\n{found.text()}\n\nreport: {found.write_page(everything.folder / 'report.html')}")
    return int(bool(failed))


def read_conditions(args: CampaignArguments) -> dict[str, dict[str, Any]]:
    """The fields of each condition; raises `ValueError` for a campaign that makes no sense."""
    if not args.conditions or not args.seeds:
        raise ValueError(f"expected seeds and conditions, got {len(args.seeds)} and {len(args.conditions)}")
    if len({*args.seeds}) < len(args.seeds):
        raise ValueError(f"seeds must be different, got {args.seeds}")
    recipes = {}
    for name, given in args.conditions.items():
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"a condition's name is a folder's: expected letters, digits, '-', '_' and '.', got {name!r}"
            )
        if not isinstance(given, dict | None):
            raise ValueError(f"condition {name} must be a mapping of a recipe and what overrides it, got {given!r}")
        fields = {**args.overrides, **(given or {})}
        if own := sorted({"seed", "output_dir"} & fields.keys()):
            raise ValueError(f"condition {name} sets {' and '.join(own)}: expected the campaign to")
        if not isinstance(fields.get("recipe"), str):
            raise ValueError(f"condition {name} must name a recipe, got {fields.get('recipe')!r}")
        file = with_recipe_file(["--config", fields.pop("recipe")])[1]
        check_keys(file)
        recipes[name] = {**yaml.safe_load(Path(file).read_text(encoding="utf-8")), **fields}
    return recipes


def _public(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What is recorded of a recipe: no secrets."""
    kept = {name: value for name, value in recipe.items() if name != "env" and not name.endswith("_token")}
    return json.loads(json.dumps({**kept, "seed": None, "output_dir": None}, default=str))


def _checked(trial: "Trial", recipe: Path, is_dry: bool) -> "tuple[Job, dict[str, Any]]":
    """A run as `hicra train` understands it, and the paths of a base and of problems that were made for it."""
    from . import train

    environment = dict(os.environ)
    argv = ["--config", str(recipe), *(["--dry_run"] if is_dry else [])]
    try:
        job = train.parse(argv, f"{PROG}: condition {trial.condition}")
        ready = train.resolve(job)
        # What has begun was checked, and goes on with what it left.
        if not trial.folder.exists():
            train.check(ready)
    except (ValueError, OSError) as error:
        raise ValueError(f"condition {trial.condition}: {error}") from error
    finally:
        # A recipe's `env` is of its own runs.
        os.environ.clear()
        os.environ.update(environment)
    return ready, {name: value for name, value in ready.recipe.items() if value != job.recipe.get(name)}


def _check_paired(jobs: "Mapping[str, Job]") -> None:
    """Raises `ValueError` if conditions are the same, or differ in base or problems."""
    from ..data.prompts import DataArguments

    (first, *_), recipes = [*jobs, ""], {name: {**job.recipe, "output_dir": None} for name, job in jobs.items()}
    for name, recipe in recipes.items():
        for field in (*_PAIRED, *(field.name for field in fields(DataArguments))):
            if recipe[field] != recipes[first][field]:
                raise ValueError(
                    f"conditions {first} and {name} differ in {field} ({recipes[first][field]!r} and "
                    f"{recipe[field]!r}): expected the same base and problems, runs are compared seed by seed"
                )
        if same := [other for other in recipes if other != name and recipes[other] == recipe]:
            raise ValueError(f"conditions {name} and {same[0]} are the same: expected different ones")


def _places(jobs: int) -> list[dict[str, str]]:
    """What each of so many runs side by side gets of the machine, as environment."""
    import torch

    if jobs == 1:
        return [{}]
    threads = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(_threads(jobs))}
    gpus = [str(gpu) for gpu in range(torch.cuda.device_count())]
    if os.environ.get("CUDA_VISIBLE_DEVICES"):
        gpus = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
    share = [{"CUDA_VISIBLE_DEVICES": ",".join(gpus[i % len(gpus) :: jobs])} if gpus else {} for i in range(jobs)]
    return [threads | gpus for gpus in share]


def _threads(jobs: int) -> int:
    return max(1, len(os.sched_getaffinity(0)) // jobs)


def _announcement(
    args: CampaignArguments, asked: "Campaign", everything: "Campaign", jobs: "Mapping[str, Job]", num_left: int
) -> str:
    """What is to come: what it costs, which difference it can show, and how much each condition moves."""
    from ..analysis.campaign import PLANNING, mass_moved

    planning = [value for of in everything.values(PLANNING).values() for value in of.values()]
    header = ["", "steps", "completions of a run", "tokens at most", "advantage mass moved"]
    rows = [
        [name, *_length(job), mass_moved(job.recipe, fmean(planning) if planning else None)]
        for name, job in jobs.items()
    ]
    lines = {
        "runs": f"{len(asked.conditions)} conditions x {len(asked.seeds)} seeds = {len(asked.trials)} runs in "
        f"{asked.folder}, {num_left} to train" + (f", {args.jobs} side by side" if args.jobs > 1 else ""),
        "time": _time(everything, num_left, args.jobs),
        "can show": _can_show(args.spread, asked, everything),
    }
    text = labelled(lines, width=119)
    return text + (f"\n\n{table([header, *rows])}" if rows else "")


def _length(job: "Job") -> list[str]:
    """Steps of a run, and what it samples in them at most."""
    from ..training.runs.manifest import batch_record

    config = job.config
    if config.max_steps <= 0:
        return [f"{config.num_train_epochs:g} epochs", "", ""]
    sampled = config.max_steps * batch_record(config)["completions_per_step"] // config.num_iterations
    longest = config.extended_completion_length or config.max_completion_length or 0
    return [str(config.max_steps), f"{sampled:,}", f"{sampled * longest:,}"]


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
        return f"no difference: {seeds} seed{'s' * (seeds > 1)}, {others + 1} condition{'s' * (others > 0)}"
    spread, source = given, "as given"
    if given is None:
        if (found := pooled_spread(everything.values(everything.main), next(iter(asked.conditions)))) is None:
            return "not known: expected spread, or two finished seeds of two conditions"
        spread, source = found[0], f"of {found[1]} differences in {everything.main} of finished runs"
    text = f"a true difference of {smallest_difference(spread, seeds):.3g}, four times out of five"
    if others > 1:
        text += f" ({smallest_difference(spread, seeds, others):.3g} with Holm's correction for {others} comparisons)"
    return f"{text}: a paired t-test over {seeds} seeds, whose differences spread by {spread:.3g}, {source}"
