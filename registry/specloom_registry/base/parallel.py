"""Work on several items in parallel, with every user's error reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from specloom.contract.errors import Problems, SpecloomError, in_file_order, raise_all
from specloom_registry.base.faults import ProblemsIntegrityError, ProblemsUnavailableError

MAX_WORKERS = 8

T = TypeVar("T")


def map_parallel(function: Callable[[Any], T], items: Iterable[Any]) -> list[T]:
    """Call ``function`` with each item in threads; return the results in the order of the items.

    Raises:
        SpecloomError: Some calls failed; all their errors are in it.
    """
    errors = list[SpecloomError]()
    results = list[T]()
    with ThreadPoolExecutor(MAX_WORKERS) as pool:
        futures = [pool.submit(function, item) for item in items]
        for future in futures:
            try:
                results.append(future.result())
            except SpecloomError as e:
                errors.append(e)
    if len(errors) > 1:
        raise _combined(errors)
    raise_all(errors)
    return results


def _combined(errors: list[SpecloomError]) -> Problems:
    """Return one error for several; the highest exit code decides its class."""
    kinds = {3: ProblemsIntegrityError, 4: ProblemsUnavailableError}
    exit_code = max(error.exit_code for error in errors)
    kind = kinds.get(exit_code, Problems)
    return kind(in_file_order(errors))
