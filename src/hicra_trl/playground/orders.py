"""A second world: Countdown with four numbers, where a strategic move chooses what to try first.

Every problem is one product of two of the numbers, plus or minus the other two. A move chooses the pair; its procedure
adds both numbers, then subtracts both:

    Using 9, 7, 4 and 3, make 56.
    Start by 9 * 7 = 63. Then 63 + 4 = 67. Well 67 + 3 = 70, 56 missed. And 63 - 4 = 59. Just 59 - 3 = 56, 56 reached.
    Therefore \\boxed{9 * 7 - 4 - 3}

Most problems yield to one move alone. The verb of the question hints at it, as the wording of a problem hints at a
method, and is wrong for one problem in seven; a move that fails costs seven steps, and the length of a completion
leaves room for three moves. Before each sum stands a word that means nothing, so that most of what a completion could
have said otherwise does not matter.
"""

import itertools
import random
import re
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from hicra_trl.rewards import extract_boxed


NUMBERS = range(3, 11)
NUM_HELD_OUT = 100
# The two numbers that a move multiplies, by rank, and its phrases, most habitual first: the base uses the phrase at
# rank r in proportion to 1 / r.
PAIRS = {
    "largest first": (0, 1),
    "first and third": (0, 2),
    "both ends": (0, 3),
    "the middle": (1, 2),
    "second and last": (1, 3),
    "smallest first": (2, 3),
}
PHRASES = {
    "largest first": ("start by", "we can start by", "the first step is", "a good starting point is"),
    "first and third": ("alternatively", "an alternative path is", "another approach", "let's consider another case"),
    "both ends": ("if we consider", "we can think of this as", "this can be seen as", "on the other hand"),
    "the middle": ("break it down", "let's break this down", "let's analyze the possibilities", "specifically"),
    "second and last": ("the key insight is", "the core idea is", "the key is to realize", "recall that"),
    "smallest first": ("for simplicity", "a simpler approach is", "to make it easier", "find a simpler"),
}
# The verb of a question whose move is this one, for CUED of the problems; for the others it is that of another move.
VERBS: dict[str, str] = dict(zip(PAIRS, ("make", "reach", "get", "find", "build", "form")))
CUED = 0.85
BACKTRACK = ("but wait", "hold on", "that can't be right", "let's try a different angle")
CONCLUDE = ("therefore", "so", "thus", "we can conclude")
# Words without a meaning: a completion has some ten, each as likely as the others, and no credit should move them.
TALK = ("then", "and", "also", "here", "again", "well", "indeed", "just")
GIVE_UP = ("this approach isn't working", "what am i missing?", "this isn't leading anywhere")
_MOVE_OF = {phrase: move for move, phrases in PHRASES.items() for phrase in phrases}
OUTCOMES = (
    "correct",
    *(f"{kind}: {move}" for kind in ("strategy", "execution") for move in PAIRS),
    "cut",
    "unparsed",
)


@dataclass(frozen=True)
class OrderProblem:
    """
    Four numbers and a target.

    Args:
        numbers (`tuple[int, ...]`):
            Four different integers, in descending order; the product of the last two is larger than the sum of the
            first two, so that no value is negative.
        target (`int`):
            Positive integer to reach.
        verb (`str`, *optional*, defaults to `"make"`):
            One of `VERBS`; two problems that differ in it alone are the same.

    Example:

    ```python
    >>> problem = OrderProblem((9, 7, 4, 3), 56)
    >>> problem.moves, problem.solution
    (('largest first',), '9 * 7 - 4 - 3')
    ```
    """

    numbers: tuple[int, ...]
    target: int
    verb: str = field(default="make", compare=False)

    @property
    def prompt(self) -> str:
        """The question as plain text."""
        *first, last = self.numbers
        return f"Using {', '.join(map(str, first))} and {last}, {self.verb} {self.target}.\n"

    @property
    def moves(self) -> tuple[str, ...]:
        """The moves that reach the target."""
        return tuple(move for move in PAIRS if self.target in self._values(move).values())

    @property
    def solution(self) -> str:
        """An expression that reaches the target."""
        return next(text for move in PAIRS for text, value in self._values(move).items() if value == self.target)

    def operands(self, move: str) -> tuple[int, int, int, int]:
        """The two numbers that a move multiplies, and the other two, each in descending order."""
        i, j = PAIRS[move]
        first, second = (number for k, number in enumerate(self.numbers) if k not in (i, j))
        return self.numbers[i], self.numbers[j], first, second

    def _values(self, move: str) -> dict[str, int]:
        a, b, x, y = self.operands(move)
        return {f"{a} * {b} {sign} {x} {sign} {y}": _operate(_operate(a * b, sign, x), sign, y) for sign in "+-"}


def _operate(left: int, operator: str, right: int) -> int:
    return left + right if operator == "+" else left - right


@cache
def split_problems(seed: int) -> tuple[tuple[OrderProblem, ...], tuple[OrderProblem, ...]]:
    """Training and held-out problems: all that a move solves, shuffled by `seed`. No problem is in both."""
    problems = []
    for numbers in itertools.combinations(reversed(NUMBERS), 4):
        if numbers[2] * numbers[3] > numbers[0] + numbers[1]:
            empty = OrderProblem(numbers, 0)
            targets = {value for move in PAIRS for value in empty._values(move).values()}
            problems += [OrderProblem(numbers, target) for target in sorted(targets)]
    rng = random.Random(seed)
    rng.shuffle(problems)
    problems = [replace(problem, verb=_draw_verb(problem, rng)) for problem in problems]
    return tuple(problems[NUM_HELD_OUT:]), tuple(problems[:NUM_HELD_OUT])


def _draw_verb(problem: OrderProblem, rng: random.Random) -> str:
    own = VERBS[problem.moves[0]]
    return own if rng.random() < CUED else rng.choice([verb for verb in VERBS.values() if verb != own])


_ANSWER = re.compile(r"\d{1,3}(?: ?[-+*] ?\d{1,3}){3}", re.ASCII)


def verify(answer: str, numbers: tuple[int, ...], target: int) -> bool:
    """Whether `answer` uses each number once, with `+`, `-` and `*`, without parentheses, and reaches the target."""
    if _ANSWER.fullmatch(answer.strip()) is None:
        return False
    left, *rest = re.findall(r"\d+|[-+*]", answer)
    terms = [int(left)]
    for operator, number in zip(rest[::2], map(int, rest[1::2])):
        if operator == "*":
            terms[-1] *= number
        else:
            terms.append(_operate(0, operator, number))
    used = sorted([int(left), *map(int, rest[1::2])])
    return used == sorted(numbers) and sum(terms) == target


def order_reward(completions: list[str], numbers: list[list[int]], target: list[int], **kwargs: Any) -> list[float]:
    """Reward function for TRL: 1.0 where the last balanced `\\boxed{}` solves the problem, else 0.0."""
    problems = zip(map(extract_boxed, completions), map(tuple, numbers), target)
    return [float(answer is not None and verify(answer, given, goal)) for answer, given, goal in problems]


@dataclass(frozen=True)
class OrderPolicy:
    """
    How a writer of traces decides. The defaults make the base: one habit, and a procedure that is not mastered.

    Args:
        habit (`float`, *optional*, defaults to `0.62`):
            Probability of the move "largest first" whatever is asked.
        cue (`float`, *optional*, defaults to `0.1`):
            Probability of the move that the verb hints at; all but "largest first" share what is left.
        give_up (`float`, *optional*, defaults to `0.3`):
            Probability of giving up after a move that failed.
        slip (`float`, *optional*, defaults to `0.1`):
            Probability of a wrong result in each operation.
        max_moves (`int`, *optional*, defaults to `3`):
            Moves after which the writer gives up.
    """

    habit: float = 0.62
    cue: float = 0.1
    give_up: float = 0.3
    slip: float = 0.1
    max_moves: int = 3


@dataclass(frozen=True)
class Attempt:
    """
    One move and its procedure.

    Args:
        move (`str`):
            The move that its phrase names.
        steps (`tuple[bool, ...]`):
            Right or wrong: the product, then for each sign an operation, and another one and a verdict.
        reached (`bool`):
            Whether the trace says that the target is reached.
        place (`tuple[int, int]`):
            Where the phrase stands in the text, half-open.
        places (`tuple[tuple[int, int], ...]`):
            Where the result of each step stands, or the first thing in it that is wrong.
    """

    move: str
    steps: tuple[bool, ...]
    reached: bool
    place: tuple[int, int]
    places: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class OrderTrace:
    """
    What the reader found in one completion.

    Args:
        attempts (`tuple[Attempt, ...]`):
            The moves in their order.
        boxed (`str` or `None`):
            Content of the last balanced `\\boxed{}`.
        end (`tuple[int, int]` or `None`):
            Where the phrase stands that concludes or gives up.
        stopped (`int`):
            Where the sentences of the moves end: what follows concludes, gives up, was cut off, or cannot be read.
        outcome (`str`):
            The one class of this completion, one of `OUTCOMES`.
    """

    attempts: tuple[Attempt, ...]
    boxed: str | None
    end: tuple[int, int] | None
    stopped: int
    outcome: str


def _say(phrases: tuple[str, ...], rng: random.Random) -> str:
    return rng.choices(phrases, weights=[1 / rank for rank in range(1, len(phrases) + 1)])[0]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def draw_exercise(problem: OrderProblem, rng: random.Random) -> tuple[OrderProblem, str]:
    """
    Other numbers, a target that some move reaches, any verb, and the phrase of that move, which the writer goes on
    from. As the phrase is no part of what is learned, an exercise teaches the procedure and not the choice.
    """
    numbers = tuple(sorted(rng.sample(range(2, NUMBERS.stop), 4), reverse=True))
    move, verb = rng.choice(list(PAIRS)), rng.choice(list(VERBS.values()))
    other = replace(problem, numbers=numbers, verb=verb)
    target = rng.choice(list(other._values(move).values()))
    return replace(other, target=max(target, 1)), _sentence(_say(PHRASES[move], rng))


def write_trace(problem: OrderProblem, rng: random.Random, policy: OrderPolicy, begin: str = "") -> str:
    """
    Writes one completion for `problem`: every decision is drawn from `rng` with the probabilities of `policy`. With a
    phrase to `begin` with, what follows it.
    """
    return compose_trace(problem, rng, policy, begin)[0][len(begin) :]


def compose_trace(
    problem: OrderProblem, rng: random.Random, policy: OrderPolicy, begin: str = ""
) -> tuple[str, list[tuple[str, tuple[bool, ...]]]]:
    """A completion, and what was meant by it: each move, with its steps right or wrong."""
    sentences, meant = [], []
    moves = list(PAIRS)
    weights = [policy.habit, *[(1 - policy.habit - policy.cue) / (len(moves) - 1)] * (len(moves) - 1)]
    weights[list(VERBS.values()).index(problem.verb)] += policy.cue
    for count in range(policy.max_moves):
        phrase = begin if begin and not count else _say(PHRASES[rng.choices(moves, weights)[0]], rng)
        move = _MOVE_OF[phrase.lower()]
        backtrack = f"{_say(BACKTRACK, rng)}, " if count else ""
        lines, steps, answer = _procedure(problem, move, rng, policy.slip)
        meant.append((move, steps))
        sentences.append(_sentence(f"{backtrack}{phrase} {lines}"))
        if answer is not None:
            return " ".join([*sentences, f"{_sentence(_say(CONCLUDE, rng))} \\boxed{{{answer}}}"]), meant
        if rng.random() < policy.give_up:
            break
    surrender = _sentence(_say(GIVE_UP, rng))
    return " ".join([*sentences, surrender if surrender.endswith("?") else surrender + ".", r"\boxed{none}"]), meant


def _procedure(
    problem: OrderProblem, move: str, rng: random.Random, slip: float
) -> tuple[str, tuple[bool, ...], str | None]:
    """The sentences that follow a move's phrase, their steps, and the expression that reaches the target."""
    steps = []

    def written(value: int) -> int:
        steps.append(rng.random() >= slip)
        return value if steps[-1] else value + rng.choice((-10, -2, -1, 1, 2, 10))

    a, b, x, y = problem.operands(move)
    product = written(a * b)
    sentences = [f"{a} * {b} = {product}."]
    for sign in "+-":
        left = written(_operate(product, sign, x))
        sentences.append(f"{_sentence(rng.choice(TALK))} {product} {sign} {x} = {left}.")
        value = written(_operate(left, sign, y))
        steps.append(True)
        verdict = "reached" if value == problem.target else "missed"
        sentences.append(f"{_sentence(rng.choice(TALK))} {left} {sign} {y} = {value}, {problem.target} {verdict}.")
        if value == problem.target:
            return " ".join(sentences), tuple(steps), f"{a} * {b} {sign} {x} {sign} {y}"
    return " ".join(sentences), tuple(steps), None


def _any(phrases: tuple[str, ...]) -> str:
    # The longest first: "start by" begins none of the others, but a lexicon may grow.
    return "(?:" + "|".join(re.escape(phrase) for phrase in sorted(phrases, key=len, reverse=True)) + ")"


_N = r"-?\d{1,4}"
_FLAGS = re.IGNORECASE | re.ASCII
_MOVE = re.compile(
    rf"(?:{_any(BACKTRACK)}, )?(?P<phrase>{_any(tuple(_MOVE_OF))}) ({_N}) \* ({_N}) = ({_N})\.\s*", _FLAGS
)
_STEP = re.compile(rf"{_any(TALK)} ({_N}) ([+-]) ({_N}) = ({_N})(?:, ({_N}) (reached|missed))?\.\s*", _FLAGS)
_END = re.compile(rf"(?P<phrase>{_any(CONCLUDE)}|{_any(GIVE_UP)}\.?) \\boxed\{{[^{{}}]{{0,40}}\}}\s*\Z", _FLAGS)
# A last sentence that never ended was cut off by the length limit.
_CUT_OFF = re.compile(rf"(?:{_any(GIVE_UP)}\.?\s*)?[^.}}\n]{{0,120}}\Z", _FLAGS)
# What follows the product: a sign and which of the other numbers.
_PLAN = (("+", 0), ("+", 1), ("-", 0), ("-", 1))


def read_trace(completion: str, problem: OrderProblem) -> OrderTrace:
    """
    Reads one completion, whatever it contains, in linear time.

    The classes are decided in this order, and the first that holds is the outcome:

    1. `correct`: the verifier accepts the last balanced `\\boxed{}`.
    2. `unparsed`: a sentence is none that this world's traces know; reading stops there.
    3. `execution: MOVE`: `MOVE` would have solved the problem, it was tried, and a step of it went wrong; or an
       expression was boxed that does not reach the target, and `MOVE` came last.
    4. `cut`: nothing is boxed.
    5. `strategy: MOVE`: gave up, and no move that was tried solves the problem; `MOVE` came last.

    Args:
        completion (`str`):
            Text of the completion, without special tokens.
        problem ([`OrderProblem`]):
            Problem that the completion answers.
    """
    attempts: list[Attempt] = []
    position = len(completion) - len(completion.lstrip())
    written: list[int] = []  # The results of the current move; a next move may begin when all are there.
    while position < len(completion) and not (attempts and attempts[-1].reached):
        if len(written) in (0, 1 + len(_PLAN)) and (match := _MOVE.match(completion, position)):
            written = [int(match[4])]
            attempts.append(_read_product(match, problem))
        elif 0 < len(written) <= len(_PLAN) and (match := _STEP.match(completion, position)):
            sign, which = _PLAN[len(written) - 1]
            if (match[5] is None) != (which == 0):
                break
            left = written[-1 if which else 0]
            attempts[-1] = _read_step(match, attempts[-1], problem, left, sign, which)
            written.append(int(match[4]))
        else:
            break
        position = match.end()
    boxed = extract_boxed(completion)
    end = _END.match(completion, position)
    cut = boxed is None and _CUT_OFF.match(completion, position) is not None
    outcome = _classify(attempts, boxed, end is None and not cut, problem)
    return OrderTrace(tuple(attempts), boxed, None if end is None else end.span("phrase"), position, outcome)


def _read_product(match: re.Match, problem: OrderProblem) -> Attempt:
    move = _MOVE_OF[match["phrase"].lower()]
    a, b, *_ = problem.operands(move)
    right, place = _compare(match, {2: a, 3: b, 4: a * b})
    return Attempt(move, (right,), False, match.span("phrase"), (place,))


def _read_step(match: re.Match, attempt: Attempt, problem: OrderProblem, left: int, sign: str, which: int) -> Attempt:
    other = problem.operands(attempt.move)[2 + which]
    found = [_compare(match, {1: left, 2: sign, 3: other, 4: _operate(left, sign, other)})]
    if match[5] is not None:
        verdict = "reached" if int(match[4]) == problem.target else "missed"
        found.append(_compare(match, {5: problem.target, 6: verdict}))
        attempt = replace(attempt, reached=match[6].lower() == "reached")
    steps, places = zip(*found)
    return replace(attempt, steps=(*attempt.steps, *steps), places=(*attempt.places, *places))


def _compare(match: re.Match, expected: dict[int, int | str]) -> tuple[bool, tuple[int, int]]:
    """Whether the groups are as expected, and the span of the first that is not, or of the last."""
    wrong = [group for group, value in expected.items() if match[group].lower() != str(value)]
    return not wrong, match.span([*wrong, max(expected)][0])


def _classify(attempts: list[Attempt], boxed: str | None, unparsed: bool, problem: OrderProblem) -> str:
    if boxed is not None and verify(boxed, problem.numbers, problem.target):
        return "correct"
    if unparsed or not attempts:
        return "cut" if boxed is None and not unparsed else "unparsed"
    solving = problem.moves
    spoiled = [attempt.move for attempt in attempts if attempt.move in solving and not all(attempt.steps)]
    if spoiled:
        return f"execution: {spoiled[0]}"
    if boxed not in (None, "none"):
        return f"execution: {attempts[-1].move}"
    return "cut" if boxed is None else f"strategy: {attempts[-1].move}"
