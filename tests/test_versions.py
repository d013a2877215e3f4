"""The ranges in pyproject.toml begin at the lowest versions that are tested, and hold all that are."""

import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from conftest import REPOSITORY


PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
# vLLM has an environment of its own, and the tools of development and of the site may be any.
EXTRAS = [listed for name, listed in PROJECT["optional-dependencies"].items() if name not in ("dev", "docs", "vllm")]
RANGES = {canonicalize_name(r.name): r.specifier for r in map(Requirement, sum(EXTRAS, PROJECT["dependencies"]))}


def pins(name):
    lines = [line for line in (REPOSITORY / name).read_text().splitlines() if not line.startswith("#")]
    return {canonicalize_name(package): version for package, version in (line.split("==") for line in lines)}


def test_every_range_begins_at_the_lowest_tested_version():
    lowest = pins("constraints-lowest.txt")
    assert lowest.keys() == RANGES.keys()
    for package, version in lowest.items():
        (bound,) = [part.version for part in RANGES[package] if part.operator == ">="]
        assert Version(version) == Version(bound), package


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-newest.txt", "constraints-lowest.txt"])
def test_every_tested_version_is_allowed(name):
    tested = pins(name)
    assert {*RANGES} <= tested.keys()
    for package, allowed in RANGES.items():
        assert allowed.contains(tested[package]), package
