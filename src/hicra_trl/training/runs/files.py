"""Names of what lies in the folder of a run and in its checkpoints."""

from pathlib import Path


CONFIG_FILE = "resolved_config.yaml"
MANIFEST_FILE = "manifest.json"
LEXICON_FOLDER = "strategic_grams"
TOKEN_RECORD_FOLDER = "token_records"
CARD_FIGURE = "dynamics.png"
STATE_FILE = "hicra_state.json"
HEALTH_FILE = "health.jsonl"
GRAM_OUTCOMES_FILE = "gram_outcomes.parquet"


def missing_state(checkpoint: str | Path) -> str | None:
    """Why a checkpoint is without the file that is written last; `None` if it has it."""
    folder = Path(checkpoint)
    if (folder / STATE_FILE).is_file():
        return None
    # Of ours, the lexicon is there before the state of Transformers.
    if (folder / "trainer_state.json").is_file() and not (folder / LEXICON_FOLDER).is_dir():
        return (
            f"another trainer's, without {STATE_FILE}: expected one of HICRATrainer; its weights can be trained on as "
            "the model of a new run"
        )
    return f"half-written, without {STATE_FILE}"
