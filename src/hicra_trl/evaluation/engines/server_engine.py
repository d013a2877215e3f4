"""Sampling through any server with an OpenAI-compatible interface."""

import base64
import io
import json
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from multiprocessing.pool import ThreadPool
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

import openai

from ..problems.items import Item
from ..settings import EvalArguments
from .engine import Completion, Prompt, Request, stable_seed, token_limit
from .prompts import Renderer, as_text, conversation, plain_prompt


ATTEMPTS = 6
PAUSE = 0.5  # seconds before an answer that was none is asked for again; doubled each time
# A long completion takes long, and nothing is sent before it is finished.
TIMEOUT = openai.Timeout(3600, connect=30)
# What these servers would otherwise take from the model's generation_config.json.
_EXTENDED = {"vllm", "sglang"}


class ServerEngine:
    """
    Samples through `/chat/completions`, or `/completions` for prompts of plain text.

    Every sample is a request with a seed of its own; what the server makes of the seed is up to it. Requests that fail
    for a reason that may pass are repeated with growing pauses. Where the server tells its context length and the
    model's tokenizer can be loaded here, a completion may take what its prompt leaves of that; otherwise `max_tokens`
    is sent as it is.

    Args:
        args ([`EvalArguments`]):
            Names the server and the model, and how to sample.
    """

    def __init__(self, args: EvalArguments) -> None:
        self.args = args
        assert args.base_url is not None
        self.base_url = args.base_url.rstrip("/")
        try:
            _ = urlsplit(self.base_url).port
        except ValueError as error:
            raise ValueError(f"{self.base_url}/models cannot be reached ({error})") from error
        try:
            # Where the model's tokenizer can be loaded by its name.
            self.renderer: Renderer | None = Renderer(args, images=False)
        except ValueError:
            self.renderer = None
        self.tokenizer = self.renderer and self.renderer.tokenizer
        key = os.environ.get(args.api_key_env)
        # The client refuses to be made without a key.
        self._headers = {} if key else {"Authorization": openai.Omit()}
        self._client = openai.OpenAI(
            base_url=self.base_url, api_key=key or "none", timeout=TIMEOUT, max_retries=ATTEMPTS - 1
        )

    @cached_property
    def served(self) -> dict[str, Any]:
        """What the server says of the model; raises `ValueError` if it cannot be reached or does not serve it."""
        models = self._client.with_options(max_retries=0, timeout=30).models
        text = self._text("models", 1, models.with_raw_response.list)
        try:
            served = {model["id"]: model for model in json.loads(text)["data"]}
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{self.base_url}/models answered no list of models: {text[:200]!r}") from error
        if self.args.model not in served:
            names = ", ".join(served) or "no model"
            raise ValueError(f"{self.base_url} serves {names}, got model {self.args.model!r}")
        return served[self.args.model]

    @property
    def origin(self) -> dict[str, str]:
        """What the server is, as it says."""
        return {"served_by": self.served.get("owned_by", "")}

    def prompt(self, item: Item) -> Prompt:
        """See [`Engine`]."""
        if self.renderer and not item.images:
            prompt = self.renderer.render(item)
        elif self.args.prompt_format == "chat":
            prompt = Prompt(item, as_text(self._conversation(item)))
        else:
            prompt = Prompt(item, plain_prompt(item, self.args))
        self._limit(prompt)
        return prompt

    def sample(
        self, benchmark: str, requests: Sequence[Request], done: Collection[tuple[str, int]]
    ) -> Iterator[list[Completion]]:
        """See [`Engine`]."""
        arrived: SimpleQueue[Completion | BaseException | None] = SimpleQueue()
        stopped = threading.Event()

        def draw(request: Request) -> Completion | ValueError | None:
            try:
                return None if stopped.is_set() else self._draw(benchmark, request)
            except ValueError as error:
                stopped.set()
                return error

        waiting = [request for request in requests if request.key not in done]
        left, errors = len(waiting), []
        # Its threads are daemons: an interruption does not wait for the server.
        with ThreadPool(max(1, min(self.args.concurrency, left))) as pool:
            for request in waiting:
                pool.apply_async(draw, (request,), callback=arrived.put, error_callback=arrived.put)
            while left:
                batch = [arrived.get()]
                while not arrived.empty():
                    batch.append(arrived.get())
                left -= len(batch)
                errors += [error for error in batch if isinstance(error, BaseException)]
                if completions := [completion for completion in batch if isinstance(completion, Completion)]:
                    yield completions
        if errors:
            raise errors[0]

    def _draw(self, benchmark: str, request: Request) -> Completion:
        seed = stable_seed(self.args.seed, benchmark, *request.key)
        chat = self.args.prompt_format == "chat"
        path, resource = ("chat/completions", self._client.chat) if chat else ("completions", self._client)
        body = self._body(request.prompt, seed, chat)
        for attempt in range(ATTEMPTS):
            answer = self._text(path, ATTEMPTS, resource.completions.with_raw_response.create, **body)
            if not _may_pass(answer) or attempt == ATTEMPTS - 1:
                break
            time.sleep(PAUSE * 2**attempt)
        try:
            whole = json.loads(answer)
            [choice] = whole["choices"]
            text = _message_text(choice["message"]) if chat else choice["text"]
            ids = choice.get("token_ids")
            tokens = len(ids) if ids else whole["usage"]["completion_tokens"]
            if not isinstance(text, str) or type(tokens) is not int:
                raise TypeError(f"expected a text and a number of tokens, got {text!r:.40} and {tokens!r:.40}")
            reason = "length" if choice["finish_reason"] == "length" else "stop"
            asked = (whole.get("usage") or {}).get("prompt_tokens")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            url = f"{self.base_url}/{path}"
            raise ValueError(f"{url} answered no completion: {error!r} in {answer[:200]!r}") from error
        if ids and self.renderer:
            text = self.renderer.text(ids)
        return Completion(request, text, ids, tokens, reason, seed, asked if type(asked) is int else None)

    def _limit(self, prompt: Prompt) -> int:
        if not prompt.ids:
            return self.args.max_tokens
        context = self.args.max_model_length or self.served.get("max_model_len")
        return token_limit(prompt.item.id, len(prompt.ids), self.args.max_tokens, context)

    def _body(self, prompt: Prompt, seed: int, chat: bool) -> dict[str, Any]:
        software = self.origin["served_by"]
        more: dict[str, Any] = {"min_p": 0.0, "repetition_penalty": 1.0} if software in _EXTENDED else {}
        if self.args.top_k or software in _EXTENDED:
            more["top_k"] = self.args.top_k or -1
        if software == "vllm":
            more["return_token_ids"] = True
        if self.args.enable_thinking is not None:
            more["chat_template_kwargs"] = {"enable_thinking": self.args.enable_thinking}
        messages = [_with_urls(message) for message in self._conversation(prompt.item)] if chat else []
        return {
            "model": self.args.model,
            "temperature": self.args.temperature,
            "top_p": self.args.top_p,
            "max_tokens": self._limit(prompt),
            "seed": seed,
            **({"messages": messages} if chat else {"prompt": prompt.text}),
            "extra_body": more,
        }

    def _conversation(self, item: Item) -> list[dict[str, Any]]:
        return conversation(item, self.args.instruction, self.args.system_prompt)

    def _text(self, path: str, attempts: int, send: Callable[..., Any], **body: Any) -> str:
        try:
            return send(**body, extra_headers=self._headers).text
        except openai.APIConnectionError as error:
            cause, request = error.__cause__, error.request
            problem = f"cannot be reached ({type(cause).__name__}: {cause})"
        except openai.APIStatusError as error:
            request, problem = error.request, f"answered {error.status_code}: {error.response.text[:300]}"
        attempt = 1 + int(request.headers["x-stainless-retry-count"])
        tried = f" (attempt {attempt} of {attempts})" if attempts > 1 else ""
        raise ValueError(f"{self.base_url}/{path} {problem}{tried}")


def _message_text(message: dict[str, Any]) -> str:
    """What the model wrote; servers with a reasoning parser cut it in two."""
    reasoning = message.get("reasoning") or message.get("reasoning_content")
    content = message.get("content") if reasoning else message["content"]
    if isinstance(content, list):
        thought = [part["thinking"] for part in content if part["type"] == "thinking"]
        reasoning = reasoning or "".join(_said(part) for part in thought)
        content = _said(content)
    content = "" if content is None else content
    if not isinstance(content, str) or not isinstance(reasoning or "", str):
        raise TypeError(f"expected text as content, got {content!r:.60}")
    return f"<think>\n{reasoning}\n</think>\n\n{content}" if reasoning else content


def _said(parts: Any) -> str:
    """The texts of a content in parts, or of a thought, which may be a text itself."""
    return parts if isinstance(parts, str) else "".join(part["text"] for part in parts if part["type"] == "text")


def _may_pass(answer: str) -> bool:
    """Whether an answer with status 200 is none: no JSON, such as half of one, or the report of an error."""
    try:
        whole = json.loads(answer)
    except ValueError:
        return True
    return isinstance(whole, dict) and bool(whole.get("error")) and not whole.get("choices")


def _with_urls(message: dict[str, Any]) -> dict[str, Any]:
    if isinstance(message["content"], str):
        return message
    return {**message, "content": [_part(part) for part in message["content"]]}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "text":
        return part
    png = io.BytesIO()
    part["image"].save(png, format="PNG")
    url = f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}
