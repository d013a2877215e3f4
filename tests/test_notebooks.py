"""The notebooks run, without a hub; what does not depend on a training prints what is stored."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from conftest import REPOSITORY


NOTEBOOKS = REPOSITORY / "notebooks"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))

    def execute(name, **values):
        notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4)
        for cell in notebook.cells:
            for variable, value in values.items():
                if cell.source.startswith(f"{next(iter(values))} = "):
                    cell.source += f"\n{variable} = {value}"
        NotebookClient(notebook, timeout=900, resources={"metadata": {"path": tmp_path}}).execute()
        return notebook

    return execute


def said(notebook):
    """What each cell of code printed or showed."""
    return [
        "".join(
            output.get("text", "") or str(output.get("data", {}).get("text/html", ""))
            for output in cell.outputs
            if output.get("name") != "stderr"
        )
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def test_label_and_credit_prints_what_is_stored(run):
    assert said(run("label_and_credit")) == said(nbformat.read(NOTEBOOKS / "label_and_credit.ipynb", 4))


def test_playground_trains_and_shows(run, tmp_path):
    notebook = run("playground", PRETRAINING_STEPS=20, STEPS=2)
    printed = "\n".join(said(notebook))
    for expected in ("step  2  reward", "<pre", "view.html"):
        assert expected in printed, printed
    assert {path.name for path in tmp_path.glob("runs/playground/*")} >= {"base", "grpo", "hicra", "figures"}
    assert any("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", []))


@pytest.mark.parametrize("name", [path.stem for path in NOTEBOOKS.glob("*.ipynb")])
def test_outputs_are_stored_and_name_no_machine(name):
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4)
    assert sum(map(bool, said(notebook))) >= 4
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        assert output.get("name") != "stderr"
    assert "/work/" not in str(notebook) and "/tmp/" not in str(notebook)
