"""Samples a world's problems and judges the samples exactly."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .worlds import PLAYGROUND, Problem, World


@dataclass(frozen=True)
class Summary:
    """
    What a set of completions amounts to.

    Args:
        num_completions (`int`):
            Number of completions judged.
        accuracy (`float`):
            Share of completions that the verifier accepts.
        step_accuracy (`float`):
            Share of right steps among all parsed arithmetic and comparison steps; NaN without any step.
        num_steps (`int`):
            Number of parsed steps.
        outcomes (`dict[str, float]`):
            Share of each class; the shares add up to 1.
        mean_attempts (`float`):
            Mean number of candidates proposed per completion.
        mean_length (`float` or `None`):
            Mean completion length in tokens, without padding and end-of-text; `None` without a tokenizer.
    """

    num_completions: int
    accuracy: float
    step_accuracy: float
    num_steps: int
    outcomes: dict[str, float]
    mean_attempts: float
    mean_length: float | None


@torch.no_grad()
def sample(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    problems: Sequence[Problem],
    *,
    samples_per_problem: int = 4,
    max_new_tokens: int = 128,
    temperature: float = 1.0,
    batch_size: int = 256,
    seed: int = 0,
) -> tuple[list[str], list[Problem]]:
    """
    Samples completions from the whole distribution (no top-k, no top-p).

    Args:
        model ([`~transformers.PreTrainedModel`]):
            Causal language model.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            Its tokenizer.
        problems (`Sequence[Problem]`):
            Problems to answer.
        samples_per_problem (`int`, *optional*, defaults to `4`):
            Completions per problem.
        max_new_tokens (`int`, *optional*, defaults to `128`):
            Most tokens in a completion.
        temperature (`float`, *optional*, defaults to `1.0`):
            Sampling temperature.
        batch_size (`int`, *optional*, defaults to `256`):
            Completions per batch.
        seed (`int`, *optional*, defaults to `0`):
            Seed of the sampling; the caller's random state is left as it was.

    Returns:
        `tuple[list[str], list[Problem]]`:
            Completions and, aligned with them, their problems.
    """
    repeated = [problem for problem in problems for _ in range(samples_per_problem)]
    completions: list[str] = []
    was_training = model.training
    model.eval()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for start in range(0, len(repeated), batch_size):
            prompts = [problem.prompt for problem in repeated[start : start + batch_size]]
            inputs = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left").to(model.device)
            output = model.generate(  # pyright: ignore[reportCallIssue]
                **inputs,
                do_sample=True,
                temperature=temperature,
                top_k=0,
                top_p=1.0,
                max_new_tokens=max_new_tokens,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
            new_ids = output[:, inputs["input_ids"].shape[1] :]
            completions += tokenizer.batch_decode(new_ids, skip_special_tokens=True)
    model.train(was_training)
    return completions, repeated


def judge(
    completions: Sequence[str],
    problems: Sequence[Problem],
    tokenizer: PreTrainedTokenizerBase | None = None,
    world: World = PLAYGROUND,
) -> Summary:
    """
    Reads every completion and counts.

    Args:
        completions (`Sequence[str]`):
            Completions, without special tokens.
        problems (`Sequence[Problem]`):
            The problem of each completion.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`], *optional*):
            Measures the length of the completions.
        world ([`World`], *optional*):
            Whose problems these are.
    """
    if not completions or len(completions) != len(problems):
        raise ValueError(f"got {len(completions)} completions and {len(problems)} problems, expected equal and > 0")
    traces = [world.read(text, problem) for text, problem in zip(completions, problems)]
    count = len(traces)
    classes = Counter(trace.outcome for trace in traces)
    steps = [right for trace in traces for attempt in trace.attempts for right in attempt.steps]
    lengths = None if tokenizer is None else [len(ids) for ids in tokenizer(list(completions))["input_ids"]]
    return Summary(
        num_completions=count,
        accuracy=classes["correct"] / count,
        step_accuracy=sum(steps) / len(steps) if steps else float("nan"),
        num_steps=len(steps),
        outcomes={outcome: classes[outcome] / count for outcome in world.outcomes},
        mean_attempts=sum(len(trace.attempts) for trace in traces) / count,
        mean_length=None if lengths is None else sum(lengths) / count,
    )
