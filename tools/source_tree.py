"""What the Python files of the repository import."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

LOADED, CALLED, TYPED = "loaded", "called", "typed"


@dataclass(frozen=True)
class Import:
    """One imported name: ``module`` as written, ``full`` with the name taken from it."""

    place: str
    module: str
    name: str
    when: str  # the module is loaded, a function is called, or types are checked

    @property
    def full(self) -> str:
        """The dotted path of what is imported; it may be a module or something in one."""
        return f"{self.module}.{self.name}" if self.name else self.module

    @property
    def top(self) -> str:
        """The top-level module."""
        return self.module.partition(".")[0]

    def reaches(self, *modules: str) -> bool:
        """Whether one of ``modules``, or something within it, is imported."""
        return any(f"{self.full}.".startswith(f"{module}.") for module in modules)


def sources(root: Path, *folders: Path) -> list[Path]:
    """The Python files of folders, in order."""
    return sorted(
        file
        for folder in folders
        for file in (root / folder).rglob("*.py")
        if not {"__pycache__", ".venv", "build"} & set(file.relative_to(root).parts)
    )


def plugin_packages(root: Path) -> list[tuple[Path, Path]]:
    """Each plugin's folder and package, relative to ``root``."""
    folders = sorted(
        file.parent.relative_to(root) for file in root.glob("plugins/*/pyproject.toml")
    )
    return [(folder, folder / f"specloom_{folder.name.replace('-', '_')}") for folder in folders]


def imports(root: Path, file: Path) -> list[Import]:
    """Everything that a file imports, also late, conditionally, or by ``import_module("name")``."""
    return _imports(file.relative_to(root), file.read_text("utf-8"))


@cache
def _imports(file: Path, text: str) -> list[Import]:
    found: list[Import] = []
    package = list(file.parts[:-1])

    def visit(node: ast.AST, when: str) -> None:
        place = f"{file.as_posix()}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            found.extend(Import(place, alias.name, "", when) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            start = next((i for i, part in enumerate(above) if part.startswith("specloom")), 0)
            module = ".".join([*above[start:], *([node.module] if node.module else [])])
            found.extend(Import(place, module, alias.name, when) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func).rpartition(".")[2]
            if called in ("import_module", "__import__"):
                found.append(Import(place, str(node.args[0].value), "", when))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and when == LOADED:
            when = CALLED
        typed = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for child in ast.iter_child_nodes(node):
            visit(child, TYPED if typed and child not in getattr(node, "orelse", []) else when)

    visit(ast.parse(text), LOADED)
    return found
