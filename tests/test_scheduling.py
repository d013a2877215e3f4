"""A test that hangs, or takes its process with it, fails by name; every other test runs once."""

import subprocess
import sys

import pytest

from conftest import REPOSITORY, TESTS


FILES = {
    "test_a.py": "def test_first(): pass\ndef test_dies():\n    import os\n    os._exit(1)\ndef test_last(): pass\n",
    "test_b.py": "def test_hangs():\n    import time\n    time.sleep(100)\n",
    "test_c.py": "def test_alone(): pass\n",
    "test_d.py": "def test_alone(): pass\n",
}


@pytest.mark.parametrize("workers", [1, 2])
def test_what_hangs_or_dies_fails_by_name_and_the_run_goes_on(tmp_path, workers):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    options = f"-p scheduling --numprocesses {workers} --dist loadfile -o faulthandler_timeout=2"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", REPOSITORY / "pyproject.toml", *options.split(), tmp_path],
        env={"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "2 failed, 4 passed" in run.stdout, run.stdout
    for test in ("a.py::test_dies", "b.py::test_hangs"):
        assert run.stdout.count(f"{test}'\n") == 1, run.stdout
    assert "in test_hangs" in run.stderr
