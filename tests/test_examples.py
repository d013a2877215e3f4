"""The examples in the docstrings of every module print what they say."""

import doctest
import importlib
import inspect
import pkgutil
import re

import pytest

import hicra_trl


# Examples that need a model or a file of the reader's own; all others run.
NOT_RUN = {
    "hicra_trl.analysis.token_record.TokenRecord",
    "hicra_trl.grams.labeler.PlanningTokenLabeler",
    "hicra_trl.grams.token_bytes.token_bytes",
    "hicra_trl.training.held_out.PassAtKCallback",
    "hicra_trl.training.runs.gram_outcomes.read_gram_outcomes",
    "hicra_trl.training.trainer.HICRATrainer",
}
MODULES = sorted(module.name for module in pkgutil.walk_packages(hicra_trl.__path__, "hicra_trl."))


def failures(text, names):
    code = "\n".join(re.findall(r"```python\n(.*?)```", inspect.cleandoc(text), re.DOTALL))
    test = doctest.DocTestParser().get_doctest(code, names, "example", None, 0)
    found = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=found.append)
    return "".join(found), len(test.examples)


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    module = importlib.import_module(name)
    for test in doctest.DocTestFinder().find(module):
        if test.name not in NOT_RUN:
            failed, examples = failures(test.docstring, {**vars(module)})
            assert not failed, failed
            assert examples == len(re.findall(r">>> (?!#)", test.docstring)), (
                f"{test.name}: an example outside a block"
            )
