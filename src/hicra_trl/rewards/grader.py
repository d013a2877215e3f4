"""Grading of batches in a bounded time."""

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from types import TracebackType
from typing import Any, Literal, Self

from .boxed import extract_boxed
from .equality.answers import expressions, same_answer
from .gold import Gold
from .workers import Failed, Workers


@dataclass(frozen=True)
class Verdict:
    r"""
    What grading says of one completion.

    Attributes:
        correct (`bool`):
            Whether its answer equals the gold answer.
        answer (`str` or `None`):
            Content of its last balanced `\boxed{}`.
        failure (`str` or `None`):
            Why the comparison could not be finished: `"timeout"`, `"memory"` or `"crash"`; such an answer is wrong.
    """

    correct: bool
    answer: str | None
    failure: Literal["timeout", "memory", "crash"] | None = None


class Grader:
    r"""
    Grades batches of completions in a bounded time, whatever they hold.

    Numbers, words, options and the structure of answers are compared at once. Expressions are compared in worker
    processes that start when the first one comes, and are killed when they take too long, too much memory, or crash.
    Verdicts are kept: within a group, and from step to step, the same answers come again. Any thread may call it.

    Args:
        num_workers (`int`, *optional*):
            Worker processes. Defaults to one per CPU core, at most 4.
        timeout (`float`, *optional*, defaults to `3.0`):
            Seconds of a processor for one comparison.
        batch_timeout (`float`, *optional*, defaults to `12.0`):
            Seconds for all comparisons of one call, in proportion more where there are more than 128; on a busy
            machine it waits longer. Where they could not all have `timeout`, they have equal and growing shares of it
            in turn.
        memory_limit (`int`, *optional*, defaults to 2 GiB):
            Address space of a worker, in bytes.
        after_think (`bool`, *optional*, defaults to `False`):
            Take only a box behind the last `</think>`.
        cache_size (`int`, *optional*, defaults to `100000`):
            Verdicts that are kept.

    Example:

    ```python
    >>> with Grader() as grader:
    ...     verdicts = grader([r"\boxed{\frac{\sqrt{2}}{2}}", r"\boxed{9^{9^{9^9}}+x}"], [r"\frac{1}{\sqrt{2}}", "7"])
    >>> [(verdict.correct, verdict.failure) for verdict in verdicts]
    [(True, None), (False, 'timeout')]
    ```
    """

    def __init__(
        self,
        num_workers: int | None = None,
        timeout: float = 3.0,
        batch_timeout: float = 12.0,
        memory_limit: int = 2 << 30,
        after_think: bool = False,
        cache_size: int = 100_000,
    ) -> None:
        num_workers = min(4, os.cpu_count() or 1) if num_workers is None else num_workers
        if num_workers < 1 or timeout <= 0 or batch_timeout <= 0:
            raise ValueError(
                "a grader needs num_workers of at least 1, and a timeout and a batch_timeout above 0, got "
                f"{num_workers}, {timeout} and {batch_timeout}"
            )
        self.timeout, self.batch_timeout = timeout, batch_timeout
        self.after_think, self.cache_size = after_think, cache_size
        self._workers = Workers(num_workers, memory_limit)
        self._cache: OrderedDict[tuple[str, Gold], bool | Failed] = OrderedDict()
        self._lock, self._owner = threading.Lock(), os.getpid()

    def __reduce__(self) -> tuple[Any, ...]:
        # Processes, locks and verdicts stay behind.
        workers = self._workers
        return type(self), (
            workers.num_workers,
            self.timeout,
            self.batch_timeout,
            workers.memory,
            self.after_think,
            self.cache_size,
        )

    def __call__(self, completions: Sequence[str], golds: Sequence[str | Gold]) -> list[Verdict]:
        """
        Args:
            completions (`Sequence[str]`):
                What a model wrote.
            golds (`Sequence[str | Gold]`):
                The right answers.

        Returns:
            `list[Verdict]`: one per completion, in order.
        """
        answers = [extract_boxed(text, self.after_think) for text in completions]
        targets = [_target(gold) for gold in golds]
        pairs = list(zip(answers, targets, strict=True))
        results = self._compare([(answer, gold) for answer, gold in dict.fromkeys(pairs) if answer is not None])
        return [_verdict(answer, answer is not None and results[answer, gold]) for answer, gold in pairs]

    def unreadable(self, golds: Sequence[str | Gold]) -> dict[int, str]:
        r"""
        Finds the gold answers that nothing could be compared with.

        Args:
            golds (`Sequence[str | Gold]`):
                Gold answers, with or without a box.

        Returns:
            `dict[int, str]`: for each such gold answer its index, and what is wrong with it.
        """
        targets = [_target(gold) for gold in golds]
        wrong = {}
        pending: dict[Gold, list[int]] = {}
        for at, target in enumerate(targets):
            if extract_boxed(f"\\boxed{{{target.answer}}}") != target.answer or not target.answer:
                wrong[at] = "it is empty, too long, or has braces that do not match"
            elif expressions(target.answer) and not target.choices:
                pending.setdefault(target, []).append(at)
        tasks = [{"answer": None, "gold": asdict(target)} for target in pending]
        with self._exclusively():
            replies = self._workers.run(tasks, self.timeout, self.timeout * len(tasks))
        for indices, reply in zip(pending.values(), replies):
            if reply:
                reason = (
                    f"reading it ended in a {reply.why}"
                    if isinstance(reply, Failed)
                    else f"{reply!r} is no mathematics"
                )
                wrong |= dict.fromkeys(indices, reason)
        return dict(sorted(wrong.items()))

    def close(self) -> None:
        """Ends the workers; the next comparison that needs one starts new ones."""
        with self._exclusively():
            self._workers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _compare(self, pairs: Sequence[tuple[str, Gold]]) -> dict[tuple[str, Gold], bool | Failed]:
        with self._exclusively():
            results = {pair: self._cache[pair] if pair in self._cache else same_answer(*pair) for pair in pairs}
            # What hangs is mostly towers of powers and factorials: where the time of the batch ends, it ends on those.
            undecided = sorted((pair for pair, result in results.items() if result is None), key=_powers)
            tasks = [{"answer": answer, "gold": asdict(gold)} for answer, gold in undecided]
            results.update(zip(undecided, self._workers.run(tasks, self.timeout, self.batch_timeout)))
            decided = {pair: result for pair, result in results.items() if result is not None}
            for pair, result in decided.items():
                if not (isinstance(result, Failed) and result.hurried):
                    self._cache[pair] = result
                    self._cache.move_to_end(pair)
            while len(self._cache) > self.cache_size:
                self._cache.popitem(last=False)
        return decided

    def _exclusively(self) -> threading.Lock:
        if os.getpid() != self._owner:
            # In a fork the lock may be held by a thread that was not forked along.
            self._lock, self._owner = threading.Lock(), os.getpid()
        return self._lock


def _powers(pair: tuple[str, Gold]) -> int:
    return pair[0].count("^") + pair[0].count("!")


def _target(gold: str | Gold) -> Gold:
    target = gold if isinstance(gold, Gold) else Gold(gold)
    answer = target.answer.strip()
    if answer.startswith("\\boxed"):
        answer = extract_boxed(answer) or answer
    return replace(target, answer=answer)


def _verdict(answer: str | None, result: bool | Failed) -> Verdict:
    if isinstance(result, Failed):
        return Verdict(False, answer, result.why)
    return Verdict(result, answer)


@cache
def _default_grader() -> Grader:
    return Grader()


def grade(completion: str, gold: str | Gold) -> bool:
    r"""
    Whether a completion's boxed answer equals the gold answer.

    The page on rewards says when two answers are equal. For many completions [`Grader`] is faster: it compares in
    parallel.

    Args:
        completion (`str`):
            What the model wrote.
        gold (`str` or [`Gold`]):
            The right answer.

    Returns:
        `bool`: the verdict; `False` without a boxed answer.

    Example:

    ```python
    >>> grade(r"so \boxed{0.50}", r"\frac{1}{2}"), grade("so 1/2", "1/2")
    (True, False)
    ```
    """
    return _default_grader()([completion], [gold])[0].correct
