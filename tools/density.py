"""How densely code is written: tokens a line of code, and constructs per 1,000 lines of code.

    python tools/density.py kernel/specloom registry/specloom_registry --packages pluggy click

Comments, docstrings and blank lines are no code. A tuple assignment binds several names to as many
expressions in one statement: ``a, b = x, y``.
"""

from __future__ import annotations

import argparse
import ast
import io
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

LAYOUT = {
    tokenize.COMMENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.NEWLINE,
    tokenize.NL,
}
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
PEERS = ("pluggy", "click", "hatchling")
HEADINGS = (
    "code",
    "files",
    "lines of code",
    "tokens/line",
    "walruses",
    "conditional expressions",
    "tuple assignments",
    "comprehensions",
)


@dataclass
class Density:
    """Counts over some files of Python."""

    files: int = 0
    lines: int = 0
    tokens: int = 0
    walruses: int = 0
    conditionals: int = 0
    tuple_assignments: int = 0
    comprehensions: int = 0

    def add(self, text: str) -> None:
        """Count one file.

        Raises:
            SyntaxError: The text is not Python.
        """
        tree = ast.parse(text)
        self.files += 1
        self._count_tokens(text, docstring_lines(tree))
        for node in ast.walk(tree):
            self.walruses += isinstance(node, ast.NamedExpr)
            self.conditionals += isinstance(node, ast.IfExp)
            self.tuple_assignments += is_tuple_assignment(node)
            self.comprehensions += isinstance(node, COMPREHENSIONS)

    def _count_tokens(self, text: str, docstrings: set[int]) -> None:
        lines = set[int]()
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in LAYOUT or token.start[0] in docstrings:
                continue
            self.tokens += 1
            lines.update(range(token.start[0], token.end[0] + 1))
        self.lines += len(lines)

    def row(self, name: str) -> list[str]:
        """The cells of the table."""
        thousands = max(self.lines, 1) / 1000
        counts = (self.walruses, self.conditionals, self.tuple_assignments, self.comprehensions)
        rates = [f"{count / thousands:.0f}" for count in counts]
        density = f"{self.tokens / max(self.lines, 1):.1f}"
        return [name, str(self.files), str(self.lines), density, *rates]


def docstring_lines(tree: ast.AST) -> set[int]:
    """The numbers of the lines that docstrings take."""
    found = set[int]()
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            found.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return found


def is_tuple_assignment(node: ast.AST) -> bool:
    """Whether a statement binds several names to as many expressions."""
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Tuple):
        return False
    return any(isinstance(target, ast.Tuple) for target in node.targets)


def measure(files: Iterable[Path]) -> Density:
    """Count files of Python."""
    found = Density()
    for file in files:
        found.add(file.read_text("utf-8"))
    return found


def python_files(folder: Path) -> Iterator[Path]:
    """The files of Python in a folder, or the file itself; tests, templates and caches excluded.

    Raises:
        FileNotFoundError: There is nothing at ``folder``.
    """
    if not folder.exists():
        raise FileNotFoundError(folder)
    if folder.is_file():
        yield folder
        return
    for file in sorted(folder.rglob("*.py")):
        parts = file.relative_to(folder).parts
        if not {"tests", "__pycache__", "_vendor", "build"} & set(parts):
            yield file


def package_folder(name: str) -> Path | None:
    """The folder of an installed package; None where it is not installed."""
    found = find_spec(name)
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0])


def table(rows: Iterable[list[str]]) -> str:
    """Rows below the headings, as Markdown."""
    lines = [list(HEADINGS), ["---"] + ["---:"] * (len(HEADINGS) - 1), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, help="Folders or files to measure.")
    parser.add_argument(
        "--packages",
        nargs="*",
        default=PEERS,
        metavar="NAME",
        help=f"Installed packages to compare with [default: {' '.join(PEERS)}].",
    )
    chosen = parser.parse_args(arguments)
    rows = []
    for folder in chosen.folders:
        if not folder.exists():
            parser.error(f"there is no {folder}")
        rows.append(measure(python_files(folder)).row(folder.as_posix()))
    for name in chosen.packages:
        package = package_folder(name)
        if package is None:
            rows.append([f"{name} (not installed)", *[""] * (len(HEADINGS) - 1)])
        else:
            rows.append(measure(python_files(package)).row(name))
    print(table(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
