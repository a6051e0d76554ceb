"""This repository's own manifest, lock and index belong together, and editing a plugin is free."""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from specloom.runfile import yaml
from specloom_registry.commands.plugins import plugins
from specloom_registry.model import index, lockfile, manifest

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
FOLDERS = sorted(file.parent for file in ROOT.glob("plugins/*/pyproject.toml"))
LEFT_OUT = shutil.ignore_patterns("tests", "__pycache__", ".*_cache")


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The manifest, the lock and the plugins in another folder, which is a repository as well."""
    monkeypatch.setenv("SPECLOOM_STORE", str(tmp_path / "store"))
    (tmp_path / "else" / ".git").mkdir(parents=True)
    (tmp_path / "else" / "configs").mkdir()
    for name in ("plugins.yaml", "plugins.lock"):
        shutil.copy(CONFIGS / name, tmp_path / "else/configs")
    for folder in FOLDERS:
        shutil.copytree(folder, tmp_path / "else/plugins" / folder.name, ignore=LEFT_OUT)
    return tmp_path / "else"


def lock(folder, *options):
    about = ["--no-probe", "--offline", "--manifest", str(folder / "configs/plugins.yaml")]
    return CliRunner().invoke(plugins, ["lock", *about, *options])


def test_manifest_lock_and_index_name_the_same_plugins_and_versions():
    versions = {
        folder.name: tomllib.loads((folder / "pyproject.toml").read_text())["project"]["version"]
        for folder in FOLDERS
    }
    locked = lockfile.read(CONFIGS / "plugins.lock")
    assert {n: one["package"]["version"] for n, one in locked.plugins.items()} == versions, (
        "run: make lock"
    )
    named = yaml.read(CONFIGS / "plugins.yaml").value["plugins"]
    assert named == {name: {"path": f"../plugins/{name}"} for name in versions}
    assert {name: one["versions"][-1] for name, one in index.read().items()} == versions


def test_the_lock_is_what_would_be_written_now_here_and_elsewhere(copy):
    before = (copy / "configs/plugins.lock").read_bytes()
    done = lock(copy, "--fresh")
    assert done.exit_code == 0, (done.output, done.exception)
    assert (copy / "configs/plugins.lock").read_bytes() == before, "run: make lock"
    assert lock(copy, "--check").exit_code == 0


def test_the_lock_holds_no_folder_of_a_machine():
    text = (CONFIGS / "plugins.lock").read_text()
    assert "tree" not in text
    strings = [one["source"]["path"] for one in json.loads(text)["plugins"].values()]
    assert all(one.startswith("../plugins/") for one in strings)


@pytest.mark.filterwarnings("error")
def test_an_edited_plugin_is_no_nuisance(copy):
    file = copy / "plugins/rx/specloom_rx/detector.py"
    file.write_text(file.read_text() + "\n# a change of today\n")
    assert lock(copy, "--check").exit_code == 0
    code = "from specloom_registry.importing import activate; "
    code += "path = Path('configs/plugins.yaml').resolve(); "
    code += "print(activate.activate(path)['rx'], activate.active[path].notices)"
    command = [sys.executable, "-c", f"from pathlib import Path; {code}"]  # where none is imported
    reported = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert (reported.stdout, reported.stderr) == ("specloom_rx []\n", "")


def test_a_plugin_of_another_version_needs_the_lock(copy):
    file = copy / "plugins/rx/pyproject.toml"
    locked = lockfile.read(copy / "configs/plugins.lock")
    version = locked.plugins["rx"]["package"]["version"]
    file.write_text(file.read_text().replace(f'version = "{version}"', f'version = "{version}.1"'))
    found = manifest.read(copy / "configs/plugins.yaml")
    (error,) = lockfile.stale_errors(locked, found.entries, found.lock)
    what = f"its version is '{version}.1', but '{version}' in plugins.lock"
    assert error.what == f"E-LOCK-STALE plugin 'rx': {what}"
    assert error.fix == "run: specloom plugins lock"
    assert lock(copy, "--check").exit_code == 1
    assert lock(copy).exit_code == 0
    assert lock(copy, "--check").exit_code == 0
