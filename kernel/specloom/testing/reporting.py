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
        params: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
        if any(isinstance(one, partial) and one.func is skipping for one in params.values()):
            item.user_properties.append(CHECK)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count a check when it ran, and when it could not."""
    if CHECK in map(tuple, report.user_properties) and (report.when == "call" or report.skipped):
        outcome = "expected failures" if hasattr(report, "wasxfail") else report.outcome
        _ran.setdefault(report.nodeid.partition("::")[0], Counter())[outcome] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts."""
    if _ran:
        terminalreporter.section("conformance kit")
    for file, counts in sorted(_ran.items()):
        ran = counts.total() - counts["skipped"]
        others = ", ".join(f"{n} {what}" for what, n in sorted(counts.items()) if what != "passed")
        terminalreporter.line(f"{file}: {ran} checks ran" + (f" ({others})" if others else ""))
