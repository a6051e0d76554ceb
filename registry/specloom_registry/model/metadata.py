"""What a plugin's ``pyproject.toml`` and ``nodes.json`` say, as the lock keeps it.

Nothing of the plugin is executed: what is not written down statically is not known.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import specloom
from specloom.contract.errors import ConfigError
from specloom_registry.base import faults
from specloom_registry.model import requirements
from specloom_registry.model.versions import Version, allows

if TYPE_CHECKING:
    from specloom_registry.model.package import Package
    from specloom_registry.model.source import Source

PYTHON = ".".join(map(str, sys.version_info[:3]))
PREFIX = "specloom-"  # of the distributions that are plugins


@dataclass(frozen=True)
class Facts:
    """What the lock says of a plugin's package.

    Args:
        distribution: Its normalised name.
        version: Its version.
        python: The versions of Python that it wants.
        api: The versions of the kernel that it wants.
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


def facts(package: Package, extras: Iterable[str] = (), known: Iterable[str] = ()) -> Facts:
    """What a plugin's files say; ``known`` are distributions that are plugins, too.

    Raises:
        ConfigError: A requirement is malformed, or an extra is not there.
    """
    project = package.project
    wanted, api, plugins = list[str](), list[str](), dict[str, str]()
    optional = project.get("optional-dependencies", {})
    for text in [*project.get("dependencies", []), *_of_extras(package, optional, extras)]:
        try:
            one = requirements.parse(str(text))
            one.applies(requirements.environment())
        except ValueError as e:
            raise _broken(package, f"its dependency {e}") from e
        if one.name == "specloom":
            api.append(one.ranges)
        elif one.name.startswith(PREFIX) or one.name in known:
            plugins[one.name] = ",".join(filter(None, [plugins.get(one.name), one.ranges]))
        else:
            wanted.append(one.text)
    name = requirements.normal(str(project.get("name", package.name)))
    python = str(project.get("requires-python", ""))
    found = ",".join(filter(None, api))
    try:
        allows(python, PYTHON)
        Version(package.version or "0")
    except ValueError as e:
        raise _broken(package, f"its metadata: {e}") from e
    nodes = _nodes(package)
    return Facts(name, package.version, python, found, plugins, tuple(sorted(wanted)), nodes)


def from_record(record: Mapping[str, Any]) -> Facts:
    """What a lock's record says of a plugin from Git."""
    known = record["package"]
    return Facts(
        known["name"],
        known["version"],
        known["requires_python"],
        record["api"],
        record["requires_plugins"],
        tuple(record["dependencies"]),
        record["nodes"],
    )


def wanted_kernel(package: Package) -> Facts:
    """What decides whether a plugin can be used here, without a look at the rest."""
    api = list[str]()
    for text in package.project.get("dependencies", []):
        with suppress(ValueError):
            one = requirements.parse(str(text))
            api += [one.ranges] if one.name == "specloom" and one.ranges else []
    python = str(package.project.get("requires-python", ""))
    return Facts(package.name, package.version, python, ",".join(api))


def check_kernel(name: str, found: Facts, where: str, newest: str = "") -> None:
    """Refuse a plugin that wants another kernel or another Python.

    Raises:
        ConfigError: It does.
    """
    named = f"plugin {name!r} {found.version}".rstrip()
    try:
        fits_kernel = allows(found.api, specloom.__version__)
        fits_python = allows(found.python, PYTHON)
    except ValueError as e:
        what, fix = f"E-PLUGIN {named}: {e}", "write a version range there, such as '>=3.11'"
        raise ConfigError(what, where=where, fix=fix) from e
    if not fits_kernel:
        fit = f"name the newest tag that fits: {newest}" if newest else "ask its author for one"
        raise ConfigError(
            f"E-API {named} needs specloom {found.api}; this is {specloom.__version__}",
            where=where,
            fix=fit,
        )
    if not fits_python:
        raise ConfigError(
            f"E-PYTHON {named} needs Python {found.python}; this is {PYTHON}",
            where=where,
            fix="use another Python, or another version of the plugin",
        )


def check_version(name: str, source: Source, version: str, where: str) -> None:
    """Refuse a tag that says another version than the plugin itself.

    Raises:
        ConfigError: It does, or the plugin states no version.
    """
    if not version:
        raise ConfigError(
            f"E-VERSION plugin {name!r}: at tag {source.tag!r} its pyproject.toml has no version",
            where=where,
            fix="write version under [project] there: it is read, never computed",
        )
    said = version_of(source.tag, name, source.tag_pattern)
    if said is None and source.tag_pattern:
        raise ConfigError(
            f"E-TAG plugin {name!r}: tag {source.tag!r} is not of the form {source.tag_pattern!r}",
            where=where,
            fix="correct 'tag' or 'tag-pattern'",
        )
    if said is not None and Version(said).key != Version(version).key:
        raise ConfigError(
            f"E-VERSION plugin {name!r}: tag {source.tag!r} says {said}, "
            f"but its pyproject.toml says {version}",
            where=where,
            fix="name the tag of the version you mean, or ask its author to tag again",
        )


def version_of(tag: str, name: str, pattern: str = "") -> str | None:
    """The version that a tag spells; None if it spells none.

    >>> version_of("v1.2.0", "rx"), version_of("rx-v1.2.0", "rx"), version_of("release/1", "rx")
    ('1.2.0', '1.2.0', None)
    """
    for form in (pattern,) if pattern else ("v{version}", "{version}", f"{name}-v{{version}}"):
        before, _, after = form.partition("{version}")
        if found := re.fullmatch(f"{re.escape(before)}(.+){re.escape(after)}", tag):
            try:
                return Version(found[1]).text
            except ValueError:
                continue
    return None


def _of_extras(
    package: Package, optional: Mapping[str, list[str]], extras: Iterable[str]
) -> list[str]:
    found = list[str]()
    for extra in extras:
        if extra not in optional:
            raise ConfigError(
                f"E-EXTRA plugin {package.name!r} has no extra {extra!r}",
                where=package.where,
                fix=f"use one of: {', '.join(optional)}" if optional else "remove 'extras'",
            )
        found += optional[extra]
    return found


def _nodes(package: Package) -> dict[str, str]:
    """The digest of what the plugin's ``nodes.json`` says of each node."""
    try:
        said: Any = faults.parse_json((package.folder / package.top / "nodes.json").read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as e:
        raise _broken(package, f"its nodes.json: {e}") from e
    if not isinstance(said, dict) or not all(isinstance(one, dict) for one in said.values()):
        raise _broken(package, "its nodes.json maps no names to nodes")
    return {name: digest(one) for name, one in sorted(said.items())}


def digest(value: Any) -> str:
    """The SHA-256 of a value as canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _broken(package: Package, what: str) -> ConfigError:
    return ConfigError(
        f"E-PLUGIN plugin {package.name!r}: {what}",
        where=package.where,
        fix="ask its author to mend it, or use another version",
    )
