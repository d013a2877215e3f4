"""Reasoning traces of the playground: how the base writes them, and an exact reader of what a model wrote.

A trace is a sequence of sentences, and each begins with strategic grams of the paper's list:

    What if we try 8 + 5 + 3. Let me verify: 13 + 3 = 16, 10 missed. Hold on, perhaps 8 + 5 - 3. To verify: 13 - 3 =
    10, 10 reached. Therefore \\boxed{8 + 5 - 3}

A check holds three steps: the candidate's first operation ("13 - 3" for "8 + 5 - 3"), its second ("= 10") and the
comparison with the target ("10 reached" or "10 missed").
"""

import random
import re
from dataclasses import dataclass, replace
from typing import Literal

from hicra_trl.rewards import extract_boxed

from .world import Problem, verify


# Most habitual first: the base uses the phrase at rank r in proportion to 1 / r.
PHRASES = {
    "propose": ("what if we try", "perhaps", "maybe", "let's assume", "we can use"),
    "check": ("let me verify", "to verify", "need to check", "to confirm", "let's double-check"),
    "backtrack": ("but wait", "hold on", "that can't be right", "let's try a different angle", "on second thought"),
    "conclude": ("therefore", "so", "thus", "we can conclude"),
    "give up": (
        "this approach isn't working",
        "what am i missing?",
        "this isn't leading anywhere",
        "is there a simpler way?",
    ),
}

Outcome = Literal[
    "correct",
    "execution: wrong step",
    "strategy: gave up",
    "strategy: repeated a refuted candidate",
    "strategy: skipped the check",
    "strategy: ran out of length",
]
OUTCOMES: tuple[Outcome, ...] = Outcome.__args__


@dataclass(frozen=True)
class Policy:
    """
    How a writer of traces decides. The defaults make the base: able to execute, poor at strategy.

    Args:
        skip (`float`, *optional*, defaults to `0.45`):
            Probability of boxing a candidate without checking it.
        give_up (`float`, *optional*, defaults to `0.45`):
            Probability of giving up after a refuted candidate.
        repeat (`float`, *optional*, defaults to `0.3`):
            Probability of proposing a refuted candidate again, rather than an untried one.
        max_attempts (`int`, *optional*, defaults to `5`):
            Attempts after which the writer gives up.
    """

    skip: float = 0.45
    give_up: float = 0.45
    repeat: float = 0.3
    max_attempts: int = 5


def _say(move: str, rng: random.Random) -> str:
    phrases = PHRASES[move]
    return rng.choices(phrases, weights=[1 / rank for rank in range(1, len(phrases) + 1)])[0]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _operate(left: int, operator: str, right: int) -> int:
    return left + right if operator == "+" else left - right


def write_trace(problem: Problem, rng: random.Random, policy: Policy) -> str:
    """
    Writes one completion for `problem`; every step in it is right.

    Args:
        problem ([`Problem`]):
            Problem to reason about.
        rng (`random.Random`):
            Source of every decision.
        policy ([`Policy`]):
            Probabilities of the decisions.
    """
    sentences, untried, refuted = [], list(problem.candidates), []
    while len(refuted) < policy.max_attempts:
        again = bool(refuted) and (not untried or rng.random() < policy.repeat)
        candidate = rng.choice(refuted) if again else untried.pop(rng.randrange(len(untried)))
        backtrack = f"{_say('backtrack', rng)}, " if refuted else ""
        sentences.append(_sentence(f"{backtrack}{_say('propose', rng)} {candidate}."))
        if rng.random() < policy.skip:
            return " ".join([*sentences, _conclusion(candidate, rng)])
        first, operator, second, last_operator, last = candidate.split()
        left = _operate(int(first), operator, int(second))
        value = _operate(left, last_operator, int(last))
        # The target is copied before the verdict: without it, 500 steps of pretraining do not learn the comparison.
        verdict = f"{problem.target} {'reached' if value == problem.target else 'missed'}"
        sentences.append(_sentence(f"{_say('check', rng)}: {left} {last_operator} {last} = {value}, {verdict}."))
        if value == problem.target:
            return " ".join([*sentences, _conclusion(candidate, rng)])
        refuted.append(candidate)
        if rng.random() < policy.give_up:
            break
    surrender = _sentence(_say("give up", rng))
    return " ".join([*sentences, surrender if surrender.endswith("?") else surrender + ".", r"\boxed{none}"])


def _conclusion(candidate: str, rng: random.Random) -> str:
    return f"{_sentence(_say('conclude', rng))} \\boxed{{{candidate}}}"


@dataclass(frozen=True)
class Attempt:
    """
    One candidate that a trace proposed.

    Args:
        candidate (`str`):
            Expression as written.
        legal (`bool`):
            Whether it uses each of the problem's numbers exactly once, with `+` and `-`.
        repeated (`bool`):
            Whether an equal candidate (the same sign for each number) had been refuted before.
        steps (`tuple[bool, ...]`):
            Empty if the check was skipped, else right or wrong for: first operation, second operation, comparison.
        refuted (`bool`):
            Whether the check says that the candidate misses the target.
    """

    candidate: str
    legal: bool
    repeated: bool
    steps: tuple[bool, ...] = ()
    refuted: bool = False

    @property
    def checked(self) -> bool:
        """Whether the trace checked this candidate."""
        return bool(self.steps)


@dataclass(frozen=True)
class Trace:
    """
    What the reader found in one completion.

    Args:
        attempts (`tuple[Attempt, ...]`):
            Candidates in the order they were proposed.
        boxed (`str` or `None`):
            Content of the last balanced `\\boxed{}`.
        malformed (`bool`):
            Whether a sentence is none that the playground's traces know. Reading stops there.
        outcome (`Outcome`):
            The one class of this completion.
    """

    attempts: tuple[Attempt, ...]
    boxed: str | None
    malformed: bool
    outcome: Outcome


def _any(move: str) -> str:
    return "(?:" + "|".join(re.escape(phrase) for phrase in PHRASES[move]) + ")"


_NUMBER = r"\d{1,4}"
_FLAGS = re.IGNORECASE | re.ASCII
_PROPOSE = re.compile(
    rf"(?:{_any('backtrack')}, )?{_any('propose')} (?P<candidate>{_NUMBER}(?: [+-] {_NUMBER}){{0,4}})\.\s*", _FLAGS
)
_CHECK = re.compile(
    rf"{_any('check')}: (?P<left>-?{_NUMBER}) (?P<operator>[+-]) (?P<right>{_NUMBER}) = (?P<value>-?{_NUMBER}), "
    rf"(?P<target>{_NUMBER}) (?P<verdict>reached|missed)\.\s*",
    _FLAGS,
)
_END = re.compile(rf"(?:{_any('conclude')}|{_any('give up')}\.?) \\boxed\{{[^{{}}]{{0,40}}\}}\s*\Z", _FLAGS)
# A last sentence that never ended was cut off by the length limit.
_CUT_OFF = re.compile(r"[^.}\n]{0,100}\Z")


def _signed(candidate: str) -> tuple[tuple[str, int], ...]:
    """`"8 - 5 + 3"` and `"3 + 8 - 5"` both give `(("+", 3), ("+", 8), ("-", 5))`."""
    parts = ["+", *candidate.split()]
    return tuple(sorted(zip(parts[::2], map(int, parts[1::2]))))


def _read_check(match: re.Match, attempt: Attempt, problem: Problem) -> Attempt:
    left, right, value = int(match["left"]), int(match["right"]), int(match["value"])
    reached = match["verdict"].lower() == "reached"
    first, operator, second, *rest = attempt.candidate.split()
    steps = (
        left == _operate(int(first), operator, int(second)) and rest == [match["operator"], match["right"]],
        value == _operate(left, match["operator"], right),
        int(match["target"]) == problem.target and reached == (value == problem.target),
    )
    return replace(attempt, steps=steps, refuted=not reached)


def read_trace(completion: str, problem: Problem) -> Trace:
    """
    Reads one completion, whatever it contains, in linear time.

    The classes are decided in this order, and the first that holds is the outcome:

    1. `correct`: the verifier accepts the last balanced `\\boxed{}`.
    2. `execution: wrong step`: a wrong operation or comparison, an illegal candidate (proposed or boxed), or a
       sentence that is malformed.
    3. `strategy: gave up`: `\\boxed{none}`.
    4. `strategy: repeated a refuted candidate`: the boxed candidate had been refuted; or nothing is boxed and a
       candidate was proposed again after it had been refuted.
    5. `strategy: skipped the check`: the boxed candidate was never checked.
    6. `strategy: ran out of length`: nothing is boxed.

    Args:
        completion (`str`):
            Text of the completion, without special tokens.
        problem ([`Problem`]):
            Problem that the completion answers.
    """
    text = completion.strip()
    attempts: list[Attempt] = []
    refuted: set[tuple[tuple[str, int], ...]] = set()
    position = 0
    while position < len(text):
        if match := _PROPOSE.match(text, position):
            signed = _signed(match["candidate"])
            legal = sorted(number for _, number in signed) == sorted(problem.numbers)
            attempts.append(Attempt(match["candidate"], legal, signed in refuted))
        elif attempts and attempts[-1].legal and not attempts[-1].checked and (match := _CHECK.match(text, position)):
            attempts[-1] = _read_check(match, attempts[-1], problem)
            if attempts[-1].refuted:
                refuted.add(_signed(attempts[-1].candidate))
        else:
            break
        position = match.end()
    boxed = extract_boxed(text)
    ending = _CUT_OFF if boxed is None else _END
    malformed = ending.match(text, position) is None
    outcome = _classify(attempts, boxed, malformed, refuted, problem)
    return Trace(tuple(attempts), boxed, malformed, outcome)


def _classify(
    attempts: list[Attempt],
    answer: str | None,
    malformed: bool,
    refuted: set[tuple[tuple[str, int], ...]],
    problem: Problem,
) -> Outcome:
    if answer is not None and verify(answer, problem.numbers, problem.target):
        return "correct"
    if malformed or not all(attempt.legal and all(attempt.steps) for attempt in attempts):
        return "execution: wrong step"
    if answer == "none":
        return "strategy: gave up"
    if answer is None:
        repeated = any(attempt.repeated for attempt in attempts)
        return "strategy: repeated a refuted candidate" if repeated else "strategy: ran out of length"
    if re.fullmatch(rf"{_NUMBER}(?: [+-] {_NUMBER}){{2}}", answer, re.ASCII) is None:
        return "execution: wrong step"
    signed = _signed(answer)
    if sorted(number for _, number in signed) != sorted(problem.numbers):
        return "execution: wrong step"
    return "strategy: repeated a refuted candidate" if signed in refuted else "strategy: skipped the check"
