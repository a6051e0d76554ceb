"""Rule 8: a member that is looked up by name stands in a Protocol of the contract."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from contract_tables import hook_names, member_names
from source_tree import plugin_packages, sources

KERNEL = Path("kernel/specloom")
#: Members of others than nodes, sources and phases, each with the reason why it may be missing.
OTHERS = {
    "CSafeLoader": "PyYAML: only where it has libyaml",
    "__origin__": "typing: only of generic types",
    "_parameter_constraints": "scikit-learn: not of estimators of others",
    "anchor": "PyYAML: not of every event",
    "callspec": "pytest: only of parametrised tests",
    "cpu": "torch: only of tensors, of NumPy arrays not",
    "decision_function": "scikit-learn: not of every estimator",
    "detach": "torch: only of tensors, of NumPy arrays not",
    "dtype": "NumPy and torch: only of arrays",
    "errors": "specloom.Problems: only of several errors",
    "fit": "entry points of estimators: not of every class",
    "fix": "specloom.SpecloomError: not of other exceptions",
    "get_params": "entry points of estimators: not of every class",
    "interval": "Lightning's scheduler settings: not of every scheduler",
    "item": "NumPy and torch: only of arrays",
    "line": "PyYAML: not every error has a mark",
    "monitor": "Lightning's scheduler settings: not of every scheduler",
    "n_features_in_": "scikit-learn: not of estimators of others",
    "named_parameters": "torch: only of modules",
    "nbytes": "NumPy and torch: only of arrays",
    "params": "pytest: only of parametrised tests",
    "posix_fallocate": "os: not on every system",
    "scaler": "Lightning: only of mixed precision",
    "clear_controlling_thread": "threadpoolctl: for OpenBLAS, from 3.7 on",
    "register_at_fork": "os: not on every system",
    "sched_getaffinity": "os: not on every system",
    "score_samples": "scikit-learn: not of every estimator",
    "shape": "NumPy and torch: only of arrays",
    "strerror": "OSError: not of other exceptions",
    "tag": "PyYAML: not of every event",
    "value": "PyYAML: not of every event",
    "wasxfail": "pytest: only of expected failures",
    "what": "specloom.SpecloomError: not of other exceptions",
}


def looked_up_members(root: Path) -> Iterator[str]:
    """``getattr`` and ``hasattr`` with a literal name that stands in no Protocol."""
    known = member_names(root) | hook_names(root) | OTHERS.keys()
    packages = [KERNEL, *(package for _, package in plugin_packages(root))]
    for file in sources(root, *packages):
        place = file.relative_to(root).as_posix()
        for line, name in _looked_up(ast.parse(file.read_text("utf-8"))):
            if name not in known:
                yield f"{place}:{line}: {name!r} stands in no Protocol of kernel/specloom/contract"


def _looked_up(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The literal names, but for those of ``self``: a class knows its own members."""
    for one in ast.walk(tree):
        if not isinstance(one, ast.Call) or ast.unparse(one.func) not in ("getattr", "hasattr"):
            continue
        owner, name = one.args[:2]
        if isinstance(name, ast.Constant) and ast.unparse(owner) != "self":
            yield one.lineno, str(name.value)
