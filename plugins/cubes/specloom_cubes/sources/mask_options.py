"""How a user says where masks are and what their colours mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from specloom import ConfigError
from specloom_cubes.rules.colours import checked_table

Masks: TypeAlias = dict[Literal["folder", "colors"], str | dict[str, int]]
"""``folder`` is a folder of masks, ``colors`` the class numbers by colour."""


class MaskOptions(NamedTuple):
    """Where masks are and what their colours mean.

    Args:
        folder: The folder of masks.
        colors: The class numbers by colour, as the user wrote them.
    """

    folder: str | None = None
    colors: dict[str, int] | None = None


def mask_options(
    masks: str | Mapping[Literal["folder", "colors"], str | dict[str, int]] | None, label: str
) -> MaskOptions:
    """What the parameter ``masks`` of a source says.

    Args:
        masks: A folder, or a mapping.
        label: What the user calls the source.

    Raises:
        ConfigError: A value is of another kind, or a colour is not known.
    """
    if masks is None:
        return MaskOptions()
    if isinstance(masks, str):
        return MaskOptions(masks)
    folder = masks.get("folder")
    if folder is not None and not isinstance(folder, str):
        raise ConfigError(f"{label}: masks has the folder {folder!r}", fix="write folder: FOLDER")
    colors = masks.get("colors")
    if colors is None:
        return MaskOptions(folder)
    if not isinstance(colors, dict):
        raise ConfigError(
            f"{label}: masks has the colors {colors!r}", fix="write colors: {'#ff0000': 1}"
        )
    checked_table(colors, label)
    return MaskOptions(folder, colors)
