"""One HTML file that compares methods: table, curves, errors, and highlighted traces before and after."""

import json
from html import escape
from pathlib import Path
from statistics import fmean

from ..grams import GramMatcher, StrategicGrams
from .figures import dynamics_figure, to_svg
from .highlight import trace_block
from .page import html_table, write


NUM_TRACES = 4


def write_report(path: str | Path, base: Path, runs: dict[str, list[Path]]) -> Path:
    """
    Writes the report and, beside it, its figure as `figures.png`.

    Args:
        path (`str` or `Path`):
            The HTML file.
        base (`Path`):
            Folder with the base's `evaluation.json` and `samples.jsonl`.
        runs (`dict[str, list[Path]]`):
            Run folders of each method, one per seed, each with those files, `trainer_state.json` and the lexicon.

    Returns:
        `Path`: the HTML file.
    """
    path = Path(path)
    grams = StrategicGrams.load(next(iter(runs.values()))[0] / "strategic_grams")
    figure = dynamics_figure(base, runs)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path.with_name("figures.png"), dpi=160)
    num_seeds = len(next(iter(runs.values())))
    body = "\n".join(
        [
            "<h1>What reinforcement learning changed</h1>",
            f'<p class="lead">{escape(" and ".join(method.upper() for method in runs))} from the same base, '
            f"{num_seeds} seed{'s' if num_seeds > 1 else ''}, judged on held-out problems.</p>",
            _summary_table({"base": [base], **runs}),
            "<h2>Dynamics</h2>",
            to_svg(figure),
            '<p class="note">Lines are means over seeds; training accuracy is averaged over five logs. Planning '
            f"tokens are those inside one of {len(grams)} strategic grams (fingerprint {grams.fingerprint}); all "
            "others are execution tokens.</p>",
            "<h2>Traces, before and after</h2>",
            '<p class="note">Strategic grams are marked.</p>',
            *_traces({"base": base, **{method: folders[0] for method, folders in runs.items()}}, grams),
        ]
    )
    return write(path, "HICRA report", body)


def _summary_table(folders: dict[str, list[Path]]) -> str:
    rows = []
    for method, runs in folders.items():
        found = [json.loads((run / "evaluation.json").read_text()) for run in runs]
        kinds = [
            fmean(sum(v for k, v in entry["outcomes"].items() if k.startswith(kind)) for entry in found)
            for kind in ("strategy", "execution")
        ]
        rows.append(
            [
                method.upper() if method != "base" else method,
                f"{100 * fmean(entry['accuracy'] for entry in found):.1f} %",
                f"{100 * fmean(entry['step_accuracy'] for entry in found):.1f} %",
                f"{fmean(entry['mean_length'] for entry in found):.1f}",
                *(f"{100 * share:.1f} %" for share in kinds),
            ]
        )
    header = ["", "accuracy", "steps right", "tokens", "strategy errors", "execution errors"]
    return html_table(header, rows)


def _traces(folders: dict[str, Path], grams: StrategicGrams) -> list[str]:
    """The first problems that the base failed at, as each model answered them."""
    matcher = GramMatcher(grams)
    samples = {method: _first_per_prompt(folder / "samples.jsonl") for method, folder in folders.items()}
    failed = [prompt for prompt, sample in samples["base"].items() if sample["outcome"] != "correct"]
    blocks = []
    for prompt in failed[:NUM_TRACES]:
        blocks.append(f"<h2>{escape(prompt.strip())}</h2>")
        for method, by_prompt in samples.items():
            sample = by_prompt[prompt]
            blocks.append(trace_block(f"{method.upper()}: {sample['outcome']}", sample["completion"], matcher))
    return blocks


def _first_per_prompt(file: Path) -> dict[str, dict[str, str]]:
    samples: dict[str, dict[str, str]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        sample = json.loads(line)
        samples.setdefault(sample["prompt"], sample)
    return samples
