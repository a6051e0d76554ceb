"""``specloom new plugin``: a package that passes the conformance kit at once."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import click

TEMPLATE = Path(__file__).parent / "plugin_template"
PLACES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "conftest.py": "conftest.py",
    "__init__.py": "{module}/__init__.py",
    "angle.py": "{module}/angle.py",
    "test_angle.py": "tests/test_angle.py",
    "test_conformance.py": "tests/test_conformance.py",
}


@click.group()
def new() -> None:
    """Begin something: a plugin."""


@new.command()
@click.argument("name")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where it is to be [default: NAME, here].",
)
def plugin(name: str, folder: Path | None) -> None:
    """Make the package of a plugin NAME, with a node, tests, README and licence."""
    place = folder or Path(name)
    make(name, place)
    click.echo(f"made: {place}")
    click.echo(f"  cd {place} && pip install -e . && pytest")


def make(name: str, folder: Path) -> None:
    """Make the package of a plugin.

    Raises:
        SpecloomError: The name cannot be used, or the folder is not empty.
    """
    from specloom.contract.errors import ConfigError
    from specloom.execution.files import write_file

    check_name(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = f"E-DIR {folder} is there already, and not empty"
        raise ConfigError(what, fix="choose another folder with --dir")
    files = contents(name)
    for path, text in files.items():
        write_file(folder / path, text.encode())
    _describe(name, folder)


def check_name(name: str) -> None:
    """Refuse a name that a plugin cannot have, or that another one has.

    Raises:
        ConfigError: It is such a name.
    """
    from specloom.contract.errors import ConfigError, raise_all
    from specloom_registry.model import entry, index

    raise_all(list(entry.name_problems(name, "")))
    if name[0].isdigit():
        what = f"E-NAME {name!r} begins with a digit, so that no module can be named after it"
        raise ConfigError(what, fix=f"name it otherwise: 'my-{name}'")
    if name in index.read():
        what = f"E-NAME the index has a plugin {name!r} already"
        raise ConfigError(what, fix=f"name it otherwise: 'my-{name}'")


def contents(name: str) -> dict[str, str]:
    """The files of a new plugin by their places, but for what is made of its classes."""
    import specloom
    from specloom_registry.model.metadata import PREFIX

    module = f"specloom_{name.replace('-', '_')}"
    major, minor = specloom.__version__.split(".")[:2]
    words = {
        "name": name,
        "module": module,
        "distribution": f"{PREFIX}{name}",
        "kernel": f"{major}.{minor},<{major}.{int(minor) + 1}",
    }
    found = dict[str, str]()
    for template, place in PLACES.items():
        text = (TEMPLATE / f"{template}.in").read_text("utf-8")
        for word, value in words.items():
            text = text.replace(f"@{word}@", value)
        found[place.format(module=module)] = text
    licence = metadata.distribution("specloom").read_text("licenses/LICENSE")
    return {**found, "LICENSE": licence or "", f"{module}/py.typed": ""}


def _describe(name: str, folder: Path) -> None:
    """Let ``plugins describe`` write nodes.json and the port tables, in a process of its own."""
    from specloom.contract.errors import PluginError

    with tempfile.TemporaryDirectory() as scratch:
        manifest = Path(scratch, "plugins.yaml")
        line = {"schema": 1, "plugins": {name: {"path": str(folder.resolve())}}}
        manifest.write_text(json.dumps(line), "utf-8")
        about = ["plugins", "describe", name, "--write", "--manifest", str(manifest)]
        done = subprocess.run(
            [sys.executable, "-B", "-m", "specloom", *about],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise PluginError(
            f"the plugin was made in {folder}, but cannot be described: {done.stderr.strip()}",
            fix=f"mend that, then: specloom plugins describe {name} --write",
        )
