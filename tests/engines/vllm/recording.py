"""What a trainer samples and logs, and what engine and policy say of a text."""

import torch

from hicra_trl import HICRATrainer


class Recorder(HICRATrainer):
    """Keeps what is sampled, before TRL shuffles it."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.batches = []

    def _generate_and_score_completions(self, inputs):
        batch = super()._generate_and_score_completions(inputs)
        self.batches.append(batch)
        return batch


def logs(trainer):
    """Those of the steps."""
    return [entry for entry in trainer.state.log_history if "reward" in entry]


def sampled_ids(trainer):
    """Of all completions, without padding."""
    return [
        ids[mask.bool()].tolist()
        for batch in trainer.batches
        for ids, mask in zip(batch["completion_ids"], batch["completion_mask"])
    ]


def probe(trainer):
    """Log-probabilities of a fixed text: the engine's and the policy's."""
    from vllm import SamplingParams

    ids = trainer.processing_class("But why? Now 5 times 6. Let's add 3 and 4.")["input_ids"]
    trainer.vllm_generation.llm.reset_prefix_cache()
    wanted = SamplingParams(max_tokens=1, prompt_logprobs=0)
    output = trainer.vllm_generation.llm.generate([{"prompt_token_ids": ids}], wanted, use_tqdm=False)[0]
    of_engine = torch.tensor([scores[token].logprob for token, scores in zip(ids[1:], output.prompt_logprobs[1:])])
    return of_engine, score(trainer.model, torch.tensor([ids]))[0]


@torch.no_grad()
def score(model, ids):
    logps = model(ids).logits[:, :-1].log_softmax(-1)
    return logps.gather(-1, ids[:, 1:, None]).squeeze(-1)
