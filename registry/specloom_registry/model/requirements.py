"""Requirements such as ``numpy>=1.26; python_version < "3.13"`` (PEP 508), read statically."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass

from specloom_registry.model.versions import allows, clauses

REQUIREMENT = re.compile(
    r"\s*(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[(?P<extras>[^\]]*)\])?\s*"
    r"(?P<open>\()?(?P<ranges>[^;()@]*)\)?\s*(?:;(?P<marker>.*))?",
    re.ASCII | re.DOTALL,
)
LONGEST_SHOWN = 200  # characters of a marker in a message
VERSIONS = ("python_version", "python_full_version", "implementation_version")


@dataclass(frozen=True)
class Requirement:
    """One requirement.

    Args:
        name: The distribution, normalised.
        ranges: The versions that will do; empty for any.
        extras: Extras asked for.
        marker: When it applies; empty for always.
        text: As it was written.
    """

    name: str
    ranges: str
    extras: tuple[str, ...]
    marker: str
    text: str

    def met_by(self, version: str) -> bool:
        """Whether this version of the distribution will do."""
        return allows(self.ranges, version)

    def applies(self, environment: Mapping[str, str]) -> bool:
        """Whether the marker holds in this environment.

        Raises:
            ValueError: The marker is malformed.
        """
        if not self.marker:
            return True
        names = re.sub(r"\b(os|sys|platform|implementation)_?\.(\w+)", r"\1_\2", self.marker)
        try:
            return _true(ast.parse(names.strip(), mode="eval").body, environment)
        except (SyntaxError, RecursionError, MemoryError) as e:  # the last two: nested too deeply
            raise ValueError(f"{self.marker.strip()[:LONGEST_SHOWN]!r} is no marker") from e


def parse(text: str) -> Requirement:
    """Read one requirement.

    Raises:
        ValueError: It is malformed, or names a URL, which no lock can pin.
    """
    if re.match(r"[^;]*@", text):
        raise ValueError(f"{text!r} names a URL")
    if (found := REQUIREMENT.fullmatch(text)) is None:
        raise ValueError(f"{text!r} is no requirement")
    clauses(found["ranges"])
    extras = tuple(filter(None, (one.strip() for one in (found["extras"] or "").split(","))))
    marker = (found["marker"] or "").strip()
    return Requirement(
        normal(found["name"]), "".join(found["ranges"].split()), extras, marker, text.strip()
    )


def normal(name: str) -> str:
    """A distribution's name as it is compared.

    >>> normal("Typing_Extensions")
    'typing-extensions'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def environment() -> dict[str, str]:
    """What markers may ask of this interpreter."""
    import os
    import platform
    import sys

    return {
        "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
        "python_full_version": platform.python_version(),
        "os_name": os.name,
        "sys_platform": sys.platform,
        "platform_machine": platform.machine(),
        "platform_system": platform.system(),
        "platform_release": platform.release(),
        "platform_version": platform.version(),
        "platform_python_implementation": platform.python_implementation(),
        "implementation_name": sys.implementation.name,
        "implementation_version": platform.python_version(),
        "extra": "",
    }


def _true(node: ast.expr, known: Mapping[str, str]) -> bool:
    if isinstance(node, ast.BoolOp):
        parts = [_true(value, known) for value in node.values]
        return all(parts) if isinstance(node.op, ast.And) else any(parts)
    if not isinstance(node, ast.Compare) or len(node.ops) != 1:
        raise ValueError(f"{ast.unparse(node)!r} is no marker")
    left, right = (_text(side, known) for side in (node.left, node.comparators[0]))
    operator = type(node.ops[0])
    if operator in (ast.In, ast.NotIn):
        return (left in right) == (operator is ast.In)
    symbols = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">"}
    symbol = {**symbols, ast.GtE: ">="}.get(operator)
    if symbol is None:
        raise ValueError(f"{ast.unparse(node)!r} is no marker")
    names = {side.id for side in (node.left, node.comparators[0]) if isinstance(side, ast.Name)}
    if names & set(VERSIONS):
        return allows(f"{symbol}{right}", left)
    compared = {"==": left == right, "!=": left != right}
    return compared[symbol] if symbol in compared else _ordered(symbol, left, right)


def _ordered(symbol: str, left: str, right: str) -> bool:
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[symbol]


def _text(node: ast.expr, known: Mapping[str, str]) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name) and node.id in known:
        return known[node.id]
    raise ValueError(f"{ast.unparse(node)!r} is no marker")
