"""How the models of a campaign fail, where they were judged exactly, and highlighted traces before and after."""

import json
from html import escape
from pathlib import Path

from ..grams import GramMatcher, StrategicGrams
from ..training.runs.files import LEXICON_FOLDER
from .campaign import Campaign
from .comparison import HEADER, comparison_rows, difference_lines, outcome_rows
from .highlight import trace_block
from .page import glossary, html_table


NUM_TRACES = 4
_WORDS = {
    "accuracy": "The share of sampled completions that are right, on problems that no training saw. Higher is better.",
    "gain": "Accuracy above that of the base, in points.",
    "steps right": "The share of all single steps, such as 8 - 3 = 5, that are right.",
    "tokens": "Mean length of a completion.",
    "strategy errors": "The share of completions whose plan failed: given up, nothing checked, a refuted idea kept.",
    "execution errors": "The share of completions in which a step itself is wrong.",
}
PANELS = {
    "Relative perplexity": "How surprising the sampled tokens were to the model, over its first value; falls as it "
    "grows sure. Execution tends to be sure early, planning later.",
    "Token entropy": "How undecided the model is at a token, in nats; falls as it grows sure.",
    "Semantic entropy": "How many different strategic grams are in use, and how evenly; rises while strategies are "
    "explored. More is exploration, not success.",
    "Conditional entropy": "The same of what follows each gram: the ways in which one strategy is carried out.",
    "Accuracy": "Held out: on problems that no training saw. Training: on those of the steps since the last point. "
    "Where models were judged, that was on new samples, so that it differs a little from the last point.",
    "Length": "Tokens of a completion; neither direction is good by itself.",
}


def judged_folders(campaign: Campaign) -> dict[str, list[Path]]:
    """
    Where the models of a campaign were judged, by condition, of the seeds for which all of them were; `"base"` is what
    they began with. Empty without such a seed.
    """
    judged = {name: {seed: run for seed, run in of.items() if run.outcomes} for name, of in campaign.runs.items()}
    judged = {name: of for name, of in judged.items() if of}
    seeds = [seed for seed in campaign.seeds if judged and all(seed in of for of in judged.values())]
    bases = [of[seed].base for of in judged.values() for seed in seeds if of[seed].outcomes_before]
    if not bases:
        return {}
    return {"base": bases[:1], **{name: [of[seed].folder for seed in seeds] for name, of in judged.items()}}


def judged_sections(folders: dict[str, list[Path]]) -> list[str]:
    """
    How models fail, as HTML.

    Args:
        folders (`dict[str, list[Path]]`):
            From [`judged_folders`]; each has `outcomes.json` and `samples.jsonl`, the last ones a lexicon too.
    """
    grams = StrategicGrams.load([*folders.values()][-1][0] / LEXICON_FOLDER)
    return [
        "<h2>What reinforcement learning changed, on held-out problems</h2>",
        html_table(HEADER, comparison_rows(folders), "The base, and what each method made of it"),
        *(f"<p><strong>{escape(line)}</strong></p>" for line in difference_lines(folders)),
        glossary(_WORDS),
        "<h2>What went wrong, held out</h2>",
        html_table(*outcome_rows(folders), "The share of completions of each class"),
        "<h2>Traces, before and after</h2>",
        "<p>The first problems that the base failed at. Marked: <mark>what is one of "
        f"{len(grams)} strategic grams</mark> (fingerprint {grams.fingerprint}).</p>",
        *_traces({method: runs[0] for method, runs in folders.items()}, grams),
    ]


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
