"""Requirements such as ``numpy>=1.26; python_version < "3.13"`` (PEP 508), read statically.

The ``packaging`` library does the work, imported in the functions as in ``versions``; a name with
a plain range is read without it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from specloom_registry.model.versions import PLAIN_CLAUSE, allows

if TYPE_CHECKING:
    from packaging.markers import Marker

BEFORE_SPECIFIER = re.compile(r"\s*[\w.-]+\s*(\[[^\]]*\])?")
PLAIN = re.compile(r" *([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?) *([^\s\[\]();@]*) *")
LONGEST_SHOWN = 200  # characters of a requirement in a message


@dataclass(frozen=True)
class Requirement:
    """One requirement.

    Args:
        name: The distribution, normalised.
        specifier: The versions that it allows, as written but without blanks; empty for any.
        text: The whole requirement as written.
        marker: When it applies; None for always.
    """

    name: str
    specifier: str
    text: str
    marker: Marker | None = field(default=None, repr=False)

    def allows(self, version: str) -> bool:
        """Check whether this version of the distribution meets the requirement."""
        return allows(self.specifier, version)

    def applies(self, extra: str = "") -> bool:
        """Check whether the marker holds in this interpreter, for an extra or for none.

        Raises:
            ValueError: The marker compares what cannot be compared.
        """
        return self.marker is None or self.marker.evaluate({"extra": extra})


def parse(text: str) -> Requirement:
    """Parse one requirement.

    Raises:
        ValueError: It is malformed, or names a URL, which no lock can pin.
    """
    plain = _parse_plainly(text)
    if plain is not None:
        return plain
    from packaging import requirements

    shown = repr(text[:LONGEST_SHOWN])
    try:
        parsed = requirements.Requirement(text)
    except requirements.InvalidRequirement as e:
        reason = str(e).partition("\n")[0]
        raise ValueError(f"{shown} is not a requirement: {reason}") from e
    except RecursionError as e:
        raise ValueError(f"{shown} is not a requirement: it is nested too deeply") from e
    if parsed.url:
        raise ValueError(f"{shown} names a URL")
    return Requirement(
        name=normalize_name(parsed.name),
        specifier=_specifier_as_written(text),
        text=text.strip(),
        marker=parsed.marker,
    )


def _parse_plainly(text: str) -> Requirement | None:
    """A name with clauses such as ``>=1.26,<3``, or with none; None for anything else."""
    found = PLAIN.fullmatch(text)
    if found is None:
        return None
    name, specifier = found.groups()
    for clause in specifier.split(","):
        if specifier and PLAIN_CLAUSE.fullmatch(clause) is None:
            return None
    return Requirement(normalize_name(name), specifier, text.strip())


def normalize_name(name: str) -> str:
    """Normalise the name of a distribution (PEP 503).

    ``packaging.utils`` has the same line, but the import hook needs it in every run, and the
    import takes 10 ms.

    >>> normalize_name("Typing_Extensions")
    'typing-extensions'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def _specifier_as_written(text: str) -> str:
    """Return the clauses in their order: locks hold them so, and ``packaging`` sorts them."""
    before_marker = text.partition(";")[0]
    written = BEFORE_SPECIFIER.sub("", before_marker, count=1)
    return "".join(written.split()).removeprefix("(").removesuffix(")")
