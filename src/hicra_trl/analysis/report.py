"""One HTML file that compares methods: table, curves, errors, and highlighted traces before and after."""

import json
from html import escape
from pathlib import Path

from ..dynamics.curves import draw, save, to_svg
from ..grams import GramMatcher, StrategicGrams
from .comparison import HEADER, comparison_rows, difference_line, outcome_rows
from .figures import dynamics
from .highlight import trace_block
from .page import html_table, write
from .runs import read_runs


NUM_TRACES = 4


def write_report(path: str | Path, folders: dict[str, list[Path]]) -> Path:
    """
    Writes the report and, beside it, its figure as `figures.png`.

    Args:
        path (`str` or `Path`):
            The HTML file.
        folders (`dict[str, list[Path]]`):
            Run folders of each method, one per seed, with `outcomes.json`, `samples.jsonl`, `trainer_state.json` and
            the lexicon; under `"base"` one with the first two of the base.

    Returns:
        `Path`: the HTML file.
    """
    path = Path(path)
    methods = [method for method in folders if method != "base"]
    runs = folders[methods[0]]
    grams = StrategicGrams.load(runs[0] / "strategic_grams")
    figure = draw(dynamics(read_runs(run for method in methods for run in folders[method]), {}))
    save(figure, path.with_name("figures.png"), "hicra playground")
    body = "\n".join(
        [
            "<h1>What reinforcement learning changed</h1>",
            f'<p class="lead">{escape(" and ".join(method.upper() for method in methods))} from the same base, '
            f"{len(runs)} seed{'s' if len(runs) > 1 else ''}, judged on held-out problems.</p>",
            html_table(HEADER, comparison_rows(folders)),
            f'<p class="note">{escape(difference_line(folders))}</p>',
            "<h2>Dynamics</h2>",
            to_svg(figure),
            '<p class="note">A thin line a seed, their mean on top, from three seeds on with its 95 % interval. '
            f"Planning tokens are those inside one of {len(grams)} strategic grams (fingerprint {grams.fingerprint}); "
            "all others are execution tokens.</p>",
            "<h2>What went wrong, held out</h2>",
            html_table(*outcome_rows(folders)),
            "<h2>Traces, before and after</h2>",
            '<p class="note">Strategic grams are marked.</p>',
            *_traces({method: runs[0] for method, runs in folders.items()}, grams),
        ]
    )
    return write(path, "HICRA report", body)


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
