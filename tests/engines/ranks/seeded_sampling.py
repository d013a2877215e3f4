"""
Sampling that depends on a prompt and on a completion's number in its group, and not on the rank that draws it.

Named as a reward function's module in a recipe, so that every process imports it. Ranks draw from random streams of
their own, so one process and two never sample the same completions; here, each completion has a stream of its own.
Adding Gumbel noise to the logits and taking the largest (`top_k: 1`) is sampling from their softmax, so everything
else is as it is in any run: the engine's forward passes token by token, completions, rewards, loss and gradients.
"""

import atexit
import os
import zlib

import torch
from transformers import GenerationMixin, LogitsProcessor


class SeededGumbel(LogitsProcessor):
    def __init__(self, input_ids, attention_mask):
        seen, self.streams = {}, []
        for row, mask in zip(input_ids, attention_mask.bool()):
            prompt = tuple(row[mask].tolist())
            seen[prompt] = seen.get(prompt, -1) + 1
            seed = zlib.crc32(f"{prompt} {seen[prompt]}".encode())
            self.streams.append(torch.Generator().manual_seed(seed))

    def __call__(self, input_ids, scores):
        uniform = torch.stack([torch.rand(scores.size(1), generator=stream) for stream in self.streams])
        return scores - torch.log(-torch.log(uniform))


_generate = GenerationMixin.generate


def generate(self, input_ids, attention_mask, **kwargs):
    kwargs["logits_processor"] = [SeededGumbel(input_ids, attention_mask)]
    return _generate(self, input_ids=input_ids, attention_mask=attention_mask, **kwargs)


GenerationMixin.generate = generate


@atexit.register
def fail_where_a_group_is_open():
    """Whoever leaves it open leaves it to others to find out that this rank is gone."""
    if torch.distributed.is_initialized():
        os._exit(3)


def vowel_share(completions, **kwargs):
    texts = [found if isinstance(found, str) else found[0]["content"] for found in completions]
    return [sum(char in "aeiou" for char in text) / (1 + len(text)) for text in texts]
