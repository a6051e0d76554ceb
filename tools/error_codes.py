"""The page of all codes of errors and warnings: what they say, why they are there, and the fix.

``python tools/error_codes.py`` writes docs/error-codes.md: messages and fixes are those of the
code, and tools/error_codes.toml says why. tests/test_error_codes.py holds the page up to date.
"""

from __future__ import annotations

import ast
import re
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from source_tree import sources

ROOT = Path(__file__).parents[1]
PAGE = Path("docs/error-codes.md")
REASONS = Path("tools/error_codes.toml")
PACKAGES = ("kernel/specloom", "registry/specloom_registry")
CODE = re.compile(r"([EW]-[A-Z]+(?:-[A-Z]+)*)(?: |$)")
UNKNOWN = "…"
#: Variables that hold a part of a sentence: their names say nothing to a reader.
SENTENCES = {
    *("change", "changes", "details", "line", "lines", "listed", "outcome", "place", "problem"),
    *("reason", "returncode", "stderr", "strerror", "text", "what"),
}
HEAD = """\
# Error codes

Every code of the registry's errors (`E-`) and warnings (`W-`), with its messages, where words in
capitals are names and values of yours. This page is generated: `python tools/error_codes.py`.
[Reading errors](reading-errors.md) explains the form of messages and the exit codes.
"""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Text = ast.Constant | ast.JoinedStr


@dataclass(frozen=True)
class Message:
    """One message of the code, and its fixes."""

    code: str
    text: str
    fixes: tuple[str, ...]


def messages(root: Path) -> list[Message]:
    """All messages that begin with a code, in the order of codes and of the source."""
    modules = [Module(file) for file in sources(root, *map(Path, PACKAGES))]
    constants: dict[str, str] = {}
    for module in modules:
        constants.update(module.constants)
    found: list[Message] = []
    for module in modules:
        module.constants = {**constants, **module.constants}
        found += module.messages()
    return sorted(_merged(found), key=lambda message: message.code)


def _merged(found: list[Message]) -> Iterator[Message]:
    """The messages, each text of a code once with all of its fixes."""
    fixes: dict[tuple[str, str], dict[str, None]] = {}
    for message in found:
        known = fixes.setdefault((message.code, message.text), {})
        known.update(dict.fromkeys(message.fixes))
    for (code, text), of_text in fixes.items():
        yield Message(code, text, tuple(of_text))


class Module:
    """The messages of one module."""

    def __init__(self, file: Path) -> None:
        self.tree = ast.parse(file.read_text("utf-8"))
        self.constants = dict(_constants(self.tree))
        self.parents: dict[ast.AST, ast.AST] = {}
        for node in ast.walk(self.tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node

    def messages(self) -> Iterator[Message]:
        """The messages of this module in the order of the source."""
        texts = [node for node in ast.walk(self.tree) if isinstance(node, Text)]
        for node in sorted(texts, key=lambda node: (node.lineno, node.col_offset)):
            yield from self._message(node)

    def _message(self, node: ast.expr) -> Iterator[Message]:
        match = CODE.match(_beginning(node))
        parent = self.parents[node]
        if match is None or isinstance(parent, ast.JoinedStr):
            return
        if isinstance(parent, ast.Tuple):  # of a table: the code, a noun and the fix
            _, noun, fix = parent.elts
            text = f"OWNER: 'PATH' is a {self.render(noun)}"
            yield Message(match[1], text, (self.render(fix),))
            return
        whole: ast.expr = node
        if isinstance(parent, ast.BinOp):
            whole = parent
        text = self.render(whole)[match.end() :]
        call = self.parents[parent]
        if isinstance(parent, ast.Attribute) and isinstance(call, ast.Call):  # such as rstrip
            whole = call
        if text:
            yield Message(match[1], text, tuple(dict.fromkeys(self._fixes(whole))))

    def _fixes(self, text: ast.expr) -> Iterator[str]:
        """The fixes of the errors that are made with a text, directly or by its variable."""
        function = self._function(text)
        parent = self.parents[text]
        if isinstance(parent, ast.Call):
            yield from self._fix_of(parent)
        elif isinstance(parent, ast.Assign) and function is not None:
            variable = ast.unparse(parent.targets[0])
            for call in _calls(function):
                is_of_variable = call.args and ast.unparse(call.args[0]) == variable
                if is_of_variable and text in self._assigned(variable, call, function):
                    yield from self._fix_of(call)

    def _fix_of(self, call: ast.Call) -> Iterator[str]:
        for keyword in call.keywords:
            if keyword.arg == "fix":
                for fix in self._values(keyword.value, call):
                    if not fix.isupper():  # the name of a variable that holds anything
                        yield fix

    def _values(self, value: ast.expr, call: ast.Call) -> Iterator[str]:
        """What an expression may be: the texts of a variable or of a parameter, else its own."""
        function = self._function(call)
        if not isinstance(value, ast.Name) or function is None or value.id.isupper():
            yield self.render(value)
            return
        assigned = self._assigned(value.id, call, function)
        for one in assigned:
            yield self.render(one)
        names = [one.arg for one in function.args.args]
        if not assigned and value.id in names:
            yield from self._arguments(function, names.index(value.id), value.id)

    def _assigned(self, name: str, call: ast.expr, function: Function) -> list[ast.expr]:
        """What a variable may hold at a call: its last assignment, and those of branches before."""
        around = set(self._ancestors(call))
        found: list[ast.expr] = []
        for statement in reversed(_assignments(function, name)):
            if statement.lineno > call.lineno:
                continue
            block = self.parents[statement]
            if block in around:
                return [statement.value, *found]
            if not isinstance(_last(block, statement), ast.Raise | ast.Return):
                found.insert(0, statement.value)
        return found

    def _ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        while node in self.parents:
            node = self.parents[node]
            yield node

    def _arguments(self, function: Function, position: int, name: str) -> Iterator[str]:
        """What the calls in this module pass for a parameter of a function."""
        is_method = function.args.args[0].arg == "self"
        for call in _calls(self.tree):
            if ast.unparse(call.func).rpartition(".")[2] != function.name:
                continue
            values = call.args[position - is_method :][:1]
            values += [keyword.value for keyword in call.keywords if keyword.arg == name]
            for value in values:
                yield from self._values(value, call)

    def _function(self, node: ast.AST) -> Function | None:
        """The function around a node."""
        for one in self._ancestors(node):
            if isinstance(one, Function):
                return one
        return None

    def render(self, node: ast.expr) -> str:
        """A text as a reader sees it, with the names of variables in capitals."""
        if isinstance(node, ast.Constant):
            return str(node.value)
        if isinstance(node, ast.JoinedStr):
            return "".join(self._part(part) for part in node.values)
        if isinstance(node, ast.BinOp):
            return self.render(node.left) + self.render(node.right)
        if isinstance(node, ast.IfExp):
            return f"{self.render(node.body)}, or: {self.render(node.orelse)}"
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("did_you_mean"):
            return self._did_you_mean(node)
        return self._placeholder(node)

    def _did_you_mean(self, call: ast.Call) -> str:
        otherwise = [self.render(one.value) for one in call.keywords if one.arg == "otherwise"]
        return ", or: ".join(["use one of the known names, the nearest is named", *otherwise])

    def _part(self, part: ast.expr) -> str:
        if not isinstance(part, ast.FormattedValue):
            return self.render(part)
        if isinstance(part.value, ast.Name) and part.value.id in SENTENCES:
            return self._sentence(part.value)
        text = self._placeholder(part.value)
        if part.conversion == ord("r") and text != UNKNOWN:
            return f"'{text}'"
        return text

    def _sentence(self, name: ast.Name) -> str:
        """The text that a variable holds, if it holds one only."""
        function = self._function(name)
        if function is None:
            return UNKNOWN
        assigned = self._assigned(name.id, name, function)
        if len(assigned) == 1 and isinstance(assigned[0], Text):
            return self.render(assigned[0])
        return UNKNOWN

    def _placeholder(self, node: ast.expr) -> str:
        """The name of a value in capitals, or the value of a constant."""
        name = _name(node)
        if name in self.constants and name.isupper():
            return self.constants[name]
        if len(name) < 2 or name in SENTENCES:
            return UNKNOWN
        return name.strip("_").replace("__", "").replace("_", " ").upper()


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The texts and numbers that a module calls by names in capitals."""
    for one in tree.body:
        if isinstance(one, ast.Assign) and isinstance(one.value, ast.Constant):
            yield ast.unparse(one.targets[0]), str(one.value.value)


def _calls(tree: ast.AST) -> list[ast.Call]:
    """The calls in the order of the source."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return sorted(calls, key=lambda call: (call.lineno, call.col_offset))


def _beginning(node: ast.expr) -> str:
    """The literal text with which a string begins."""
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return ""


def _name(node: ast.expr) -> str:
    """The name that says what an expression is; empty if none does."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript):
        if isinstance(node.slice, ast.Constant):
            return str(node.slice.value)
        return _name(node.value)
    if isinstance(node, ast.Call) and node.args and ast.unparse(node.func) != "getattr":
        is_map = ast.unparse(node.func) == "map"
        return _name(node.args[int(is_map)])
    return ""


def _assignments(function: Function, name: str) -> list[ast.Assign]:
    """The assignments to a variable in the order of the source."""
    found = [
        one
        for one in ast.walk(function)
        if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == name
    ]
    return sorted(found, key=lambda one: one.lineno)


def _last(block: ast.AST, statement: ast.stmt) -> ast.stmt:
    """The last statement of the part of a block that holds a statement."""
    for _, part in ast.iter_fields(block):
        if isinstance(part, list) and statement in part:
            last: ast.stmt = part[-1]
            return last
    return statement


def reasons(root: Path) -> dict[str, dict[str, str]]:
    """Why each code is there, and the fix of each warning."""
    return tomllib.loads((root / REASONS).read_text("utf-8"))


def page(root: Path) -> str:
    """The whole page."""
    by_code: dict[str, list[Message]] = {}
    for message in messages(root):
        by_code.setdefault(message.code, []).append(message)
    parts = [HEAD]
    about = reasons(root)
    for code, of_code in by_code.items():
        why = textwrap.fill(about[code]["why"], 100, break_long_words=False)
        parts += [f"\n## {code}\n\n", f"{why}\n\n"]
        parts += [f"- {line}\n" for message in of_code for line in _lines(message)]
        if "fix" in about[code]:
            parts.append(f"\nFix: {about[code]['fix']}\n")
    return "".join(parts)


def _lines(message: Message) -> Iterator[str]:
    text = _one_line(message.text)
    fixes = " or ".join(f"`{_one_line(fix)}`" for fix in message.fixes)
    if not fixes:
        yield f"`{text}`"
        return
    yield f"`{text}`\n  fix: {fixes}"


def _one_line(text: str) -> str:
    return re.sub(r"(?:… ?){2,}", "… ", " ".join(text.split())).strip().replace("`", "'")


def main() -> None:
    """Write the page."""
    (ROOT / PAGE).write_text(page(ROOT), "utf-8")


if __name__ == "__main__":
    main()
