"""The pages of the site, made from the documentation of the repository and from the code.

``python tools/docs_site.py FOLDER`` writes them below FOLDER with a ``mkdocs.yml``; ``make docs``
does that and builds the site. Pages that are made from the code are the nodes (from the
descriptions of the plugins), the commands (from their help texts) and the Python reference (from
the docstrings). Only plain Markdown is written, so that another generator can take its place; what
is particular to this one are the lines ``::: module`` of the Python reference.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml

from specloom_registry.catalogue.docstrings import arguments, sections

ROOT = Path(__file__).parents[1]
SETTINGS = ROOT / "mkdocs.yml"
NAVIGATION = ROOT / "docs/navigation.yaml"
"""The order of the pages: sections of titles and files, a file named from the root."""

LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>[^)\s]+)\)")
IMAGE = re.compile(r"(?<=\]\()docs/(images/[^)\s]+)(?=\))")
CODE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
PYTHON_PAGES = {
    "specloom": "The kernel: graphs, runs, nodes, ports",
    "specloom.torch": "Base classes of nodes that compute with torch",
    "specloom.testing": "Tests for authors of plugins",
}
"""The modules of the kernel with a page of their own; each plugin has one too."""


@dataclass(frozen=True)
class Page:
    """A page of the site.

    Args:
        title: Its title in the navigation.
        source: The file of the repository, from the root.
        target: The file of the site, from the folder of its pages.
    """

    title: str
    source: str
    target: str


def main(folder: Path) -> None:
    """Write pages and settings below ``folder``."""
    pages = folder / "pages"
    if pages.exists():
        shutil.rmtree(pages)
    shutil.copytree(ROOT / "docs/images", pages / "images")
    sections = yaml.safe_load(NAVIGATION.read_text("utf-8"))
    written = {page.source: page for page in _listed(sections)}
    for page in written.values():
        text = (ROOT / page.source).read_text("utf-8")
        _write(pages / page.target, with_links_of_the_site(text, page, written))
    navigation = [_entry(section) for section in sections]
    navigation += [_reference(pages)]
    settings = {
        "INHERIT": os.path.relpath(SETTINGS, folder),
        "docs_dir": "pages",
        "site_dir": "html",
        "nav": navigation,
    }
    _write(folder / "mkdocs.yml", yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))


def _listed(sections: Sequence[Mapping[str, Any]]) -> Iterator[Page]:
    """All pages of the navigation."""
    for section in sections:
        for title, inner in section.items():
            if isinstance(inner, str):
                yield Page(title, inner, _target(inner))
            else:
                yield from _listed(inner)


def _target(source: str) -> str:
    """Where a file of the repository lies in the site."""
    if source == "README.md":
        return "index.md"
    if source.startswith("docs/"):
        return source.removeprefix("docs/")
    folder, _, name = source.rpartition("/")
    if name == "README.md":
        return f"{folder}/index.md"
    return source


def _entry(section: Mapping[str, Any]) -> dict[str, Any]:
    """A section of the navigation with files of the site."""
    return {
        title: _target(inner) if isinstance(inner, str) else [_entry(one) for one in inner]
        for title, inner in section.items()
    }


def with_links_of_the_site(text: str, page: Page, pages: Mapping[str, Page]) -> str:
    """A page whose links lead to pages of the site; links to other files are their paths alone."""
    parts = CODE.split(text)
    for at in range(0, len(parts), 2):
        parts[at] = IMAGE.sub(r"\1", parts[at])
        parts[at] = LINK.sub(lambda found: _link(found, page, pages), parts[at])
    return "".join(parts)


def _link(found: re.Match[str], page: Page, pages: Mapping[str, Page]) -> str:
    """One link, as the site writes it."""
    text = found["text"]
    target, hash_sign, anchor = found["target"].partition("#")
    if not target or re.match(r"[a-z]+:", target):
        return found[0]
    folder = (ROOT / page.source).parent
    path = os.path.relpath((folder / target).resolve(), ROOT)
    other = pages.get(path) or pages.get(f"{path}/README.md")
    if other is not None:
        relative = os.path.relpath(other.target, Path(page.target).parent)
        return f"[{text}]({relative}{hash_sign}{anchor})"
    if text.strip("`") in (target, path):
        return f"`{path}`"
    return f"{text} (`{path}`)"


def _reference(pages: Path) -> dict[str, Any]:
    """Write the pages that are made from the code; their part of the navigation."""
    nodes = []
    python = []
    for name, doc in PYTHON_PAGES.items():
        file = f"reference/python/{name}.md"
        _write(pages / file, f"# `{name}`\n\n{doc}.\n\n::: {name}\n")
        python.append({name: file})
    for folder in sorted(ROOT.glob("plugins/*/pyproject.toml")):
        name = folder.parent.name
        package = f"specloom_{name}"
        offered = _offered(folder.parent / package / "nodes.json")
        if offered:
            file = f"reference/nodes/{name}.md"
            _write(pages / file, "\n".join(plugin_page(name, offered)) + "\n")
            nodes.append({name: file})
        file = f"reference/python/{package}.md"
        _write(pages / file, f"# `{package}`\n\n::: {package}\n")
        python.append({package: file})
    _write(pages / "reference/commands.md", "\n".join(commands_page()) + "\n")
    made = [
        {"Commands": "reference/commands.md"},
        {"Nodes and other types": nodes},
        {"Python": python},
    ]
    return {"Generated reference": made}


def _offered(described: Path) -> dict[str, dict[str, Any]]:
    """What a plugin offers to run files, by its name, as described; none of its commands."""
    if not described.is_file():
        return {}
    classes = json.loads(described.read_text("utf-8"))
    return {name: one for name, one in sorted(classes.items()) if one["kind"] != "commands"}


def plugin_page(name: str, offered: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What a plugin offers: each class with its text, ports and parameters."""
    yield f"# {name}"
    for class_name, one in offered.items():
        yield ""
        yield f"## {name}.{class_name}"
        yield ""
        yield from docstring(one["doc"])
        yield from _ports("Inputs", one.get("inputs") or {})
        yield from _ports("Outputs", one.get("outputs") or {})
        yield from _parameters(one["params"], one["required"], arguments(one["doc"]))


def docstring(doc: str) -> Iterator[str]:
    """A docstring as Markdown, without what it says of parameters; its sections are lists."""
    text, found = sections(doc)
    for line in text.splitlines():
        yield _escaped(line)
    yield ""
    for name, lines in found.items():
        if name == "Args":
            continue
        yield f"**{name}**"
        yield ""
        for line in lines:
            item = re.fullmatch(r"    (\w[\w.]*): (.*)", line)
            if item:
                yield f"- `{item[1]}`: {_escaped(item[2])}"
            else:
                yield f"  {_escaped(line.strip())}"
        yield ""


def _escaped(text: str, signs: str = r"*_<>\[\]") -> str:
    """Text of which Markdown makes no emphasis; code stays as it is."""
    parts = re.split(r"(``?[^`]+``?)", text)
    for at in range(0, len(parts), 2):
        parts[at] = re.sub(rf"([{signs}])", r"\\\1", parts[at])
    return "".join(parts)


def _row(*cells: str) -> str:
    """A row of a table: a bar divides cells, but for one that is escaped or in code."""
    return f"| {' | '.join(_escaped(one, '|') for one in cells)} |"


def _ports(title: str, ports: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A table of ports."""
    if not ports:
        return
    yield f"**{title}**"
    yield ""
    yield "| port | shape | type | unit | |"
    yield "|---|---|---|---|---|"
    for name, port in ports.items():
        doc = _escaped(port.get("doc", ""))
        if port.get("optional"):
            doc = f"{doc} Optional."
        kind = port.get("dtype", "float32")
        axes = port.get("axes") or ""
        yield _row(f"`{name}`", axes, str(kind), port.get("unit", ""), doc)
    yield ""


def _parameters(
    params: Mapping[str, Mapping[str, Any]], required: Sequence[str], texts: Mapping[str, str]
) -> Iterator[str]:
    """A table of parameters."""
    if not params:
        return
    yield "**Parameters**"
    yield ""
    yield "| parameter | type | default | |"
    yield "|---|---|---|---|"
    for name, schema in params.items():
        default = "required"
        if name not in required:
            default = f"`{json.dumps(schema.get('default'))}`"
        yield _row(f"`{name}`", _kind(schema), default, _escaped(texts.get(name, "")))
    yield ""


def _kind(schema: Mapping[str, Any]) -> str:
    """The type of a parameter, from its JSON Schema."""
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        return f"list of {_kind(schema['items'])}"
    return str(schema.get("type", "any"))


def commands_page() -> Iterator[str]:
    """All commands with their help texts, as the terminal shows them."""
    from specloom.cli import cli

    yield "# Commands"
    yield ""
    yield "What `specloom COMMAND --help` prints."
    yield from _command(cli, "specloom")


def _command(command: click.Command, name: str) -> Iterator[str]:
    """A command and those below it; ``specloom`` imports those of plugins when it resolves them."""
    context = click.Context(command, info_name=name, terminal_width=88, max_content_width=88)
    yield ""
    yield f"## {name}"
    yield ""
    yield "```text"
    yield command.get_help(context)
    yield "```"
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            below = command.resolve_command(context, [inner])[1]
            assert below is not None, inner
            yield from _command(below, f"{name} {inner}")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
