"""Sampling with vLLM in this process: every sample has a seed of its own and is handed over when it is finished."""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ...gguf import plain_model
from ..problems.items import Item
from ..settings import EvalArguments
from .engine import Completion, Prompt, Request, stable_seed
from .prompts import Renderer


if TYPE_CHECKING:
    from vllm import LLM, RequestOutput, SamplingParams

WINDOW = 1024  # requests that vLLM holds at once: more than it runs, and not all images of a benchmark


class VLLMEngine:
    """
    Samples with vLLM.

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
        self._most_images = 0
        self._llm: LLM | None = None

    def prompt(self, item: Item) -> Prompt:
        """See [`Engine`]."""
        self._most_images = max(self._most_images, len(item.images))
        return self.renderer.prompt(item)

    def sample(
        self, benchmark: str, requests: Sequence[Request], done: Collection[tuple[str, int]]
    ) -> Iterator[list[Completion]]:
        """See [`Engine`]."""
        waiting = [request for request in requests if request.key not in done][::-1]
        running: dict[str, tuple[Request, int]] = {}
        engine = self._load().llm_engine
        while waiting or running:
            while waiting and len(running) < WINDOW:
                request = waiting.pop()
                seed = stable_seed(self.args.seed, benchmark, *request.key)
                name = f"{benchmark}/{request.prompt.item.id}/{request.index}"
                engine.add_request(name, self._input(request.prompt), self._parameters(request.prompt, seed))
                running[name] = request, seed
            finished = [output for output in engine.step() if output.finished]
            if finished:
                yield [self._completion(output, *running.pop(output.request_id)) for output in finished]

    def _completion(self, output: "RequestOutput", request: Request, seed: int) -> Completion:
        [written] = output.outputs
        ids = list(written.token_ids)
        return Completion(request, self.renderer.text(ids), ids, len(ids), written.finish_reason, seed)

    def _input(self, prompt: Prompt) -> dict[str, Any]:
        tokens = {"prompt_token_ids": list(prompt.ids)}
        if not prompt.item.images:
            return tokens
        return {**tokens, "multi_modal_data": {"image": [image.open() for image in prompt.item.images]}}

    def _parameters(self, prompt: Prompt, seed: int) -> "SamplingParams":
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=self.args.temperature,
            top_p=self.args.top_p,
            top_k=self.args.top_k or -1,
            max_tokens=self.renderer.limit(prompt),
            seed=seed,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _load(self) -> "LLM":
        if self._llm is None:
            try:
                from vllm import LLM
            except ImportError as error:
                raise ValueError(f"the engine 'vllm' needs vllm, pip install \"hicra-trl[vllm]\": {error}") from error
            self._llm = LLM(
                plain_model(self.args.model, self.args.model_revision),
                revision=self.args.model_revision,
                tokenizer_revision=self.args.model_revision,
                trust_remote_code=self.args.trust_remote_code,
                dtype=self.args.dtype,
                seed=self.args.seed,
                max_model_len=self.args.max_model_length,
                tensor_parallel_size=self.args.tensor_parallel_size,
                gpu_memory_utilization=self.args.gpu_memory_utilization,
                limit_mm_per_prompt={"image": self._most_images} if self._most_images else None,
            )
        return self._llm
