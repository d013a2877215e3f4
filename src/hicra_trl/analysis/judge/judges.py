"""Who says why a solution is wrong: a model that is asked, or an exact rule."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...evaluation.engines.engine import Completion, Engine, PromptTooLong, Request, token_limit
from ...evaluation.problems.items import Item
from ...fields import Checked
from ...rewards import Gold
from ...terminal import one_line
from .question import Answer, Solution, again, checked, question, read_answer


CHARACTERS = 4  # of a token, about, where the tokenizer is not here
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
        return _hash(self.name, solution.problem, solution.text)

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


class ModelJudge:
    """
    A judge that is a model. Whatever answer cannot be used is asked for again, with what is wrong with it.

    Args:
        engine ([`~hicra_trl.evaluation.engines.engine.Engine`]):
            What samples the answers.
        name (`str`):
            What its verdicts are signed with: engine and model.
        parameters (`Mapping[str, Any]`):
            What else the answers depend on.
        attempts (`int`):
            How often it is asked at most about a solution.
        run (`str`, *optional*, defaults to `"judge"`):
            Part of the seeds: another one draws other answers.
        context (`int`, *optional*):
            Context length of a model whose tokenizer is not here: what is longer by its characters is not asked.
    """

    asks = True

    def __init__(
        self,
        engine: Engine,
        name: str,
        parameters: Mapping[str, Any],
        attempts: int,
        run: str = "judge",
        context: int | None = None,
    ) -> None:
        self.name = name
        self._engine, self._parameters, self._attempts, self._run = engine, dict(parameters), attempts, run
        self._context = context

    def hash(self, solution: Solution) -> str:
        """See [`Judge`]."""
        return _hash(self.name, self._parameters, question(solution))

    def prompt_tokens(self, solution: Solution) -> int:
        """See [`Judge`]."""
        return self._tokens(question(solution))

    def _tokens(self, text: str) -> int:
        tokenizer = self._engine.tokenizer
        return len(text) // CHARACTERS if tokenizer is None else len(tokenizer(text, verbose=False).input_ids)

    def __call__(
        self, solutions: Mapping[str, Solution], unusable: Mapping[str, Sequence[Unusable]]
    ) -> Iterator[list[Reply | Unusable]]:
        """See [`Judge`]."""
        failed = {key: list(unusable.get(key, ())) for key in solutions}
        waiting = dict(solutions)
        for attempt in range(self._attempts):
            requests, too_long = [], []
            for key, solution in waiting.items():
                if len(failed[key]) == attempt:
                    try:
                        requests.append(self._request(key, solution, failed[key]))
                    except PromptTooLong as error:
                        too_long.append(_reply(key, None, str(error), failed[key]))
            for key in (reply.hash for reply in too_long):
                del waiting[key]
            if too_long:
                yield too_long
            for completions in self._engine.sample(self._run, requests, ()) if requests else ():
                found: list[Reply | Unusable] = []
                for completion in completions:
                    key = completion.request.prompt.item.id
                    try:
                        answer = read_answer(completion.text, solutions[key].text)
                    except ValueError as error:
                        failed[key].append(_unusable(completion, str(error)))
                        found.append(failed[key][-1])
                    else:
                        found.append(_reply(key, answer, "", [*failed[key], _unusable(completion, "")]))
                        del waiting[key]
                yield found
        if waiting:
            yield [_reply(key, None, failed[key][-1].problem, failed[key]) for key in waiting]

    def _request(self, key: str, solution: Solution, failed: Sequence[Unusable]) -> Request:
        text = question(solution)
        if failed:
            text = again(text, failed[-1].text, failed[-1].problem)
        if self._engine.tokenizer is None:
            token_limit(key, self._tokens(text), 1, self._context)
        return Request(self._engine.prompt(Item(key, text, Gold(""))), len(failed))


def _unusable(completion: Completion, problem: str) -> Unusable:
    prompt = completion.request.prompt
    if completion.finish_reason == "length":
        problem += f"; it was cut after {completion.tokens} tokens"
    told = len(prompt.ids) or None if completion.prompt_tokens is None else completion.prompt_tokens
    return Unusable(prompt.item.id, completion.text, problem, told, completion.tokens)


def _reply(key: str, answer: Answer | None, problem: str, asked: Sequence[Unusable]) -> Reply:
    told = [one.prompt_tokens for one in asked if one.prompt_tokens is not None]
    prompts = sum(told) if len(told) == len(asked) else None
    return Reply(key, answer, one_line(problem), len(asked), prompts, sum(one.answer_tokens for one in asked))


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
