r"""What a model is asked: the problem in the user turn, then the instruction, and no system turn unless one is given.

This is the protocol of DeepSeek-R1, which the paper follows. Everything that belongs to one problem (its context, its
options, that a letter is asked for) is part of the item's problem; the instruction is the same for all.
"""

from typing import Any

from ...rewards.boxed import BOXED_INSTRUCTION
from ..problems.images import IMAGE_MARK, EncodedImage, split_at_images
from ..problems.items import Item


def conversation(
    item: Item, instruction: str = BOXED_INSTRUCTION, system_prompt: str | None = None
) -> list[dict[str, Any]]:
    r"""
    The messages of an item, as chat templates and processors take them.

    Args:
        item ([`Item`]):
            What is asked. Its images are decoded here.
        instruction (`str`, *optional*):
            Follows the problem after an empty line. Defaults to asking for the answer in `\boxed{}`; empty for none.
        system_prompt (`str`, *optional*):
            A system turn before it.

    Returns:
        `list[dict]`: messages. The content of the user turn is a text; for an item with images it is a list of texts
        and images in their order, and so is that of the system turn then.

    Example:

    ```python
    >>> conversation(Item("1", "What is 2 + 2?", Gold("4")), "Be brief.")
    [{'role': 'user', 'content': 'What is 2 + 2?\n\nBe brief.'}]
    ```
    """
    asked = text_prompt(item, instruction)
    if not item.images:
        system = [{"role": "system", "content": system_prompt}] if system_prompt else []
        return [*system, {"role": "user", "content": asked}]
    system = [{"role": "system", "content": [_part(system_prompt)]}] if system_prompt else []
    try:
        content = [_part(part) for part in split_at_images(asked, item.images)]
    except ValueError as error:
        raise ValueError(f"item {item.id!r}: {error}") from error
    return [*system, {"role": "user", "content": content}]


def text_prompt(item: Item, instruction: str = BOXED_INSTRUCTION) -> str:
    r"""
    An item as plain text, without chat messages; images as `<image>`.

    Args:
        item ([`Item`]):
            What is asked.
        instruction (`str`, *optional*):
            Follows the problem after an empty line. Defaults to asking for the answer in `\boxed{}`; empty for none.

    Returns:
        `str`: problem and instruction.

    Example:

    ```python
    >>> text_prompt(Item("1", "What is 2 + 2?", Gold("4")), "Be brief.")
    'What is 2 + 2?\n\nBe brief.'
    ```
    """
    return f"{item.problem}\n\n{instruction}" if instruction else item.problem


def as_text(messages: list[dict[str, Any]]) -> str:
    """What [`conversation`] returned as plain text for storage: its turns after one another, images as `<image>`."""
    turns = []
    for message in messages:
        content = message["content"]
        if isinstance(content, list):
            content = "".join(part["text"] if part["type"] == "text" else IMAGE_MARK for part in content)
        turns.append(content)
    return "\n\n".join(turns)


def _part(part: str | EncodedImage) -> dict[str, Any]:
    return {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": part.open()}
