"""A plugin's folder as its ``pyproject.toml`` describes it; nothing of the plugin is executed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specloom.contract.errors import ConfigError, did_you_mean
from specloom.contract.hooks import GROUP
from specloom_registry.base import faults
from specloom_registry.base.paths import is_file, read_regular
from specloom_registry.store import tree

KERNEL = ("specloom", "specloom_registry")


@dataclass(frozen=True)
class Package:
    """A plugin in a folder.

    Args:
        name: The plugin's name, the prefix of its references.
        version: The version of its distribution; empty where that is not written down.
        module: The module that implements the hooks.
        folder: The folder that the module is imported from.
        where: The plugin's line in the manifest.
        home: The folder that holds its ``pyproject.toml``.
        project: The table ``[project]`` there.
    """

    name: str
    version: str
    module: str
    folder: Path
    where: str
    home: Path
    project: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def top(self) -> str:
        """The top-level module."""
        return self.module.partition(".")[0]

    @property
    def files(self) -> tuple[Path, Path]:
        """The two places where the top-level module's own file may be."""
        return self.folder / self.top / "__init__.py", self.folder / f"{self.top}.py"


def read(name: str, folder: Path, where: str) -> Package:
    """Read the plugin of that name in ``folder``.

    Raises:
        ConfigError: The folder does not hold it; ``where`` is then the manifest's line.
    """
    data = _read_pyproject(name, folder, where)
    project = _table(data, "project")
    root = _source_root(data, name, folder, where)
    _check_project(project, name, folder, where)
    module = _entry_point(project, name, folder, where)
    version = project.get("version")
    if not isinstance(version, str):
        version = ""
    package = Package(name, version, module, root, where, folder, project)
    if package.top in sys.stdlib_module_names or package.top in KERNEL:
        raise ConfigError(
            f"E-NAME plugin {name!r}: its module {package.top!r} hides Python's or specloom's",
            where=where,
            fix="rename the module",
        )
    if not any(is_file(file) for file in package.files):
        raise ConfigError(
            f"E-PLUGIN plugin {name!r}: {root} holds no module {package.top!r}",
            where=where,
            fix="put the module next to pyproject.toml, or correct the entry point",
        )
    return package


def _entry_point(project: dict[str, Any], name: str, home: Path, where: str) -> str:
    """Return the module that a plugin's ``pyproject.toml`` offers under its name."""
    file = home / "pyproject.toml"
    offered = _table(project, "entry-points", GROUP)
    module = offered.get(name)
    if not isinstance(module, str):
        what = f"E-PLUGIN {file} offers no plugin {name!r}"
        add = f'add {name} = "<its module>" under [project.entry-points.{GROUP}] there'
        raise ConfigError(what, where=where, fix=did_you_mean(name, offered, otherwise=add))
    if not all(part.isidentifier() for part in module.split(".")):
        raise ConfigError(
            f"E-PLUGIN plugin {name!r}: its entry point {module!r} is not the name of a module",
            where=where,
            fix=f'write it as {name} = "package.module" in {file}',
        )
    return module


def _check_project(project: dict[str, Any], name: str, home: Path, where: str) -> None:
    """Refuse a table ``[project]`` whose values are of other types than its standard says."""
    for key, (is_good, kind) in PROJECT_TYPES.items():
        if key in project and not is_good(project[key]):
            raise ConfigError(
                f"E-PLUGIN plugin {name!r}: {key!r} under [project] in {home / 'pyproject.toml'} "
                f"is not {kind}",
                where=where,
                fix=f"write {key} as {kind} there",
            )


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_extras(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_strings(extra) for extra in value.values())


#: By key of the table ``[project]``: whether a value can be used, and what it should be.
PROJECT_TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (_is_string, "a string"),
    "requires-python": (_is_string, "a string"),
    "dependencies": (_is_strings, "a list of strings"),
    "optional-dependencies": (_is_extras, "a table of lists of strings"),
}


def _source_root(data: dict[str, Any], name: str, folder: Path, where: str) -> Path:
    """Return the folder that modules are imported from: ``[tool.specloom] source-root``."""
    value = _table(data, "tool", "specloom").get("source-root", ".")
    if value == ".":
        return folder
    if isinstance(value, str) and "\0" not in value:
        root = tree.resolved(folder / value)
        if root.is_relative_to(tree.resolved(folder)):
            return root
    raise ConfigError(
        f"E-PLUGIN plugin {name!r}: its source-root {value!r} is not a folder of the plugin",
        where=where,
        fix=f'write source-root = "src" in {folder / "pyproject.toml"}',
    )


def _read_pyproject(name: str, folder: Path, where: str) -> dict[str, Any]:
    file = folder / "pyproject.toml"
    try:
        return faults.parse_toml(read_regular(file).decode("utf-8"))
    except FileNotFoundError as e:
        raise ConfigError(
            f"E-PLUGIN plugin {name!r}: {folder} has no pyproject.toml",
            where=where,
            fix="name the folder that holds the plugin's pyproject.toml",
        ) from e
    except OSError as e:
        raise ConfigError(
            f"E-PLUGIN plugin {name!r}: {file} cannot be read: {e.strerror}",
            where=where,
            fix="make the file readable",
        ) from e
    except ValueError as e:  # not TOML, or not UTF-8
        raise ConfigError(
            f"E-PLUGIN plugin {name!r}: {file} is not TOML: {e}",
            where=where,
            fix="correct the file",
        ) from e


def _table(data: dict[str, Any], *keys: str) -> dict[str, Any]:
    for key in keys:
        inner = data.get(key)
        if not isinstance(inner, dict):
            return {}
        data = inner
    return data
