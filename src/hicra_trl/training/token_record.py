"""Records what each sampled token was and what it got, out of what credit and loss have at hand."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..grams import Labels, StrategicGrams
from ..grams.token_bytes import token_bytes
from .config import HICRAConfig
from .runs.token_record import RecordedCompletion, RecordHeader, record_file, record_files, write_record


_RIDE = "record_"
_LOWEST = float(np.finfo(np.float16).min)


class TokenRecorder(TrainerCallback):
    """
    Keeps completions of every `token_record`-th step from their sampling to their first use in the loss, and then
    writes them, as [`~hicra_trl.training.runs.token_record.RecordedCompletion`].

    It draws no random number and runs no model: a recorded training is the same as one that is not.

    Args:
        config ([`HICRAConfig`]):
            Of the run.
        tokenizer ([`~transformers.PreTrainedTokenizerFast`]):
            Whose ids are sampled.
        grams ([`~hicra_trl.grams.StrategicGrams`]):
            The lexicon.
        reward_names (`Sequence[str]`):
            The reward functions.
        end_ids (`Sequence[int]`):
            Tokens that end a completion.
        rank (`int`):
            Index of the process.
        ranks (`int`):
            How many processes there are.
    """

    def __init__(
        self,
        config: HICRAConfig,
        tokenizer: PreTrainedTokenizerBase,
        grams: StrategicGrams,
        reward_names: Sequence[str],
        end_ids: Sequence[int],
        rank: int,
        ranks: int,
    ) -> None:
        self.config = config
        self.grams = grams
        self.reward_names = list(reward_names)
        self.end_ids = set(end_ids)
        self.rank, self.ranks = rank, ranks
        self.run = config.output_dir
        self._tokenizer = tokenizer
        self._riders: dict[str, torch.Tensor] = {}
        self._begin_step(0)

    def takes(self, step: int) -> bool:
        """Whether what is sampled for a step is recorded. It depends on the step alone, so that resumes agree."""
        config = self.config
        micro_steps = config.steps_per_generation * config.num_iterations
        steps = -(-micro_steps // config.gradient_accumulation_steps)
        # Where a generation serves several steps, the first one that begins in each stretch of `token_record` steps.
        return config.token_record > 0 and (step - 1) % config.token_record < steps

    def describe(
        self, prompts: list[Any], completion_ids: list[list[int]], rewards: torch.Tensor, reward: torch.Tensor
    ) -> None:
        """
        Takes what the batch of tensors does not tell: of B completions of this process, and the rewards of all.

        Args:
            prompts (`list`):
                Texts or conversations, B.
            completion_ids (`list[list[int]]`):
                Sampled ids, B, without padding.
            rewards (`torch.Tensor` of shape `(N, F)`):
                Rewards of each function.
            reward (`torch.Tensor` of shape `(N,)`):
                Their weighted sums.
        """
        own = slice(self.rank * len(prompts), (self.rank + 1) * len(prompts))
        texts = [torch.tensor(list(_text(prompt).encode(errors="replace")), dtype=torch.uint8) for prompt in prompts]
        self._riders = {
            "prompt": pad_sequence(texts, batch_first=True),
            "length": torch.tensor([len(ids) for ids in completion_ids]),
            "cut": torch.tensor([not ids or ids[-1] not in self.end_ids for ids in completion_ids]),
            "rewards": rewards[own],
            "reward": reward[own],
        }

    def ride(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The batch, with what was described as tensors of its own: dynamic sampling takes them along with a row."""
        return batch | {_RIDE + name: value for name, value in self._riders.items()}

    def begin(
        self,
        step: int,
        batch: dict[str, Any],
        labels: Labels,
        own: torch.Tensor,
        advantages: torch.Tensor,
        alpha: float,
    ) -> None:
        """
        Takes completions whose credit is known, and puts into the batch `record_row` (B,), which tells them apart.

        Args:
            step (`int`):
                Optimizer step that they are first used for.
            batch (`dict`):
                From [`~TokenRecorder.ride`], with advantages as they enter the loss.
            labels ([`~hicra_trl.grams.Labels`]):
                Of its completions.
            own (`torch.Tensor` of shape `(B, T)`):
                1 at the model's own tokens.
            advantages (`torch.Tensor` of shape `(B,)` or `(B, T)`):
                Those before credit.
            alpha (`float`):
                Strength of the credit, at this step.
        """
        if step != self._step:
            self.write()
            self._begin_step(step, alpha)
        size, group_size = len(own), self.config.num_generations
        groups = size * self.ranks // group_size
        chosen = spread(groups, self.config.token_record_groups)
        places = [divmod(self.rank * size + row, group_size) for row in range(size)]
        rows = [row for row, (group, _) in enumerate(places) if group in chosen]
        numbers = range(len(self._rows), len(self._rows) + len(rows))
        batch["record_row"] = torch.full((size,), -1)
        batch["record_row"][rows] = torch.arange(numbers.start, numbers.stop)
        self._unused.update(numbers)
        own = own.bool()
        if advantages.dim() == 2:
            advantages = (advantages * own).sum(dim=1) / own.sum(dim=1).clamp(min=1)
        credited = batch["advantages"]
        if credited.dim() == 1:
            credited = credited.unsqueeze(1).expand(own.shape)
        tensors = {
            **{name: batch.pop(_RIDE + name) for name in self._riders},
            "ids": batch["completion_ids"].int(),
            "own": own,
            "planning": labels.planning_mask,
            "advantage": advantages.float(),
            "credited": credited.float(),
        }
        columns = {name: tensor[rows].cpu().numpy() for name, tensor in tensors.items()}
        for place, row in enumerate(rows):
            values = {name: column[place] for name, column in columns.items()}
            group, index = places[row]
            self._rows.append(self._completion(step, self._groups + group, index, values, labels.spans[row]))
        self._groups += groups

    def score(self, rows: torch.Tensor, logps: torch.Tensor, entropies: torch.Tensor) -> None:
        """
        Takes the scores of completions that are used for the first time; those of later uses are passed over.

        Args:
            rows (`torch.Tensor` of shape `(B,)`):
                `record_row` of the micro-batch.
            logps, entropies (`torch.Tensor` of shape `(B, T)`):
                Of its tokens, in nats.
        """
        places = {place: row for place, row in enumerate(rows.tolist()) if row in self._unused}
        if not places:
            return
        scores = torch.stack([logps[list(places)], entropies[list(places)]]).float().clamp(min=_LOWEST)
        for row, logp, entropy in zip(places.values(), *scores.half().cpu().numpy()):
            completion = self._rows[row]
            own = completion.own
            completion.logp[own] = logp[: len(own)][own]
            completion.entropy[own] = entropy[: len(own)][own]
        self._unused.difference_update(places.values())

    def write(self) -> None:
        """Writes what is kept, whether it was used or not."""
        if self._rows:
            write_record(record_file(self.run, self._step, self.rank), self._rows)
        self._begin_step(self._step)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Deletes what an earlier start recorded of the steps that come now, of processes that are no more too."""
        for step, files in record_files(self.run).items():
            for file in files if step > state.global_step else ():
                # Every process finds them.
                file.unlink(missing_ok=True)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Writes what was used: before a checkpoint of this step, after which no resume would sample it again."""
        if not self._unused:
            self.write()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Writes what is left."""
        self.write()

    def _begin_step(self, step: int, alpha: float = 0.0) -> None:
        self._step, self._groups = step, 0
        self._rows: list[RecordedCompletion] = []
        self._unused: set[int] = set()
        self._grams: dict[int, int] = {}
        config = self.config
        self._header = RecordHeader(
            alpha=alpha,
            credit=config.credit,
            lexicon=self.grams.fingerprint,
            temperature=config.temperature,
            reward_names=self.reward_names,
            grams=[],
        )

    def _completion(
        self, step: int, group: int, index: int, values: dict[str, Any], spans: np.ndarray
    ) -> RecordedCompletion:
        """One completion, out of its row of each tensor and its occurrences."""
        length = values["length"]
        gram = np.full(len(values["ids"]), -1, dtype=np.int32)
        for found, _, _, first, end in spans.tolist():
            gram[first:end] = self._gram(found)
        ids = values["ids"][:length]
        completion, ends = self._written(ids.tolist())
        return RecordedCompletion(
            header=self._header,
            step=step,
            rank=self.rank,
            group=group,
            index=index,
            prompt=values["prompt"].tobytes().rstrip(b"\0").decode(),
            completion=completion,
            ends=ends,
            ids=ids,
            own=values["own"][:length],
            planning=values["planning"][:length],
            gram=gram[:length],
            advantage=values["advantage"].item(),
            credited=values["credited"][:length],
            logp=np.full(length, np.nan, dtype=np.float16),
            entropy=np.full(length, np.nan, dtype=np.float16),
            rewards=values["rewards"],
            reward=values["reward"].item(),
            cut=values["cut"].item(),
        )

    def _gram(self, index: int) -> int:
        """Index in the file of a gram of the lexicon."""
        if index not in self._grams:
            self._grams[index] = len(self._grams)
            self._header.grams.append(self.grams[index])
        return self._grams[index]

    @cached_property
    def _table(self) -> list[bytes]:
        name = self._tokenizer.convert_ids_to_tokens
        table = token_bytes(self._tokenizer)
        # An id that no token has is written as a number.
        return [
            str(name(index) or f"<{index}>").encode() if text is None else text for index, text in enumerate(table)
        ]

    def _written(self, ids: list[int]) -> tuple[bytes, np.ndarray]:
        """The bytes of a completion, and where each token ends."""
        table = self._table
        # A model may have more rows than its tokenizer has tokens.
        pieces = [table[index] if index < len(table) else f"<{index}>".encode() for index in ids]
        return b"".join(pieces), np.cumsum([len(piece) for piece in pieces], dtype=np.int32)


def spread(count: int, limit: int | None) -> set[int]:
    """
    At most `limit` of the numbers below `count`, evenly apart.

    Example:

    ```python
    >>> sorted(spread(8, 3)), sorted(spread(2, 3))
    ([0, 2, 5], [0, 1])
    ```
    """
    limit = count if limit is None else min(limit, count)
    return {number * count // limit for number in range(limit)}


def _text(prompt: str | list[dict[str, Any]]) -> str:
    """A prompt, of a conversation the last message of the user, without its images."""
    if isinstance(prompt, str):
        return prompt
    content = next((message["content"] for message in reversed(prompt) if message["role"] == "user"), "")
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part.get("type") == "text")
