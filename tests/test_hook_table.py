"""The table of hooks in plugins/README.md is what hooks.py says."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def rows():
    tree = ast.parse((ROOT / "kernel/specloom/contract/hooks.py").read_text("utf-8"))
    for one in tree.body:
        if isinstance(one, ast.FunctionDef):
            signature = f"{one.name}({ast.unparse(one.args)}) -> {ast.unparse(one.returns)}"
            cells = (f"`{signature}`", " ".join(ast.get_docstring(one).split()))
            yield "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def test_every_hook_stands_in_the_table_with_its_signature():
    text = (ROOT / "plugins/README.md").read_text("utf-8")
    table = re.search(r"<!-- hooks -->\n(.*)\n<!-- /hooks -->", text, re.DOTALL)[1]
    assert table.splitlines() == ["| hook | what it is for |", "|---|---|", *rows()]
