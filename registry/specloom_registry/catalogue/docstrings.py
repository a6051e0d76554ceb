"""Parts of the docstrings of nodes and other types, as they are written here (Google style)."""

from __future__ import annotations

import re

ARGUMENT = re.compile(r"    (?P<name>\w+): (?P<text>.*)")


def sections(doc: str) -> tuple[str, dict[str, list[str]]]:
    """The text of a docstring before its sections, and the lines of each section by its name."""
    lines: list[str] = []
    found: dict[str, list[str]] = {}
    current = lines
    for line in doc.splitlines():
        heading = re.fullmatch(r"(\w+):", line)
        if heading:
            current = found.setdefault(heading[1], [])
        elif line and not line.startswith(" ") and current is not lines:
            current = lines
            lines.append(line)
        else:
            current.append(line)
    return "\n".join(lines).strip(), {name: _stripped(body) for name, body in found.items()}


def arguments(doc: str) -> dict[str, str]:
    """What the docstring of a class says of each of its parameters, in one line each."""
    texts: dict[str, str] = {}
    name = ""
    for line in sections(doc)[1].get("Args", []):
        started = ARGUMENT.fullmatch(line)
        if started:
            name = started["name"]
            texts[name] = started["text"]
        elif name and line.strip():
            texts[name] = f"{texts[name]} {line.strip()}"
    return texts


def _stripped(lines: list[str]) -> list[str]:
    """Lines without the empty ones at the end."""
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines
