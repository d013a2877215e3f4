"""Folders of runs as `hicra train` leaves them, without training."""

import json

import numpy as np
import pandas as pd
import yaml

from hicra_trl.analysis.campaign import Campaign
from hicra_trl.grams import StrategicGrams


HELD_OUT = "held_out/pass_at_1"
RECIPE = {
    "alpha": 0.0,
    "credit": "planning",
    "entropy_coef": 0.0,
    "top_entropy_quantile": 1.0,
    "learning_rate": 1e-6,
    "strategic_grams": "paper",
    "output_dir": "run",
    "save_steps": 2,
}


def leave_run(folder, seed=1, logs=(), step=None, base=None, **changed):
    """A run with a manifest, a recipe and a log; with `step`, one that got no further than that checkpoint."""
    lexicon = changed.pop("lexicon", "paper")
    recipe = {**RECIPE, "seed": seed, **changed}
    folder.mkdir(parents=True)
    manifest = {
        "folder": str(folder.parent),
        "started": "2025-12-31T23:00:00+00:00",
        "command": f"hicra train --config recipe.yaml --seed {seed}",
        "code": {"commit": "da770fe167e78cc631653ad1acd1686c875f5671", "modified": True},
        "python": "3.12.1",
        "versions": {"hicra-trl": "0.1.0", "trl": "1.16.0", "transformers": "5.17.0", "numpy": "2.4.6"},
        "finished": None if step else "2026-01-01T00:00:00+00:00",
        "seed": seed,
        "model": {"name": base or "Qwen/Qwen3-0.6B", "commit": "c0ffee", "fingerprint": None},
        "data": {"train": {"source": ["problems.jsonl"], "commits": {}, "rows": 24, "fingerprint": "abcd"}},
        "lexicon": {"source": lexicon, "revision": None, "fingerprint": f"f-{lexicon}", "size": 249},
        "batch": {"completions_per_step": 8, "generation_batch_size": 8},
        "resumed": [],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "resolved_config.yaml").write_text(yaml.safe_dump(recipe))
    home = folder / f"checkpoint-{step}" if step else folder
    home.mkdir(exist_ok=True)
    state = {"global_step": step or max((row["step"] for row in logs), default=0), "log_history": list(logs)}
    (home / "trainer_state.json").write_text(json.dumps(state))
    return folder


def made_up_logs(steps, seed=0, gain=0.0, every=1):
    """A log of so many steps as a run with evaluations has it, with curves like those of the playground."""
    random = np.random.default_rng(seed)
    rows = []
    for step in range(every, steps + 1, every):
        part, noise = step / steps, random.normal(0, 0.02, 16)
        row = {
            "step": step,
            "loss": 0.0,
            "entropy": 0.3 - 0.15 * part + noise[0],
            "completions/mean_length": 300 + 500 * part + 500 * noise[1],
            "hicra/planning_fraction": 0.12 + 0.04 * part + noise[2] / 5,
            "hicra/semantic_entropy": 2.6 + (0.3 + gain) * part + noise[3],
            "hicra/conditional_entropy": 1.4 + noise[4],
            "hicra/entropy/planning": 0.7 - 0.2 * part + noise[5],
            "hicra/entropy/execution": 0.25 - 0.15 * part + noise[6],
            "hicra/relative_perplexity/planning": 1 - 0.2 * part + noise[7],
            "hicra/relative_perplexity/execution": 1 - 0.5 * part**0.3 + noise[8],
            **{
                f"hicra/pass_at_{k}": min(1, 0.3 + 0.1 * i + (0.3 + gain) * part + noise[9])
                for i, k in enumerate((1, 2, 4, 8, 16))
            },
        }
        rows.append(row)
        if step % max(steps // 6, 1) == 0:
            rows.append(
                {"step": step, "eval_loss": 0.0, "eval_hicra/pass_at_1": 0.3 + (0.4 + gain) * part + noise[10]}
            )
    return [*rows, {"step": steps, "train_runtime": 12.0}]


def leave_verdicts(run, labels):
    """Verdicts by step."""
    file = run / "judge" / "verdicts.jsonl"
    file.parent.mkdir()
    verdicts = [{"step": step, "label": label} for step, several in labels.items() for label in several]
    file.write_text("".join(json.dumps(verdict) + "\n" for verdict in verdicts))


def leave_completions(run, texts):
    """Saved completions by step, and the lexicon."""
    for step, completions in texts.items():
        file = run / "completions" / f"completions_{step:05}.parquet"
        file.parent.mkdir(exist_ok=True)
        pd.DataFrame({"step": step, "completion": completions}).to_parquet(file)
    StrategicGrams.paper().save(run / "strategic_grams")


def held_out_logs(accuracies, **more):
    """Evaluated every ten steps."""
    rows = [{"step": 10 * i, HELD_OUT: value, "reward": value, **more} for i, value in enumerate(accuracies)]
    return [*rows, {"step": 10 * (len(accuracies) - 1), "train_runtime": 1.0}]


def leave_campaign(folder, curves, **record):
    """`curves` are accuracies by condition and seed; `None` for a run that has only begun."""
    conditions = {name: {"alpha": 0.2 * i} for i, name in enumerate(curves)}
    content = {"conditions": conditions, "seeds": [1, 2, 3, 4, 5], "accuracies": [], **record}
    folder.mkdir(exist_ok=True)
    (folder / "campaign.json").write_text(json.dumps(content))
    for name, seeds in curves.items():
        for seed, curve in seeds.items():
            run = folder / f"{name}-seed{seed}"
            if curve is None:
                leave_run(run, seed, held_out_logs([0.1]), step=10, **conditions[name])
            else:
                leave_run(
                    run, seed, held_out_logs(curve, **{"hicra/semantic_entropy": 2 + curve[-1]}), **conditions[name]
                )
    return Campaign.read(folder)


def leave_playground(folder, completion):
    """Two methods of two seeds, and a base, as the playground leaves them; every sample is `completion`."""

    def leave(name, accuracy, seed=1):
        run = folder / name
        if name == "base":
            run.mkdir(parents=True)
        else:
            leave_run(run, seed, made_up_logs(6, seed), alpha=0.2 if name.startswith("hicra") else 0.0, base="base")
        outcomes = {"correct": accuracy, "strategy: gave up": 0.9 - accuracy, "execution: wrong step": 0.1}
        record = {"accuracy": accuracy, "step_accuracy": 0.99, "mean_length": 30.0, "outcomes": outcomes}
        (run / "outcomes.json").write_text(json.dumps(record))
        sample = {"prompt": "Using <3>", "completion": completion, "outcome": "strategy: gave up"}
        (run / "samples.jsonl").write_text(json.dumps(sample) + "\n")
        StrategicGrams.paper().save(run / "strategic_grams")
        return run

    leave("base", 0.2)
    for method, gain in (("grpo", 0.0), ("hicra", 0.1)):
        for seed in (1, 2):
            leave(f"{method}-seed{seed}", 0.5 + gain, seed)
    content = {"conditions": {"grpo": {"alpha": 0.0}, "hicra": {"alpha": 0.2}}, "seeds": [1, 2], "accuracies": []}
    (folder / "campaign.json").write_text(json.dumps(content))
    return Campaign.read(folder)
