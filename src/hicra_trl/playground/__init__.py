"""A world small enough to pretrain and train on two CPU cores: Countdown with three numbers."""

from .evaluate import Summary, judge, sample
from .pretrain import PretrainConfig, pretrain
from .traces import OUTCOMES, PHRASES, Attempt, Outcome, Policy, Trace, read_trace, write_trace
from .world import Problem, countdown_reward, problem_rows, split_problems, verify, write_problems


__all__ = [
    "OUTCOMES",
    "PHRASES",
    "Attempt",
    "Outcome",
    "Policy",
    "PretrainConfig",
    "Problem",
    "Summary",
    "Trace",
    "countdown_reward",
    "judge",
    "pretrain",
    "problem_rows",
    "read_trace",
    "sample",
    "split_problems",
    "verify",
    "write_problems",
    "write_trace",
]
