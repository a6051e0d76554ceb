"""Changes to a manifest's text that keep its comments, order and style.

Every change is read back: what does not say exactly what was meant is refused, and the file stays
as it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import ConfigError

if TYPE_CHECKING:
    from specloom.runfile.yaml import Document

EMPTY = "schema: 1\nplugins: {}\n"


def add(text: str, name: str, source: Mapping[str, str]) -> str:
    """The text with one more plugin, after the last.

    Raises:
        ConfigError: It cannot be added by changing lines.
    """
    document = _parse(text)
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    at = _line(document, "plugins")
    one = f"{name}: {{{', '.join(f'{key}: {_scalar(value)}' for key, value in source.items())}}}\n"
    if not document.value["plugins"]:
        lines[at] = re.sub(r"(plugins['\"]?\s*:)\s*(\{\s*\})?", r"\1", lines[at], count=1)
        lines.insert(at + 1, f"  {one}")
    else:
        *_, last = document.value["plugins"]
        where = _line(document, "plugins", last)
        indent = re.match(r"\s*", lines[where])
        assert indent is not None
        lines.insert(_end(lines, where), indent[0] + one)
    wanted = document.value | {"plugins": {**document.value["plugins"], name: dict(source)}}
    return _checked("".join(lines), wanted, f"add {name!r}")


def remove(text: str, name: str) -> str:
    """The text without one plugin.

    Raises:
        ConfigError: It cannot be removed by removing lines.
    """
    document = _parse(text)
    lines = text.splitlines(keepends=True)
    where = _line(document, "plugins", name)
    del lines[where : _end(lines, where)]
    left = {key: one for key, one in document.value["plugins"].items() if key != name}
    if not left:
        at = _line(document, "plugins")
        lines[at] = re.sub(r"(plugins['\"]?\s*:)", r"\1 {}", lines[at], count=1)
    return _checked("".join(lines), document.value | {"plugins": left}, f"remove {name!r}")


def change(text: str, name: str, key: str, new: str) -> str:
    """The text with another value for one key of a plugin.

    Raises:
        ConfigError: The value cannot be changed in its line.
    """
    document = _parse(text)
    lines = text.splitlines(keepends=True)
    old = document.value["plugins"][name][key]
    at = _line(document, "plugins", name, key)
    pattern = rf"(\b{key}['\"]?\s*:\s*)(?:'{re.escape(old)}'|\"{re.escape(old)}\"|{re.escape(old)})"
    start = lines[at].find(f"{name}:") if at == _line(document, "plugins", name) else 0
    head, tail = lines[at][: max(start, 0)], lines[at][max(start, 0) :]
    lines[at] = head + re.sub(pattern, lambda found: found[1] + _scalar(new), tail, count=1)
    plugins = document.value["plugins"]
    wanted = document.value | {"plugins": {**plugins, name: {**plugins[name], key: new}}}
    return _checked("".join(lines), wanted, f"change {key!r} of {name!r}")


def _parse(text: str) -> Document:
    from specloom.runfile import yaml

    return yaml.parse(text, "plugins.yaml")


def _line(document: Document, *keys: str) -> int:
    return int(document.where(*keys).rpartition(":")[2]) - 1


def _end(lines: list[str], start: int) -> int:
    """The line after a key and what belongs to it; comments before the next key do not."""
    depth = len(lines[start]) - len(lines[start].lstrip())
    end = start + 1
    for i in range(start + 1, len(lines)):
        text = lines[i].strip()
        if text and len(lines[i]) - len(lines[i].lstrip()) <= depth and text[0] not in "}]#":
            break
        if text and not text.startswith("#"):
            end = i + 1
    return end


def _scalar(value: str) -> str:
    from specloom.runfile import yaml

    plain = re.fullmatch(r"[A-Za-z0-9./_][A-Za-z0-9./_@:+-]*", value) and not value.endswith(":")
    return value if plain and yaml.scalar(value) == value else json.dumps(value)


def _checked(text: str, wanted: Any, what: str) -> str:
    try:
        good = _parse(text).value == wanted
    except ConfigError:
        good = False
    if not good:
        raise ConfigError(
            f"E-EDIT plugins.yaml is written in a way that does not let me {what}",
            fix="write each plugin on lines of its own, or edit the file by hand and run lock",
        )
    return text
