"""Sampling with transformers, in batches that are the same whenever the same evaluation runs."""

from collections.abc import Collection, Iterator, Sequence

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    BatchFeature,
    GenerationConfig,
    PreTrainedModel,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from ...gguf import plain_model
from ..problems.items import Item
from ..settings import EvalArguments
from .engine import Completion, Prompt, Request, stable_seed, token_limit
from .prompts import Renderer


PAD = 0  # any token: before a prompt it is masked, behind end-of-text it is cut off


class TransformersEngine:
    """
    Samples with `model.generate`.

    Requests are batched in a fixed order, longest prompts first, and a batch's seed depends on the samples in it. A
    batch of which a part is missing is drawn again as a whole, so that an interrupted evaluation ends with the same
    samples as one that was not.

    Args:
        args ([`EvalArguments`]):
            Names the model, and how to sample.
        images (`bool`):
            Whether items have images.
    """

    def __init__(self, args: EvalArguments, images: bool) -> None:
        self.args = args
        self.renderer = Renderer(args, images)
        self.tokenizer, self.origin = self.renderer.tokenizer, self.renderer.origin
        self._model: PreTrainedModel | None = None

    def prompt(self, item: Item) -> Prompt:
        """See [`Engine`]."""
        return self.renderer.prompt(item)

    def sample(
        self, benchmark: str, requests: Sequence[Request], done: Collection[tuple[str, int]]
    ) -> Iterator[list[Completion]]:
        """See [`Engine`]."""
        order = sorted(requests, key=lambda request: len(request.prompt.ids), reverse=True)
        for start in range(0, len(order), self.args.batch_size):
            batch = order[start : start + self.args.batch_size]
            if all(request.key in done for request in batch):
                continue
            seed = stable_seed(self.args.seed, benchmark, [request.key for request in batch])
            completions = self._draw(batch, seed)
            yield [completion for completion in completions if completion.request.key not in done]

    @torch.no_grad()
    def _draw(self, batch: Sequence[Request], seed: int) -> list[Completion]:
        model = self._load()
        inputs = self._inputs([request.prompt for request in batch]).to(model.device)
        # The longest prompt decides for all: what is behind it in the context is what the batch may write.
        longest = int(inputs["attention_mask"].sum(dim=1).argmax())
        width = inputs["input_ids"].shape[1]
        limit = token_limit(batch[longest].prompt.item.id, width, self.args.max_tokens, self.renderer.context)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            rows = model.generate(**inputs, max_new_tokens=limit)  # pyright: ignore[reportCallIssue]
        written = rows[:, width:].tolist()
        return [self._completion(request, ids, seed) for request, ids in zip(batch, written, strict=True)]

    def _completion(self, request: Request, ids: list[int], seed: int) -> Completion:
        ends = self._load().generation_config.eos_token_id
        end = next((position for position, token in enumerate(ids, start=1) if token in ends), None)
        ids = ids[:end]
        return Completion(request, self.renderer.text(ids), ids, len(ids), "length" if end is None else "stop", seed)

    def _inputs(self, prompts: Sequence[Prompt]) -> BatchFeature:
        """Prompts of a batch, padded on the left."""
        if any(prompt.item.images for prompt in prompts):
            return self.renderer.processor(
                text=[prompt.text for prompt in prompts],
                images=[[image.open() for image in prompt.item.images] for prompt in prompts],
                padding=True,
                padding_side="left",
                add_special_tokens=False,
                return_tensors="pt",
            )
        width = max(len(prompt.ids) for prompt in prompts)
        padding = [width - len(prompt.ids) for prompt in prompts]
        ids = [[PAD] * empty + list(prompt.ids) for empty, prompt in zip(padding, prompts)]
        mask = [[0] * empty + [1] * (width - empty) for empty in padding]
        return BatchFeature({"input_ids": ids, "attention_mask": mask}, tensor_type="pt")

    def _load(self) -> PreTrainedModel:
        if self._model is None:
            sees = self.renderer.config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
            model = (AutoModelForImageTextToText if sees else AutoModelForCausalLM).from_pretrained(
                plain_model(self.args.model, self.args.model_revision),
                revision=self.args.model_revision or "main",
                trust_remote_code=self.args.trust_remote_code,
                dtype=self.args.dtype,
                device_map="auto",
            )
            # Replaced as a whole: a model's own one would fill in its penalties, and a top_k of 50.
            model.generation_config = self._generation_config(model.generation_config.eos_token_id)
            self._model = model.eval()
        return self._model

    def _generation_config(self, model_ends: int | list[int] | None) -> GenerationConfig:
        """How to sample; a completion ends where the model's config or the tokenizer says."""
        args, ends = self.args, {self.renderer.tokenizer.eos_token_id}
        ends |= set(model_ends) if isinstance(model_ends, list) else {model_ends}
        drawn = {"temperature": args.temperature, "top_p": args.top_p, "top_k": args.top_k} if args.temperature else {}
        return GenerationConfig(do_sample=bool(drawn), eos_token_id=sorted(ends - {None}), pad_token_id=PAD, **drawn)
