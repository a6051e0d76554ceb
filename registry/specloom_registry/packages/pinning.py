"""Pins of the packages that plugins need and this environment lacks, by platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import raise_all
from specloom_registry.packages import environment, overlay
from specloom_registry.packages.compatibility import conflicts, needs

if TYPE_CHECKING:
    from specloom_registry.fetch.fetch import Fetching
    from specloom_registry.model.entry import Entry
    from specloom_registry.model.metadata import Facts


def pinned_packages(
    found: Sequence[tuple[Entry, Facts]], how: Fetching, pip: Sequence[str], old: Mapping[str, Any]
) -> dict[str, Any]:
    """The packages that plugins need and this environment lacks, by platform.

    Raises:
        ConfigError: Two plugins, or a plugin and the environment, cannot be used together.
    """
    tag, here, wanted = environment.platform_tag(), environment.installed(), needs(found)
    raise_all(list(conflicts(wanted, here)))
    lacking = sorted({one.requirement.text for one in wanted if one.requirement.name not in here})
    others = {platform: one for platform, one in old.items() if platform != tag}
    if not lacking:
        return others
    known = old.get(tag)
    if known and known["wanted"] == lacking and _still(known, here):
        return {**others, tag: known}
    return {**others, tag: overlay.resolve(wanted, lacking, how, pip)}


def _still(known: Mapping[str, Any], here: Mapping[str, str]) -> bool:
    return all(here.get(name) == version for name, version in known["host"].items())
