"""A token record that no model wrote: small, typed as the real one, and the same whenever it is asked for."""

import numpy as np

from hicra_trl.training.runs.token_record import RecordedCompletion, RecordHeader, record_file, write_record


GRAMS = ["but wait", "let's try"]
# Tokens, and which gram each belongs to.
WORDS = [(b"So", -1), (b" 3", -1), (b" +", -1), (b" 4", -1), (b" is", -1), (b" 8.", -1)]
MOVES = [[(b" But", 0), (b" wait", 0)], [(b" Let's", 1), (b" try", 1)]]
END = b"<|im_end|>"


def synthetic_row(header, step, rank, group, index, tokens=24, prompt="What is 3 + 4?", alpha=0.2):
    """A completion of `tokens` tokens with a strategic gram every eight."""
    generator = np.random.default_rng([step, group, index])
    written = []
    while len(written) < tokens - 1:
        written += MOVES[generator.integers(2)] if len(written) % 8 == 4 else [WORDS[generator.integers(len(WORDS))]]
    written = [*written[: tokens - 1], (END, -1)]
    gram = np.array([gram for _, gram in written], dtype=np.int32)
    planning = gram >= 0
    reward = float((group + index + step) % 2)
    advantage = reward - 0.5
    return RecordedCompletion(
        header=header,
        step=step,
        rank=rank,
        group=group,
        index=index,
        prompt=prompt,
        completion=b"".join(text for text, _ in written),
        ends=np.cumsum([len(text) for text, _ in written]).astype(np.int32),
        ids=generator.integers(0, 1000, tokens).astype(np.int32),
        own=np.ones(tokens, dtype=bool),
        planning=planning,
        gram=gram,
        advantage=advantage,
        credited=np.where(planning, advantage + alpha * abs(advantage), advantage).astype(np.float32),
        logp=(-generator.exponential(0.5, tokens)).astype(np.float16),
        entropy=(generator.exponential(0.5, tokens) + planning).astype(np.float16),
        rewards=np.array([reward], dtype=np.float32),
        reward=reward,
        cut=False,
    )


def write_synthetic_record(run, steps=(1, 11, 21), groups=2, group_size=4, ranks=1, **kwargs):
    """Writes the record of a run; each rank has `groups` groups. `kwargs` as of [`synthetic_row`]."""
    header = RecordHeader(
        alpha=kwargs.get("alpha", 0.2),
        credit="planning",
        lexicon="0123456789abcdef",
        temperature=1.0,
        reward_names=["accuracy"],
        grams=GRAMS,
    )
    for step in steps:
        for rank in range(ranks):
            rows = [
                synthetic_row(header, step, rank, group, index, **kwargs)
                for group in range(rank * groups, (rank + 1) * groups)
                for index in range(group_size)
            ]
            write_record(record_file(run, step, rank), rows)
    return run
