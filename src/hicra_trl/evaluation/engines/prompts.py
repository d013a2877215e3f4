r"""How a problem becomes a prompt.

A model is asked the problem in the user turn, then the instruction, and no system turn unless one is given: the
protocol of DeepSeek-R1, which the paper follows. Everything that belongs to one problem (its context, its options,
that a letter is asked for) is part of the item's problem; the instruction is the same for all.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoProcessor, AutoTokenizer, PreTrainedTokenizerBase

from ...disk import commit, fingerprint, from_pretrained
from ...gguf import find_gguf, is_gguf, read_gguf
from ...gguf import fingerprint as file_fingerprint
from ...rewards.boxed import BOXED_INSTRUCTION
from ...terminal import first_line
from ..problems.images import IMAGE_MARK, EncodedImage, split_at_images
from ..problems.items import Item
from ..settings import EvalArguments
from .engine import Prompt, token_limit


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
    >>> from hicra_trl.rewards import Gold

    >>> conversation(Item("1", "What is 2 + 2?", Gold("4")), "Be brief.")
    [{'role': 'user', 'content': 'What is 2 + 2?\n\nBe brief.'}]
    ```
    """
    system: Any = system_prompt
    content: Any = text_prompt(item, instruction)
    if item.images:
        system = system_prompt and [_part(system_prompt)]
        try:
            content = [_part(part) for part in split_at_images(content, item.images)]
        except ValueError as error:
            raise ValueError(f"item {item.id!r}: {error}") from error
    user = {"role": "user", "content": content}
    return [{"role": "system", "content": system}, user] if system else [user]


def text_prompt(item: Item, instruction: str = BOXED_INSTRUCTION) -> str:
    r"""
    An item as plain text, as in [`conversation`]; images as `<image>`.

    Example:

    ```python
    >>> from hicra_trl.rewards import Gold

    >>> text_prompt(Item("1", "What is 2 + 2?", Gold("4")), "Be brief.")
    'What is 2 + 2?\n\nBe brief.'
    ```
    """
    return f"{item.problem.strip()}\n\n{instruction}" if instruction else item.problem


def as_text(messages: list[dict[str, Any]]) -> str:
    """What [`conversation`] returned as plain text for storage: its turns after one another, images as `<image>`."""
    turns = []
    for message in messages:
        content = message["content"]
        if isinstance(content, list):
            content = "".join(part["text"] if part["type"] == "text" else IMAGE_MARK for part in content)
        turns.append(content)
    return "\n\n".join(turns)


class Renderer:
    """
    Makes prompts for a model that is loaded here, and reads what it writes.

    Args:
        args ([`EvalArguments`]):
            Names the model, and says how a problem becomes a prompt.
        images (`bool`):
            Whether items have images.

    Attributes:
        config ([`~transformers.PretrainedConfig`]):
            The model's config.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            The model's tokenizer.
        processor ([`~transformers.ProcessorMixin`] or `None`):
            Its processor, where items have images.

    Raises:
        `ValueError`: if there is no such model or only an adapter, or no chat template where one is asked for.
    """

    def __init__(self, args: EvalArguments, images: bool) -> None:
        self.args = args
        source = {"revision": args.model_revision or "main", "trust_remote_code": args.trust_remote_code}
        self.processor: Any = None  # ProcessorMixin declares neither its tokenizer nor its image token
        if Path(args.model, "adapter_config.json").is_file():
            raise ValueError(
                f"{args.model} is an adapter without its base: expected a whole model, as 'hicra export' makes one"
            )
        if args.dtype != "auto" and not isinstance(getattr(torch, args.dtype, None), torch.dtype):
            raise ValueError(f"dtype must be auto or a type of torch such as bfloat16, got {args.dtype!r}")
        for file in sorted(Path(args.model).glob("*.safetensors")) if Path(args.model).is_dir() else ():
            try:
                with safe_open(file, "pt"):
                    pass
            except (SafetensorError, OSError) as error:
                raise ValueError(f"cannot read {file}: {first_line(error)}") from error
        reader: Any  # a processor, where there are images; read_gguf gives none
        try:
            if is_gguf(args.model):
                self.config, reader, _ = read_gguf(find_gguf(args.model, args.model_revision))
            else:
                self.config = from_pretrained(AutoConfig, args.model, **source)
                kind = AutoProcessor if images else AutoTokenizer
                reader = from_pretrained(kind, args.model, mistral_format=False, **source)
            if not images:
                self.tokenizer = reader
            elif isinstance(reader, PreTrainedTokenizerBase):
                raise ValueError(f"{args.model} does not see: expected a model for the images of the benchmarks")
            else:
                self.processor, self.tokenizer = reader, reader.tokenizer
        except OSError as error:
            reason = first_line(error)
            raise ValueError(f"no model {args.model!r}: expected a folder or a model on the Hub ({reason})") from error
        special = {token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special}
        self._special = sorted(special, key=len, reverse=True)
        if args.prompt_format == "chat" and (self.processor or self.tokenizer).chat_template is None:
            raise ValueError(f"{args.model} has no chat template: expected one, or prompt_format 'text'")
        template = str((self.processor or self.tokenizer).chat_template)
        if args.enable_thinking is not None and "enable_thinking" not in template:
            raise ValueError(f"enable_thinking has no effect: the chat template of {args.model} does not read it")

    @property
    def context(self) -> int | None:
        """Tokens that prompt and completion have together; `None` for a model without such a limit."""
        return self.args.max_model_length or getattr(self.config.get_text_config(), "max_position_embeddings", None)

    @property
    def origin(self) -> dict[str, str]:
        """The commit of a model on the Hub, or what the files of a local one amount to."""
        if is_gguf(self.args.model):
            return {"fingerprint": file_fingerprint(find_gguf(self.args.model, self.args.model_revision))}
        folder = Path(self.args.model)
        if folder.is_dir():
            return {"fingerprint": fingerprint(folder)}
        return {"commit": str(commit(self.args.model, self.args.model_revision))}

    def prompt(self, item: Item) -> Prompt:
        """The prompt of an item; raises `ValueError` if the context has no place for a completion."""
        prompt = self.render(item)
        self.limit(prompt)
        return prompt

    def render(self, item: Item) -> Prompt:
        """The prompt of an item, however long. A special token that a problem names is text there."""
        names = {} if item.images else self._special_names(item.problem)
        if self.args.prompt_format == "text":
            text = plain_prompt(item, self.args)
            ids = self._opened(text, **({"split_special_tokens": True} if names else {}))
        else:
            hidden = item.problem
            for name, stand_in in names.items():
                hidden = hidden.replace(name, stand_in)
            messages = conversation(
                replace(item, problem=hidden) if names else item, self.args.instruction, self.args.system_prompt
            )
            thinking = self.args.enable_thinking
            told: dict[str, Any] = {} if thinking is None else {"enable_thinking": thinking}
            try:
                text = (self.processor or self.tokenizer).apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=True, **told
                )
            except (TemplateError, TypeError) as error:
                raise ValueError(
                    f"the chat template of {self.args.model} refuses item {item.id!r}: {first_line(error)}"
                ) from error
            # The template writes the special tokens itself.
            ids = self._chat_ids(text, names)
            for name, stand_in in names.items():
                text = text.replace(stand_in, name)
        return Prompt(item, text, tuple(ids), self.processor.image_token if self.processor else IMAGE_MARK)

    def _special_names(self, text: str) -> dict[str, str]:
        """The special tokens that a text names, the longest first, and private characters that stand for them."""
        names = [name for name in self._special if name in text]
        return {name: f"\ue000{index}\ue001" for index, name in enumerate(names)}

    def _chat_ids(self, text: str, names: dict[str, str]) -> list[int]:
        """Tokens of what the template wrote, with the letters of the names in place of what stands for them."""
        ids, stood_for = [], {stand_in: name for name, stand_in in names.items()}
        for part in re.split(f"({'|'.join(stood_for)})", text) if names else [text]:
            split = {"split_special_tokens": True} if part in stood_for else {}
            part = stood_for.get(part, part)
            ids += self.tokenizer(part, add_special_tokens=False, verbose=False, **split).input_ids
        return ids

    def _opened(self, text: str, **split: bool) -> list[int]:
        """Tokens of a text with the special ones that go before it, and without those that would end it."""
        whole = self.tokenizer(text, verbose=False, **split).input_ids
        plain = self.tokenizer(text, add_special_tokens=False, verbose=False, **split).input_ids
        for start in range(len(whole) - len(plain) + 1):
            if whole[start : start + len(plain)] == plain:
                return whole[: start + len(plain)]
        return whole

    def limit(self, prompt: Prompt) -> int:
        """Most tokens of a completion of `prompt`."""
        return token_limit(prompt.item.id, len(prompt.ids), self.args.max_tokens, self.context)

    def text(self, ids: Sequence[int]) -> str:
        """What sampled tokens say, without special ones."""
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def plain_prompt(item: Item, args: EvalArguments) -> str:
    """A problem and the instruction, without a chat template."""
    if item.images:
        raise ValueError(f"item {item.id!r} has images: expected prompt_format 'chat', got 'text'")
    return text_prompt(item, args.instruction)


def _part(part: str | EncodedImage) -> dict[str, Any]:
    return {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": part.open()}
