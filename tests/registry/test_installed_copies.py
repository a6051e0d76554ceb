"""A plugin that is pinned, and installed in the same environment: the pinned one wins."""

import shutil
import subprocess
import sys

import pytest
from registry_world import plugin_files

USE = """
import sys
from pathlib import Path
from specloom.plugins import Plugins

{before}
found = Plugins.for_file(Path("run.yaml"))
print(found.find("rx.Twice", ("nodes",), "")[1].__module__, found.need("rx").SAYS)
print(Path(sys.modules["acme_rx.nodes"].__file__).is_relative_to({store!r}))
"""
OTHER_COPIES = ["import acme_rx", "Plugins().offers(('commands',))  # imports what is installed"]


@pytest.fixture
def pinned(world):
    """A project that pins rx 1.0.0, in whose environment ``install`` puts a copy."""
    world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock")
    return world


def install(world, monkeypatch, **about):
    """Install a copy of rx as pip does: the package, and its metadata next to it."""
    site = world.root / "site"
    for path, text in plugin_files("rx", **about).items():
        file = site / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (site / "pyproject.toml").unlink()
    version = about.get("version", "1.0.0")
    metadata = site / f"specloom_rx-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: specloom-rx\nVersion: {version}\n"
    )
    (metadata / "entry_points.txt").write_text("[specloom]\nrx = acme_rx\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    return site


def use(world, before=""):
    return world.python(USE.format(before=before, store=str(world.store)))


def test_the_pinned_one_is_used_and_the_other_is_reported(pinned, monkeypatch):
    site = install(pinned, monkeypatch, version="2.0.0", says="installed")
    done = use(pinned)
    assert done.stdout == "acme_rx.nodes one\nTrue\n", done.stderr
    assert done.stderr.splitlines()[0] == (
        f"{pinned.manifest}:3: RegistryWarning: W-INSTALLED rx: the environment has another copy, "
        f"2.0.0 in {site}/acme_rx; that of the manifest, 1.0.0, is used"
    )


def test_a_copy_of_the_same_version_with_other_files_is_reported_too(pinned, monkeypatch):
    install(pinned, monkeypatch, says="edited")
    assert "another copy, 1.0.0 in " in use(pinned).stderr


def test_a_copy_with_the_same_files_is_not_worth_a_word(pinned, monkeypatch):
    install(pinned, monkeypatch)
    done = use(pinned)
    assert done.stdout == "acme_rx.nodes one\nTrue\n", done.stderr
    assert done.stderr == ""


def test_a_copy_in_an_archive_is_reported_too(pinned, monkeypatch):
    site = install(pinned, monkeypatch, says="installed")
    archive = shutil.make_archive(str(pinned.root / "packed"), "zip", site)
    monkeypatch.setenv("PYTHONPATH", archive)
    done = use(pinned)
    assert done.stdout == "acme_rx.nodes one\nTrue\n", done.stderr
    assert f"another copy, 1.0.0 in {archive}/acme_rx; that of the manifest" in done.stderr


def test_a_copy_in_the_present_folder_is_reported_too(pinned):
    for path, text in plugin_files("rx", says="present").items():
        file = pinned.project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    done = use(pinned)  # of which '' on sys.path is the folder
    assert done.stdout == "acme_rx.nodes one\nTrue\n", done.stderr
    assert f" in {pinned.project}/acme_rx; that of the manifest" in done.stderr


@pytest.mark.parametrize("before", OTHER_COPIES)
def test_two_copies_in_one_process_are_refused(pinned, monkeypatch, before):
    site = install(pinned, monkeypatch, says="installed")
    done = use(pinned, before)
    said = (
        f"E-LOADED plugin 'rx': 'acme_rx' was already imported from {site}/acme_rx/__init__.py, "
        f"not from {pinned.tree()}\n"
        "  fix: start a new Python process: one process holds one copy of a plugin"
    )
    assert said in done.stderr


def test_a_local_plugin_wins_too(world, monkeypatch):
    for path, text in plugin_files("rx", says="local").items():
        (file := world.root / "lab" / path).parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    world.write("rx: {path: ../lab}")
    site = install(world, monkeypatch, version="2.0.0", says="installed")
    done = use(world)
    assert done.stdout == "acme_rx.nodes local\nFalse\n", done.stderr
    assert f"W-INSTALLED rx: the environment has another copy, 2.0.0 in {site}" in done.stderr


def specloom(world, *arguments):
    command = [sys.executable, "-m", "specloom", *arguments]
    return subprocess.run(command, cwd=world.project, capture_output=True, text=True, check=False)


def test_commands_see_the_pinned_one(pinned, monkeypatch):
    install(pinned, monkeypatch, version="2.0.0", says="installed", node="Thrice")
    listed = specloom(pinned, "plugins", "list")
    assert listed.returncode == 0, listed.stderr
    assert f"rx    1.0.0    acme_rx  {pinned.tree()}" in listed.stdout
    assert "broken" not in listed.stderr
    shown = specloom(pinned, "nodes", "rx.Twice")
    assert shown.returncode == 0, shown.stderr
    described = specloom(pinned, "plugins", "describe", "rx")
    assert described.returncode == 0, described.stderr
    assert '"Twice"' in described.stdout


def test_the_kit_and_the_tests_of_a_pinned_plugin_run_on_the_pinned_one(pinned, monkeypatch):
    repo = pinned.repo_of("rx")
    own = "import acme_rx\n\ndef test_own():\n    assert acme_rx.SAYS == 'pinned'\n"
    files = {**plugin_files("rx", "1.1.0", says="pinned"), "tests/test_own.py": own}
    repo.commit(files, tag="v1.1.0")
    pinned.wants("rx@v1.1.0")
    pinned.run("lock")
    install(pinned, monkeypatch, version="2.0.0", says="installed")
    done = specloom(pinned, "plugins", "test", "rx", "-q", "-k", "own or hooks_are_known")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_the_kit_runs_once_where_the_plugin_has_a_test_of_it(pinned):
    conformance = (
        "from specloom.testing import parametrize_with_checks\n\n"
        '@parametrize_with_checks("rx")\ndef test_conformance(check):\n    check()\n'
    )
    files = {**plugin_files("rx", "1.1.0"), "tests/test_conformance.py": conformance}
    pinned.repo_of("rx").commit(files, tag="v1.1.0")
    pinned.wants("rx@v1.1.0")
    pinned.run("lock")
    done = specloom(pinned, "plugins", "test", "rx", "-v", "-k", "hooks_are_known")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("plugin-hooks_are_known] PASSED") == 1
    assert "1 passed" in done.stdout
