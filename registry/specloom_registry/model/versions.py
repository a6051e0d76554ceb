"""Versions and version ranges as Python packaging defines them (PEP 440), without a dependency.

The registry imports only the kernel, and a run compares versions before it imports anything, so
this is a small implementation of its own; a test holds it to the ``packaging`` library.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import dropwhile
from typing import TypeAlias

Key: TypeAlias = tuple[object, ...]
VERSION = re.compile(
    r"v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pre_n>\d*))?"
    r"(?:-(?P<post_short>\d+)|(?P<post>[-_.]?(?:post|rev|r)[-_.]?(?P<post_n>\d*)))?"
    r"(?P<dev>[-_.]?dev[-_.]?(?P<dev_n>\d*))?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?",
    re.ASCII,
)
CLAUSE = re.compile(r"\s*(===|==|!=|~=|<=|>=|<|>)\s*([^\s,]+)\s*", re.ASCII)
PRE = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}
FIRST, LAST = (-1,), (1,)  # sorts before, and after, every (0, …)


class Version:
    """One version; compare versions by ``key``.

    >>> Version("1.10").key > Version("1.9").key > Version("1.9rc1").key
    True
    """

    def __init__(self, text: str) -> None:
        found = VERSION.fullmatch(text.strip().lower())
        if found is None:
            raise ValueError(f"{text!r} is no version")
        part = found.groupdict()
        self.text = text.strip()
        self.epoch = int(part["epoch"] or 0)
        self.release = tuple(map(int, part["release"].split(".")))
        self.pre: Key | None = None
        if part["pre"]:
            self.pre = (PRE.get(part["pre"], part["pre"]), int(part["pre_n"] or 0))
        short = part["post_short"]
        self.post = None if not (part["post"] or short) else int(short or part["post_n"] or 0)
        self.dev = int(part["dev_n"] or 0) if part["dev"] else None
        self.local = tuple(re.split(r"[-_.]", part["local"])) if part["local"] else ()

    @property
    def is_prerelease(self) -> bool:
        """Whether it is an alpha, beta, candidate or development version."""
        return self.pre is not None or self.dev is not None

    @property
    def public(self) -> Key:
        """The sort key without the local part."""
        trimmed = tuple(dropwhile(lambda n: n == 0, reversed(self.release)))[::-1]
        pre: Key = (0, *self.pre) if self.pre else LAST
        if self.pre is None and self.post is None and self.dev is not None:
            pre = FIRST
        post: Key = FIRST if self.post is None else (0, self.post)
        dev: Key = LAST if self.dev is None else (0, self.dev)
        return (self.epoch, trimmed, pre, post, dev)

    @property
    def key(self) -> Key:
        """The sort key."""
        parts = tuple((1, int(p), "") if p.isdigit() else (0, 0, p) for p in self.local)
        return (*self.public, (0, parts) if parts else FIRST)


def allows(ranges: str, version: str) -> bool:
    """Whether a comma-separated set of clauses allows a version.

    Pre-releases are judged by their place in the order alone, as ``prereleases=True`` does.

    Raises:
        ValueError: Either is malformed.

    >>> allows(">=0.1,<0.2", "0.1.7"), allows("~=1.4", "2.0"), allows("==2.*", "2.3")
    (True, False, True)
    """
    return all(_holds(*clause, version) for clause in clauses(ranges))


@lru_cache
def clauses(ranges: str) -> tuple[tuple[str, str], ...]:
    """The clauses of a range: pairs of operator and version."""
    found = []
    for text in filter(str.strip, ranges.split(",")):
        if (clause := CLAUSE.fullmatch(text)) is None:
            raise ValueError(f"{text.strip()!r} is no version range")
        operator, version = clause.groups()
        if operator != "===":
            star = version.endswith(".*") and operator in ("==", "!=")
            one = Version(version.removesuffix(".*") if star else version)
            if operator == "~=" and len(one.release) < 2:
                raise ValueError(f"{text.strip()!r} needs two numbers")
        found.append((operator, version))
    return tuple(found)


def _holds(operator: str, wanted: str, version: str) -> bool:
    if operator == "===":
        return wanted.lower() == version.lower()
    have = Version(version)
    if wanted.endswith(".*"):
        inside = _begins(have, Version(wanted.removesuffix(".*")))
        return inside if operator == "==" else not inside
    want = Version(wanted)
    if operator in ("==", "!="):
        same = have.key == want.key if want.local else have.public == want.public
        return same if operator == "==" else not same
    if operator == "~=":
        stem = Version(f"{want.epoch}!" + ".".join(map(str, want.release[:-1])))
        return have.public >= want.public and _begins(have, stem)
    if operator == ">=":
        return have.public >= want.public
    if operator == "<=":
        return have.public <= want.public
    if operator == "<":  # what comes before 2.0 are not its own pre-releases
        cut = want.public[:4] if want.post is not None else (*want.public[:2], FIRST, FIRST)
        return have.public < (want.public if want.is_prerelease else (*cut, (0, 0)))
    if want.post is None and want.dev is None and have.post is not None:
        return have.public > want.public and have.public[:3] != want.public[:3]  # nor its posts
    return have.public > want.public


def _begins(version: Version, stem: Version) -> bool:
    padded = version.release + (0,) * len(stem.release)
    return version.epoch == stem.epoch and padded[: len(stem.release)] == stem.release


def newest(versions: dict[str, str]) -> str | None:
    """The key with the highest version; pre-releases count only where there is nothing else."""
    parsed = {key: Version(text) for key, text in versions.items()}
    final = {key: one for key, one in parsed.items() if not one.is_prerelease} or parsed
    return max(final, key=lambda key: (final[key].key, key), default=None)
