"""A plugin of pytest: says at the end how many checks of the conformance kit ran, file by file.

Write ``pytest_plugins = ["specloom.testing.reporting"]`` into the conftest.py beside the tests.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from specloom.testing.collecting import skipping

if TYPE_CHECKING:
    import pytest

CHECK = ("specloom", "check of the conformance kit")
_ran: dict[str, Counter[str]] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Know the kit's checks by what they call."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        params: dict[str, Any] = getattr(callspec, "params", {})
        for value in params.values():
            if isinstance(value, partial) and value.func is skipping:
                item.user_properties.append(CHECK)
                break


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count a check when it ran, and when it could not."""
    properties = [tuple(one) for one in report.user_properties]
    has_result = report.when == "call" or report.skipped
    if CHECK not in properties or not has_result:
        return
    outcome: str = report.outcome
    if hasattr(report, "wasxfail"):
        outcome = "expected failures"
    file = report.nodeid.partition("::")[0]
    counts = _ran.setdefault(file, Counter())
    counts[outcome] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts."""
    if _ran:
        terminalreporter.section("conformance kit")
    for file, counts in sorted(_ran.items()):
        ran = counts.total() - counts["skipped"]
        line = f"{file}: {ran} checks ran"
        others = [f"{counts[what]} {what}" for what in sorted(counts.keys() - {"passed"})]
        if others:
            line = f"{line} ({', '.join(others)})"
        terminalreporter.line(line)
