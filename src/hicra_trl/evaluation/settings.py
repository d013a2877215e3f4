"""What an evaluation is asked to do."""

from dataclasses import dataclass, field
from typing import Literal

from ..fields import Checked, Count, CountOrZero, Name, NotNegative, SomeShare
from ..rewards.boxed import BOXED_INSTRUCTION
from .paper_tables import published


PLAYGROUND = "playground"  # the model that is pretrained where it is not there yet
# How the work is done: samples drawn with other values of these are as good.
HOW = (
    "paper_model",
    "base_url",
    "api_key_env",
    "concurrency",
    "batch_size",
    "tensor_parallel_size",
    "gpu_memory_utilization",
    "output_dir",
    "dry_run",
    "push_to_hub",
)


@dataclass
class EvalArguments(Checked):
    """
    What is evaluated, and how it is sampled and judged.

    Args:
        model (`str`, *optional*, defaults to `""`):
            A folder, a model on the Hub, a GGUF file as `path.gguf` or `user/repo:file.gguf`, `"playground"` for the
            playground's base, or the name that a server knows.
        model_revision (`str`, *optional*):
            Branch, tag or commit of a model on the Hub.
        trust_remote_code (`bool`, *optional*, defaults to `False`):
            Run the code that a model on the Hub brings along.
        benchmarks (`list[str]`):
            Names of benchmarks.
        override (`list[str]`, *optional*):
            Facts of benchmarks to replace, each `NAME.FIELD=VALUE`: `aime24.dataset=my_aime24.jsonl`.
        num_samples (`int`, *optional*):
            Samples of each item. Defaults to what each benchmark says.
        max_items (`int`, *optional*):
            Only the first items of each benchmark.
        engine (`Literal["transformers", "vllm", "server"]`, *optional*, defaults to `"transformers"`):
            What samples: `"transformers"`, `"vllm"`, or a `"server"` with an OpenAI-compatible interface.
        temperature (`float`, *optional*, defaults to `0.6`):
            Sampling temperature; 0 is greedy.
        top_p (`float`, *optional*, defaults to `0.95`):
            Sample from the smallest set of tokens with this probability.
        top_k (`int`, *optional*, defaults to `0`):
            Sample from this many tokens; 0 is off.
        max_tokens (`int`, *optional*, defaults to `32768`):
            Most tokens of a completion. Prompt and completion together never exceed the model's context length.
        seed (`int`, *optional*, defaults to `0`):
            Every sample's own seed depends on it.
        prompt_format (`Literal["chat", "text"]`, *optional*, defaults to `"chat"`):
            How a problem becomes a prompt: `"chat"` is a user turn in the model's chat template, `"text"` is plain.
        instruction (`str`, *optional*):
            Appended to each problem, after an empty line. Defaults to asking for the answer in `\\boxed{}`; empty for
            none.
        system_prompt (`str`, *optional*):
            A system turn before the problem.
        enable_thinking (`bool`, *optional*):
            Passed to the chat template where it is set.
        answer_after_think (`bool`, *optional*, defaults to `False`):
            Judge only what follows the last `</think>`: a completion without one has no answer.
        strategic_grams (`str`, *optional*, defaults to `"paper"`):
            The lexicon that planning tokens are counted with: `"paper"`, or a file, a folder, or a dataset on the Hub
            that [`~hicra_trl.grams.StrategicGrams.load`] takes.
        dtype (`str`, *optional*, defaults to `"auto"`):
            Type of the weights: `"auto"` is the one they are stored in.
        batch_size (`int`, *optional*, defaults to `32`):
            Completions that transformers samples together.
        max_model_length (`int`, *optional*):
            Context length. Defaults to the one in the model's config.
        tensor_parallel_size (`int`, *optional*, defaults to `1`):
            GPUs that vLLM spreads the model over.
        gpu_memory_utilization (`float`, *optional*, defaults to `0.9`):
            Share of a GPU's memory that vLLM takes.
        paper_model (`str`, *optional*):
            Base model of the paper's tables 1 and 2, such as `"Qwen3-4B-Base"`, whose figures are put beside ours.
        base_url (`str`, *optional*):
            Address of the server, such as `http://localhost:8000/v1`.
        api_key_env (`str`, *optional*, defaults to `"OPENAI_API_KEY"`):
            Environment variable with the server's key; none is sent where it is not set.
        concurrency (`int`, *optional*, defaults to `64`):
            Requests that a server gets at once.
        output_dir (`str`, *optional*, defaults to `"runs/eval"`):
            Folder of samples and results. The same command goes on with what is there.
        dry_run (`bool`, *optional*, defaults to `False`):
            Print the plan and the first prompt, and stop. It reads the benchmarks and the tokenizer, from the Hub
            where they are not here, and no weights.
        push_to_hub (`str`, *optional*):
            Add the results to this model on the Hub, `user/name`.

    Raises:
        `ValueError`: for a setting that is missing or out of its range, or two that contradict each other.
    """

    model: str = ""
    model_revision: str | None = None
    trust_remote_code: bool = False
    benchmarks: list[str] = field(default_factory=list)
    override: list[str] = field(default_factory=list)
    num_samples: Count | None = None
    max_items: Count | None = None
    engine: Literal["transformers", "vllm", "server"] = "transformers"
    temperature: NotNegative = 0.6
    top_p: SomeShare = 0.95
    top_k: CountOrZero = 0
    max_tokens: Count = 32768
    seed: int = 0
    prompt_format: Literal["chat", "text"] = "chat"
    instruction: str = BOXED_INSTRUCTION
    system_prompt: str | None = None
    enable_thinking: bool | None = None
    answer_after_think: bool = False
    strategic_grams: str = "paper"
    dtype: str = "auto"
    batch_size: Count = 32
    max_model_length: Count | None = None
    tensor_parallel_size: Count = 1
    gpu_memory_utilization: SomeShare = 0.9
    paper_model: str | None = None
    base_url: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    concurrency: Count = 64
    output_dir: Name = "runs/eval"
    dry_run: bool = False
    push_to_hub: Name | None = None

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("no model: expected a folder, a model on the Hub, or the name that a server knows")
        super().__post_init__()
        if not self.benchmarks:
            raise ValueError("no benchmarks: expected the name of at least one")
        if self.paper_model is not None:
            published(self.paper_model)
        if (self.engine == "server") != (self.base_url is not None):
            raise ValueError(
                f"the engine 'server' goes with a base_url, got engine {self.engine!r} and base_url {self.base_url!r}"
            )
        if self.prompt_format == "text":
            for name in ("system_prompt", "enable_thinking"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} needs prompt_format 'chat', got 'text'")
