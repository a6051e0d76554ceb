"""THREATS.md names tests that exist, and every test of a hole is in it."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "THREATS.md").read_text("utf-8")
NAMED = re.findall(r"\| `([\w./-]+)::(\w+)` \|", PAGE)


def functions(path):
    return {
        one.name
        for one in ast.parse(path.read_text("utf-8")).body
        if hasattr(one, "decorator_list")
    }


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_threat_has_its_test(file, name):
    path = ROOT / file if "/" in file else ROOT / "tests/registry" / file
    assert name in functions(path)


def test_every_row_has_a_test():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "threat |" not in line]
    assert len(rows) == len(NAMED) > 60


def test_every_file_of_holes_and_threats_is_named():
    files = {path.name for path in Path(__file__).parent.glob("test_holes_*.py")}
    files |= {path.name for path in Path(__file__).parent.glob("test_threats_*.py")}
    assert files - {Path(__file__).name} == {
        file for file, _ in NAMED if file.startswith(("test_holes_", "test_threats_"))
    }
