"""The rollouts of a run as the viewer shows them: from its token record, or from the completions that it saved."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...data.rows import Row, as_text, stream_rows
from ...disk import read_mapping
from ...grams import GramMatcher, StrategicGrams
from ...grams.matcher import covered, leftmost_longest
from ...terminal import one_line
from ...training.runs.files import CONFIG_FILE, HEALTH_FILE, LEXICON_FOLDER, MANIFEST_FILE, TOKEN_RECORD_FOLDER
from ...training.runs.token_record import RecordedCompletion
from ..alarms import read_alarms
from ..runs import origin
from ..token_record import TokenRecord


HIGH_ENTROPY = 0.2  # share of a step's own tokens (paper, figure 9)
_COMPLETIONS = re.compile(r"completions_(\d+)\.parquet")
_WORD = re.compile(rb"\s*[^\s]+|\s+")
_FACTS = {"model_name_or_path": "model", "seed": "seed", "alpha": "alpha", "credit": "credit"}
# Facts, notes, names of the rewards, rollouts
_Found = tuple[dict[str, str], list[str], list[str], Iterator["Rollout"]]


@dataclass
class Rollout:
    """
    One completion of T tokens, or of T words where no tokens were recorded.

    Attributes:
        step, group, index (`int`):
            Optimizer step, group in the step, place in the group.
        prompt (`str`):
            What was asked.
        pieces (`list[tuple[int, bytes]]`):
            The id of each token (-1 of a word), and the bytes that it wrote.
        own, planning, high (`numpy.ndarray` of shape `(T,)`, bool):
            Which are the model's own, which plan, and which are of high entropy.
        gram (`numpy.ndarray` of shape `(T,)`, int):
            Index in `grams` of the occurrence that each belongs to; -1 for none.
        grams (`Sequence[str]`):
            Strategic grams.
        advantage (`float`):
            Before credit; NaN where it is not known.
        numbers (`tuple`, *optional*):
            Advantage after credit, log-probability and entropy of each token, of shape `(T,)`.
        rewards (`list[float]`):
            Of each reward function; NaN where it gave none.
        reward (`float`):
            Their sum, weighted as in the run.
        cut (`bool`):
            Whether it ended without an end token.
    """

    step: int
    group: int
    index: int
    prompt: str
    pieces: list[tuple[int, bytes]]
    own: np.ndarray
    planning: np.ndarray
    high: np.ndarray
    gram: np.ndarray
    grams: Sequence[str]
    advantage: float
    numbers: tuple[np.ndarray, np.ndarray, np.ndarray] | None
    rewards: list[float]
    reward: float
    cut: bool


@dataclass
class Run:
    """
    A run as the viewer shows it.

    Attributes:
        name (`str`):
            Of its folder.
        facts (`dict[str, str]`):
            What it was trained with.
        origin (`dict[str, str]`):
            What it comes from: seed, base, problems, versions, command.
        notes (`list[str]`):
            What is missing, and what was left out.
        alarms (`list[str]`):
            What its health check found.
        reward_names (`list[str]`):
            Its reward functions.
        words (`bool`):
            Whether it recorded no tokens.
        rollouts (`Iterator[Rollout]`):
            In order of step, group and index.
    """

    name: str
    facts: dict[str, str]
    origin: dict[str, str]
    notes: list[str]
    alarms: list[str]
    reward_names: list[str]
    words: bool
    rollouts: Iterator[Rollout]


def read_run(folder: str | Path, steps: Sequence[int] | None = None, limit: int = 2000) -> Run:
    """
    Reads what a run left: its token record, or else the completions that it saved.

    Args:
        folder (`str` or `Path`):
            The `output_dir` of the run.
        steps (`Sequence[int]`, *optional*):
            The steps to show. Defaults to all.
        limit (`int`, *optional*, defaults to `2000`):
            About how many rollouts to show at most: whole groups, as many of each step; and where there are more steps
            than that, steps at even distances.

    Raises:
        `ValueError`: if there is nothing to show.
    """
    folder = Path(folder)
    config = read_mapping(folder / CONFIG_FILE) if (folder / CONFIG_FILE).is_file() else {}
    words = not (folder / TOKEN_RECORD_FOLDER).is_dir()
    read = partial(_read_completions, config=config) if words else _read_record
    facts, notes, names, rollouts = read(folder, steps, limit)
    known = {name: config[field] for field, name in _FACTS.items() if config.get(field) is not None}
    known = {name: f"{value:g}" if isinstance(value, float) else one_line(value) for name, value in known.items()}
    manifest = folder / MANIFEST_FILE
    source = origin(read_mapping(manifest)) if manifest.is_file() else {}
    return Run(folder.resolve().name, known | facts, source, notes, _alarms(folder), names, words, rollouts)


def _read_record(folder: Path, steps: Sequence[int] | None, limit: int) -> _Found:
    record = TokenRecord.read(folder)
    chosen, notes = _steps(folder, record.steps, steps)
    rows = record.rows(chosen[0])
    chosen, most = _spread(chosen, _groups(rows, lambda row: row.group), limit, notes)
    header = rows[0].header
    facts = {"alpha": f"{header.alpha:g}", "credit": header.credit, "lexicon": header.lexicon}
    rollouts = (rollout for step in chosen for rollout in _recorded(record.rows(step), most))
    return facts, notes, header.reward_names, rollouts


def _read_completions(folder: Path, steps: Sequence[int] | None, limit: int, config: dict[str, Any]) -> _Found:
    files = {int(m[1]): f for f in (folder / "completions").glob("*.parquet") if (m := _COMPLETIONS.match(f.name))}
    if not files:
        raise ValueError(
            f"nothing to view in {folder}: expected {TOKEN_RECORD_FOLDER} or completions, which training with "
            "token_record or log_completions leaves"
        )
    chosen, notes = _steps(folder, sorted(files), steps)
    notes.append(
        "No token record: words instead of tokens, no entropy, log-probability or credit. Train with "
        "token_record: 10 to record every tenth step."
    )
    first = files[chosen[0]]
    chosen, most = _spread(chosen, _groups(stream_rows(str(first)), _prompt), limit, notes)
    names = _reward_names(first)
    weights = config.get("reward_weights") or [1.0] * len(names)
    grams = _lexicon(folder, notes)
    matcher = GramMatcher(grams)
    rollouts = (
        rollout for step in chosen for rollout in _from_completions(files[step], step, most, names, weights, matcher)
    )
    return {"lexicon": grams.fingerprint}, notes, names, rollouts


def high_entropy(rows: Sequence[RecordedCompletion], share: float = HIGH_ENTROPY) -> list[np.ndarray]:
    """For each completion, which of its own tokens are among the `share` of highest entropy of all of them."""
    entropies = [np.where(row.own, row.entropy, np.nan).astype(np.float32) for row in rows]
    together = np.concatenate(entropies)
    measured = together[~np.isnan(together)]
    least = np.quantile(measured, 1 - share) if measured.size else math.inf
    return [values > least for values in entropies]


def pieces(row: RecordedCompletion) -> list[tuple[int, bytes]]:
    """Id and bytes of each token."""
    return [
        (token, row.completion[start:end]) for token, (start, end) in zip(row.ids.tolist(), pairwise([0, *row.ends]))
    ]


def prompt_text(value: Any, where: str) -> str:
    """A prompt as token records have it: of a chat, the last message of the user."""
    if isinstance(value, list):
        value = [turn for turn in value if isinstance(turn, dict) and turn.get("role") == "user"][-1:]
    return as_text(value, "prompt", where, role="user")


def _recorded(rows: list[RecordedCompletion], most: int) -> Iterator[Rollout]:
    masks = iter(high_entropy(rows))
    for row in (row for group in islice(_groups(rows, lambda row: row.group), most) for row in group):
        yield Rollout(
            step=row.step,
            group=row.group,
            index=row.index,
            prompt=row.prompt,
            pieces=pieces(row),
            own=row.own,
            planning=row.planning,
            high=next(masks),
            gram=row.gram,
            grams=row.header.grams,
            advantage=row.advantage,
            numbers=(row.credited, row.logp, row.entropy),
            rewards=row.rewards.tolist(),
            reward=row.reward,
            cut=row.cut,
        )


def _from_completions(
    file: Path, step: int, most: int, names: list[str], weights: list[float], matcher: GramMatcher
) -> Iterator[Rollout]:
    for number, group in enumerate(islice(_groups(stream_rows(str(file)), _prompt), most)):
        for index, row in enumerate(group):
            data = as_text(row.values.get("completion"), "completion", row.where).encode(errors="replace")
            matches = matcher.find_in_text(data.decode())
            occurrences = leftmost_longest(matches)
            edges = {0, len(data), *(match.end() for match in _WORD.finditer(data)), *matches[:, 3:].flat}
            starts = np.array(sorted(edges)[:-1], dtype=int)
            gram = np.full(len(data), -1)
            for found, _, _, start, end in occurrences.tolist():
                gram[start:end] = found
            rewards = [_number(row.values.get(name)) for name in names]
            given = [weight * reward for weight, reward in zip(weights, rewards) if not math.isnan(reward)]
            yield Rollout(
                step=step,
                group=number,
                index=index,
                prompt=_prompt(row),
                pieces=[(-1, data[start:end]) for start, end in pairwise(sorted(edges))],
                own=np.ones(len(starts), dtype=bool),
                planning=covered(matches[:, 3:], len(data))[starts],
                high=np.zeros(len(starts), dtype=bool),
                gram=gram[starts],
                grams=matcher.grams,
                advantage=_number(row.values.get("advantage")),
                numbers=None,
                rewards=rewards,
                reward=sum(given) if given else math.nan,
                cut=False,
            )


def _steps(folder: Path, there: list[int], asked: Sequence[int] | None) -> tuple[list[int], list[str]]:
    """The steps to show, and a note if that is not all."""
    if asked is None:
        return there, []
    if missing := sorted(set(asked) - set(there)):
        found = ", ".join(map(str, there if len(there) < 9 else [*there[:4], "...", *there[-4:]]))
        raise ValueError(f"{folder} has nothing of step {missing[0]}: expected one of {found}")
    return sorted(set(asked)), [f"{len(set(asked))} of {len(there)} steps, as asked for."]


def _spread(steps: list[int], groups: Sequence[Sequence[Any]], limit: int, notes: list[str]) -> tuple[list[int], int]:
    """Which steps, and of each how many groups, are about `limit` rollouts."""
    if not groups:
        raise ValueError(f"nothing to view of step {steps[0]}: expected completions")
    most = max(1, limit // max(map(len, groups)))
    kept = (
        steps if len(steps) <= most else [steps[i] for i in np.linspace(0, len(steps) - 1, most).round().astype(int)]
    )
    each = max(1, most // len(kept))
    if len(kept) < len(steps):
        notes.append(f"{len(kept)} of {len(steps)} steps, for --limit {limit}; --steps shows others.")
    if each < len(groups):
        notes.append(f"{each} of {len(groups)} groups of a step, for --limit {limit}.")
    return kept, each


def _groups(rows: Any, key: Any) -> list[list[Any]]:
    return [list(group) for _, group in groupby(rows, key)]


def _prompt(row: Row) -> str:
    return prompt_text(row.values.get("prompt", ""), row.where)


def _reward_names(file: Path) -> list[str]:
    schema = pq.read_schema(file)
    return [field.name for field in schema if pa.types.is_floating(field.type) and field.name != "advantage"]


def _lexicon(folder: Path, notes: list[str]) -> StrategicGrams:
    if (folder / LEXICON_FOLDER).is_dir():
        return StrategicGrams.load(folder / LEXICON_FOLDER)
    notes.append(f"No {LEXICON_FOLDER} in the run: labels are those of the paper's lexicon.")
    return StrategicGrams.paper()


def _alarms(folder: Path) -> list[str]:
    logs = (folder / HEALTH_FILE, folder / "trainer_state.json", *folder.glob("checkpoint-*/trainer_state.json"))
    return [alarm.line() for alarm in read_alarms(folder)] if any(map(Path.is_file, logs)) else []


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
