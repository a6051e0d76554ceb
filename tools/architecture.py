"""The rules of the house, each a function from the repository's root to what breaks it.

tests/test_architecture.py holds the repository to them, tests/test_rules_break.py breaks each of
them on purpose. The rule on names and versions is in packages.py.
"""

from __future__ import annotations

import ast
import io
import os
import re
import subprocess
import sys
import tempfile
import tokenize
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

from source_tree import TYPED, Import, imports, plugin_packages, sources

KERNEL, REGISTRY = Path("kernel/specloom"), Path("registry/specloom_registry")
PUBLIC = ("specloom.torch", "specloom.testing", "specloom.lazy")
ARRAYS = ("arrays", "torch.py", "testing.py", "testing")  # the kernel's parts that may use arrays
HEAVY = {"torch", "numpy", "scipy", "safetensors.torch", "safetensors.numpy"}
EVERYWHERE = ("kernel", "registry", "plugins", "tests", "tools", "examples", "benchmarks")
COMMANDS = {"run", "check", "nodes", "schema"}
SLOW = frozenset({"torch", "numpy", "scipy", "pydantic", "rich"})
HELP = ("--help", ("-m", "specloom", "--help"), SLOW | {"yaml"})
IMPORTS = ("-c", "import specloom, specloom.cli, specloom_registry")
LIGHT = (HELP, HELP, ("import", IMPORTS, SLOW))
CONTRACT = (
    "errors",
    "ports",
    "nodes",
    "abilities",
    "sources",
    "fleet",
    "tickets",
    "runtime",
    "views",
    "phases",
    "hooks",
)
"""The modules of the kernel's contract, each of which imports only those before it."""

LIBRARIES = {"click", "packaging", "safetensors"}  # that the registry may import
MOST_SUPPRESSIONS = 3
KERNEL_ROOMS = (
    "contract",
    "threads",
    "pool",
    "completion",
    "lazy",
    "logs",
    "plugins",
    "runfile",
    "graph",
    "assembly",
    "execution",
    "arrays",
    "pipeline",
    "torch",
    "__init__",
    "testing",
    "cli",
    "light_names",
    "light",
    "__main__",
)
REGISTRY_ROOMS = (
    "base",
    "store",
    "model",
    "fetch",
    "packages",
    "importing",
    "project",
    "provenance",
    "catalogue",
    "__init__",
    "commands",
)
SUPPRESSION = re.compile(
    r"(type:\s*ignore|(?:ruff:\s*)?noqa|^#\s*(?:mypy|pyright):)"
    r"(\[[\w, -]+\]|:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)?"
)


def kernel_imports(root: Path) -> Iterator[str]:
    """Rule 1: no plugin and no registry; no arrays but in ``torch.py`` and ``testing``."""
    for file in sources(root, KERNEL):
        arrays = file.relative_to(root / KERNEL).parts[0] in ARRAYS
        for one in imports(root, file):
            if one.top.startswith("specloom_"):
                yield f"{one.place}: the kernel imports {one.top}"
            elif not arrays and one.reaches(*HEAVY):
                yield f"{one.place}: the kernel imports {one.full}"
            elif not arrays and one.reaches("specloom.torch", "specloom.testing"):
                yield f"{one.place}: only plugins import {one.full}"


def registry_imports(root: Path) -> Iterator[str]:
    """Rule 2: the standard library, the kernel, LIBRARIES; git in ``fetch/git.py`` alone."""
    allowed = {"specloom", "specloom_registry", *LIBRARIES, *sys.stdlib_module_names}
    for file in sources(root, REGISTRY):
        for one in imports(root, file):
            git = one.top == "git" and file == root / REGISTRY / "fetch/git.py"
            # What describes a plugin is shared with the conformance kit.
            shared = one.reaches("specloom.testing.describing", "specloom.testing.exporting")
            arrays = one.reaches("specloom.torch", "specloom.testing") and not shared
            if (one.top not in allowed and not git) or arrays:
                yield f"{one.place}: the registry imports {one.full}"


def plugin_imports(root: Path) -> Iterator[str]:
    """Rule 3: the kernel's public names, itself, and what the plugin declares.

    Of another plugin only the names in ``__all__`` of its package.
    """
    public = {"specloom": _public_names(root / KERNEL)}
    plugins = plugin_packages(root)
    public |= {package.name: _public_names(root / package) for _, package in plugins}
    distributions = packages_distributions()
    for folder, package in plugins:
        declared = _declared(root / folder)
        for file in sources(root, package):
            for one in imports(root, file):
                if one.reaches(*PUBLIC) or one.top == package.name:
                    continue
                if one.top in public:
                    allowed = one.module == one.top and one.name in {"", *public[one.top]}
                    allowed &= one.top == "specloom" or bool(_names(one.top) & declared)
                else:
                    names = _names(one.top, *distributions.get(one.top, ()))
                    allowed = one.top in sys.stdlib_module_names or bool(names & declared)
                if not allowed:
                    yield f"{one.place}: plugin {folder.name!r} may not import {one.full}"


def _public_names(package: Path) -> set[str]:
    """The names in ``__all__`` of a package; none where it has no such list."""
    for node in ast.parse((package / "__init__.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def _declared(folder: Path) -> set[str]:
    """The distributions that a plugin depends on, optional ones included."""
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    optional = project.get("optional-dependencies", {}).values()
    return _names(*project.get("dependencies", []), *chain.from_iterable(optional))


def _names(*requirements: str) -> set[str]:
    """Names of distributions, normalised, from requirements such as ``Pillow>=10``."""
    parts = (re.match(r"[\w.-]+", requirement) for requirement in requirements)
    return {re.sub(r"[-_.]+", "-", part.group()).lower() for part in parts if part}


def loading(root: Path) -> Iterator[str]:
    """Rule 4: importing the kernel loads nothing heavy, and ``--help`` even less."""
    folders = os.pathsep.join(str(root / package.parent) for package in (KERNEL, REGISTRY))
    with tempfile.TemporaryDirectory() as cache:  # the first --help asks plugins, the next do not
        environment = os.environ | {"PYTHONPATH": folders, "XDG_CACHE_HOME": cache}
        for what, arguments, forbidden in LIGHT:
            made = subprocess.run(
                [sys.executable, "-X", "importtime", *arguments],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            lines = [x for x in made.stderr.splitlines() if x.startswith("import time:")]
            tops = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
            for top in sorted(tops):
                if top in forbidden or ("yaml" in forbidden and top.startswith("specloom_")):
                    yield f"{what} loads {top}"


def commands(root: Path) -> Iterator[str]:
    """Rule 9: four commands of the kernel's own; every other command is a plugin's."""
    for node in ast.walk(ast.parse((root / KERNEL / "cli.py").read_text("utf-8"))):
        decorators = map(ast.unparse, getattr(node, "decorator_list", ()))
        if any(text.startswith("cli.command(") for text in decorators):
            name = str(getattr(node, "name", ""))
            if name not in COMMANDS:
                yield f"the kernel has a command {name!r}: offer it in a plugin's register_commands"


def circles(root: Path) -> Iterator[str]:
    """Rule 5: no circle among a distribution's modules.

    Imports in functions and for type checkers count as well. An ``__init__`` that imports its own
    modules for type checkers re-exports them: this is no circle.
    """
    for package in (KERNEL, REGISTRY, *(package for _, package in plugin_packages(root))):
        uses = {name: {to for to, _ in found} for name, found in _uses(root, package)}
        try:
            TopologicalSorter(uses).prepare()
        except CycleError as e:
            yield f"modules import each other: {' <- '.join(e.args[1])}"


def rooms(root: Path) -> Iterator[str]:
    """Rule 5: a room of the kernel or the registry imports only itself and the rooms before it.

    A room is a folder, or in the kernel also a module that stands in none. The modules of the
    kernel's contract have an order of their own.
    """
    yield from _rooms_in_order(root, KERNEL, KERNEL_ROOMS)
    yield from _rooms_in_order(root, REGISTRY, REGISTRY_ROOMS)
    yield from _contract_in_order(root)


def _rooms_in_order(root: Path, package: Path, order: tuple[str, ...]) -> Iterator[str]:
    """What stands in no room, and what imports a room after its own."""
    for name in sorted(_rooms(root, package) - set(order)):
        yield f"{package.as_posix()}/{name} is no room: name it in tools/architecture.py"
    for file in sources(root, package):
        room = _room(file.relative_to(root / package))
        if room not in order:
            continue
        for one in imports(root, file):
            target = _imported_room(one, package, order)
            if target is not None and order.index(target) > order.index(room):
                yield f"{one.place}: {room} imports {one.full}, a room after it"


def _rooms(root: Path, package: Path) -> set[str]:
    """The folders and modules that stand directly in a package."""
    return {_room(file.relative_to(root / package)) for file in sources(root, package)}


def _room(path: Path) -> str:
    """The room of a file, by its path in its package."""
    return path.parts[0].removesuffix(".py")


def _imported_room(one: Import, package: Path, order: tuple[str, ...]) -> str | None:
    """The room of the package that an import leads to; None for an import of something else."""
    top, *inside = one.full.split(".")
    if top != package.name:
        return None
    if inside and inside[0] in order:
        return inside[0]
    return "__init__"


def _contract_in_order(root: Path) -> Iterator[str]:
    """Imports among the modules of the contract that are against their order."""
    for number, name in enumerate(CONTRACT):
        file = root / KERNEL / "contract" / f"{name}.py"
        for one in imports(root, file):
            if one.reaches(*(f"specloom.contract.{after}" for after in CONTRACT[number + 1 :])):
                yield f"{one.place}: contract/{name}.py imports {one.full}, which stands after it"


def _uses(root: Path, package: Path) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The modules of a package that each of its modules imports, and when."""
    base = (root / package).parent
    files = {_module(file.relative_to(base)): file for file in sources(root, package)}
    for name, file in files.items():
        found = []
        for one in imports(root, file):
            to = next((module for module in (one.full, one.module) if module in files), None)
            re_exported = one.when == TYPED and file.name == "__init__.py"
            if to is not None and to != name and not re_exported:
                found.append((to, one.when))
        yield name, found


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def suppressions(root: Path) -> Iterator[str]:
    """Rule 7: few suppressions, each of one kind and with its reason."""
    files = sources(root, *map(Path, EVERYWHERE))
    lines = count = 0
    for file in files:
        text = file.read_text("utf-8")
        lines += len(text.splitlines())
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            marks = SUPPRESSION.findall(token.string) if token.type == tokenize.COMMENT else []
            if not marks:
                continue
            count += len(marks)
            place = f"{file.relative_to(root).as_posix()}:{token.start[0]}"
            if not all(code for _, code in marks):
                yield f"{place}: a suppression without a code: {token.string}"
            elif len(re.findall(r"\w+", SUPPRESSION.sub("", token.string))) < 2:
                yield f"{place}: a suppression without a reason: {token.string}"
    if count * 1000 > MOST_SUPPRESSIONS * lines:
        yield f"{count} suppressions in {lines} lines, at most {MOST_SUPPRESSIONS} per thousand"
