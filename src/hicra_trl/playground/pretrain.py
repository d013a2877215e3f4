"""Pretrains a world's base from nothing: a byte-level BPE tokenizer and a small Qwen3, on synthetic traces.

The loss is on the completion only. The playground's base masters execution and copies the poor strategy of
[`~hicra_trl.playground.traces.Policy`]; the bases of the world of orders have a habit, and master execution more or
less ([`~hicra_trl.playground.orders.OrderPolicy`]).
"""

import hashlib
import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from ..disk import write_whole
from .orders import OrderPolicy
from .traces import Policy
from .worlds import ORDERS, PLAYGROUND, World


CHUNK = 50  # Optimiser steps whose traces are drawn, and sorted by length, together.
EOS, PAD = "<|endoftext|>", "<|pad|>"
RECORD = "pretraining.json"


@dataclass(frozen=True)
class PretrainConfig:
    """
    How the base is made.

    Args:
        seed (`int`, *optional*, defaults to `0`):
            Seed of the problems, their split, the traces and the weights.
        hidden_size (`int`, *optional*, defaults to `128`):
            Width of the model. Heads are 32 wide.
        num_layers (`int`, *optional*, defaults to `2`):
            Number of transformer layers.
        intermediate_size (`int`, *optional*, defaults to `384`):
            Width of each feed-forward layer.
        steps (`int`, *optional*, defaults to `1200`):
            Optimiser steps.
        batch_size (`int`, *optional*, defaults to `32`):
            Traces per step.
        learning_rate (`float`, *optional*, defaults to `4e-3`):
            Peak learning rate of AdamW (embeddings and norms): linear warm-up, then cosine to zero.
        matrix_learning_rate (`float`, *optional*, defaults to `0.02`):
            Peak learning rate of Muon (all other matrices), on the same schedule.
        warmup_steps (`int`, *optional*, defaults to `40`):
            Steps of the warm-up.
        drill ([`~hicra_trl.playground.traces.Policy`] or [`~hicra_trl.playground.orders.OrderPolicy`], *optional*):
            Strategy of the traces in the first part of pretraining: thorough, so that a trace holds many steps and
            execution is learned at every depth.
        drill_share (`float`, *optional*, defaults to `0.75`):
            Share of the optimiser steps that drill.
        new_targets (`float`, *optional*, defaults to `0.8`):
            Share of the drill's problems that become exercises of the world.
        late_targets (`float`, *optional*, defaults to `0.0`):
            The same after the drill, so that what it taught is not forgotten.
        policy ([`~hicra_trl.playground.traces.Policy`] or [`~hicra_trl.playground.orders.OrderPolicy`], *optional*):
            Strategy of the remaining traces, which is what the base samples in the end.
    """

    seed: int = 0
    hidden_size: int = 128
    num_layers: int = 2
    intermediate_size: int = 384
    steps: int = 1200
    batch_size: int = 32
    learning_rate: float = 4e-3
    matrix_learning_rate: float = 0.02
    warmup_steps: int = 40
    drill: Policy | OrderPolicy = field(default_factory=lambda: Policy(skip=0.05, give_up=0.02, repeat=0.15))
    drill_share: float = 0.75
    new_targets: float = 0.8
    late_targets: float = 0.0
    policy: Policy | OrderPolicy = field(default_factory=Policy)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with any field."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


# How the bases of a world are made. Of the steps in the world of orders, `base` is to get 85 to 95 % right, `weak`,
# which was not taught long enough, 60 to 75 %, and `strong`, whose texts hold no wrong result, over 99 %.
_ORDERS = PretrainConfig(
    steps=1300,
    drill=OrderPolicy(give_up=0.2),
    drill_share=0.8,
    new_targets=1.0,
    late_targets=0.5,
    policy=OrderPolicy(),
)
_STRONG = {
    "drill": OrderPolicy(habit=1 / 6, cue=0.0, give_up=0.05, slip=0.0),
    "policy": OrderPolicy(slip=0.0),
}
BASES = {
    PLAYGROUND.name: {"base": PretrainConfig()},
    ORDERS.name: {
        "base": _ORDERS,
        "weak": replace(_ORDERS, steps=280),
        "strong": replace(_ORDERS, steps=3200, **_STRONG),
    },
}


def is_pretrained(folder: Path, config: PretrainConfig) -> bool:
    """Whether a folder has the finished base of a config."""
    record = folder / RECORD
    return record.is_file() and json.loads(record.read_text())["fingerprint"] == config.fingerprint


def pretrain(folder: str | Path, config: PretrainConfig, world: World = PLAYGROUND) -> Path:
    """
    Pretrains the base into `folder`, or returns at once if a finished one of the same config is there.

    Args:
        folder (`str` or `Path`):
            Where the model, the tokenizer and `pretraining.json` go.
        config ([`PretrainConfig`]):
            How the base is made.
        world ([`World`], *optional*):
            Whose problems and traces; the policies of `config` are of its kind.

    Returns:
        `Path`:
            `folder`, which `AutoModelForCausalLM` and `AutoTokenizer` load.
    """
    folder = Path(folder)
    record_path = folder / RECORD
    if is_pretrained(folder, config):
        return folder
    record_path.unlink(missing_ok=True)
    start = time.perf_counter()
    rng = random.Random(config.seed)
    tokenizer = train_tokenizer(_texts(world, config, config.policy, rng, 4000))
    model = build_model(config, tokenizer)
    loss = _train(model, tokenizer, world, config, rng)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    record = {
        "config": asdict(config),
        "fingerprint": config.fingerprint,
        "final_loss": loss,
        "num_parameters": model.num_parameters(),
        "seconds": round(time.perf_counter() - start, 1),
    }
    # Written last: its presence means that the folder is complete.
    write_whole(record_path, json.dumps(record, indent=2) + "\n")
    return folder


def train_tokenizer(texts: list[tuple[str, str]]) -> PreTrainedTokenizerFast:
    """Trains a byte-level BPE tokenizer on (prompt, completion) pairs; a word or a number becomes one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=800,
        special_tokens=[EOS, PAD],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for pair in texts for text in pair), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=EOS, pad_token=PAD, padding_side="left", model_max_length=512
    )


def build_model(config: PretrainConfig, tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    """A Qwen3 of `config`'s shape with fresh weights, drawn from `config.seed`."""
    torch.manual_seed(config.seed)
    heads = config.hidden_size // 32
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden_size,
            num_hidden_layers=config.num_layers,
            intermediate_size=config.intermediate_size,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            head_dim=32,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            eos_token_id=tokenizer.vocab[EOS],
            pad_token_id=tokenizer.vocab[PAD],
            bos_token_id=None,
        )
    )


def _texts(
    world: World,
    config: PretrainConfig,
    policy: Policy | OrderPolicy,
    rng: random.Random,
    count: int,
    new_targets: float = 0.0,
) -> list[tuple[str, str]]:
    """
    Prompts and traces of `count` training problems. A share of `new_targets` of them becomes the world's exercises,
    except where one is a held-out problem: otherwise the few problems are learned by heart, verdicts included, and
    the comparison itself is not. What an exercise begins with is in its prompt, so that it is not learned.
    """
    problems, held_out = world.split(config.seed)
    kept, texts = set(held_out), []
    for problem in rng.choices(problems, k=count):
        begin = ""
        if rng.random() < new_targets:
            other, phrase = world.exercise(problem, rng)
            problem, begin = (problem, "") if other in kept else (other, phrase)
        texts.append((problem.prompt + begin, world.write(problem, rng, policy, begin)))
    return texts


def _batches(
    tokenizer: PreTrainedTokenizerFast, world: World, config: PretrainConfig, rng: random.Random
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yields input ids and labels, both (B, T), in batches of similar length."""
    drilled, pad = round(config.drill_share * config.steps), tokenizer.vocab[PAD]
    for first in range(0, config.steps, CHUNK):
        count = min(CHUNK, config.steps - first) * config.batch_size
        if first < drilled:
            texts = _texts(world, config, config.drill, rng, count, new_targets=config.new_targets)
        else:
            texts = _texts(world, config, config.policy, rng, count, new_targets=config.late_targets)
        prompts = tokenizer([prompt for prompt, _ in texts])["input_ids"]
        completions = tokenizer([completion + EOS for _, completion in texts])["input_ids"]
        rows = sorted(zip(prompts, completions), key=lambda row: len(row[0]) + len(row[1]))
        starts = list(range(0, len(rows), config.batch_size))
        rng.shuffle(starts)
        for start in starts:
            batch = rows[start : start + config.batch_size]
            width = max(len(prompt) + len(completion) for prompt, completion in batch)
            input_ids = torch.full((len(batch), width), pad)
            labels = torch.full((len(batch), width), -100)
            for row, (prompt, completion) in enumerate(batch):
                length = len(prompt) + len(completion)
                input_ids[row, :length] = torch.tensor(prompt + completion)
                labels[row, len(prompt) : length] = torch.tensor(completion)
            yield input_ids, labels


def _train(
    model: Qwen3ForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    world: World,
    config: PretrainConfig,
    rng: random.Random,
) -> float:
    def schedule(step: int) -> float:
        if step < config.warmup_steps:
            return (step + 1) / config.warmup_steps
        progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * progress))

    # Muon on the matrices: with AdamW alone the loss falls more slowly (docs/playground.md has the numbers).
    matrices = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and "embed" not in name]
    others = [weight for name, weight in model.named_parameters() if weight.ndim != 2 or "embed" in name]
    optimizers = [
        torch.optim.Muon(matrices, lr=config.matrix_learning_rate, weight_decay=0.01),
        torch.optim.AdamW(others, lr=config.learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    schedulers = [torch.optim.lr_scheduler.LambdaLR(optimizer, schedule) for optimizer in optimizers]
    batches = _batches(tokenizer, world, config, rng)
    losses: list[float] = []
    model.train()
    progress = tqdm(range(config.steps), desc="pretraining", unit="step", mininterval=0.5)
    for _, (input_ids, labels) in zip(progress, batches):
        # Right padding is after every real token, so causal attention needs no mask.
        loss = model(input_ids=input_ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, scheduler in zip(optimizers, schedulers):
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step()
        losses.append(loss.item())
        progress.set_postfix(loss=f"{losses[-1]:.3f}")
    model.eval()
    return sum(losses[-50:]) / len(losses[-50:])
