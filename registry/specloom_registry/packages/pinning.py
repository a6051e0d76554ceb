"""Pins of the packages that plugins need and this environment lacks, by platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import raise_all
from specloom_registry.packages import environment, overlay
from specloom_registry.packages.compatibility import collect_needs, conflicts

if TYPE_CHECKING:
    from specloom_registry.fetch.fetch import FetchContext
    from specloom_registry.model.entry import Entry
    from specloom_registry.model.metadata import PackageMetadata


def pin_packages(
    plugins: Sequence[tuple[Entry, PackageMetadata]],
    context: FetchContext,
    pip: Sequence[str],
    old: Mapping[str, Any],
) -> dict[str, Any]:
    """Pin the packages that plugins need and this environment lacks; return the pins by platform.

    Raises:
        ConfigError: Two plugins, or a plugin and the environment, cannot be used together.
    """
    installed = environment.installed()
    needs = collect_needs(plugins)
    raise_all(list(conflicts(needs, installed)))
    missing = sorted(
        {need.requirement.text for need in needs if need.requirement.name not in installed}
    )
    tag = environment.platform_tag()
    pins = {platform: pinned for platform, pinned in old.items() if platform != tag}
    if not missing:
        return pins
    before = old.get(tag)
    if before and before["wanted"] == missing and _same_host(before, installed):
        pins[tag] = before
    else:
        pins[tag] = overlay.resolve(needs, missing, context, pip)
    return pins


def _same_host(pinned: Mapping[str, Any], installed: Mapping[str, str]) -> bool:
    """Check whether the installed packages that the pins rely on have their versions still."""
    return all(installed.get(name) == version for name, version in pinned["host"].items())
