"""What step_overhead.py trains: the playground, or a model of random weights."""

import itertools
import json
import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from datasets import Dataset, load_dataset
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from hicra_trl.training.dry_run.architectures import PUBLISHED
from labeler import train_tokenizer


RECIPE = Path(__file__).parents[1] / "recipes" / "playground" / "hicra.yaml"
# What the playground's recipe says of other things than GRPO's step.
NOT_GRPO = ("model_name_or_path", "dataset_name", "reward_funcs", "output_dir", "alpha", "strategic_grams")


@dataclass(frozen=True)
class World:
    """A model with its tokenizer, what it is trained on, and the settings of GRPO."""

    model: Path
    dataset: Dataset
    reward: Callable[..., list[float]]
    settings: dict[str, Any]
    completions: int
    tokens: int


@dataclass(frozen=True)
class Shape:
    """A Qwen3 of random weights, and how many completions of how many tokens a step takes."""

    config: dict[str, int]
    completions: int
    tokens: int
    at_once: int
    gradient_checkpointing: bool


def published(name):
    """Sizes of a Qwen3 with tied embeddings."""
    return {
        size: number for size, number in PUBLISHED[name].items() if size not in ("model_type", "tie_word_embeddings")
    }


SHAPES = {
    "small": Shape(
        {
            "vocab_size": 16_384,
            "hidden_size": 256,
            "intermediate_size": 1024,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 64,
        },
        completions=16,
        tokens=64,
        at_once=16,
        gradient_checkpointing=False,
    ),
    "qwen3-0.6b": Shape(
        published("Qwen/Qwen3-0.6B"), completions=64, tokens=1024, at_once=8, gradient_checkpointing=True
    ),
}


def split(completions, parts):
    """How many each part gets."""
    each, rest = divmod(completions, parts)
    if rest or not each:
        raise ValueError(f"expected a number of completions that is a multiple of {parts}, got {completions}")
    return each


def playground(ranks, completions, tokens):
    # Its problems need reasoning-gym, which an environment for vLLM may be without.
    from hicra_trl.playground import countdown_reward
    from hicra_trl.playground.experiment import prepare

    files = prepare()
    recipe = yaml.safe_load(RECIPE.read_text())
    settings = {name: value for name, value in recipe.items() if name not in NOT_GRPO and "eval" not in name}
    completions = completions or recipe["per_device_train_batch_size"]
    settings["per_device_train_batch_size"] = split(completions, ranks)
    settings["max_completion_length"] = tokens = tokens or recipe["max_completion_length"]
    dataset = load_dataset("json", data_files=str(files.train), split="train")
    return World(files.model, dataset, countdown_reward, settings, completions, tokens)


def share_of_e(completions, **kwargs):
    return [text.count("e") / (1 + len(text)) for text in completions]


def random_weights(shape, texts, folder, ranks, completions, tokens):
    """Writes model and tokenizer into `folder`."""
    completions, tokens = completions or shape.completions, tokens or shape.tokens
    tokenizer = filled(train_tokenizer(texts), shape.config["vocab_size"])
    torch.manual_seed(0)
    config = Qwen3Config(
        **shape.config,
        tie_word_embeddings=True,
        max_position_embeddings=40_960,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    Qwen3ForCausalLM(config).to(torch.bfloat16 if torch.cuda.is_available() else torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    of_rank = split(completions, ranks)
    at_once = min(shape.at_once, of_rank)
    settings = {
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": split(of_rank, at_once),
        "num_generations": 8,
        "max_completion_length": tokens,
        "gradient_checkpointing": shape.gradient_checkpointing,
        "learning_rate": 1e-6,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "seed": 1,
    }
    prompts = [f"Find all x with {a} x + {b} = {a * b}." for a in range(2, 18) for b in range(2, 18)]
    return World(folder, Dataset.from_dict({"prompt": prompts}), share_of_e, settings, completions, tokens)


def filled(tokenizer, size):
    """With an end of text, and with four-letter words up to `size` entries, so that every id decodes to text."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    vocab = state["model"]["vocab"]
    words = ("Ġ" + "".join(letters) for letters in itertools.product(string.ascii_lowercase, repeat=4))
    new = (word for word in words if word not in vocab)
    for word in itertools.islice(new, size - 1 - len(vocab)):
        vocab[word] = len(vocab)
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)), pad_token="<pad>", eos_token="<eos>"
    )
