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
    modules = _modules(ast.parse(text))
    targets = {name: target for name, target in offered.items() if ":" in target}
    for name, module in modules.items():
        targets[name] = f"{module}:{name}"
    eager = _eager(ast.parse(before + after), prefix)
    names = sorted({*targets, *eager}, key=_isort_key)
    lines = [start, *_listed(names)]
    if targets:
        lines.append("")
        lines += _lazy_imports(targets, has_modules=bool(modules))
    lines.append(END)
    return before + "\n".join(lines) + after


def _modules(tree: ast.Module) -> dict[str, str]:
    """``MODULES``, the module of each public name that no hook offers."""
    for one in tree.body:
        if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "MODULES":
            found: dict[str, str] = ast.literal_eval(one.value)
            return found
    return {}


def _eager(tree: ast.Module, prefix: str) -> Iterator[str]:
    """Public names that the file itself defines, or imports from its own package when loaded."""
    package = f"specloom_{prefix.replace('-', '_')}"
    for one in tree.body:
        for name in _defined(one, package):
            if name not in INTERNAL and not name.startswith("_"):
                yield name


def _defined(one: ast.stmt, package: str) -> list[str]:
    """The names that a statement defines, or imports from the package."""
    if isinstance(one, ast.Assign):
        return [target.id for target in one.targets if isinstance(target, ast.Name)]
    if isinstance(one, ast.FunctionDef | ast.ClassDef):
        if _is_hook(one):
            return []
        return [one.name]
    if isinstance(one, ast.ImportFrom):
        top = (one.module or "").partition(".")[0]
        if top == package:
            return [alias.asname or alias.name for alias in one.names]
    return []


def _is_hook(one: ast.FunctionDef | ast.ClassDef) -> bool:
    return any(ast.unparse(decorator).startswith("impl") for decorator in one.decorator_list)


def _isort_key(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, as ruff sorts ``__all__`` and imports."""
    if name.isupper():
        return 0, name
    if name[0].isupper():
        return 1, name
    return 2, name


def _listed(names: list[str]) -> list[str]:
    """``__all__`` on one line, or a name a line where it is longer."""
    quoted = [f'"{name}"' for name in names]
    line = f"__all__ = [{', '.join(quoted)}]"
    if len(line) <= WIDTH:
        return [line]
    rows = [f"    {name}," for name in quoted]
    return ["__all__ = [", *rows, "]"]


def _lazy_imports(targets: Mapping[str, str], *, has_modules: bool) -> list[str]:
    """Imports for type checkers, and ``__getattr__`` for all others."""
    lines = ["if TYPE_CHECKING:"]
    lines += [f"    {line}" for line in _imports(targets)]
    lines.append("else:")
    if has_modules:
        lines.append("    __getattr__ = lazy(__name__, **MODULES)")
    else:
        lines.append("    __getattr__ = lazy(__name__)")
    return lines


def _imports(targets: Mapping[str, str]) -> Iterator[str]:
    """The import of each name from its module, a module a line."""
    by_module: dict[str, list[str]] = {}
    for name, target in targets.items():
        module, _, attribute = target.partition(":")
        imported = name
        if attribute != name:
            imported = f"{attribute} as {name}"
        by_module.setdefault(module, []).append(imported)
    for module in sorted(by_module):
        plain = []
        renamed = []
        for name in sorted(by_module[module]):
            if " as " in name:
                renamed.append(name)
            else:
                plain.append(name)
        # Unlike in ``__all__``, ruff does not look at upper and lower case in imports.
        plain.sort(key=str.lower)
        plain.sort(key=lambda name: _isort_key(name)[0])
        if plain:
            yield from _import(module, plain)
        for name in renamed:
            yield from _import(module, [name])


def _import(module: str, names: list[str]) -> Iterator[str]:
    line = f"from {module} import {', '.join(names)}"
    if len(line) + 4 <= WIDTH:
        yield line
        return
    yield f"from {module} import ("
    for name in names:
        yield f"    {name},"
    yield ")"
