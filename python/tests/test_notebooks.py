"""The notebooks run from the first cell to the last, and show what they promise."""

from __future__ import annotations

import os

import nbclient
import nbformat
import node
import pytest
from broker import pitt

NOTEBOOKS = sorted((node.REPOSITORY / "examples" / "notebooks").glob("*.ipynb"))
#: How many pictures each shows.
PICTURES = {"first_look": 3, "filter": 3}


def test_there_are_notebooks():
    assert {notebook.stem for notebook in NOTEBOOKS} == set(PICTURES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells), "outputs are not kept in the repository"
    monkeypatch.setenv("PITT_BIN", str(pitt()))
    monkeypatch.delenv("PITT_ARCHIVE", raising=False)
    # The kernel ends, and with it what it started, also when a cell fails.
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in cells for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == PICTURES[path.stem]
    assert not any(output.output_type == "error" for output in outputs)


def test_notebooks_name_no_place_of_ours():
    for path in NOTEBOOKS:
        assert os.sep + "work" not in path.read_text()
