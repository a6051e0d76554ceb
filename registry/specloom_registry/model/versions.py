"""Versions and version ranges as Python packaging defines them (PEP 440).

The ``packaging`` library does the work. It is imported in the functions: a run whose lock is
unchanged compares no version, and does not wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version


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
    return parse_range(text).contains(version, prereleases=True)


def newest(versions: Mapping[str, str]) -> str | None:
    """Return the key with the highest version; pre-releases count only if all are pre-releases."""
    parsed = {key: parse_version(text) for key, text in versions.items()}
    candidates = {key: version for key, version in parsed.items() if not version.is_prerelease}
    if not candidates:
        candidates = parsed
    return max(candidates, key=lambda key: (candidates[key], key), default=None)
