"""Worlds small enough to pretrain and train in on two CPU cores: Countdown with three numbers, and with four."""

from .evaluate import Summary, judge, sample
from .orders import OrderPolicy, OrderProblem, order_reward
from .pretrain import PretrainConfig, pretrain
from .traces import OUTCOMES, PHRASES, Attempt, Outcome, Policy, Trace, read_trace, write_trace
from .world import Problem, countdown_reward, problem_rows, split_problems, verify, write_problems
from .worlds import WORLDS, World


__all__ = [
    "OUTCOMES",
    "PHRASES",
    "WORLDS",
    "Attempt",
    "OrderPolicy",
    "OrderProblem",
    "Outcome",
    "Policy",
    "PretrainConfig",
    "Problem",
    "Summary",
    "Trace",
    "World",
    "countdown_reward",
    "judge",
    "order_reward",
    "pretrain",
    "problem_rows",
    "read_trace",
    "sample",
    "split_problems",
    "verify",
    "write_problems",
    "write_trace",
]
