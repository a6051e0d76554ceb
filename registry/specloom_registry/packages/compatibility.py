"""What plugins need of one another and of the environment, checked before anything is installed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from specloom.contract.errors import ConfigError, SpecloomError
from specloom_registry.base.table import table
from specloom_registry.model import requirements
from specloom_registry.model.metadata import PREFIX
from specloom_registry.model.versions import allows, parse_range, parse_version

if TYPE_CHECKING:
    from specloom_registry.model.entry import Entry
    from specloom_registry.model.metadata import PackageMetadata
    from specloom_registry.model.requirements import Requirement


@dataclass(frozen=True)
class Need:
    """A requirement of one plugin."""

    entry: Entry
    version: str
    requirement: Requirement


def plugin_problems(
    plugins: Iterable[tuple[Entry, PackageMetadata]],
    others: Mapping[str, str] | None = None,
) -> Iterator[SpecloomError]:
    """Yield what plugins need of one another and do not get.

    Args:
        plugins: The plugins.
        others: The versions of further plugins that may be used, by plugin name.
    """
    versions = {f"{PREFIX}{name}": version for name, version in (others or {}).items()}
    by_distribution = {metadata.distribution: (entry, metadata) for entry, metadata in plugins}
    for entry, metadata in by_distribution.values():
        for distribution, specifier in metadata.plugins.items():
            name = distribution.removeprefix(PREFIX)
            if distribution in by_distribution:
                version = by_distribution[distribution][1].version
            elif distribution in versions:
                version = versions[distribution]
            else:
                yield ConfigError(
                    f"E-REQUIRES plugin {entry.name!r} needs plugin {name!r} {specifier}".rstrip(),
                    where=entry.where,
                    fix=f"add it: specloom plugins add {name}",
                )
                continue
            if version and not allows(specifier, version):
                yield ConfigError(
                    f"E-REQUIRES plugin {entry.name!r} needs plugin {name!r} {specifier}, "
                    f"but {version} is named",
                    where=entry.where,
                    fix=f"name another version of {name!r} or of {entry.name!r}",
                )
    yield from _circles(by_distribution)


def _circles(
    by_distribution: Mapping[str, tuple[Entry, PackageMetadata]],
) -> Iterator[SpecloomError]:
    uses = {
        distribution: [name for name in metadata.plugins if name in by_distribution]
        for distribution, (_, metadata) in by_distribution.items()
    }
    try:
        TopologicalSorter(uses).prepare()
    except CycleError as e:
        entries = [by_distribution[distribution][0] for distribution in e.args[1]]
        yield ConfigError(
            f"E-REQUIRES plugins need each other: {' <- '.join(one.name for one in entries)}",
            where=entries[0].where,
            fix="report the circle to their authors",
        )


def collect_needs(plugins: Iterable[tuple[Entry, PackageMetadata]]) -> list[Need]:
    """Return every requirement that applies here, but for those of plugins and of the kernel."""
    needs = []
    for entry, metadata in plugins:
        for text in metadata.dependencies:
            requirement = requirements.parse(text)
            if any(requirement.applies(extra) for extra in ("", *entry.extras)):
                needs.append(Need(entry, metadata.version, requirement))
    return needs


def conflict(needs: Sequence[Need], installed: str | None) -> ConfigError:
    """Return the error for needs of one package that no version meets, with a table of them."""
    name = needs[0].requirement.name
    rows = [["version", "why"]]
    for need in needs:
        reason = f"required by {need.entry.name} {need.version}".rstrip()
        rows.append([need.requirement.specifier or "any", reason])
    if installed is None:
        rows.append(["-", "not installed"])
    else:
        rows.append([installed, "the environment has"])
    lines = "".join(f"\n    {line}" for line in table(rows).splitlines())
    return ConfigError(
        f"E-CONFLICT no version of {name!r} suits all{lines}",
        where=needs[0].entry.where,
        fix="name other versions of these plugins: specloom plugins outdated",
    )


def conflicts(needs: Iterable[Need], installed: Mapping[str, str]) -> Iterator[SpecloomError]:
    """Yield the packages of which plugins and the environment need different versions."""
    by_package = defaultdict[str, list[Need]](list)
    for need in needs:
        by_package[need.requirement.name].append(need)
    for name, of_package in by_package.items():
        version = installed.get(name)
        if version is None:
            if not is_satisfiable([need.requirement.specifier for need in of_package]):
                yield conflict(of_package, None)
        elif not all(need.requirement.allows(version) for need in of_package):
            yield conflict(of_package, version)


def is_satisfiable(specifiers: Sequence[str]) -> bool:
    """Check whether some version lies in every range: one near a bound does, if any does."""
    candidates = {"0.dev0", "0", "99999"}
    for text in specifiers:
        for clause in parse_range(text):
            candidates |= _versions_near(clause.version.removesuffix(".*"))
    return any(
        all(allows(specifier, version) for specifier in specifiers) for version in candidates
    )


def _versions_near(bound: str) -> set[str]:
    """Return a version, those just after it, and those before it in the last number."""
    *numbers, last = parse_version(bound).release
    lower = ".".join(map(str, [*numbers, max(last - 1, 0)]))
    higher = ".".join(map(str, [*numbers, last + 1]))
    found = {bound, lower, higher, f"{lower}.99999"}
    if bound[-1].isdigit():
        found.add(f"{bound}.1")
    return found
