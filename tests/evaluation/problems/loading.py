"""Items of a benchmark whose dataset is replaced, or the one line that says why there are none."""

import pytest

from hicra_trl.evaluation.problems.items import load_items
from hicra_trl.evaluation.problems.overrides import select_benchmarks


def load(name, dataset, **fields):
    overrides = [f"{name}.{field}={value}" for field, value in {"dataset": dataset, **fields}.items()]
    [benchmark] = select_benchmarks([name], overrides)
    return load_items(benchmark)


def error(name, dataset, **fields):
    """The message of the one error that loading ends with."""
    with pytest.raises(ValueError) as raised:
        load(name, dataset, **fields)
    message = str(raised.value)
    assert len(message.splitlines()) == 1
    return message
