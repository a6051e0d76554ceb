"""Versions and version ranges as Python packaging defines them (PEP 440).

The ``packaging`` library does the work, but for plain ranges of plain versions. It is imported in
the functions: a run compares only plain ones as a rule, and does not wait for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version


PLAIN_VERSION = re.compile(r"(\d{1,9}(?:\.\d{1,9})*)(\+[a-z0-9]+)?", re.ASCII)
PLAIN_CLAUSE = re.compile(r"(>=|<=|==|!=|<|>)(\d{1,9}(?:\.\d{1,9})*)", re.ASCII)


def parse_version(text: str) -> Version:
    """Parse a version; versions compare with each other.

    Raises:
        ValueError: It is malformed.

    >>> parse_version("1.10") > parse_version("1.9") > parse_version("1.9rc1")
    True
    """
    from packaging.version import InvalidVersion, Version

    try:
        return Version(text)
    except InvalidVersion as e:
        raise ValueError(f"{text!r} is not a version") from e


@lru_cache
def parse_range(text: str) -> SpecifierSet:
    """Parse a comma-separated set of clauses, such as ``>=0.1,<0.2``.

    Raises:
        ValueError: It is malformed.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(text)
    except InvalidSpecifier as e:
        raise ValueError(f"{text!r} is not a version range") from e


def allows(text: str, version: str) -> bool:
    """Check whether a version range allows a version, which may be a pre-release.

    Raises:
        ValueError: The range is malformed.

    >>> allows(">=0.1,<0.2", "0.1.7"), allows("~=1.4", "2.0"), allows("==2.*", "2.3")
    (True, False, True)
    """
    plain = _allows_plainly(text, version)
    if plain is not None:
        return plain
    return parse_range(text).contains(version, prereleases=True)


def _allows_plainly(text: str, version: str) -> bool | None:
    """As ``allows``, for numbers with points in between; None where there is anything else.

    A local version such as ``2.6.0+cpu`` counts as its numbers where these decide alone.
    """
    found = PLAIN_VERSION.fullmatch(version)
    if found is None:
        return None
    numbers = _numbers(found[1])
    allowed = True
    for clause in filter(None, text.split(",")):
        parts = PLAIN_CLAUSE.fullmatch(clause.strip())
        if parts is None:
            return None
        bound = _numbers(parts[2])
        if numbers == bound and found[2]:
            return None
        allowed = allowed and _compare(numbers, parts[1], bound)
    return allowed


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers of a plain version, without zeros at the end, which do not count."""
    numbers = [int(part) for part in version.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _compare(numbers: tuple[int, ...], operator: str, bound: tuple[int, ...]) -> bool:
    """Whether the numbers of a version meet one clause of a range."""
    if operator == ">=":
        return numbers >= bound
    if operator == "<=":
        return numbers <= bound
    if operator == "==":
        return numbers == bound
    if operator == "!=":
        return numbers != bound
    if operator == "<":
        return numbers < bound
    return numbers > bound


def newest(versions: Mapping[str, str]) -> str | None:
    """Return the key with the highest version; pre-releases count only if all are pre-releases."""
    parsed = {key: parse_version(text) for key, text in versions.items()}
    candidates = {key: version for key, version in parsed.items() if not version.is_prerelease}
    if not candidates:
        candidates = parsed
    return max(candidates, key=lambda key: (candidates[key], key), default=None)
