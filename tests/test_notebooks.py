"""The notebooks run, without a hub; what does not depend on a training prints what is stored.

`python tests/test_notebooks.py` runs them as they are and stores what they print, which takes some minutes.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import pytest
from nbclient import NotebookClient


NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
# Cells find the `hicra` of this environment.
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def read(name):
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4)


def execute(name, folder, **values):
    """The notebook with what it prints, run in `folder`; a cell that begins with a variable gets other values."""
    notebook = read(name)
    for cell in notebook.cells:
        if values and cell.source.startswith(next(iter(values))):
            cell.source += "".join(f"\n{variable} = {value}" for variable, value in values.items())
    NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": folder}}, record_timing=False).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def said(notebook):
    return [output.get("text") or output["data"].get("text/html") for output in outputs(notebook)]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("PATH", PATH)
    monkeypatch.setenv("TQDM_DISABLE", "1")


def test_label_and_credit_prints_what_is_stored(tmp_path):
    stored = said(read("label_and_credit"))
    assert len(stored) >= 5 and said(execute("label_and_credit", tmp_path)) == stored


def test_playground_trains_and_shows(tmp_path):
    notebook = execute("playground", tmp_path, PRETRAINING_STEPS=20, STEPS=2)
    printed = "\n".join(filter(None, said(notebook)))
    for expected in ("step  2  reward", "<pre", "view.html"):
        assert expected in printed, printed
    assert any("image/png" in output.get("data", {}) for output in outputs(notebook))


if __name__ == "__main__":
    os.environ |= {"PATH": PATH, "TQDM_DISABLE": "1"}
    for file in sorted(NOTEBOOKS.glob("*.ipynb")):
        with TemporaryDirectory() as folder:
            nbformat.write(execute(file.stem, folder), file)
