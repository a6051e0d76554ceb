"""The notebook of a first look runs, and shows what it says."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "docs/notebooks/first_look.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    folder = tmp_path_factory.mktemp("notebook")
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def outputs(notebook, beginning):
    """The texts and pictures of the cell that begins with ``beginning``."""
    (cell,) = (one for one in notebook.cells if one.source.startswith(beginning))
    found = {}
    for output in cell.outputs:
        found |= output.get("data", {})
        found["text"] = found.get("text", "") + output.get("text", "")
    return found


def test_it_is_stored_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")


def test_the_cube_is_shown_with_a_picture(executed):
    shown = outputs(executed, "import specloom_cubes")
    assert "120 x 160 pixels, 61 bands, 430 to 910 nm" in shown["text/plain"]
    assert "data:image/png;base64," in shown["text/html"]


def test_the_answer_is_one_line(executed):
    lines = outputs(executed, "from specloom_detect")["text"].splitlines()
    assert "objects, " in lines[0]
    assert "false alarms are expected" in lines[1]


def test_the_plot_and_the_table_are_shown(executed):
    assert "image/png" in outputs(executed, "figure = ")
    assert "max_score" in outputs(executed, "found.objects")["text/html"]


def test_a_cube_of_half_the_light_is_unlike(executed):
    assert "dark" in outputs(executed, "other = ")["text"]
