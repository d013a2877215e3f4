"""What every engine is asked for, and what it hands back."""

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from transformers import PreTrainedTokenizerBase

from ..problems.images import IMAGE_MARK
from ..problems.items import Item


@dataclass(frozen=True)
class Prompt:
    """
    An item as the model is given it.

    Attributes:
        item ([`Item`]):
            What is asked.
        text (`str`):
            The prompt as text, as the engine is given it.
        ids (`tuple[int, ...]`):
            Its tokens, each image as one; empty where a server makes them.
        image_token (`str`):
            What stands for an image in `text`.
    """

    item: Item
    text: str
    ids: tuple[int, ...] = ()
    image_token: str = IMAGE_MARK

    @property
    def shown(self) -> str:
        """The text for a reader: images as `<image>`."""
        return self.text.replace(self.image_token, IMAGE_MARK) if self.item.images else self.text


@dataclass(frozen=True)
class Request:
    """
    One sample to draw.

    Attributes:
        prompt ([`Prompt`]):
            What it is drawn for.
        index (`int`):
            Its number among the samples of its item.
    """

    prompt: Prompt
    index: int

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from the others of its benchmark."""
        return self.prompt.item.id, self.index


@dataclass(frozen=True)
class Completion:
    """
    One sample as an engine hands it back.

    Attributes:
        request ([`Request`]):
            What was asked for.
        text (`str`):
            What the model wrote, without special tokens.
        ids (`Sequence[int]` or `None`):
            The sampled tokens, end-of-text included; `None` where a server does not tell.
        tokens (`int`):
            How many there are.
        finish_reason (`str`):
            `"stop"`, or `"length"` where the token limit cut it.
        seed (`int`):
            Seed that it was drawn with.
        prompt_tokens (`int` or `None`):
            Tokens of the prompt as a server counts them; `None` where none tells.
    """

    request: Request
    text: str
    ids: Sequence[int] | None
    tokens: int
    finish_reason: Literal["stop", "length"]
    seed: int
    prompt_tokens: int | None = None


class PromptTooLong(ValueError):
    """A prompt leaves no place for a single token in the model's context."""


class Engine(Protocol):
    """
    What samples.

    Attributes:
        tokenizer ([`~transformers.PreTrainedTokenizerBase`] or `None`):
            The model's tokenizer, where it can be loaded.
        origin (`dict[str, str]`):
            What tells the model from another one of the same name.
    """

    tokenizer: PreTrainedTokenizerBase | None

    @property
    def origin(self) -> dict[str, str]: ...  # noqa: D102

    def prompt(self, item: Item) -> Prompt:
        """The prompt of an item; raises `ValueError` where the model's context has no place for it."""
        ...

    def sample(
        self, benchmark: str, requests: Sequence[Request], done: Collection[tuple[str, int]]
    ) -> Iterator[list[Completion]]:
        """
        Draws every request whose key is not in `done`, and yields what is finished as soon as it is.

        The `requests` are always all of a benchmark: how they are batched, and with what seeds, does not depend on
        what is done.
        """
        ...


def stable_seed(*parts: Any) -> int:
    """
    A seed of 31 bits from anything that JSON can hold, the same in every process.

    Example:

    ```python
    >>> stable_seed(0, "aime24", "60", 3)
    1486920475
    ```
    """
    digest = hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).digest()
    return int.from_bytes(digest[:4]) >> 1


def token_limit(item: str, length: int, max_tokens: int, context: int | None) -> int:
    """
    Most tokens of a completion: `max_tokens`, or less where the context of prompt and completion ends before.

    Raises:
        [`PromptTooLong`]: if the prompt leaves no place for a single token.

    Example:

    ```python
    >>> token_limit("7", length=4, max_tokens=100, context=64)
    60
    ```
    """
    if context is None:
        return max_tokens
    if length >= context:
        raise PromptTooLong(
            f"item {item!r}: its prompt has {length} tokens, expected fewer than the {context} of the context"
        )
    return min(max_tokens, context - length)
