"""Collects the dynamics of one logging window, pooled over micro-batches and ranks as sums and counts.

Means of means would weigh the tokens of a short completion more than those of a long one.
"""

import math
from collections import Counter, defaultdict

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from ..grams import Labels
from .statistics import conditional_entropy, following_ngrams, pass_at_k, perplexity_of, shannon_entropy


CLASSES = ("planning", "execution")
_COMPLETION_SUMS = ("tokens", "advantage")
_TOKEN_SUMS = ("scored", "entropy", "nll")


class DynamicsMeter:
    """
    Sums over a window, and the metrics that follow from them.

    Args:
        num_grams (`int`):
            Size of the lexicon.
        baselines (`dict[str, float]`, *optional*):
            First finite perplexity ever logged, by class; what relative perplexity is relative to (paper, section
            2.2.1). Filled by the first window that has a class, and kept over [`~DynamicsMeter.reset`].
    """

    def __init__(self, num_grams: int, baselines: dict[str, float] | None = None) -> None:
        self.num_grams = num_grams
        self.baselines = dict(baselines or {})
        self.reset()

    def reset(self) -> None:
        """Begins a new window."""
        self._sums = {f"{name}/{kind}": 0.0 for name in (*_COMPLETION_SUMS, *_TOKEN_SUMS) for kind in CLASSES}
        self._sums["completions"] = 0.0
        self._gram_counts = np.zeros(self.num_grams)
        self._pairs: Counter[tuple[int, bytes]] = Counter()
        self._passes: dict[int, list[float]] = defaultdict(list)

    def add_completions(self, labels: Labels, mask: torch.Tensor, advantages: torch.Tensor) -> None:
        """
        Adds completions, each once, when they are generated.

        Args:
            labels ([`~hicra_trl.grams.Labels`]):
                What the labeler found, for (B, T) ids.
            mask (`torch.Tensor` of shape `(B, T)`):
                1 at the model's own tokens.
            advantages (`torch.Tensor` of shape `(B,)` or `(B, T)`):
                Advantages as they enter the loss, one per completion or one per token.
        """
        mask = mask.bool()
        if advantages.dim() == 1:
            advantages = advantages.unsqueeze(1).expand(mask.shape)
        self._add_by_class(
            labels.planning_mask, mask, {"tokens": torch.ones_like(advantages), "advantage": advantages.abs()}
        )
        self._sums["completions"] += mask.any(dim=1).sum().item()
        for text, spans in zip(labels.texts, labels.spans, strict=True):
            self._gram_counts += np.bincount(spans[:, 0], minlength=self.num_grams)
            self._pairs.update(following_ngrams(text, spans))

    def add_tokens(
        self, logps: torch.Tensor, entropies: torch.Tensor, planning_mask: torch.Tensor, mask: torch.Tensor
    ) -> None:
        """
        Adds the tokens of one micro-batch, as the loss sees them.

        Args:
            logps (`torch.Tensor` of shape `(B, T)`):
                Log-probabilities of the sampled tokens, in nats, at the sampling temperature.
            entropies (`torch.Tensor` of shape `(B, T)`):
                Entropies of the policy, in nats, at the sampling temperature.
            planning_mask (`torch.Tensor` of shape `(B, T)`, bool):
                The planning tokens.
            mask (`torch.Tensor` of shape `(B, T)`):
                1 at the model's own tokens.
        """
        self._add_by_class(
            planning_mask, mask.bool(), {"scored": torch.ones_like(logps), "entropy": entropies, "nll": -logps}
        )

    def add_groups(self, correct: torch.Tensor, scored: torch.Tensor | None = None) -> None:
        """
        Adds the verdicts of whole groups. Every rank adds the same, those of all ranks.

        Args:
            correct (`torch.Tensor` of shape `(G, n)`, bool):
                Which of the n completions of each of G prompts are right.
            scored (`torch.Tensor` of shape `(G, n)`, bool, *optional*):
                Which of them have a verdict. Defaults to all. A group with fewer than k of them has no pass@k.
        """
        scored = torch.ones_like(correct) if scored is None else scored
        for num_samples, num_correct in zip(scored.sum(dim=1).tolist(), (correct & scored).sum(dim=1).tolist()):
            for k in (1 << power for power in range(num_samples.bit_length())):
                self._passes[k].append(pass_at_k(num_samples, num_correct, k))

    def _add_by_class(self, planning_mask: torch.Tensor, mask: torch.Tensor, values: dict[str, torch.Tensor]) -> None:
        selections = (mask & planning_mask, mask & ~planning_mask)
        # One transfer for all sums. A product with the mask would let a NaN outside it through.
        sums = torch.stack(
            [value.masked_fill(~selection, 0).float().sum() for value in values.values() for selection in selections]
        ).tolist()
        names = [f"{name}/{kind}" for name in values for kind in CLASSES]
        for name, value in zip(names, sums, strict=True):
            self._sums[name] += value

    def compute(self, accelerator: Accelerator | None = None) -> dict[str, float]:
        """
        Metrics of the window, without prefix. Every rank must call it. A metric that nothing was added for is absent.

        Args:
            accelerator ([`~accelerate.Accelerator`], *optional*):
                Pools the sums and counts of its ranks.

        Returns:
            `dict[str, float]`: the metrics of the table in the README.
        """
        sums, gram_counts, pairs = self._pooled(accelerator)
        metrics: dict[str, float] = {}
        tokens = sums["tokens/planning"] + sums["tokens/execution"]
        if tokens:
            metrics["planning_fraction"] = sums["tokens/planning"] / tokens
        for kind in CLASSES:
            if sums[f"scored/{kind}"]:
                count = sums[f"scored/{kind}"]
                perplexity = perplexity_of(sums[f"nll/{kind}"] / count)
                if math.isfinite(perplexity):
                    self.baselines.setdefault(kind, perplexity)
                metrics[f"entropy/{kind}"] = sums[f"entropy/{kind}"] / count
                metrics[f"perplexity/{kind}"] = perplexity
                if kind in self.baselines:
                    metrics[f"relative_perplexity/{kind}"] = perplexity / self.baselines[kind]
            if sums[f"tokens/{kind}"]:
                metrics[f"advantage/{kind}"] = sums[f"advantage/{kind}"] / sums[f"tokens/{kind}"]
        if sums["completions"]:
            metrics["semantic_entropy"] = shannon_entropy(gram_counts.tolist())
            metrics["conditional_entropy"] = conditional_entropy(pairs)
            metrics["grams_per_completion"] = gram_counts.sum().item() / sums["completions"]
            metrics["distinct_grams"] = float((gram_counts > 0).sum())
        for k, estimates in self._passes.items():
            metrics[f"pass_at_{k}"] = sum(estimates) / len(estimates)
        return metrics

    def _pooled(
        self, accelerator: Accelerator | None
    ) -> tuple[dict[str, float], np.ndarray, Counter[tuple[int, bytes]]]:
        if accelerator is None or accelerator.num_processes == 1:
            return self._sums, self._gram_counts, self._pairs
        local = torch.tensor([*self._sums.values(), *self._gram_counts], dtype=torch.float64)
        total = accelerator.reduce(local.to(accelerator.device), reduction="sum")
        assert isinstance(total, torch.Tensor)
        pooled = total.cpu().numpy()
        pairs: Counter[tuple[int, bytes]] = Counter()
        for counts in gather_object([self._pairs]):
            pairs.update(counts)
        return dict(zip(self._sums, pooled.tolist())), pooled[len(self._sums) :], pairs
