"""The rows of docs/reference/documents.md: each is a test of a statement of the documents.

A test says with ``works`` or ``differs`` which statement it is of. tools/documents_page.py collects
the rows of the modules here, in their order, and writes the page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])

SELECTOR = "Tutorial: learnable channel selection"
NODES = "Selector nodes"
ADACLIP = "AdaCLIP workflow"
DOCUMENTS = (SELECTOR, NODES, ADACLIP)


class Row(NamedTuple):
    """One row.

    Args:
        document: The document.
        statement: What the document says or calls.
        why: How it is here and why; empty where it works as printed.
        test: The name of the test.
    """

    document: str
    statement: str
    why: str
    test: str


ROWS: list[Row] = []


def works(document: str, statement: str) -> Callable[[Test], Test]:
    """The test shows that a statement is so here."""
    return differs(document, statement, "")


def differs(document: str, statement: str, why: str) -> Callable[[Test], Test]:
    """The test shows how something is here that a document has otherwise."""

    def decorate(test: Test) -> Test:
        module = test.__module__.rpartition(".")[2]
        ROWS.append(Row(document, statement, why, f"{module}.py::{test.__name__}"))
        return test

    return decorate
