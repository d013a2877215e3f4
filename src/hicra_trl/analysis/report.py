"""One HTML file that compares methods: table, curves, errors, and highlighted traces before and after."""

import json
from html import escape
from pathlib import Path

from ..dynamics.curves import draw, save
from ..grams import GramMatcher, StrategicGrams
from .comparison import HEADER, comparison_rows, difference_line, outcome_rows
from .figures import dynamics
from .highlight import trace_block
from .page import glossary, html_figure, html_table, write
from .runs import origin, read_runs


NUM_TRACES = 4
_WORDS = {
    "accuracy": "The share of sampled completions that are right, on problems that no training saw. Higher is better.",
    "gain": "Accuracy above that of the base, in points.",
    "steps right": "The share of all single steps, such as 8 - 3 = 5, that are right.",
    "tokens": "Mean length of a completion.",
    "strategy errors": "The share of completions whose plan failed: given up, nothing checked, a refuted idea kept.",
    "execution errors": "The share of completions in which a step itself is wrong.",
}
_PANELS = {
    "Relative perplexity": "How surprising the sampled tokens were to the model, over its first value; falls as it "
    "grows sure. Execution tends to be sure early, planning later.",
    "Token entropy": "How undecided the model is at a token, in nats; falls as it grows sure.",
    "Semantic entropy": "How many different strategic grams are in use, and how evenly; rises while strategies are "
    "explored. More is exploration, not success.",
    "Conditional entropy": "The same of what follows each gram: the ways in which one strategy is carried out.",
    "Accuracy": "Held out: on problems that no training saw. Training: on those of the steps since the last point. "
    "The table above is of new samples, so that it differs a little from the last point.",
    "Length": "Tokens of a completion; neither direction is good by itself.",
}


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
    found = read_runs(run for method in methods for run in folders[method])
    panels = dynamics(found, {})
    save(draw(panels), path.with_name("figures.png"), "hicra playground")
    body = "\n".join(
        [
            "<h1>What reinforcement learning changed</h1>",
            f'<p class="lead">{escape(" and ".join(method.upper() for method in methods))} from the same base, '
            f"{len(runs)} seed{'s' if len(runs) > 1 else ''}, judged on held-out problems.</p>",
            html_table(HEADER, comparison_rows(folders), "The base, and what each method made of it"),
            f"<p><strong>{escape(difference_line(folders))}</strong></p>",
            glossary(_WORDS),
            "<h2>Dynamics</h2>",
            html_figure(
                panels,
                "A thin line a seed, their mean on top, from three seeds on with its 95 % interval. Planning tokens "
                f"are those inside one of {len(grams)} strategic grams (fingerprint {grams.fingerprint}); all others "
                "are execution tokens.",
            ),
            glossary({title: _PANELS[title] for panel in panels if (title := panel.title) in _PANELS}),
            "<h2>What went wrong, held out</h2>",
            html_table(*outcome_rows(folders), "The share of completions of each class"),
            "<h2>Traces, before and after</h2>",
            "<p>The first problems that the base failed at. <mark>Strategic grams</mark> are marked.</p>",
            *_traces({method: runs[0] for method, runs in folders.items()}, grams),
        ]
    )
    shown = {str(run.folder): origin(run.manifest) for seeds in found.values() for run in seeds.values()}
    return write(path, "HICRA report", body, runs=shown)


def _traces(folders: dict[str, Path], grams: StrategicGrams) -> list[str]:
    """The first problems that the base failed at, as each model answered them."""
    matcher = GramMatcher(grams)
    samples = {method: _first_per_prompt(folder / "samples.jsonl") for method, folder in folders.items()}
    failed = [prompt for prompt, sample in samples["base"].items() if sample["outcome"] != "correct"]
    blocks = []
    for prompt in failed[:NUM_TRACES]:
        blocks.append(f'<h3>{escape(prompt.strip())}</h3>\n<div class="traces">')
        for method, by_prompt in samples.items():
            sample = by_prompt[prompt]
            blocks.append(
                trace_block(f"{method.upper()}: {sample['outcome']}", sample["completion"], matcher, level=4)
            )
        blocks.append("</div>")
    return blocks


def _first_per_prompt(file: Path) -> dict[str, dict[str, str]]:
    samples: dict[str, dict[str, str]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        sample = json.loads(line)
        samples.setdefault(sample["prompt"], sample)
    return samples
