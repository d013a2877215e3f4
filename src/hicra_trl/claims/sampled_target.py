"""Whether an update moves a model of the playground towards the target pi exp(A), at the tokens that it sampled."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ..grams import PlanningTokenLabeler, StrategicGrams
from ..playground.worlds import PLAYGROUND
from ..training.credit.hicra import hicra_advantages
from .target import CREDITS, GRPO, HICRA, SMALL, Step, TargetFigures, compare, table_steps, target


# As in the playground's recipes: problems and completions of a batch, and the optimizer.
GROUPS, GROUP_SIZE = 8, 8
LEARNING_RATE, BETAS, MAX_NORM = 5e-4, (0.9, 0.99), 1.0


def target_figures(
    base: str | Path, num_seeds: int = 5, num_batches: int = 8, alpha: float = 0.2, sign: float = 1.0
) -> TargetFigures:
    """
    Takes steps from random tables, and from the playground's base.

    Args:
        base (`str` or `Path`):
            Model and tokenizer, as [`~hicra_trl.playground.pretrain`] leaves them.
        num_seeds (`int`, *optional*, defaults to `5`):
            Of tables, problems and samples.
        num_batches (`int`, *optional*, defaults to `8`):
            Batches of a seed; what is found is their mean.
        alpha (`float`, *optional*, defaults to `0.2`):
            HICRA's.
        sign (`float`, *optional*, defaults to `1.0`):
            Of all steps: at -1 nothing must hold.
    """
    tables = [table_steps(seed, alpha, sign) for seed in range(num_seeds)]
    sampled = [[*model_steps(base, num_batches, alpha, seed, sign)] for seed in range(num_seeds)]
    steps = {"tables, gradient": [step for step, _ in tables]}
    for kind in ("gradient", "Adam"):
        steps[f"playground, {kind}"] = [Step.mean([step[kind] for step in of]) for of in sampled]
    return TargetFigures(steps, {name: [far[name] for _, far in tables] for name in tables[0][1]})


@dataclass(frozen=True)
class Batch:
    """
    Completions that a model sampled, and the S states in which their N tokens were chosen.

    A state is a problem and what was sampled after it.

    Attributes:
        ids, attention (`torch.Tensor` of shape `(B, P + T)`):
            Prompts and completions.
        mask (`torch.Tensor` of shape `(B, T)`, bool):
            The completions' tokens, the end of the text included.
        advantages (`dict[str, torch.Tensor]` of shape `(N,)`):
            By credit, of each token.
        taken (`tuple[torch.Tensor, torch.Tensor]` of shape `(N,)`):
            State and token of each.
        places (`torch.Tensor` of shape `(2, S)`):
            Row and column in the completions where a state is seen.
    """

    ids: torch.Tensor
    attention: torch.Tensor
    mask: torch.Tensor
    advantages: dict[str, torch.Tensor]
    taken: tuple[torch.Tensor, torch.Tensor]
    places: torch.Tensor

    def log_policy(self, model: PreTrainedModel) -> torch.Tensor:
        """Log-probabilities of all tokens at the completions' places, of shape `(B, T, V)`."""
        positions = (self.attention.cumsum(1) - 1).clamp(min=0)
        logits = model(input_ids=self.ids, attention_mask=self.attention, position_ids=positions).logits
        return logits[:, -self.mask.shape[1] - 1 : -1].log_softmax(-1)

    def of_states(self, log_policy: torch.Tensor) -> torch.Tensor:
        """Those of each state once, of shape `(S, V)`."""
        return log_policy.detach()[tuple(self.places)].double()

    def gradient(self, log_policy: torch.Tensor, credit: str, parameters: Sequence[torch.Tensor]) -> torch.Tensor:
        """Of the mean of advantage times log-probability, which is E[A]'s, as one vector."""
        chosen = log_policy[self.mask].gather(-1, self.taken[1][:, None])[:, 0]
        objective = (chosen * self.advantages[credit]).mean()
        return parameters_to_vector(torch.autograd.grad(objective, parameters, retain_graph=True))

    def means(self, num_tokens: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """
        By credit the advantage of each token in each state, `(S, V)`, and how often a state was seen, `(S,)`.

        It is the mean of the completions that took the token there, and 0 where none did: the gradient of a batch does
        not push these either.
        """
        nothing = torch.zeros(self.places.shape[1], num_tokens, dtype=torch.float64)
        counts = nothing.index_put(self.taken, torch.ones(len(self.taken[0])).double(), accumulate=True)
        sums = {c: nothing.index_put(self.taken, of.double(), accumulate=True) for c, of in self.advantages.items()}
        return {c: of / counts.clamp(min=1) for c, of in sums.items()}, counts.sum(1)


def sample_batch(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, labeler: PlanningTokenLabeler, alpha: float, seed: int
) -> Batch:
    """Samples some of the playground's problems and gives credit, as a training does."""
    problems, _ = PLAYGROUND.split(0)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        asked = [problems[i] for i in torch.randperm(len(problems))[:GROUPS] for _ in range(GROUP_SIZE)]
        inputs = tokenizer([p.prompt for p in asked], return_tensors="pt", padding=True, padding_side="left")
        ids = model.generate(  # pyright: ignore[reportCallIssue]
            **inputs,
            do_sample=True,
            top_k=0,
            max_new_tokens=PLAYGROUND.max_new_tokens,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    sampled = ids[:, inputs["input_ids"].shape[1] :]
    ends = (sampled == tokenizer.eos_token_id).long()
    # The first end of the text counts, and nothing after it.
    mask = ends.cumsum(1) == ends
    texts = tokenizer.batch_decode(sampled, skip_special_tokens=True)
    rewards = torch.tensor([float(PLAYGROUND.read(t, p).outcome == "correct") for t, p in zip(texts, asked)])
    groups = rewards.view(GROUPS, GROUP_SIZE)
    if not groups.var(1).any():
        raise ValueError(
            "every problem of a batch has only right or only wrong answers: expected a base that solves some"
        )
    centred, planning = (groups - groups.mean(1, keepdim=True)).flatten(), labeler(sampled, mask)
    states: dict[tuple[object, ...], int] = {}
    places, tokens = mask.nonzero().tolist(), sampled.tolist()
    state_of = [states.setdefault((asked[b], *tokens[b][:t]), len(states)) for b, t in places]
    return Batch(
        ids,
        torch.cat([inputs["attention_mask"], mask.long()], 1),
        mask,
        {c: hicra_advantages(centred, planning, strength)[mask] for c, strength in ((GRPO, 0.0), (HICRA, alpha))},
        (torch.tensor(state_of), sampled[mask]),
        torch.tensor([*dict(zip(state_of, places)).values()]).T,
    )


def model_steps(base: str | Path, num_batches: int, alpha: float, seed: int, sign: float) -> Iterator[dict[str, Step]]:
    """
    Steps of a model by kind, small ones along the gradient and Adam's, at every batch of a training with GRPO.

    Each credit has an Adam that has seen its own gradients. There is one step a batch, as in the recipes, where the
    clip acts from the second on. Arguments are those of [`target_figures`].
    """
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    labeler = PlanningTokenLabeler(tokenizer, StrategicGrams.paper())
    parameters = [*model.parameters()]
    first, second = ({c: torch.zeros(()) for c in CREDITS} for _ in range(2))
    for number in range(1, num_batches + 1):
        batch = sample_batch(model, tokenizer, labeler, alpha, seed * num_batches + number)
        now, origin = batch.log_policy(model), parameters_to_vector(parameters).detach().clone()
        gradients = {c: batch.gradient(now, c, parameters) for c in CREDITS}
        moves = {"gradient": {c: SMALL * of / gradients[GRPO].norm() for c, of in gradients.items()}, "Adam": {}}
        for c, of in gradients.items():
            clipped = of * (MAX_NORM / of.norm()).clamp(max=1)
            first[c] = torch.lerp(clipped, first[c], BETAS[0])
            second[c] = torch.lerp(clipped**2, second[c], BETAS[1])
            scale = (second[c] / (1 - BETAS[1] ** number)).sqrt() + 1e-8
            moves["Adam"][c] = LEARNING_RATE * first[c] / (1 - BETAS[0] ** number) / scale
        old = batch.of_states(now)
        advantages, weights = batch.means(old.shape[1])
        goals = {c: target(old, of) for c, of in advantages.items()}
        steps = {}
        for kind, of in moves.items():
            new = {}
            for c, move in of.items():
                vector_to_parameters(origin + sign * move, parameters)
                with torch.no_grad():
                    new[c] = batch.of_states(batch.log_policy(model))
            steps[kind] = compare(old, new, goals, weights)
        yield steps
        vector_to_parameters(origin + sign * moves["Adam"][GRPO], parameters)
