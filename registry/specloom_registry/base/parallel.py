"""Work on several things at once, with every user's error reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from specloom.contract.errors import Problems, SpecloomError, in_file_order, raise_all
from specloom_registry.base.faults import ProblemsIntegrityError, ProblemsUnavailableError

AT_ONCE = 8

T = TypeVar("T")


def all_of(things: Iterable[Any], work: Callable[[Any], T]) -> list[T]:
    """``work`` on each at once; every user's error is reported, not only the first.

    Raises:
        SpecloomError: Some failed.
    """
    errors, found = list[SpecloomError](), list[T]()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for future in [pool.submit(work, thing) for thing in things]:
            try:
                found.append(future.result())
            except SpecloomError as e:
                errors.append(e)
    if len(errors) > 1:
        worst = max(error.exit_code for error in errors)  # the gravest decides how it ends
        kind = {3: ProblemsIntegrityError, 4: ProblemsUnavailableError}.get(worst, Problems)
        raise kind(in_file_order(errors))
    raise_all(errors)
    return found
