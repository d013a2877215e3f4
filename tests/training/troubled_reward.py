"""A reward for runs of seconds, which the environment can make go wrong in one step."""

import os
import resource
import signal


def few_vowels(completions, trainer_state, **kwargs):
    trouble, step = os.environ.get("TROUBLE"), int(os.environ.get("TROUBLED_STEP", "0"))
    if trouble and trainer_state.global_step + 1 == step:
        if trouble == "error":
            raise KeyError("no such answer")
        if trouble == "infinite":
            return [float("inf"), *[0.0] * (len(completions) - 1)]
        if trouble == "full_disk":
            resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        if trouble == "lost_rank" and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)
    # Coarse, so that some groups have one reward and are sampled anew.
    return [float(sum(char in "aeiou" for char in text) > 2) for text in completions]
