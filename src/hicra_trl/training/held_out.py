"""pass@k on held-out problems while a model trains, without a trace in the training itself."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from tqdm import tqdm
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import GRPOTrainer

from ..dynamics import pass_at_k
from ..rewards import Grader
from .sampling.seeds import seeded_rollout


PREFIX = "held_out/"


class PassAtKCallback(TrainerCallback):
    r"""
    Measures pass@k of the current policy on held-out problems every `steps` steps and at the end.

    It samples completions with the trainer's own way of generation, takes for right what strict grading takes for
    right (whatever the training rewards), and logs under `held_out/`: `pass_at_k` for k = 1, 2, 4 ... up to
    `num_samples`, `best_pass_at_k` so far, `mean_length` in tokens, and the `truncated_fraction` of completions that
    the token limit cut. Training itself goes on as if nothing had been measured: its random numbers, metrics and
    rewards are untouched (of a vLLM server, the random numbers are not).

    Each rank samples its share of the problems. What a rank samples depends on the seed, the step and the rank alone.

    Args:
        trainer ([`~trl.GRPOTrainer`]):
            The trainer that the callback is then added to. Without tools, environments or `rollout_func`: a completion
            is what the model writes at once.
        dataset ([`~datasets.Dataset`]):
            The problems, with the columns `prompt` (text or conversation) and `solution` (the right answer, with or
            without a box).
        steps (`int`):
            Steps from one measurement to the next.
        num_samples (`int`, *optional*, defaults to `4`):
            Completions of each problem.
        at_start (`bool`, *optional*, defaults to `False`):
            Whether to measure before the first step too.
        temperature (`float`, *optional*):
            Sampling temperature. Defaults to the training's.
        top_p (`float`, *optional*):
            Share of the probability to sample from. Defaults to the training's.
        max_completion_length (`int`, *optional*):
            Token limit of a completion. Defaults to the training's.
        batch_size (`int`, *optional*):
            Completions that a rank samples at once; vLLM and continuous batching schedule by themselves. Defaults to
            `per_device_eval_batch_size`.
        seed (`int`, *optional*):
            Seed of the samples. Defaults to the training's.

    Raises:
        `ValueError`: for a dataset without these columns, without problems or with images, for a solution that is no
            text, for settings out of range, and for a trainer with tools, environments or `rollout_func`.

    Example:

    ```python
    >>> trainer.add_callback(PassAtKCallback(trainer, problems, steps=50, num_samples=8))
    >>> trainer.train()
    >>> [(log["step"], log["held_out/pass_at_8"]) for log in trainer.state.log_history if "held_out/pass_at_8" in log]
    [(50, 0.4), (100, 0.55)]
    ```
    """

    def __init__(
        self,
        trainer: GRPOTrainer,
        dataset: Dataset,
        steps: int,
        num_samples: int = 4,
        at_start: bool = False,
        temperature: float | None = None,
        top_p: float | None = None,
        max_completion_length: int | None = None,
        batch_size: int | None = None,
        seed: int | None = None,
    ) -> None:
        self.trainer = trainer
        self.dataset = dataset
        self.steps = steps
        self.num_samples = num_samples
        self.at_start = at_start
        given = {"temperature": temperature, "top_p": top_p, "max_completion_length": max_completion_length}
        self.settings = {name: value for name, value in given.items() if value is not None}
        self.batch_size = trainer.args.per_device_eval_batch_size if batch_size is None else batch_size
        self.seed = trainer.args.seed if seed is None else seed
        self._check()

    def _check(self) -> None:
        check_problems(self.dataset)
        counts = {"steps": self.steps, "num_samples": self.num_samples, "batch_size": self.batch_size}
        if "max_completion_length" in self.settings:
            counts["max_completion_length"] = self.settings["max_completion_length"]
        for name, value in counts.items():
            if value < 1:
                raise ValueError(f"{name} of held-out pass@k must be at least 1, got {value}")
        if self.settings.get("temperature", 1) <= 0:
            raise ValueError(f"temperature of held-out pass@k must be above 0, got {self.settings['temperature']}")
        if not 0 < self.settings.get("top_p", 1) <= 1:
            raise ValueError(f"top_p of held-out pass@k must be in (0, 1], got {self.settings['top_p']}")
        trainer = self.trainer
        if trainer.tools or trainer.environment_factories is not None or trainer.rollout_func is not None:
            raise ValueError(
                "held-out pass@k samples without tools, environments and rollout_func, which the trainer has"
            )

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measures the base, where that is asked for and the run is no resumed one."""
        if self.at_start and state.global_step == 0:
            self._measure_once(state, control)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measures every `steps` steps, and at the last one before it is logged and saved."""
        if state.global_step % self.steps == 0 or control.should_training_stop:
            self._measure_once(state, control)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measures what training ended on, where another callback stopped it between two measurements."""
        self._measure_once(state, control)

    def _measure_once(self, state: TrainerState, control: TrainerControl) -> None:
        history = [entry for entry in state.log_history if f"{PREFIX}pass_at_1" in entry]
        if any(entry["step"] == state.global_step for entry in history):
            return
        metrics = {PREFIX + name: value for name, value in self.measure().items()}
        for k in self._subset_sizes():
            name = f"{PREFIX}pass_at_{k}"
            # A run may be resumed with more samples than before.
            metrics[f"{PREFIX}best_pass_at_{k}"] = max(entry[name] for entry in [*history, metrics] if name in entry)
        # Every log withdraws the wish to log, and that of this step is still to come.
        should_log = control.should_log
        # Not the trainer's own method: TRL's, and that of HICRA, would end the window of the training metrics here.
        Trainer.log(self.trainer, metrics)
        control.should_log = should_log

    def measure(self) -> dict[str, float]:
        """
        Samples, grades and pools over ranks, without logging. Every rank must call it.

        Returns:
            `dict[str, float]`: `pass_at_k` for each k, `mean_length` and `truncated_fraction`.
        """
        accelerator = self.trainer.accelerator
        own = list(range(accelerator.process_index, len(self.dataset), accelerator.num_processes))
        rounds = -(-len(self.dataset) // accelerator.num_processes)
        # Sharded models and vLLM need as many calls, with as many prompts, on every rank: a short share is filled up
        # with a problem that does not count.
        problems = self.dataset.select(own + [0] * (rounds - len(own)))
        completion_ids = self._sample(problems["prompt"])[: len(own) * self.num_samples]
        golds = [gold for gold in problems["solution"][: len(own)] for _ in range(self.num_samples)]
        names = ["mean_length", "truncated_fraction", *(f"pass_at_{k}" for k in self._subset_sizes())]
        sums = torch.tensor(self._sums(completion_ids, golds), dtype=torch.float64, device=accelerator.device)
        pooled = dict(zip(names, accelerator.reduce(sums).tolist(), strict=True))  # pyright: ignore[reportAttributeAccessIssue]
        for name in ("mean_length", "truncated_fraction"):
            pooled[name] /= self.num_samples
        return {name: value / len(self.dataset) for name, value in pooled.items()}

    def _sums(self, completion_ids: list[list[int]], golds: list[str]) -> list[float]:
        """Tokens, truncated completions, and the pass@k of each problem, summed."""
        tokenizer = self.trainer._tokenizer
        ends = [*self.trainer.eos_token_ids, tokenizer.pad_token_id]
        # Not batch_decode: of no completions at all, which a rank may have, it makes one.
        texts = [str(tokenizer.decode(ids, skip_special_tokens=True)) for ids in completion_ids]
        with Grader() as grader:
            verdicts = grader(texts, golds)
        correct = np.array([verdict.correct for verdict in verdicts]).reshape(-1, self.num_samples).sum(axis=1)
        return [
            sum(len(ids) for ids in completion_ids),
            sum(not ids or ids[-1] not in ends for ids in completion_ids),
            *(sum(pass_at_k(self.num_samples, c, k) for c in correct.tolist()) for k in self._subset_sizes()),
        ]

    def _sample(self, prompts: list[Any]) -> list[list[int]]:
        """Token ids of the completions, those of a prompt next to each other."""
        trainer, step = self.trainer, self.trainer.state.global_step
        prompts = [prompt for prompt in prompts for _ in range(self.num_samples)]
        at_once = trainer.use_vllm or trainer.use_transformers_continuous_batching
        size = len(prompts) if at_once else self.batch_size
        # Ranks that share one vLLM engine must draw the same.
        engine_ranks = trainer.vllm_tensor_parallel_size if trainer.use_vllm else 1
        key = self.seed, step, trainer.accelerator.process_index // engine_ranks
        completion_ids: list[list[int]] = []
        bar = tqdm(
            total=len(prompts),
            desc=f"Held-out pass@k, step {step}",
            unit="completion",
            leave=False,
            disable=not trainer.accelerator.is_main_process or trainer.args.disable_tqdm,
        )
        with bar, _aside(trainer, self.settings, *key):
            for start in range(0, len(prompts), size):
                batch = prompts[start : start + size]
                sampled, _ = trainer._generate_single_turn(*trainer._tokenize_prompts(batch), self.num_samples)
                completion_ids += sampled
                bar.update(len(batch))
        return completion_ids

    def _subset_sizes(self) -> list[int]:
        return [2**power for power in range(self.num_samples.bit_length())]


def check_problems(dataset: Dataset) -> None:
    """Raises `ValueError` for a dataset that pass@k cannot be measured on."""
    columns = dataset.column_names
    if not {"prompt", "solution"} <= set(columns):
        raise ValueError(f"held-out problems need the columns prompt and solution, got {columns}")
    if images := {"image", "images"} & set(columns):
        raise ValueError(f"held-out problems must be text, got a column {images.pop()!r}")
    if len(dataset) == 0:
        raise ValueError("held-out pass@k needs at least one problem, got none")
    for row, gold in enumerate(dataset["solution"]):
        if not isinstance(gold, str):
            raise ValueError(f"solution of held-out problem {row} must be text, got {gold!r}")


@contextmanager
def _aside(trainer: GRPOTrainer, settings: dict[str, Any], *key: int) -> Iterator[None]:
    """Generation in evaluation mode, with random numbers and settings of its own; all is put back afterwards."""
    model = trainer.model
    assert model is not None
    training = model.training
    with seeded_rollout(trainer.accelerator.device, *key), _settings(trainer, settings):
        model.eval()
        try:
            yield
        finally:
            model.train(training)


@contextmanager
def _settings(trainer: GRPOTrainer, settings: dict[str, Any]) -> Iterator[None]:
    """The trainer's generation with other `settings`; what they do not name stays as in training."""
    if trainer.use_vllm:
        owner, attribute, limit = trainer.vllm_generation, "generation_kwargs", "max_tokens"
    else:
        owner, attribute, limit = trainer, "generation_config", "max_new_tokens"
    settings = {limit if name == "max_completion_length" else name: value for name, value in settings.items()}
    changed = copy.deepcopy(getattr(owner, attribute))
    changed.update(**settings)
    before = getattr(owner, attribute)
    setattr(owner, attribute, changed)
    try:
        yield
    finally:
        setattr(owner, attribute, before)
