"""Writes the viewer's page: an index, then a compressed block for each rollout, unpacked when it is looked at.

Nothing that a model or a user wrote is HTML or script here: it is JSON with its `<` escaped, or base64. The script
puts it into the page as text alone, and the policy lets nothing else run and nothing be fetched.
"""

import hashlib
import json
import math
import zlib
from base64 import b64encode
from collections import defaultdict
from collections.abc import Sequence
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from ...disk import check_own, save_whole
from ..page import made_by, style
from .rollouts import Rollout, Run


TITLE = "<title>HICRA rollouts</title>"
_NONE = 0xFFFF  # of a number that was not recorded


class _Numbers(defaultdict[Any, int]):
    """Numbers things from 0 in the order in which they come."""

    def __init__(self) -> None:
        super().__init__(count().__next__)


def write_view(path: str | Path, runs: Sequence[Run]) -> Path:
    """
    Writes the page, of at most two runs.

    Args:
        path (`str` or `Path`):
            The HTML file; of what is there, only such a page is replaced.
        runs (`Sequence[Run]`):
            From [`read_run`].

    Returns:
        `Path`: the file.
    """
    path = Path(path)
    check_own(path, TITLE)
    prompts, grams, pieces = _Numbers(), _Numbers(), _Numbers()
    blocks: list[str] = []
    scales: list[tuple[float, float, float]] = []
    shown = []
    for run in runs:
        columns = defaultdict[str, list[Any]](list)
        first = len(blocks)
        for rollout in run.rollouts:
            for name, value in _summary(rollout, prompts).items():
                columns[name].append(value)
            blocks.append(_block(rollout, grams, pieces))
            if rollout.numbers is not None and rollout.own.any():
                scales.append(_scales(rollout, rollout.numbers))
        shown.append(
            {
                "name": run.name,
                "facts": run.facts,
                "origin": run.origin,
                "notes": run.notes,
                "alarms": run.alarms,
                "rewardNames": run.reward_names,
                "first": first,
                "words": run.words,
                "rollouts": columns,
            }
        )
    # Bars are as tall as most rollouts need: one strange token does not flatten all others.
    advantages, logps, entropies = zip(*scales) if scales else ([1.0], [1.0], [1.0])
    tallest = {"advantage": max(advantages), "logp": np.median(logps), "entropy": np.median(entropies)}
    index = {
        "made": made_by(),
        "runs": shown,
        "prompts": list(prompts),
        "grams": list(grams),
        "pieces": {
            "ids": [token for token, _ in pieces],
            "ends": np.cumsum([len(text) for _, text in pieces]).tolist(),
        },
        "scales": {name: float(value) or 1.0 for name, value in tallest.items()},
    }
    head, tail = _template().split("<!--blocks-->")
    head = head.replace("<!--index-->", _json(index)).replace(
        "<!--pieces-->", _packed(b"".join(text for _, text in pieces))
    )

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8") as page:
            page.write(head)
            for number, block in enumerate(blocks):
                page.write(f'<script type="text/plain" id="block{number}">{block}</script>\n')
            page.write(tail)

    save_whole(path, write)
    return path


def _summary(rollout: Rollout, prompts: _Numbers) -> dict[str, Any]:
    """What the list of rollouts knows of one without its block."""
    return {
        "step": rollout.step,
        "group": rollout.group,
        "index": rollout.index,
        "prompt": prompts[rollout.prompt],
        "reward": _finite(rollout.reward),
        "rewards": [_finite(reward) for reward in rollout.rewards],
        "advantage": _finite(rollout.advantage),
        "tokens": len(rollout.pieces),
        "own": int(rollout.own.sum()),
        "planning": int((rollout.planning & rollout.own).sum()),
        "cut": int(rollout.cut),
    }


def _block(rollout: Rollout, grams: _Numbers, pieces: _Numbers) -> str:
    """
    A rollout's columns one behind the other, least significant byte first: piece (low 16 bits), piece (high 8 bits),
    flags (1 own, 2 planning, 4 high entropy), gram (int32); then, where they were recorded, advantage after credit
    (float32), log-probability and entropy (thousandths of a nat, without sign, 65535 for none).
    """
    numbers = np.array([pieces[piece] for piece in rollout.pieces], dtype=np.uint32)
    flags = rollout.own + 2 * rollout.planning.astype(np.uint8) + 4 * rollout.high.astype(np.uint8)
    gram = rollout.gram.astype("<i4")
    for place in np.unique(gram[gram >= 0]).tolist():
        gram[rollout.gram == place] = grams[rollout.grams[place]]
    columns = [numbers.astype("<u2"), (numbers >> 16).astype(np.uint8), flags.astype(np.uint8), gram]
    if rollout.numbers is not None:
        credited, logp, entropy = rollout.numbers
        columns += [credited.astype("<f4"), _thousandths(-logp), _thousandths(entropy)]
    return _packed(b"".join(column.tobytes() for column in columns))


def _thousandths(nats: np.ndarray) -> np.ndarray:
    thousandths = np.nan_to_num(nats.astype(np.float32) * 1000, nan=_NONE, posinf=_NONE - 1)
    return thousandths.round().clip(0, _NONE).astype("<u2")


def _scales(rollout: Rollout, numbers: tuple[np.ndarray, np.ndarray, np.ndarray]) -> tuple[float, float, float]:
    credited, logp, entropy = (np.nan_to_num(np.abs(values[rollout.own]).astype(np.float32)) for values in numbers)
    return float(credited.max()), float(np.quantile(logp, 0.98)), float(np.quantile(entropy, 0.98))


def _packed(data: bytes) -> str:
    return b64encode(zlib.compress(data, 6)).decode()


def _finite(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None


def _json(value: Any) -> str:
    """JSON in ASCII that no HTML parser sees an end in."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _template() -> str:
    """The page without its data."""
    html, script = (
        files("hicra_trl.analysis.viewer").joinpath(f"view.{kind}").read_text("utf-8") for kind in ("html", "js")
    )
    for mark, content in (("style", style("viewer/view.css")), ("script", script)):
        digest = b64encode(hashlib.sha256(content.encode()).digest()).decode()
        html = html.replace(f"<!--{mark}-->", content).replace(f"sha256-{mark}", f"sha256-{digest}")
    return html
