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
from specloom_registry.model.versions import Version, allows, clauses

if TYPE_CHECKING:
    from specloom_registry.model.entry import Entry
    from specloom_registry.model.metadata import Facts
    from specloom_registry.model.requirements import Requirement


@dataclass(frozen=True)
class Need:
    """A requirement of one plugin."""

    entry: Entry
    version: str
    requirement: Requirement


def plugin_problems(found: Iterable[tuple[Entry, Facts]]) -> Iterator[SpecloomError]:
    """What plugins need of one another and do not get."""
    known = {facts.distribution: (entry, facts) for entry, facts in found}
    for entry, facts in known.values():
        for wanted, ranges in facts.plugins.items():
            other = known.get(wanted)
            name = wanted.removeprefix(PREFIX)
            if other is None:
                yield ConfigError(
                    f"E-REQUIRES plugin {entry.name!r} needs plugin {name!r} {ranges}".rstrip(),
                    where=entry.where,
                    fix=f"add it: specloom plugins add {name}",
                )
            elif other[1].version and not allows(ranges, other[1].version):
                yield ConfigError(
                    f"E-REQUIRES plugin {entry.name!r} needs plugin {name!r} {ranges}, "
                    f"but {other[1].version} is named",
                    where=entry.where,
                    fix=f"name another version of {name!r} or of {entry.name!r}",
                )
    uses = {
        facts.distribution: [one for one in facts.plugins if one in known]
        for _, facts in known.values()
    }
    try:
        TopologicalSorter(uses).prepare()
    except CycleError as e:
        names = [known[one][0] for one in e.args[1]]
        yield ConfigError(
            f"E-REQUIRES plugins need each other: {' <- '.join(one.name for one in names)}",
            where=names[0].where,
            fix="ask their authors to break the circle",
        )


def needs(found: Iterable[tuple[Entry, Facts]]) -> list[Need]:
    """Every requirement that applies here, but for those of plugins and of the kernel."""
    markers = requirements.environment()
    return [
        Need(entry, facts.version, one)
        for entry, facts in found
        for one in map(requirements.parse, facts.dependencies)
        if one.applies({**markers, "extra": ""})
        or any(one.applies({**markers, "extra": extra}) for extra in entry.extras)
    ]


def conflict(wanted: Sequence[Need], here: str | None) -> ConfigError:
    """The table of who wants what of one package."""
    name = wanted[0].requirement.name
    rows = [
        [one.requirement.ranges or "any", f"wanted by {one.entry.name} {one.version}".rstrip()]
        for one in wanted
    ]
    rows.append([here or "-", "the environment has" if here else "not installed"])
    lines = table([["version", "why"], *rows]).splitlines()
    body = "".join(f"\n    {line}" for line in lines)
    return ConfigError(
        f"E-CONFLICT no version of {name!r} suits all{body}",
        where=wanted[0].entry.where,
        fix="name other versions of these plugins: specloom plugins outdated",
    )


def conflicts(wanted: Iterable[Need], here: Mapping[str, str]) -> Iterator[SpecloomError]:
    """Packages of which plugins, or a plugin and the environment, want different versions."""
    by_package = defaultdict[str, list[Need]](list)
    for one in wanted:
        by_package[one.requirement.name].append(one)
    for name, all_of in by_package.items():
        if name in here:
            if not all(one.requirement.met_by(here[name]) for one in all_of):
                yield conflict(all_of, here[name])
        elif not _possible([one.requirement.ranges for one in all_of]):
            yield conflict(all_of, None)


def _possible(ranges: Sequence[str]) -> bool:
    """Whether some version can lie in every range: one near a bound does, if any does."""
    bounds = {version for one in ranges for _, version in clauses(one)}
    near = {"0", "99999"}
    for bound in bounds:
        plain = bound.removesuffix(".*")
        numbers = Version(plain).release
        steps = [
            ".".join(map(str, [*numbers[:-1], max(numbers[-1] + step, 0)])) for step in (-1, 1)
        ]
        near |= {plain, f"{plain}.1" if plain[-1].isdigit() else plain, *steps}
        near.add(f"{steps[0]}.99999")
    return any(all(allows(one, version) for one in ranges) for version in near)
