"""What a plugin's ``pyproject.toml`` and ``nodes.json`` say, as the lock records it.

Nothing of the plugin is executed: what is not written down statically is not known.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import specloom
from specloom.contract.errors import ConfigError
from specloom_registry.base import faults
from specloom_registry.base.paths import read_regular
from specloom_registry.model import requirements
from specloom_registry.model.versions import allows, parse_version

if TYPE_CHECKING:
    from specloom_registry.model.package import Package
    from specloom_registry.model.requirements import Requirement
    from specloom_registry.model.source import Source

PYTHON_VERSION = ".".join(map(str, sys.version_info[:3]))
PREFIX = "specloom-"  # of the distributions that are plugins


@dataclass(frozen=True)
class PackageMetadata:
    """What the lock says of a plugin's package.

    Args:
        distribution: Its normalised name.
        version: Its version.
        python: The versions of Python that it needs.
        api: The versions of the kernel that it needs.
        plugins: The ranges of the plugins that it needs, by distribution.
        dependencies: What else it needs.
        nodes: The digest of each node's descriptor.
    """

    distribution: str
    version: str
    python: str = ""
    api: str = ""
    plugins: Mapping[str, str] = field(default_factory=dict)
    dependencies: tuple[str, ...] = ()
    nodes: Mapping[str, str] = field(default_factory=dict)


def read_metadata(
    package: Package, extras: Iterable[str] = (), plugin_names: Iterable[str] = ()
) -> PackageMetadata:
    """Read what a plugin's files say.

    Args:
        package: The plugin.
        extras: The optional dependencies to install.
        plugin_names: Distributions that are plugins, though their names do not say it.

    Raises:
        ConfigError: A requirement is malformed, or there is no such extra.
    """
    project = package.project
    kernel_ranges = list[str]()
    plugins = dict[str, list[str]]()
    others = list[str]()
    for requirement in _requirements(package, extras):
        name = requirement.name
        if name == "specloom":
            kernel_ranges.append(requirement.specifier)
        elif name.startswith(PREFIX) or name in plugin_names:
            plugins.setdefault(name, []).append(requirement.specifier)
        else:
            others.append(requirement.text)
    python = str(project.get("requires-python", ""))
    try:
        allows(python, PYTHON_VERSION)
        parse_version(package.version or "0")
    except ValueError as e:
        raise _metadata_error(package, f"its metadata: {e}") from e
    return PackageMetadata(
        distribution=requirements.normalize_name(str(project.get("name", package.name))),
        version=package.version,
        python=python,
        api=_combine(kernel_ranges),
        plugins={name: _combine(specifiers) for name, specifiers in plugins.items()},
        dependencies=tuple(sorted(others)),
        nodes=_node_digests(package),
    )


def from_record(record: Mapping[str, Any]) -> PackageMetadata:
    """Return what a lock's record says of a plugin from Git."""
    package = record["package"]
    return PackageMetadata(
        distribution=package["name"],
        version=package["version"],
        python=package["requires_python"],
        api=record["api"],
        plugins=record["requires_plugins"],
        dependencies=tuple(record["dependencies"]),
        nodes=record["nodes"],
    )


def read_compatibility(package: Package) -> PackageMetadata:
    """Read what decides whether a plugin can be used here, and nothing else."""
    kernel_ranges = list[str]()
    for text in package.project.get("dependencies", []):
        with suppress(ValueError):
            requirement = requirements.parse(str(text))
            if requirement.name == "specloom":
                kernel_ranges.append(requirement.specifier)
    python = str(package.project.get("requires-python", ""))
    return PackageMetadata(package.name, package.version, python, _combine(kernel_ranges))


def check_kernel(name: str, metadata: PackageMetadata, where: str, newest: str = "") -> None:
    """Refuse a plugin that needs another kernel or another Python.

    Raises:
        ConfigError: It does; the fix names the tag ``newest``, if there is one.
    """
    owner = f"plugin {name!r} {metadata.version}".rstrip()
    try:
        fits_kernel = allows(metadata.api, specloom.__version__)
        fits_python = allows(metadata.python, PYTHON_VERSION)
    except ValueError as e:
        what = f"E-PLUGIN {owner}: {e}"
        fix = "write a version range there, such as '>=3.11'"
        raise ConfigError(what, where=where, fix=fix) from e
    if not fits_kernel:
        fix = f"request a version for specloom {specloom.__version__} from its author"
        if newest:
            fix = f"name the newest compatible tag: {newest}"
        raise ConfigError(
            f"E-API {owner} needs specloom {metadata.api}; this is {specloom.__version__}",
            where=where,
            fix=fix,
        )
    if not fits_python:
        raise ConfigError(
            f"E-PYTHON {owner} needs Python {metadata.python}; this is {PYTHON_VERSION}",
            where=where,
            fix="use another Python, or another version of the plugin",
        )


def check_version(name: str, source: Source, version: str, where: str) -> None:
    """Refuse a tag of another version than the plugin's own.

    Raises:
        ConfigError: It does, or the plugin states no version.
    """
    if not version:
        raise ConfigError(
            f"E-VERSION plugin {name!r}: at tag {source.tag!r} its pyproject.toml has no version",
            where=where,
            fix="write version under [project] there: it is read, never computed",
        )
    tag_version = version_from_tag(source.tag, name, source.tag_pattern)
    if tag_version is None:
        if source.tag_pattern:
            what = f"tag {source.tag!r} is not of the form {source.tag_pattern!r}"
            raise ConfigError(
                f"E-TAG plugin {name!r}: {what}",
                where=where,
                fix="correct 'tag' or 'tag-pattern'",
            )
        return
    if parse_version(tag_version) != parse_version(version):
        raise ConfigError(
            f"E-VERSION plugin {name!r}: tag {source.tag!r} says {tag_version}, "
            f"but its pyproject.toml says {version}",
            where=where,
            fix="name the tag of the version you mean, or request a new tag from its author",
        )


def version_from_tag(tag: str, name: str, pattern: str = "") -> str | None:
    """Return the version that a tag spells; None if it spells none.

    >>> [version_from_tag(tag, "rx") for tag in ("v1.2.0", "rx-v1.2.0", "release/1")]
    ['1.2.0', '1.2.0', None]
    """
    patterns = ["v{version}", "{version}", f"{name}-v{{version}}"]
    if pattern:
        patterns = [pattern]
    for form in patterns:
        before, _, after = form.partition("{version}")
        match = re.fullmatch(f"{re.escape(before)}(.+){re.escape(after)}", tag)
        if match is None:
            continue
        with suppress(ValueError):
            parse_version(match[1])
            return match[1].strip()
    return None


def _combine(specifiers: Iterable[str]) -> str:
    """Return one version range for several; empty ones allow everything."""
    return ",".join(specifier for specifier in specifiers if specifier)


def _requirements(package: Package, extras: Iterable[str]) -> Iterator[Requirement]:
    """Parse the dependencies of a plugin and of its extras."""
    texts = list(package.project.get("dependencies", []))
    optional = package.project.get("optional-dependencies", {})
    for extra in extras:
        if extra not in optional:
            fix = "remove 'extras'"
            if optional:
                fix = f"use one of: {', '.join(optional)}"
            what = f"E-EXTRA plugin {package.name!r} has no extra {extra!r}"
            raise ConfigError(what, where=package.where, fix=fix)
        texts += optional[extra]
    for text in texts:
        try:
            requirement = requirements.parse(str(text))
            requirement.applies()
        except ValueError as e:
            raise _metadata_error(package, f"its dependency {e}") from e
        yield requirement


def _node_digests(package: Package) -> dict[str, str]:
    """Return the digest of what the plugin's ``nodes.json`` says of each node."""
    file = package.folder / package.top / "nodes.json"
    try:
        nodes: Any = faults.parse_json(read_regular(file))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as e:
        raise _metadata_error(package, f"its nodes.json: {e}") from e
    if not isinstance(nodes, dict) or not all(isinstance(node, dict) for node in nodes.values()):
        raise _metadata_error(package, "its nodes.json does not map names to nodes")
    return {name: digest(node) for name, node in sorted(nodes.items())}


def digest(value: Any) -> str:
    """Return the SHA-256 of a value as canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _metadata_error(package: Package, what: str) -> ConfigError:
    return ConfigError(
        f"E-PLUGIN plugin {package.name!r}: {what}",
        where=package.where,
        fix="use another version, or report it to its author",
    )
