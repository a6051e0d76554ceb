"""The word list of docs/develop/style.md, and where the repository's texts disagree with it.

    python tools/language.py                    every hit, as file:line: word: text
    python tools/language.py plugins/rx kernel  those of some folders

Looked at are the strings of the code that are sentences (messages, help texts), the docstrings of
commands, the pages, the run files and the templates. Changelogs name old words, so they are not.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from source_tree import sources

ROOT = Path(__file__).parents[1]
STYLE = Path("docs/develop/style.md")
CODE = ("kernel/specloom", "registry/specloom_registry", "examples", "benchmarks")
PLUGIN_CODE = ("specloom_*", "benchmarks")
PAGES = ("*.md", "docs/**/*.md", "examples/**/*.md", "benchmarks/**/*.md", "plugins/**/*.md")
SETTINGS = (
    "plugins/*/*/nodes.json",
    "configs/**/*.yaml",
    "examples/**/*.yaml",
    "registry/index.yaml",
    ".github/**/*",
)
TEMPLATES = ("registry/specloom_registry/commands/plugin_template/*.in",)
HEADING = "| do not write | write |"
SENTENCE = re.compile(r"[A-Za-z]+[,:;]? +[A-Za-z{]|^ +[a-z]+|[a-z]+ +$")
FENCE = re.compile(r"^ *(```|~~~)")
CODE_SPAN = re.compile(r"`[^`]*`")
IGNORED = {".venv", "node_modules", "build", "dist", "runs"}


@dataclass(frozen=True)
class Text:
    """One line of text that a user reads."""

    file: Path
    line: int
    text: str


@dataclass(frozen=True)
class Hit:
    """A word that is not to be written, and where it stands."""

    text: Text
    word: str

    def __str__(self) -> str:
        place = f"{self.text.file.as_posix()}:{self.text.line}"
        return f"{place}: {self.word}: {excerpt(self.text.text, self.word)}"


def excerpt(text: str, word: str, around: int = 50) -> str:
    """A text from ``around`` characters before a word to as many after it."""
    at = max(text.lower().find(word), 0)
    return text[max(at - around, 0) : at + len(word) + around].strip()


def words(root: Path) -> list[str]:
    """The first column of the table in style.md.

    Raises:
        ValueError: There is no table.
    """
    lines = (root / STYLE).read_text("utf-8").splitlines()
    if HEADING not in lines:
        raise ValueError(f"{STYLE.as_posix()} has no table {HEADING!r}")
    found = []
    for line in lines[lines.index(HEADING) + 2 :]:
        if not line.startswith("|"):
            break
        found.append(line.split("|")[1].strip())
    return found


def pattern(banned: list[str]) -> re.Pattern[str]:
    """What finds any of the words; ``*`` stands for any ending."""
    forms = [re.escape(word).replace(r"\*", r"[a-z]*").replace(r"\ ", r"\s+") for word in banned]
    return re.compile(rf"(?<![\w.-])(?:{'|'.join(forms)})(?![\w-])", re.IGNORECASE)


def hits(root: Path, *folders: str, docstrings: bool = False) -> list[Hit]:
    """Where the texts of the repository, or of some folders, hold a word of the list."""
    banned = pattern(words(root))
    found = []
    for text in texts(root, docstrings=docstrings):
        if folders and not text.file.as_posix().startswith(folders):
            continue
        found += [Hit(text, word.lower()) for word in banned.findall(text.text)]
    return found


def texts(root: Path, *, docstrings: bool = False) -> Iterator[Text]:
    """Every line that a user reads; with ``docstrings`` also what an author reads."""
    for file in code_files(root):
        yield from strings(root, file, docstrings=docstrings)
    for file in _matching(root, PAGES):
        if file.name != "CHANGELOG.md":
            yield from prose(root, file)
    for file in _matching(root, (*SETTINGS, *TEMPLATES)):
        yield from _lines(root, file)


def code_files(root: Path) -> list[Path]:
    """The files of Python whose strings a user may read."""
    folders = [Path(name) for name in CODE]
    for wanted in PLUGIN_CODE:
        folders += [path.relative_to(root) for path in root.glob(f"plugins/*/{wanted}")]
    return sources(root, *folders)


def strings(root: Path, file: Path, *, docstrings: bool = False) -> Iterator[Text]:
    """The sentences among the strings of a file, and the docstrings of its commands."""
    tree = ast.parse(file.read_text("utf-8"))
    passed = set() if docstrings else set(_docstrings(tree))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or node in passed:
            continue
        if SENTENCE.search(node.value):
            for number, line in enumerate(node.value.splitlines()):
                yield Text(file.relative_to(root), node.lineno + number, line)


def _docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    """The docstrings of a module but for those that a command shows as its help."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and node.body and not _is_command(node):
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                yield first.value


def _is_command(node: ast.AST) -> bool:
    decorators = [ast.unparse(one) for one in getattr(node, "decorator_list", ())]
    return any(re.match(r"[\w.]+\.(command|group)\b", text) for text in decorators)


def prose(root: Path, file: Path) -> Iterator[Text]:
    """The lines of a page without code spans and blocks; without the word list itself."""
    inside = False
    for text in _lines(root, file):
        if FENCE.match(text.text):
            inside = not inside
        elif not inside and not (text.file == STYLE and text.text.startswith("|")):
            yield Text(text.file, text.line, CODE_SPAN.sub("`…`", text.text))


def _lines(root: Path, file: Path) -> Iterator[Text]:
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        yield Text(file.relative_to(root), number, line)


def _matching(root: Path, patterns: tuple[str, ...]) -> list[Path]:
    found = set[Path]()
    for wanted in patterns:
        found.update(path for path in root.glob(wanted) if path.is_file())
    return sorted(path for path in found if not IGNORED & set(path.relative_to(root).parts))


def main(arguments: list[str] | None = None) -> int:
    """Print every hit; 1 where there are some."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="*", help="Such as plugins/rx or docs.")
    parser.add_argument("--docstrings", action="store_true", help="Those of all code, too.")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    found = hits(chosen.root, *chosen.folders, docstrings=chosen.docstrings)
    for one in found:
        print(one)
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main())
