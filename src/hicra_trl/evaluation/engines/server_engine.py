"""Sampling through any server with an OpenAI-compatible interface."""

import base64
import io
import os
import random
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from queue import Empty, SimpleQueue
from typing import Any

import httpx
from transformers import PreTrainedTokenizerBase

from ..problems.items import Item
from ..settings import EvalArguments
from .engine import Completion, Prompt, Request, stable_seed, token_limit
from .prompts import Renderer, as_text, conversation, plain_prompt


ATTEMPTS = 6
LONGEST_WAIT = 60.0
TRY_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504}
# A long completion takes long, and nothing is sent before it is finished.
TIMEOUT = httpx.Timeout(3600, connect=30)
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
        self.base_url = args.base_url.rstrip("/")
        key = os.environ.get(args.api_key_env)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=args.concurrency, max_keepalive_connections=args.concurrency)
        self._client = httpx.Client(headers=headers, timeout=TIMEOUT, limits=limits)

    @cached_property
    def renderer(self) -> Renderer | None:
        """What makes the model's prompts here, where its tokenizer can be loaded by its name."""
        try:
            return Renderer(self.args, images=False)
        except ValueError:
            return None

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase | None:
        """The model's tokenizer, where it can be loaded by its name."""
        return self.renderer and self.renderer.tokenizer

    @cached_property
    def served(self) -> dict[str, Any]:
        """What the server says of the model; raises `ValueError` if it cannot be reached or does not serve it."""
        url = f"{self.base_url}/models"
        try:
            response = self._client.get(url, timeout=30)
            served = {model["id"]: model for model in response.raise_for_status().json()["data"]}
        except httpx.HTTPStatusError as error:
            raise ValueError(f"{url} answered {error.response.status_code}: {error.response.text[:300]}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ValueError(f"{url} cannot be reached ({type(error).__name__}: {error})") from error
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{url} answered no list of models: {response.text[:200]!r}") from error
        if self.args.model not in served:
            raise ValueError(
                f"{self.base_url} serves {', '.join(served) or 'no model'}, got model {self.args.model!r}"
            )
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
        waiting: SimpleQueue[Request] = SimpleQueue()
        finished: SimpleQueue[Completion | ValueError | None] = SimpleQueue()
        stopped = threading.Event()

        def work() -> None:
            try:
                while not stopped.is_set():
                    request = waiting.get_nowait()
                    finished.put(self._draw(benchmark, request))
            except Empty:
                pass
            except ValueError as error:
                stopped.set()
                finished.put(error)
            finally:
                finished.put(None)

        for request in requests:
            if request.key not in done:
                waiting.put(request)
        working = min(self.args.concurrency, waiting.qsize())
        for _ in range(working):
            # Daemons: an interruption does not wait for the server.
            threading.Thread(target=work, daemon=True).start()
        errors = []
        try:
            while working:
                arrived = [finished.get()]
                while not finished.empty():
                    arrived.append(finished.get())
                working -= arrived.count(None)
                errors += [error for error in arrived if isinstance(error, ValueError)]
                if completions := [completion for completion in arrived if isinstance(completion, Completion)]:
                    yield completions
        finally:
            stopped.set()
        if errors:
            raise errors[0]

    def _draw(self, benchmark: str, request: Request) -> Completion:
        seed = stable_seed(self.args.seed, benchmark, *request.key)
        chat = self.args.prompt_format == "chat"
        url = f"{self.base_url}/{'chat/completions' if chat else 'completions'}"
        response = self._post(url, self._body(request.prompt, seed, chat))
        try:
            answer = response.json()
            [choice] = answer["choices"]
            text = _message_text(choice["message"]) if chat else choice["text"]
            ids = choice.get("token_ids")
            tokens = len(ids) if ids else answer["usage"]["completion_tokens"]
            reason = "length" if choice["finish_reason"] == "length" else "stop"
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{url} answered no completion: {error!r} in {response.text[:200]!r}") from error
        if ids and self.renderer:
            text = self.renderer.text(ids)
        return Completion(request, text, ids, tokens, reason, seed)

    def _limit(self, prompt: Prompt) -> int:
        if not prompt.ids:
            return self.args.max_tokens
        context = self.args.max_model_length or self.served.get("max_model_len")
        return token_limit(prompt.item.id, len(prompt.ids), self.args.max_tokens, context)

    def _body(self, prompt: Prompt, seed: int, chat: bool) -> dict[str, Any]:
        body = {
            "model": self.args.model,
            "temperature": self.args.temperature,
            "top_p": self.args.top_p,
            "max_tokens": self._limit(prompt),
            "seed": seed,
        }
        if chat:
            body["messages"] = [_with_urls(message) for message in self._conversation(prompt.item)]
        else:
            body["prompt"] = prompt.text
        software = self.origin["served_by"]
        if self.args.top_k or software in _EXTENDED:
            body["top_k"] = self.args.top_k or -1
        if software in _EXTENDED:
            body |= {"min_p": 0.0, "repetition_penalty": 1.0}
        if software == "vllm":
            body["return_token_ids"] = True
        if self.args.enable_thinking is not None:
            body["chat_template_kwargs"] = {"enable_thinking": self.args.enable_thinking}
        return body

    def _conversation(self, item: Item) -> list[dict[str, Any]]:
        return conversation(item, self.args.instruction, self.args.system_prompt)

    def _post(self, url: str, body: dict[str, Any]) -> httpx.Response:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = self._client.post(url, json=body)
                if response.is_success:
                    return response
                problem = f"answered {response.status_code}: {response.text[:300]}"
                if response.status_code not in TRY_AGAIN:
                    break
                wait = response.headers.get("Retry-After", "")
            except httpx.TransportError as error:
                problem, wait = f"cannot be reached ({type(error).__name__}: {error})", ""
            if attempt < ATTEMPTS:
                time.sleep(_pause(attempt, wait))
        raise ValueError(f"{url} {problem} (attempt {attempt} of {ATTEMPTS})")


def _message_text(message: dict[str, Any]) -> str:
    """What the model wrote; servers with a reasoning parser cut it in two."""
    reasoning = message.get("reasoning") or message.get("reasoning_content")
    content = message["content"] or ""
    return f"<think>\n{reasoning}\n</think>\n\n{content}" if reasoning else content


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


def _pause(attempt: int, wait: str) -> float:
    """Seconds before the next attempt: what the server asks for, else 1, 2, 4 ... with some chance in it."""
    asked = float(wait) if wait.isdecimal() else 2.0 ** (attempt - 1) * random.uniform(0.5, 1.5)
    return min(asked, LONGEST_WAIT)
