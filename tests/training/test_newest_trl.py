"""The contract with TRL, against the newest version that this package's requirements allow."""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import distributions

import pytest
import trl
from packaging.requirements import Requirement

from conftest import REPOSITORY


HOOKS = "tests/training/upstream/test_hooks.py"
CONTRACT = ["tests/training/test_trainer.py", "tests/training/upstream"]
RUN = """
import sys

import trl

folder, version, *tests = sys.argv[1:]
assert trl.__version__ == version, f"got TRL {trl.__version__}"
assert trl.__file__.startswith(folder), f"got {trl.__file__}"
import pytest

sys.exit(pytest.main(["-p", "no:cacheprovider", *tests]))
"""


def allowed_trl():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    (requirement,) = [r for r in map(Requirement, project["dependencies"]) if r.name == "trl"]
    return requirement


def install_newest(requirement, folder):
    """Puts the newest version into a folder and returns it; the test is skipped where no index can be asked."""
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    done = subprocess.run(
        [*install, str(requirement)],
        env={name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if "(from versions: none)" in done.stderr:
        pytest.skip(f"the package index cannot be asked for {requirement}: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    (found,) = distributions(path=[str(folder)])
    return found.version


def test_the_contract_holds_with_the_newest_trl_allowed(tmp_path):
    newest = install_newest(allowed_trl(), tmp_path)
    # Where that is the one installed, training with it is tested anyway.
    tests = [HOOKS] if newest == trl.__version__ else CONTRACT
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path), newest, *tests],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"TRL {newest}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
