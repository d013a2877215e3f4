"""Names of what lies in the folder of a run and in its checkpoints."""

CONFIG_FILE = "resolved_config.yaml"
MANIFEST_FILE = "manifest.json"
LEXICON_FOLDER = "strategic_grams"
STATE_FILE = "hicra_state.json"
