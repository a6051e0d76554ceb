"""Changes to a manifest's text that keep its comments, order and style.

Lines are changed here, not by ruamel.yaml (0.19.1, round trip with preserved quotes and without a
width), which was tried on the texts of the tests and on five other styles: removing a plugin also
removed the comments after it, up to the end of the file; a comment within ``{...}`` was lost; the
indentation of lists and mappings, the blanks within ``{...}``, a byte order mark and ``---``
changed in lines that the edit was not about; removing the last plugin of ``plugins:  # comment``
left text that is not YAML. This file changes only the lines of the plugin. ruamel.yaml would also
be a further dependency, of 1.4 MB.

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

#: The first manifest of a project: the installed plugins count, too.
FIRST = "schema: 1\ninstalled: true\nplugins: {}\n"
#: The keys that say where a plugin comes from.
OF_SOURCE = ("git", "tag", "commit", "subdir", "tag-pattern", "path")
PLUGINS_KEY = r"(plugins['\"]?\s*:)"
PLAIN = re.compile(r"[A-Za-z0-9./_][A-Za-z0-9./_@:+-]*")


def add(text: str, name: str, source: Mapping[str, str]) -> str:
    """Return the text with one more plugin, after the last.

    Raises:
        ConfigError: It cannot be added by changing lines.
    """
    document = _parse(text)
    plugins = document.value["plugins"]
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    line = _format_plugin(name, source)
    if plugins:
        start = _line_index(document, "plugins", list(plugins)[-1])
        indent = " " * _indentation(lines[start])
        lines.insert(_block_end(lines, start), indent + line)
    else:
        start = _line_index(document, "plugins")
        lines[start] = re.sub(rf"{PLUGINS_KEY}\s*(\{{\s*\}})?", r"\1", lines[start], count=1)
        lines.insert(start + 1, "  " + line)
    expected = {**document.value, "plugins": {**plugins, name: dict(source)}}
    return _verified("".join(lines), expected, f"{name!r} cannot be added")


def with_installed(text: str) -> str:
    """Return the text with ``installed: true``.

    Raises:
        ConfigError: It cannot be added by changing lines.
    """
    document = _parse(text)
    if document.value.get("installed") is True:
        return text
    expected = {**document.value, "installed": True}
    lines = text.splitlines(keepends=True)
    if "installed" in document.value:
        index = _line_index(document, "installed")
        lines[index] = lines[index].replace("false", "true", 1)
    else:
        lines.insert(_line_index(document, "plugins"), "installed: true\n")
    return _verified("".join(lines), expected, "'installed: true' cannot be added")


def without_installed(text: str) -> str:
    """Return the text of a first manifest in which only the plugins that it names count."""
    return text.replace("installed: true\n", "", 1)


def replace(text: str, name: str, source: Mapping[str, str]) -> str:
    """Return the text with another source of a plugin, in the place of the present one.

    Keys that say nothing of the source, such as ``extras``, stay. Where the source has the same
    keys as before, each is changed in its own line.

    Raises:
        ConfigError: The plugin cannot be changed by changing lines.
    """
    document = _parse(text)
    plugins = document.value["plugins"]
    present = plugins[name]
    further = {key: value for key, value in present.items() if key not in OF_SOURCE}
    line = {**source, **further}
    if present.keys() == line.keys():
        for key, value in source.items():
            text = change(text, name, key, value)
        return text
    lines = text.splitlines(keepends=True)
    start = _line_index(document, "plugins", name)
    indent = " " * _indentation(lines[start])
    block = lines[start : _block_end(lines, start)]
    comments = [indent + comment for comment in _comments(block)]
    if not lines[start].lstrip().startswith((name, f'"{name}', f"'{name}")):
        raise _unchangeable(f"the source of {name!r} cannot be changed")
    lines[start : start + len(block)] = [*comments, indent + _format_plugin(name, line)]
    expected = {**document.value, "plugins": {**plugins, name: line}}
    return _verified("".join(lines), expected, f"the source of {name!r} cannot be changed")


def _comments(lines: list[str]) -> list[str]:
    """Return the comments of lines, without what is before them."""
    found = []
    for line in lines:
        match = re.search(r"(?:^|\s)(#.*\n?)", line)
        if match:
            found.append(match[1].rstrip("\n") + "\n")
    return found


def remove(text: str, name: str) -> str:
    """Return the text without one plugin.

    Raises:
        ConfigError: It cannot be removed by removing lines.
    """
    document = _parse(text)
    lines = text.splitlines(keepends=True)
    start = _line_index(document, "plugins", name)
    del lines[start : _block_end(lines, start)]
    plugins = dict(document.value["plugins"])
    del plugins[name]
    if not plugins:
        start = _line_index(document, "plugins")
        lines[start] = re.sub(PLUGINS_KEY, r"\1 {}", lines[start], count=1)
    expected = {**document.value, "plugins": plugins}
    return _verified("".join(lines), expected, f"{name!r} cannot be removed")


def change(text: str, name: str, key: str, value: str) -> str:
    """Return the text with another value for one key of a plugin.

    Raises:
        ConfigError: The value cannot be changed in its line.
    """
    document = _parse(text)
    plugins = document.value["plugins"]
    lines = text.splitlines(keepends=True)
    index = _line_index(document, "plugins", name, key)
    start = 0
    if index == _line_index(document, "plugins", name):  # the plugin is written in one line
        start = max(lines[index].find(f"{name}:"), 0)
    before = lines[index][:start]
    after = _replace_value(lines[index][start:], key, plugins[name][key], value)
    lines[index] = before + after
    expected = {**document.value, "plugins": {**plugins, name: {**plugins[name], key: value}}}
    return _verified("".join(lines), expected, f"{key!r} of {name!r} cannot be changed")


def _parse(text: str) -> Document:
    from specloom.runfile import yaml

    return yaml.parse(text, "plugins.yaml")


def _line_index(document: Document, *keys: str) -> int:
    """Return the index of the line of a key."""
    _, _, number = document.where(*keys).rpartition(":")
    return int(number) - 1


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _block_end(lines: list[str], start: int) -> int:
    """Return the index after a key's last line; comments before the next key are not its own."""
    depth = _indentation(lines[start])
    end = start + 1
    for i in range(start + 1, len(lines)):
        content = lines[i].strip()
        if not content or content.startswith("#"):
            continue
        closes_bracket = content[0] in "}]"
        if _indentation(lines[i]) <= depth and not closes_bracket:
            break
        end = i + 1
    return end


def _replace_value(text: str, key: str, old: str, new: str) -> str:
    """Replace the value of the first ``key: old`` in a line, quoted or not."""
    plain = re.escape(old)
    pattern = rf"(\b{key}['\"]?\s*:\s*)(?:'{plain}'|\"{plain}\"|{plain})"
    return re.sub(pattern, lambda match: match[1] + _format_scalar(new), text, count=1)


def _format_plugin(name: str, line: Mapping[str, Any]) -> str:
    pairs = [f"{key}: {_format_value(value)}" for key, value in line.items()]
    return f"{name}: {{{', '.join(pairs)}}}\n"


def _format_value(value: Any) -> str:
    """Write a value as YAML in one line; what is not text as JSON, which is YAML too."""
    if isinstance(value, str):
        return _format_scalar(value)
    return json.dumps(value, ensure_ascii=False)


def _format_scalar(value: str) -> str:
    """Write text as YAML: plain where it is read as the same text, else in double quotes."""
    from specloom.runfile import yaml

    plain = PLAIN.fullmatch(value) is not None and not value.endswith(":")
    if plain and yaml.scalar(value) == value:
        return value
    return json.dumps(value)


def _verified(text: str, expected: Any, problem: str) -> str:
    """Return the text if it says what was meant.

    Raises:
        ConfigError: It says something else.
    """
    try:
        good = _parse(text).value == expected
    except ConfigError:
        good = False
    if not good:
        raise _unchangeable(problem)
    return text


def _unchangeable(problem: str) -> ConfigError:
    fix = "write each plugin on lines of its own, or edit the file and run: specloom plugins lock"
    return ConfigError(f"E-EDIT {problem} in plugins.yaml as it is written", fix=fix)
