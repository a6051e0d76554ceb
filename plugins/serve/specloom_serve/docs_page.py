"""The page ``/docs``: what ``/openapi.json`` says, as HTML without scripts or anything external."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1b1b1b; background: #fff; }
h2 { margin: 2.5rem 0 0; font-size: 1.15rem; }
h2 span { background: #0b5d8a; color: #fff; border-radius: 3px; padding: 0 .5em; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
  border-bottom: 1px solid #ddd; }
caption { text-align: left; color: #555; }
code, h2 { font-family: ui-monospace, monospace; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e6e6; background: #16181a; } td, th { border-color: #3a3d40; }
  caption { color: #aaa; } }
"""

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What the page may load, as the header Content-Security-Policy says: nothing."""


def docs_page(described: Mapping[str, Any], pipeline: str) -> str:
    """The page of a description in the form of OpenAPI.

    Args:
        described: The description.
        pipeline: The name of the pipeline.
    """
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>specloom serve: {escape(pipeline)}</title><style>{STYLE}</style></head><body>",
        f"<h1>specloom serve: {escape(pipeline)}</h1>",
        f"<p>Version {escape(described['info']['version'])}. The same for programs: "
        '<a href="openapi.json">openapi.json</a>.</p>',
    ]
    for address, methods in described["paths"].items():
        for method, operation in methods.items():
            parts += _operation(address, method, operation)
    parts.append("</body></html>")
    return "\n".join(parts)


def _operation(address: str, method: str, operation: Mapping[str, Any]) -> Iterator[str]:
    """One address."""
    yield f"<h2><span>{escape(method.upper())}</span> {escape(address)}</h2>"
    yield f"<p>{escape(operation.get('summary', ''))}</p>"
    parameters = []
    for one in operation.get("parameters", ()):
        parameters.append((one["name"], _values(one["schema"]), one["description"]))
    yield from _table("Parameters of the address", parameters)
    bodies = []
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        bodies.append((media_type, _values(content["schema"]), content.get("example", "")))
    yield from _table("The body, by its Content-Type", bodies)
    answers = []
    for status, answer in operation["responses"].items():
        answers.append((status, ", ".join(answer.get("content", ())), answer["description"]))
    yield from _table("Answers", answers)


def _values(schema: Mapping[str, Any]) -> str:
    """The values of a schema in a few words."""
    if "enum" in schema:
        return ", ".join(schema["enum"])
    if "properties" in schema:
        return ", ".join(schema["properties"])
    return str(schema.get("format", schema.get("type", "")))


def _table(caption: str, rows: list[tuple[str, str, str]]) -> Iterator[str]:
    """A table; nothing without rows."""
    if not rows:
        return
    yield f"<table><caption>{escape(caption)}</caption>"
    for name, values, about in rows:
        cells = f"<td><code>{escape(name)}</code></td><td>{escape(values)}</td>"
        yield f"<tr>{cells}<td>{escape(about)}</td></tr>"
    yield "</table>"
