"""The page of what is as the original documents print it, made from the tests of their statements.

``python tools/documents_page.py`` writes docs/reference/documents.md; tests/test_documents_page.py
holds it up to date. Each row is a test in tests/printed, which says what the document has and,
where it is otherwise here, why.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = Path("docs/reference/documents.md")
TESTS = Path("tests/printed")

HEAD = """\
# The original documents, statement by statement

specloom began as a system that runs three documents of cuvis.ai: the tutorial of the channel
selector, the page on selector nodes, and the AdaCLIP workflow. Their statements and calls follow:
each works as printed, or is otherwise here, and why. This page is generated from tests: each row
is one in `tests/printed`, and says no more than the test shows (`python tools/documents_page.py`).
"""


def rows() -> list[Any]:
    """The rows of all tests, in the order of the documents and of the tests."""
    folder = str(ROOT / TESTS)
    if folder not in sys.path:
        sys.path.append(folder)
    registry = importlib.import_module("rows")
    if not registry.ROWS:
        for path in sorted((ROOT / TESTS).glob("test_*.py")):
            importlib.import_module(path.stem)
    found: list[Any] = []
    for document in registry.DOCUMENTS:
        found += [row for row in registry.ROWS if row.document == document]
    return found


def page(table: Sequence[Any]) -> str:
    """The text of the page."""
    works = len([row for row in table if not row.why])
    lines = [HEAD]
    lines.append(f"{len(table)} statements: {works} as printed, {len(table) - works} otherwise.\n")
    for document in dict.fromkeys(row.document for row in table):
        lines.append(f"## {document}\n")
        lines.append("| in the document | here |")
        lines.append("|---|---|")
        for row in table:
            if row.document == document:
                lines.append(f"| {row.statement} | {row.why or 'works'} |")
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def main() -> None:
    """Write the page."""
    (ROOT / PAGE).write_text(page(rows()), "utf-8")


if __name__ == "__main__":
    main()
