"""Who gets the credit, as pure functions of tensors."""

from .controls import execution, high_entropy, random
from .hicra import asymmetric, planning
from .outcome import outcome, plan
from .rule import Rule


# By the names that recipes use.
RULES: dict[str, Rule] = {
    rule.__name__: rule for rule in (planning, outcome, plan, asymmetric, random, high_entropy, execution)
}
