"""What the trainer's tests share: settings of a run of seconds, and a reward that depends on nothing but the text."""

from hicra_trl.training import HICRAConfig


def vowel_share(completions, **kwargs):
    texts = [completion if isinstance(completion, str) else completion[-1]["content"] for completion in completions]
    return [sum(char in "aeiou" for char in text) / (1 + len(text)) for text in texts]


def settings(folder, **overrides):
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_completion_length": 24,
        "learning_rate": 1e-3,
        "max_steps": 5,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
        **overrides,
    }


def config(folder, lexicon_file, **overrides):
    return HICRAConfig(strategic_grams=str(lexicon_file), **settings(folder, **overrides))
