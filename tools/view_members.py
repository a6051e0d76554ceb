"""Plugins use no attribute of Run, Graph and Pipeline but those of their views in the contract.

What a name stands for follows from annotations, from constructors and from assignments between
names; what is ``Any`` is not seen.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from source_tree import plugin_packages, sources

VIEWS = Path("kernel/specloom/contract/views.py")
KINDS = ("Run", "Graph", "Pipeline")
#: What calls return: ``load(...)`` is a run, ``pipeline.graph()`` a graph.
RESULTS = {"Run": "Run", "load": "Run", "Graph": "Graph", "Pipeline": "Pipeline"}
METHODS = {("Pipeline", "graph"): "Graph"}
#: What attributes of the views are.
ATTRIBUTES = {("Run", "graph"): "Graph"}
Functions = (ast.FunctionDef, ast.AsyncFunctionDef)


def view_members(root: Path) -> Iterator[str]:
    """Attributes of runs, graphs and pipelines that plugins use, and that are in no view."""
    views = listed_members(root)
    for _, package in plugin_packages(root):
        trees = {}
        for file in sources(root, package):
            trees[file.relative_to(root).as_posix()] = ast.parse(file.read_text("utf-8"))
        members = _annotated_members(trees.values())
        for place, tree in trees.items():
            for line, kind, name in _used(tree, members):
                if name not in views[kind]:
                    yield f"{place}:{line}: {kind}.{name} is not in {kind}View, {VIEWS.as_posix()}"


def listed_members(root: Path) -> dict[str, set[str]]:
    """The attributes in the view of each kind."""
    found = {}
    for one in ast.parse((root / VIEWS).read_text("utf-8")).body:
        if isinstance(one, ast.ClassDef):
            found[one.name.removesuffix("View")] = set(_declared(one))
    return {kind: found[kind] for kind in KINDS}


def _declared(view: ast.ClassDef) -> Iterator[str]:
    for one in view.body:
        if isinstance(one, ast.FunctionDef):
            yield one.name
        elif isinstance(one, ast.AnnAssign):
            yield ast.unparse(one.target)


def _annotated_members(trees: Iterable[ast.Module]) -> dict[str, str]:
    """The kind of each attribute that a class of the package annotates or assigns."""
    members: dict[str, str] = {}
    for tree in trees:
        for one in ast.walk(tree):
            if isinstance(one, ast.ClassDef):
                members |= _class_members(one)
    return members


def _class_members(cls: ast.ClassDef) -> dict[str, str]:
    found = {}
    for one in cls.body:
        if isinstance(one, ast.AnnAssign):
            found[ast.unparse(one.target)] = _kind_of_annotation(one.annotation)
        if isinstance(one, Functions):
            found |= _assigned_members(one)
    return {name: kind for name, kind in found.items() if kind}


def _assigned_members(function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, str]:
    """Attributes of ``self`` that a method sets."""
    found = {}
    names = _annotated_names(function)
    for one in ast.walk(function):
        target: ast.expr
        if isinstance(one, ast.AnnAssign):
            target = one.target
            kind = _kind_of_annotation(one.annotation)
        elif isinstance(one, ast.Assign):
            target = one.targets[0]
            kind = _kind(one.value, names, {})
        else:
            continue
        if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
            found[target.attr] = kind
    return found


def _used(tree: ast.Module, members: Mapping[str, str]) -> Iterator[tuple[int, str, str]]:
    """The line, kind and name of every attribute of a run, graph or pipeline."""
    for node, names in _with_names(tree, _imported_results(tree), members):
        if isinstance(node, ast.Attribute):
            kind = _kind(node.value, names, members)
            if kind:
                yield node.lineno, kind, node.attr


def _with_names(
    node: ast.AST, names: Mapping[str, str], members: Mapping[str, str]
) -> Iterator[tuple[ast.AST, Mapping[str, str]]]:
    """Every node with the kinds of the names that are known there."""
    if isinstance(node, Functions):
        names = {**names, **_annotated_names(node)}
        names |= _assigned_names(node, names, members)
    yield node, names
    for child in ast.iter_child_nodes(node):
        yield from _with_names(child, names, members)


def _annotated_names(function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, str]:
    """The kinds of arguments; empty for one that is something else."""
    arguments = function.args
    found = {}
    for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        found[one.arg] = _kind_of_annotation(one.annotation)
    return found


def _assigned_names(
    function: ast.AST, names: Mapping[str, str], members: Mapping[str, str]
) -> dict[str, str]:
    """The kinds of names that a function assigns, in the order of its lines."""
    found = dict(names)
    for one in ast.walk(function):
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name):
            kind = _kind(one.value, found, members)
            if kind:
                found[one.targets[0].id] = kind
    return found


def _kind(value: ast.expr, names: Mapping[str, str], members: Mapping[str, str]) -> str:
    """The kind of an expression; empty for anything else."""
    if isinstance(value, ast.Name):
        return names.get(value.id, "")
    if isinstance(value, ast.Attribute):
        owner = _kind(value.value, names, members)
        if owner:
            return ATTRIBUTES.get((owner, value.attr), "")
        return members.get(value.attr, "")
    if isinstance(value, ast.Call):
        return _kind_of_call(value, names, members)
    return ""


def _kind_of_call(call: ast.Call, names: Mapping[str, str], members: Mapping[str, str]) -> str:
    if isinstance(call.func, ast.Name):
        return names.get(f"{call.func.id}()", "")
    if ast.unparse(call.func) == "Pipeline.load":
        return "Pipeline"
    if isinstance(call.func, ast.Attribute):
        owner = _kind(call.func.value, names, members)
        return METHODS.get((owner, call.func.attr), "")
    return ""


def _kind_of_annotation(annotation: ast.expr | None) -> str:
    """``Run`` for ``Run``, ``RunView``, ``Run | None`` and the same in quotes, else nothing."""
    if annotation is None:
        return ""
    parts = [part.strip() for part in ast.unparse(annotation).strip("'\"").split("|")]
    names = {part.removesuffix("View") for part in parts if part != "None"}
    if len(names) == 1 and names <= set(KINDS):
        return names.pop()
    return ""


def _imported_results(tree: ast.Module) -> dict[str, str]:
    """What the calls return that the file can make of names that it imports from the kernel."""
    found = {}
    for one in ast.walk(tree):
        if isinstance(one, ast.ImportFrom) and one.module == "specloom":
            for alias in one.names:
                if alias.name in RESULTS:
                    found[f"{alias.asname or alias.name}()"] = RESULTS[alias.name]
    return found
