"""The run files that come with specloom: those of ``configs``, named by their paths."""

from __future__ import annotations

from pathlib import Path

from specloom.contract.errors import ConfigError, did_you_mean
from specloom.execution.files import write_file
from specloom.plugins import MANIFEST

INSTALLED_FOLDER = Path(__file__).parents[1] / "run_files"
SOURCE_TREE_FOLDER = Path(__file__).parents[3] / "configs"
SHORT_NAMES = {
    "rx": "rx_statistical",
    "selector": "channel_selector",
    "mrmr": "bands/mrmr_full",
    "adaclip": "adaclip/false_rgb",
}
"""Other names of run files, for what they are most often wanted for."""


def find_all() -> dict[str, Path]:
    """Find the run files; each name is a path without its ending, such as ``bands/cir``."""
    folder = SOURCE_TREE_FOLDER
    if INSTALLED_FOLDER.is_dir():
        folder = INSTALLED_FOLDER
    files = {}
    for file in sorted(folder.rglob("*.yaml")):
        if file.name != MANIFEST:
            name = file.relative_to(folder).with_suffix("").as_posix()
            files[name] = file
    return files


def describe_all() -> dict[str, str]:
    """Describe the run files: the description in the metadata of each, by name."""
    from specloom.runfile import yaml

    descriptions = {}
    for name, file in find_all().items():
        metadata = yaml.read(file).value.get("metadata", {})
        descriptions[name] = metadata.get("description", "")
    return descriptions


def copy(name: str, target: Path | None) -> Path:
    """Write a copy of a run file; by default into this folder, under its own name.

    Returns:
        The copy.

    Raises:
        ConfigError: There is no such run file, or the target exists.
    """
    files = find_all()
    full_name = SHORT_NAMES.get(name, name)
    if full_name not in files:
        fix = did_you_mean(name, files)
        raise ConfigError(f"E-NAME no run file {name!r} comes with specloom", fix=fix)
    source = files[full_name]
    if target is None:
        target = Path(source.name)
    if target.exists() or target.is_symlink():
        fix = "choose another file with --out"
        raise ConfigError(f"E-NAME {target} exists", fix=fix)
    write_file(target, source.read_bytes())
    return target
