"""A judge that knows: why a completion of the playground, or of the world of orders, is wrong, from its trace."""

import re

from hicra_trl.analysis.judge.question import Answer, Solution
from hicra_trl.terminal import one_line

from . import orders
from .traces import Trace, read_trace
from .world import Problem


_N = r"(\d{1,4})"
_PROBLEM = re.compile(rf"Using {_N}, {_N}(?:, {_N})? and {_N}, (?:{'|'.join(orders.VERBS.values())}) {_N}\.")
_STEPS = ("the first operation", "the second operation", "the comparison with the target")


def exact_answer(solution: Solution) -> Answer:
    r"""
    The class of a completion, as [`read_trace`] decides it, and where it shows.

    Args:
        solution ([`~hicra_trl.analysis.judge.question.Solution`]):
            A completion of the playground.

    Raises:
        `ValueError`: if the problem is none of the playground's.

    Example:

    ```python
    >>> exact_answer(Solution("1", "Using 8, 5 and 3, make 10.\n", "Perhaps 8 + 5 + 3. So \\boxed{8 + 5 + 3}"))
    Answer(label='strategy', quote='8 + 5 + 3', reason='skipped the check')
    ```
    """
    match = _PROBLEM.fullmatch(solution.problem.strip())
    if match is None:
        raise ValueError(
            "the judge 'exact' knows the playground alone: expected a problem such as 'Using 8, 5 and 3, make 10.', "
            f"got {one_line(solution.problem)!r} ({solution.key})"
        )
    *numbers, target = map(int, filter(None, match.groups()))
    if len(numbers) == 4:
        return _order_answer(orders.read_trace(solution.text, orders.OrderProblem(tuple(numbers), target)), solution)
    trace = read_trace(solution.text, Problem(tuple(numbers), target))
    kind, _, reason = trace.outcome.partition(": ")
    if kind == "correct":
        return Answer("acceptable", trace.boxed or "", "the verifier accepts it")
    if kind == "execution":
        return Answer("execution", *_wrong_step(trace, solution.text))
    proposed = trace.attempts[-1].candidate if trace.attempts else solution.text
    return Answer("strategy", proposed if trace.boxed in (None, "none") else trace.boxed, reason)


def _order_answer(trace: orders.OrderTrace, solution: Solution) -> Answer:
    kind, _, move = trace.outcome.partition(": ")
    last = solution.text.strip()[-60:]
    if kind == "correct":
        return Answer("acceptable", trace.boxed or "", "the verifier accepts it")
    if kind == "unparsed":
        return Answer("execution", last, "a sentence is none of this world's")
    if kind == "cut":
        return Answer("strategy", last, "ran out of length")
    attempt = next(attempt for attempt in trace.attempts if attempt.move == move)
    phrase = solution.text[slice(*attempt.place)]
    if kind == "execution":
        return Answer("execution", phrase, f"a step of {move!r} is wrong")
    return Answer("strategy", phrase, f"gave up after {move!r}, which does not solve it")


def _wrong_step(trace: Trace, text: str) -> tuple[str, str]:
    """The first one: the candidate that it is about, and what is wrong."""
    for attempt in trace.attempts:
        if not attempt.legal:
            return attempt.candidate, "it does not use each of the numbers once"
        if not all(attempt.steps):
            return attempt.candidate, f"{_STEPS[attempt.steps.index(False)]} in its check is wrong"
    if trace.malformed:
        return (re.split(r"(?<=\.)\s", text.strip())[-1], "a sentence is none of the playground's")
    return trace.boxed or "", "the boxed expression does not use each of the numbers once"
