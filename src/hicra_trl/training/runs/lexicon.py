"""The lexicon that a run was trained with."""

from pathlib import Path

from ...grams import StrategicGrams
from .files import LEXICON_FOLDER


def check_same_lexicon(checkpoint: str | Path, grams: StrategicGrams) -> None:
    """Raises if `checkpoint` was trained with another lexicon: labels before and after would mean different things."""
    saved = StrategicGrams.load(Path(checkpoint, LEXICON_FOLDER))
    if saved.fingerprint != grams.fingerprint:
        raise ValueError(
            f"cannot resume {checkpoint}: it was trained with a lexicon of {len(saved)} strategic grams and "
            f"fingerprint {saved.fingerprint}, got one of {len(grams)} and fingerprint {grams.fingerprint}"
        )
