"""The library that draws the charts is unchanged, and its origin is written beside it."""

from hashlib import sha256
from pathlib import Path

import pytest

import specloom_report.page

FOLDER = Path(specloom_report.page.__file__).parent / "uplot"


@pytest.mark.parametrize("name", ["uPlot.iife.min.js", "uPlot.min.css"])
def test_its_files_have_the_hashes_that_are_written_there(name):
    digest = sha256((FOLDER / name).read_bytes()).hexdigest()
    assert f"| `{name}` | `{digest}` |" in (FOLDER / "README.md").read_text("utf-8")


def test_version_and_licence_are_there():
    first = (FOLDER / "uPlot.iife.min.js").read_text("utf-8").splitlines()[0]
    assert "(v1.6.32)" in first
    assert (FOLDER / "README.md").read_text("utf-8").startswith("# uPlot 1.6.32\n")
    assert (FOLDER / "LICENSE").read_text("utf-8").startswith("The MIT License (MIT)")
