"""The page in which a run's rollouts are browsed, token by token."""

from .page import write_view
from .rollouts import Rollout, Run, read_run


__all__ = ["Rollout", "Run", "read_run", "write_view"]
