"""Judges the runs of the campaigns: logs, exact classes of what they wrote, token records, and the loss of grams."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from statistics import fmean

from tqdm import tqdm

from ..analysis.campaign import Campaign
from ..analysis.judge.solutions import read_solutions
from ..analysis.runs import Run
from ..analysis.sensitivity import sensitivity
from ..analysis.token_record import TokenRecord, high_entropy_shares
from ..disk import read_mapping, write_whole
from ..dynamics.logged import series
from ..grams import StrategicGrams
from ..playground.exact import exact_answer
from ..playground.pretrain import RECORD
from .plan import Planned, claims_hash, read_claims
from .verdicts import Numbers


LOGGED = {
    "accuracy": "eval_hicra/pass_at_1",
    "semantic_entropy": "hicra/semantic_entropy",
    "entropy": "entropy",
    "pass_at_8": "hicra/pass_at_8",
    "execution_perplexity": "hicra/perplexity/execution",
    "planning_fraction": "hicra/planning_fraction",
    "length": "completions/mean_length",
}
_DROPPED = 0.3


def measure(plan: Planned, folder: Path) -> dict[str, dict[int, Numbers]]:
    """
    The numbers of the finished runs of a campaign, by condition and seed.

    They are kept beside the run, as `<run>.numbers.json`, with the hash of `claims.yaml`; with another hash, or where
    the run was trained again, they are made anew.

    Args:
        plan ([`Planned`]):
            The campaign.
        folder (`Path`):
            Of all campaigns.
    """
    found: dict[str, dict[int, Numbers]] = {name: {} for name in plan.conditions}
    for name, seed, run in tqdm(_runs(plan, folder), desc=f"Judging {plan.name}", disable=None, leave=False):
        file = run.folder.with_name(f"{run.folder.name}.numbers.json")
        mark = {"claims": claims_hash(), "finished": run.manifest["finished"]}
        kept = read_mapping(file) if file.is_file() else {}
        if {key: kept.get(key) for key in mark} != mark:
            kept = {**mark, **asdict(numbers(run, seed, is_baseline=name == "grpo"))}
            write_whole(file, json.dumps(kept) + "\n")
        found[name][seed] = Numbers(kept["curves"], kept["figures"])
    return found


def numbers(run: Run, seed: int, is_baseline: bool) -> Numbers:
    """Of one run; token record and loss of grams of the baseline alone, of which alone they are claimed."""
    curves = {name: [*zip(*map(list, series(run.logs, key)))] for name, key in LOGGED.items()}
    figures = {**forks(run.folder), **dropped(run, seed)} if is_baseline else {}
    return Numbers({**curves, **error_curves(run.folder)}, figures)


def error_curves(run: Path) -> dict[str, list[tuple[float, float]]]:
    """The shares of a run's saved completions with an error of each class, by step."""
    classes: dict[float, Counter[str]] = defaultdict(Counter)
    for solution in read_solutions(run):
        if solution.step is not None:
            classes[float(solution.step)][exact_answer(solution).label] += 1
    return {
        kind: [(step, count[kind] / count.total()) for step, count in sorted(classes.items())]
        for kind in ("strategy", "execution")
    }


def forks(run: Path) -> dict[str, float]:
    """C6: how planning tokens and those of high entropy overlap, mean over the recorded steps."""
    record = TokenRecord.read(run)
    rows = [record.rows(step) for step in record.steps]
    figures = {"planning": fmean(high_entropy_shares(of, 1.0).planning for of in rows)}
    for percent in (20, 30):
        shares = [high_entropy_shares(of, percent / 100) for of in rows]
        figures[f"most_{percent}"] = fmean(one.planning_that_are_high for one in shares)
        figures[f"few_{percent}"] = fmean(one.high_that_are_planning for one in shares)
    return figures


def dropped(run: Run, seed: int) -> dict[str, float]:
    """C7: the curves with parts of the lexicon dropped against the whole, mean over draws of the run's own."""
    draws: int = read_claims()["claims"]["C7"]["draws"]
    seeds = [seed * draws + i for i in range(draws)]
    found = sensitivity(run.folder, StrategicGrams.load(run.lexicon), _DROPPED, seeds)
    figures = {"correlation": "semantic_entropy", "planning_correlation": "planning_fraction"}
    means = {name: float(found.correlation(metric).mean()) for name, metric in figures.items()}
    return {**means, "deviation": float(found.largest_deviation("semantic_entropy").mean())}


def target(base: Path, folder: Path) -> tuple[dict[str, dict[int, float]], str]:
    """C10: its checks, by seed, and tables of what was found; kept in `target.json`."""
    file = folder / "target.json"
    mark = {"claims": claims_hash(), "base": json.loads((base / RECORD).read_text())["fingerprint"]}
    kept = read_mapping(file) if file.is_file() else {}
    if {key: kept.get(key) for key in mark} != mark:
        # Imported here: torch is not waited for where there is nothing to compute.
        from .sampled_target import target_figures

        found = target_figures(base, read_claims()["claims"]["C10"]["num_seeds"])
        kept = {**mark, "checks": found.checks, "text": found.text()}
        write_whole(file, json.dumps(kept, indent=2) + "\n")
    return {name: dict(enumerate(values)) for name, values in kept["checks"].items()}, kept["text"]


def cost(plans: Mapping[str, Planned], folder: Path) -> tuple[list[list[str]], dict[str, str], list[str]]:
    """A table of what the finished runs took, the versions that trained them, and what makes them unlike."""
    rows, versions, notes = [["", "runs finished", "minutes of a run", "hours in all"]], dict[str, str](), list[str]()
    for name, plan in plans.items():
        runs, took = [run for _, _, run in _runs(plan, folder)], minutes(plan, folder)
        rows.append([name, str(len(runs)), f"{fmean(took):.1f}" if took else "", f"{sum(took) / 60:.1f}"])
        versions |= {
            k: v for run in runs for k, v in {"python": run.manifest["python"], **run.manifest["versions"]}.items()
        }
        for what in ("model", "data"):
            if len(found := {str(run.settings[what]) for run in runs}) > 1:
                notes.append(f"Runs of {name} began with different {what}: {', '.join(sorted(found))}")
    return rows, versions, notes


def minutes(plan: Planned, folder: Path) -> list[float]:
    """What each finished run took. Of one that was stopped, nobody knows how long it stood still: it is left out."""
    return [_minutes(run.manifest) for _, _, run in _runs(plan, folder) if not run.manifest["resumed"]]


def _runs(plan: Planned, folder: Path) -> list[tuple[str, int, Run]]:
    """Those that are finished."""
    runs = Campaign(folder / plan.name, plan.conditions, plan.seeds, []).runs
    return [(name, seed, run) for name, seeds in runs.items() for seed, run in seeds.items()]


def _minutes(manifest: Mapping[str, str]) -> float:
    began, ended = (datetime.fromisoformat(manifest[key]) for key in ("started", "finished"))
    return (ended - began).total_seconds() / 60
