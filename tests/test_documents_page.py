"""The page of the original documents has a row for each of their tests."""

import subprocess
import sys
from pathlib import Path

import documents_page

ROOT = Path(__file__).parents[1]


def test_the_page_is_what_the_tool_writes():
    # In a process of its own: the modules of the tests are imported under names of their own here.
    code = "import documents_page as tool; print(tool.page(tool.rows()), end='')"
    made = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "tools",
        capture_output=True,
        text=True,
        check=True,
    )
    page = (ROOT / documents_page.PAGE).read_text("utf-8")
    assert page == made.stdout, "run: python tools/documents_page.py"
    assert page.count("\n| ") > 60


def test_every_test_of_the_documents_is_a_row():
    page = (ROOT / documents_page.PAGE).read_text("utf-8")
    tests = 0
    for path in (ROOT / documents_page.TESTS).glob("test_*.py"):
        lines = path.read_text("utf-8").splitlines()
        tests += len([line for line in lines if line.startswith("def test_")])
    headings = page.count("| in the document | here |")
    assert page.count("\n| ") == tests + headings
