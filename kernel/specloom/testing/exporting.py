"""The public names of a plugin's package, which are imported when they are first used.

They stand in its ``__init__.py`` between two comments, and follow from its hooks, from ``MODULES``
(the module of each other public name, written by hand) and from what the file itself defines.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

START = "# Public names, imported on first use: written by `specloom plugins describe {} --write`."
END = "# End of public names."
WIDTH = 100
#: What a file defines for others than Python users.
INTERNAL = ("MODULES", "__all__", "__version__", "__getattr__")


def with_exports(text: str, prefix: str, offered: Mapping[str, str]) -> str:
    """``text`` with the present public names; unchanged where it has no such comments.

    Args:
        text: The plugin's ``__init__.py``.
        prefix: The plugin's name.
        offered: What its hooks offer to Python, ``"module:Class"`` by name.
    """
    start = START.format(prefix)
    before, found, rest = text.partition(f"{start}\n")
    _, ended, after = rest.partition(END)
    if not found or not ended:
        return text
    others = _modules(ast.parse(text))
    targets = {name: target for name, target in offered.items() if ":" in target}
    targets |= {name: f"{module}:{name}" for name, module in others.items()}
    names = sorted({*targets, *_eager(ast.parse(before + after), prefix)}, key=_isort_key)
    lines = [start, *_listed(names)]
    if targets:
        getter = "lazy(__name__, **MODULES)" if others else "lazy(__name__)"
        imports = [f"    {line}" for line in _imports(targets)]
        lines += ["", "if TYPE_CHECKING:", *imports, "else:", f"    __getattr__ = {getter}"]
    return "\n".join([before + lines[0], *lines[1:], END]) + after


def _modules(tree: ast.Module) -> dict[str, str]:
    """``MODULES``, the module of each public name that no hook offers."""
    for one in tree.body:
        if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "MODULES":
            found: dict[str, str] = ast.literal_eval(one.value)
            return found
    return {}


def _eager(tree: ast.Module, prefix: str) -> Iterator[str]:
    """Public names that the file itself defines, or imports from its own package at once."""
    package = f"specloom_{prefix.replace('-', '_')}"
    for one in tree.body:
        names: list[str] = []
        if isinstance(one, ast.Assign):
            names = [target.id for target in one.targets if isinstance(target, ast.Name)]
        elif isinstance(one, ast.FunctionDef | ast.ClassDef) and not _is_hook(one):
            names = [one.name]
        elif isinstance(one, ast.ImportFrom) and (one.module or "").split(".")[0] == package:
            names = [alias.asname or alias.name for alias in one.names]
        yield from (name for name in names if name not in INTERNAL and not name.startswith("_"))


def _is_hook(one: ast.FunctionDef | ast.ClassDef) -> bool:
    return any(ast.unparse(decorator).startswith("impl") for decorator in one.decorator_list)


def _isort_key(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, as ruff sorts ``__all__`` and imports."""
    if name.isupper():
        return 0, name
    return (1 if name[0].isupper() else 2), name


def _listed(names: list[str]) -> list[str]:
    """``__all__`` on one line, or a name a line where it is longer."""
    line = "__all__ = [" + ", ".join(f'"{name}"' for name in names) + "]"
    if len(line) <= WIDTH:
        return [line]
    return ["__all__ = [", *(f'    "{name}",' for name in names), "]"]


def _imports(targets: Mapping[str, str]) -> Iterator[str]:
    """The import of each name from its module, a module a line."""
    by_module: dict[str, list[str]] = {}
    for name, target in targets.items():
        module, _, attribute = target.partition(":")
        imported = name if attribute == name else f"{attribute} as {name}"
        by_module.setdefault(module, []).append(imported)
    for module, names in sorted(by_module.items()):
        # Unlike in ``__all__``, ruff does not look at upper and lower case in imports.
        plain = [name for name in sorted(names, key=str.lower) if " as " not in name]
        plain.sort(key=lambda name: _isort_key(name)[0])
        if plain:
            yield from _import(module, plain)
        for renamed in sorted(name for name in names if " as " in name):
            yield from _import(module, [renamed])


def _import(module: str, names: list[str]) -> Iterator[str]:
    line = f"from {module} import {', '.join(names)}"
    if len(line) + 4 <= WIDTH:
        yield line
        return
    yield f"from {module} import ("
    yield from (f"    {name}," for name in names)
    yield ")"
