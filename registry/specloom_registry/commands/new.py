"""``specloom new``: a plugin that passes the conformance kit as it is, or a run file."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import click

from specloom.plugins import MANIFEST

RUN_FILE = Path("run.yaml")
IGNORED = Path(".gitignore")
TEMPLATE = Path(__file__).parent / "plugin_template"
PATHS = {
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
    """Create a plugin or a run file from a template."""


@new.command()
@click.argument("name")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The folder to create [default: NAME, here].",
)
def plugin(name: str, folder: Path | None) -> None:
    """Create the package of a plugin NAME, with a node, tests, README and licence."""
    if folder is None:
        folder = Path(name)
    create(name, folder)
    click.echo(f"created: {folder}")
    click.echo(f"  cd {folder} && pip install -e '.[dev]' && pytest")


@new.command()
@click.argument("name", required=False)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file to create [default: that of NAME, here].",
)
@click.option("--list", "listed", is_flag=True, help="List the names of run files.")
def run(name: str | None, out: Path | None, listed: bool) -> None:
    """Create a run file: a copy of the one that comes with specloom as NAME."""
    from specloom_registry.base.table import table
    from specloom_registry.catalogue import run_files

    if listed:
        rows = [("name", "what it shows"), *run_files.describe_all().items()]
        click.echo(table(rows))
    elif name is None:
        raise click.UsageError("name a run file, or list them: specloom new run --list")
    else:
        click.echo(f"created: {run_files.copy(name, out)}")


@click.command()
@click.option(
    "--template",
    default="inspection",
    show_default=True,
    metavar="NAME",
    help="The run file to begin with: one that specloom new run --list lists.",
)
def init(template: str) -> None:
    """Begin a project here: a run file, and a manifest of plugins."""
    from specloom_registry.catalogue import run_files

    _refuse_begun(Path())
    created = [run_files.copy(template, RUN_FILE)]
    created += _write_missing(IGNORED, "runs/\n")
    created += _write_missing(Path(MANIFEST), "schema: 1\ninstalled: true\nplugins: {}\n")
    for file in created:
        click.echo(f"created: {file}")
    click.echo(f"next: name your data in {RUN_FILE}, then")
    click.echo(f"  specloom check {RUN_FILE} && specloom run {RUN_FILE}")


def _refuse_begun(folder: Path) -> None:
    """Refuse a folder in which a project has begun.

    Raises:
        ConfigError: It has a run file of that name.
    """
    from specloom.contract.errors import ConfigError

    if (folder / RUN_FILE).exists():
        what = f"E-NAME {RUN_FILE} exists: there is a project in this folder"
        raise ConfigError(what, fix="add run files to it: specloom new run NAME --out FILE")


def _write_missing(file: Path, text: str) -> list[Path]:
    """Write a file where there is none; the files that were written."""
    if file.exists():
        return []
    file.write_text(text, "utf-8")
    return [file]


def create(name: str, folder: Path) -> None:
    """Create the package of a plugin.

    Raises:
        SpecloomError: The name cannot be used, or the folder is not empty.
    """
    from specloom.contract.errors import ConfigError
    from specloom.execution.files import write_file

    check_name(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = f"E-DIR {folder} exists and is not empty"
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
        what = f"E-NAME {name!r} begins with a digit, which the name of a module cannot"
        raise ConfigError(what, fix=f"use another name, such as 'my-{name}'")
    if name in index.read():
        what = f"E-NAME the index has a plugin {name!r} already"
        raise ConfigError(what, fix=f"use another name, such as 'my-{name}'")


def contents(name: str) -> dict[str, str]:
    """Return the files of a new plugin by path, but for those generated from its classes."""
    import specloom
    from specloom_registry.model.metadata import PREFIX

    module = f"specloom_{name.replace('-', '_')}"
    major, minor = specloom.__version__.split(".")[:2]
    values = {
        "name": name,
        "module": module,
        "distribution": f"{PREFIX}{name}",
        "kernel": f"{major}.{minor},<{major}.{int(minor) + 1}",
    }
    files = dict[str, str]()
    for template, path in PATHS.items():
        text = (TEMPLATE / f"{template}.in").read_text("utf-8")
        for word, value in values.items():
            text = text.replace(f"@{word}@", value)
        files[path.format(module=module)] = text
    licence = metadata.distribution("specloom").read_text("licenses/LICENSE")
    files["LICENSE"] = licence or ""
    files[f"{module}/py.typed"] = ""
    return files


def _describe(name: str, folder: Path) -> None:
    """Let ``plugins describe`` write nodes.json and the port tables, in a process of its own."""
    from specloom.contract.errors import PluginError

    with tempfile.TemporaryDirectory() as scratch:
        manifest = Path(scratch, "plugins.yaml")
        value = {"schema": 1, "plugins": {name: {"path": str(folder.resolve())}}}
        manifest.write_text(json.dumps(value), "utf-8")
        arguments = ["plugins", "describe", name, "--write", "--manifest", str(manifest)]
        done = subprocess.run(
            [sys.executable, "-B", "-m", "specloom", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise PluginError(
            f"the plugin was created in {folder}, but cannot be described: {done.stderr.strip()}",
            fix=f"correct that, then run: specloom plugins describe {name} --write",
        )
