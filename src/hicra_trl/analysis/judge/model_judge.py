"""A model that is asked why a solution is wrong."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...evaluation.engines.engine import Completion, Engine, PromptTooLong, Request, token_limit
from ...evaluation.problems.items import Item
from ...rewards import Gold
from ...terminal import one_line
from .judges import Reply, Unusable, hash_of
from .question import Answer, Solution, again, question, read_answer


CHARACTERS = 4  # of a token, about, where the tokenizer is not here


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
        """See [`~hicra_trl.analysis.judge.judges.Judge`]."""
        return hash_of(self.name, self._parameters, question(solution))

    def prompt_tokens(self, solution: Solution) -> int:
        """See [`~hicra_trl.analysis.judge.judges.Judge`]."""
        return self._tokens(question(solution))

    def _tokens(self, text: str) -> int:
        tokenizer = self._engine.tokenizer
        return len(text) // CHARACTERS if tokenizer is None else len(tokenizer(text, verbose=False).input_ids)

    def __call__(
        self, solutions: Mapping[str, Solution], unusable: Mapping[str, Sequence[Unusable]]
    ) -> Iterator[list[Reply | Unusable]]:
        """See [`~hicra_trl.analysis.judge.judges.Judge`]."""
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
