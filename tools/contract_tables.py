"""The tables of plugins/README.md that are made from the contract: hooks, and members by name.

``python tools/contract_tables.py`` writes them; tests/test_hook_table.py holds them up to date.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONTRACT = Path("kernel/specloom/contract")
PAGE = Path("plugins/README.md")
#: The modules of which the Protocols have members that are looked up by name.
MODULES = ("nodes", "abilities", "sources", "tickets", "phases")


def hook_rows(root: Path) -> Iterator[str]:
    """The hooks, each with its signature and its sentence."""
    yield row("hook", "what it is for")
    yield "|---|---|"
    for one in _tree(root, "hooks").body:
        if isinstance(one, ast.FunctionDef):
            assert one.returns is not None
            signature = f"`{one.name}({ast.unparse(one.args)}) -> {ast.unparse(one.returns)}`"
            yield row(signature, _sentence(one))


def member_rows(root: Path) -> Iterator[str]:
    """The members of every Protocol, each with its type or signature and its sentence."""
    yield row("Protocol", "member", "what it is")
    yield "|---|---|---|"
    for module in MODULES:
        for protocol in protocols(root, module):
            yield row(f"`{protocol.name}`", "", _sentence(protocol))
            for member, text in members(protocol):
                yield row("", f"`{member}`", text)


def protocols(root: Path, module: str) -> list[ast.ClassDef]:
    """The Protocols of one module of the contract."""
    classes = [one for one in _tree(root, module).body if isinstance(one, ast.ClassDef)]
    return [one for one in classes if any("Protocol" in ast.unparse(b) for b in one.bases)]


def members(protocol: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """The attributes and methods of a Protocol, as written, with their sentences."""
    for one, following in zip(protocol.body, [*protocol.body[1:], None], strict=True):
        if isinstance(one, ast.FunctionDef):
            yield _signature(one), _sentence(one)
        elif isinstance(one, ast.AnnAssign):
            text = ""
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                text = str(following.value.value)
            yield f"{ast.unparse(one.target)}: {ast.unparse(one.annotation)}", text


def member_names(root: Path) -> set[str]:
    """The names of all members of the Protocols in the contract."""
    files = sorted((root / CONTRACT).glob("*.py"))
    found = set()
    for protocol in (one for file in files for one in protocols(root, file.stem)):
        for one in protocol.body:
            if isinstance(one, ast.FunctionDef):
                found.add(one.name)
            elif isinstance(one, ast.AnnAssign):
                found.add(ast.unparse(one.target))
    return found


def hook_names(root: Path) -> set[str]:
    """The names of all hooks."""
    return {one.name for one in _tree(root, "hooks").body if isinstance(one, ast.FunctionDef)}


def row(*cells: str) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def updated(text: str, root: Path) -> str:
    """The page with both tables as the contract has them."""
    for name, rows in (("hooks", hook_rows(root)), ("members", member_rows(root))):
        before, start, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        text = "".join([before, start, *(f"{one}\n" for one in rows), end, after])
    return text


def _tree(root: Path, module: str) -> ast.Module:
    return ast.parse((root / CONTRACT / f"{module}.py").read_text("utf-8"))


def _signature(method: ast.FunctionDef) -> str:
    """A method without ``self``, or a property as an attribute."""
    assert method.returns is not None
    if any(ast.unparse(one) == "property" for one in method.decorator_list):
        return f"{method.name}: {ast.unparse(method.returns)}"
    arguments = re.sub(r"^(self|cls)(, |$)", "", ast.unparse(method.args))
    return f"{method.name}({arguments}) -> {ast.unparse(method.returns)}"


def _sentence(documented: ast.FunctionDef | ast.ClassDef) -> str:
    return " ".join((ast.get_docstring(documented) or "").split())


if __name__ == "__main__":
    page = ROOT / PAGE
    page.write_text(updated(page.read_text("utf-8"), ROOT), "utf-8")
