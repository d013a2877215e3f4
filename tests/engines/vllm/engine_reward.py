"""Named as a reward in a recipe, so that every process that trains repairs its engine before it builds it."""

from engines.vllm.cpu_engine import keep_weights
from training.helpers import vowel_share  # noqa: F401


keep_weights()
