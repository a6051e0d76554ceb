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
    """The plugin of that name in ``folder``.

    Raises:
        ConfigError: The folder does not hold it; ``where`` is then the manifest's line.
    """
    data = _pyproject(name, folder, where)
    project, home, folder = _table(data, "project"), folder, _root(data, name, folder, where)
    offered = _table(project, "entry-points", GROUP)
    _check_project(project, name, home, where)
    module = offered.get(name)
    if not isinstance(module, str):
        told = f"E-PLUGIN {home / 'pyproject.toml'} offers no plugin {name!r}"
        add = f'add {name} = "<its module>" under [project.entry-points.{GROUP}] there'
        raise ConfigError(told, where=where, fix=did_you_mean(name, offered, otherwise=add))
    if not all(part.isidentifier() for part in module.split(".")):
        raise ConfigError(
            f"E-PLUGIN plugin {name!r}: its entry point {module!r} is not the name of a module",
            where=where,
            fix=f'write it as {name} = "package.module" in {home / "pyproject.toml"}',
        )
    version = project.get("version")
    version = version if isinstance(version, str) else ""
    package = Package(name, version, module, folder, where, home, project)
    if package.top in sys.stdlib_module_names or package.top in KERNEL:
        raise ConfigError(
            f"E-NAME plugin {name!r}: its module {package.top!r} hides Python's or specloom's",
            where=where,
            fix="rename the module",
        )
    if not any(_is_file(file) for file in package.files):
        raise ConfigError(
            f"E-PLUGIN plugin {name!r}: {folder} holds no module {package.top!r}",
            where=where,
            fix="keep the module beside pyproject.toml, or correct the entry point",
        )
    return package


def _check_project(project: dict[str, Any], name: str, home: Path, where: str) -> None:
    """Refuse a table ``[project]`` whose values are of other types than its standard says."""
    for key, (good, kind) in PROJECT.items():
        if key in project and not good(project[key]):
            raise ConfigError(
                f"E-PLUGIN plugin {name!r}: {key!r} under [project] in {home / 'pyproject.toml'} "
                f"is not {kind}",
                where=where,
                fix=f"write {key} as {kind} there",
            )


def _is_file(place: Path) -> bool:
    try:
        return place.is_file()
    except OSError:  # a name that is too long, a folder that may not be searched
        return False


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_extras(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_texts(one) for one in value.values())


#: By key of the table ``[project]``: whether a value can be used, and what it should be.
PROJECT: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (_is_text, "text"),
    "requires-python": (_is_text, "text"),
    "dependencies": (_is_texts, "a list of texts"),
    "optional-dependencies": (_is_extras, "a table of lists of texts"),
}


def _root(data: dict[str, Any], name: str, folder: Path, where: str) -> Path:
    """The folder that modules are imported from: ``[tool.specloom] source-root``."""
    root = _table(data, "tool", "specloom").get("source-root", ".")
    text = root if isinstance(root, str) and "\0" not in root else ".."
    place = tree.resolved(folder / text)
    if not place.is_relative_to(tree.resolved(folder)):
        raise ConfigError(
            f"E-PLUGIN plugin {name!r}: its source-root {root!r} is no folder of its own",
            where=where,
            fix=f'write source-root = "src" in {folder / "pyproject.toml"}',
        )
    return folder if root == "." else place


def _pyproject(name: str, folder: Path, where: str) -> dict[str, Any]:
    file = folder / "pyproject.toml"
    try:
        return faults.parse_toml(file.read_text("utf-8"))
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
            f"E-PLUGIN plugin {name!r}: {file} is not TOML: {e}", where=where, fix="mend that file"
        ) from e


def _table(data: dict[str, Any], *keys: str) -> dict[str, Any]:
    for key in keys:
        inner = data.get(key)
        data = inner if isinstance(inner, dict) else {}
    return data
