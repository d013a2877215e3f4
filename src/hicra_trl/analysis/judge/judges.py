"""Who says why a solution is wrong: a model that is asked, or an exact rule."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ...evaluation.engines.engine import Completion, Engine, PromptTooLong, Request, token_limit
from ...evaluation.problems.items import Item
from ...rewards import Gold
from ...terminal import one_line
from .question import Answer, Solution, again, checked, question, read_answer


CHARACTERS = 4  # of a token, about, where the tokenizer is not here
_AT_ONCE = 256  # solutions that a rule judges before they are stored


@dataclass(frozen=True)
class Reply:
    """
    What a judge says about a solution.

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

    def __call__(self, solutions: Mapping[str, Solution]) -> Iterator[list[Reply]]:
        """Judges solutions, given by their hash, and yields what is finished as soon as it is."""
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

    def __call__(self, solutions: Mapping[str, Solution]) -> Iterator[list[Reply]]:
        """See [`Judge`]."""
        replies: list[Reply] = []
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

    def _request(self, key: str, text: str, attempt: int) -> Request:
        if self._engine.tokenizer is None:
            token_limit(key, self._tokens(text), 1, self._context)
        return Request(self._engine.prompt(Item(key, text, Gold(""))), attempt)

    def __call__(self, solutions: Mapping[str, Solution]) -> Iterator[list[Reply]]:
        """See [`Judge`]."""
        first = {key: question(solution) for key, solution in solutions.items()}
        asked, spent = dict(first), {key: Counter[str]() for key in first}
        untold: set[str] = set()
        for attempt in range(self._attempts):
            waiting: dict[str, str] = {}
            too_long: list[Reply] = []
            requests = []
            for key, text in asked.items():
                try:
                    requests.append(self._request(key, text, attempt))
                except PromptTooLong as error:
                    too_long.append(_reply(key, None, str(error), spent[key], key in untold))
            if too_long:
                yield too_long
            for completions in self._engine.sample(self._run, requests, ()):
                replies = []
                for completion in completions:
                    key = completion.request.prompt.item.id
                    count = _prompt_tokens(completion)
                    untold |= {key} if count is None else set()
                    spent[key].update(asked=1, prompt=count or 0, answer=completion.tokens)
                    try:
                        answer, problem = read_answer(completion.text, solutions[key].text), ""
                    except ValueError as error:
                        answer, problem = None, str(error)
                        if completion.finish_reason == "length":
                            problem += f"; it was cut after {completion.tokens} tokens"
                        if attempt + 1 < self._attempts:
                            waiting[key] = again(first[key], completion.text, problem)
                            continue
                    replies.append(_reply(key, answer, problem, spent[key], key in untold))
                if replies:
                    yield replies
            asked = waiting


def _reply(key: str, answer: Answer | None, problem: str, spent: Counter[str], untold: bool) -> Reply:
    prompt = None if untold else spent["prompt"]
    return Reply(key, answer, one_line(problem), spent["asked"], prompt, spent["answer"])


def _prompt_tokens(completion: Completion) -> int | None:
    ids = completion.request.prompt.ids
    return completion.prompt_tokens if completion.prompt_tokens is not None else len(ids) or None


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
