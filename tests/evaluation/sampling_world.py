"""Samples whose verdicts a test chooses."""

from hicra_trl.evaluation.samples.sample import Sample


def sample(item, index, correct=False, **fields):
    given = {
        "prompt": f"What is {item}?",
        "completion": "",
        "tokens": 10,
        "finish_reason": "stop",
        "answer": "right" if correct else "wrong",
        "failure": None,
        "planning_tokens": 1,
        "grams": {},
        "seed": index,
    }
    return Sample(item=str(item), index=index, correct=bool(correct), **{**given, **fields})


def samples(verdicts, **fields):
    """One item per row of `verdicts`, one sample per verdict."""
    return [
        sample(item, index, right, **fields) for item, row in enumerate(verdicts) for index, right in enumerate(row)
    ]
