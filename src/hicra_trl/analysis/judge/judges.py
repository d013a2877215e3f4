"""Who says why a solution is wrong, and a judge that knows by an exact rule."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...fields import Checked
from .question import Answer, Solution, checked


_AT_ONCE = 256  # solutions that a rule judges before they are stored


SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Unusable(Checked):
    """
    An answer that cannot be used: one line of `verdicts.unusable.jsonl`.

    Attributes:
        hash (`str`):
            That of the solution, as [`Judge`] makes it.
        text (`str`):
            What the judge wrote.
        problem (`str`):
            Why it cannot be used.
        prompt_tokens (`int` or `None`):
            Tokens of the prompt; `None` where a server does not tell.
        answer_tokens (`int`):
            Tokens of the answer.
        schema_version (`int`):
            Of this line.
    """

    hash: str
    text: str
    problem: str
    prompt_tokens: int | None
    answer_tokens: int
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Reply:
    """
    What a judge says about a solution in the end.

    Attributes:
        hash (`str`):
            That of the solution, as [`Judge`] makes it.
        answer ([`Answer`] or `None`):
            Its answer; `None` if none of those that it gave can be used.
        problem (`str`):
            Why the last one cannot.
        asked (`int`):
            How often it was asked.
        prompt_tokens (`int` or `None`):
            Tokens of all the prompts; `None` where a server does not tell.
        answer_tokens (`int`):
            Tokens of all the answers.
    """

    hash: str
    answer: Answer | None
    problem: str = ""
    asked: int = 0
    prompt_tokens: int | None = 0
    answer_tokens: int = 0


class Judge(Protocol):
    """
    Who judges.

    Attributes:
        name (`str`):
            What verdicts are signed with.
        asks (`bool`):
            Whether a model is asked, which costs tokens and is helped by references.
    """

    name: str
    asks: bool

    def hash(self, solution: Solution) -> str:
        """What changes with everything that the verdict on a solution depends on."""
        ...

    def prompt_tokens(self, solution: Solution) -> int:
        """About how many tokens asking once takes."""
        ...

    def __call__(
        self, solutions: Mapping[str, Solution], unusable: Mapping[str, Sequence[Unusable]]
    ) -> Iterator[list[Reply | Unusable]]:
        """
        Judges solutions, given by their hash, and yields what there is to store as soon as it is there.

        What it has answered before in vain is given as `unusable`.
        """
        ...


class RuleJudge:
    """
    A judge that knows.

    Args:
        name (`str`):
            What its verdicts are signed with.
        rule (`Callable`):
            Gives an answer for each solution; `ValueError` for what it knows nothing of.
    """

    asks = False

    def __init__(self, name: str, rule: Callable[[Solution], Answer]) -> None:
        self.name = name
        self._rule = rule

    def hash(self, solution: Solution) -> str:
        """See [`Judge`]."""
        return hash_of(self.name, solution.problem, solution.text)

    def prompt_tokens(self, solution: Solution) -> int:
        """See [`Judge`]."""
        return 0

    def __call__(
        self, solutions: Mapping[str, Solution], unusable: Mapping[str, Sequence[Unusable]]
    ) -> Iterator[list[Reply | Unusable]]:
        """See [`Judge`]."""
        replies: list[Reply | Unusable] = []
        for key, solution in solutions.items():
            replies.append(Reply(key, checked(self._rule(solution), solution.text)))
            if len(replies) == _AT_ONCE:
                yield replies
                replies = []
        if replies:
            yield replies


def hash_of(*parts: Any) -> str:
    """32 hexadecimal digits that change with any of the parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
