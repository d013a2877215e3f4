"""The model card of a run: what TRL's says, made true of this model, with the credit, the settings and the numbers."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from ..disk import read_mapping
from ..dynamics.curves import draw, save
from ..dynamics.logged import DYNAMICS, HELD_OUT, logged, method_name
from ..grams import StrategicGrams
from .config import HICRAConfig
from .runs.files import CARD_FIGURE, CONFIG_FILE, MANIFEST_FILE


CREDITED = {
    "planning": "The advantage of planning tokens was raised by alpha = {alpha} times its magnitude.",
    "asymmetric": "The advantage of planning tokens was raised by alpha = {alpha} times its magnitude in completions "
    "above the mean of their group, and by {alpha_below} times in those below.",
    "outcome": "The advantage of a strategic gram's tokens was raised by up to alpha = {alpha} times its magnitude "
    "where the gram goes along with right answers, and lowered where it goes along with wrong ones.",
    "plan": "To the advantage of a strategic gram's tokens up to alpha = {alpha} times the batch's root mean square "
    "advantage was added where the gram goes along with right answers, and taken where it goes along with wrong ones.",
    **{
        name: f"The advantage of {which}, in each completion as many as it has planning tokens, was raised by alpha = "
        "{alpha} times its magnitude."
        for name, which in {
            "random": "random tokens",
            "high_entropy": "the tokens of highest entropy",
            "execution": "the tokens of lowest entropy outside of planning",
        }.items()
    },
}
# What the table shows of the first log that has it, and of the last.
_NUMBERS = {
    "reward": ("reward",),
    "pass@1, held out": HELD_OUT,
    "tokens per completion": ("completions/mean_length",),
    "share of planning tokens": ("hicra/planning_fraction",),
    "semantic entropy, nats": ("hicra/semantic_entropy",),
}


def complete_card(
    card: ModelCard,
    config: HICRAConfig,
    grams: StrategicGrams,
    logs: Sequence[Mapping[str, Any]],
    base: str,
    prompt: str | list[dict[str, Any]] | None,
    is_trained: bool,
) -> None:
    """
    Completes the card that TRL wrote, and draws its figure.

    Args:
        card ([`~huggingface_hub.ModelCard`]):
            TRL's; it is changed.
        config ([`HICRAConfig`]), grams ([`StrategicGrams`]):
            Of the run. Its folder may have a manifest, which tells the command.
        logs (`Sequence[Mapping[str, Any]]`):
            What was logged.
        base (`str`):
            Name or folder of the model that the training began with, empty where it has none.
        prompt (`str` or `list[dict[str, Any]]`, *optional*):
            One of the training, for the example; without one TRL's stays.
        is_trained (`bool`):
            Whether the training is over, so that a figure is drawn.
    """
    # TRL writes `licence: license`: a word that the Hub does not read, and no licence.
    card.data.pop("licence", None)
    text = card.text.replace('model="None"', f'model="{config.output_dir}"')
    # What TRL writes of a model that is not on the Hub.
    named = f"`{Path(base).name}`" if base else "a model that was given without a name"
    text = text.replace("[None](https://huggingface.co/None)", named)
    if prompt is not None:
        text = re.sub(r"question = .*", lambda _: f"prompt = {prompt!r}", text)
        asked = f"generator(prompt, max_new_tokens={config.max_completion_length}"
        text = re.sub(r"generator\(\[.*\], max_new_tokens=\d+", lambda _: asked, text)
    credited = f"Credit was given by `{config.credit}`, alpha = {config.alpha}."
    if config.credit in CREDITED:
        credited = CREDITED[config.credit].format(alpha=config.alpha, alpha_below=config.alpha_below or 0)
    section = (
        "## Hierarchy-aware credit assignment\n\n"
        f"{credited} Planning tokens are those inside one of {len(grams)} strategic grams (fingerprint "
        f"`{grams.fingerprint}`, saved in `strategic_grams/`).\n\n{_run(config)}{_numbers(logs)}"
    )
    panels, _ = logged(DYNAMICS, {method_name(vars(config)): {str(config.seed): logs}})
    if panels and is_trained:
        save(draw(panels), Path(config.output_dir, CARD_FIGURE), "hicra train")
        section += f"![What training changed: entropies, accuracy and length over steps]({CARD_FIGURE})\n\n"
    card.text = text.replace("### Framework versions", f"{section}### Framework versions")


def _run(config: HICRAConfig) -> str:
    """The settings to know, and where the others are."""
    steps = config.per_device_train_batch_size * config.world_size * config.gradient_accumulation_steps
    text = (
        f"A step had {steps} completions, {config.num_generations} of each prompt, of up to "
        f"{config.max_completion_length:,} tokens; learning rate {config.learning_rate:g}, seed {config.seed}.\n\n"
    )
    manifest = Path(config.output_dir, MANIFEST_FILE)
    if not manifest.is_file():
        return text
    return text + (
        f"All settings are in `{CONFIG_FILE}`, which is a recipe; data, versions and machine in `{MANIFEST_FILE}`. "
        f"The command was\n\n```bash\n{read_mapping(manifest, command=str)['command']}\n```\n\n"
    )


def _numbers(logs: Sequence[Mapping[str, Any]]) -> str:
    """A table of what was logged first and last."""
    rows = []
    for name, keys in _NUMBERS.items():
        found = [(log["step"], log[key]) for key in keys for log in logs if key in log]
        if found:
            first, last = (f"{value:.3g} (step {step})" for step, value in (found[0], found[-1]))
            rows.append(f"| {name} | {first} | {last} |\n")
    if not rows:
        return ""
    head = "| | first | last |\n|---|---|---|\n"
    return f"{head}{''.join(rows)}\n"
