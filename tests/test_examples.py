"""The examples in docstrings and on the page of rewards print what they say."""

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest


MODULES = (
    *(f"rewards.{name}" for name in ("boxed", "numbers", "notation", "structure", "answers", "grader", "accuracy")),
    "rewards.overlong",
    *(f"training.{name}" for name in ("overlap", "duplicates", "known_datasets", "virl", "callbacks")),
    *(f"training.{name}" for name in ("credit", "dynamic_sampling", "staged_context", "rollout_seed")),
    *(f"training.{name}" for name in ("checkpoints", "provenance", "failures")),
    "evaluation.statistics",
    "dynamics.statistics",
)


def failures(text, names):
    code = "\n".join(re.findall(r"```python\n(.*?)```", inspect.cleandoc(text), re.DOTALL))
    test = doctest.DocTestParser().get_doctest(code, names, "example", None, 0)
    found = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=found.append)
    return "".join(found), len(test.examples)


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    module = importlib.import_module(f"hicra_trl.{name}")
    count = 0
    for test in doctest.DocTestFinder(recurse=True).find(module):
        failed, examples = failures(test.docstring, {**vars(module)})
        assert not failed
        count += examples
    assert count


def test_the_page_of_rewards():
    page = (Path(__file__).parents[1] / "docs" / "rewards.md").read_text()
    failed, examples = failures(page, {})
    assert not failed and examples > 10
