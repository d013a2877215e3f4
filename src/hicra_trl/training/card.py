"""What a model card says of the credit assignment."""

from ..grams import StrategicGrams
from .config import HICRAConfig


_CREDITED = {
    "planning": "planning tokens",
    "random": "random tokens, in each completion as many as it has planning tokens,",
    "high_entropy": "the tokens of highest entropy, in each completion as many as it has planning tokens,",
}


def credit_section(args: HICRAConfig, grams: StrategicGrams) -> str:
    """The section of the card, in Markdown."""
    return (
        "## Hierarchy-aware credit assignment\n\n"
        f"The advantage of {_CREDITED[args.credit_tokens]} was raised by alpha = {args.alpha} times its magnitude. "
        f"Planning tokens are those inside one of {len(grams)} strategic grams (fingerprint `{grams.fingerprint}`, "
        "saved in `strategic_grams/`).\n\n"
    )
