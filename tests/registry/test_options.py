"""What all commands of ``specloom plugins`` have in common: --json, --offline, --dry-run."""

import json
import socket

import pytest
from registry_world import plugin_files

from specloom_registry.commands.plugins import plugins
from specloom_registry.fetch import git

EVERY = {
    "add": ("lab", "--path", "../lab"),
    "change": ("rx", "--tag", "v1.0.0"),
    "init": ("--installed",),
    "remove": ("rx",),
    "list": (),
    "info": ("rx",),
    "lock": (),
    "sync": (),
    "update": (),
    "outdated": (),
    "verify": (),
    "why": ("rx",),
    "vendor": ("../vendored",),
    "gc": (),
    "describe": ("rx",),
    "test": ("rx", "-q", "-k", "hooks_are_known"),
}
WITHOUT_JSON = ("test",)  # pytest prints
NEEDS_THE_REMOTE = ("outdated", "update")


@pytest.fixture
def locked(world):
    """A project whose store has all, with a newer tag that no command requested."""
    repo = world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock")
    repo.commit(plugin_files("rx", "1.1.0"), tag="v1.1.0")
    for path, text in plugin_files("lab", top="acme_lab").items():
        (file := world.root / "lab" / path).parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return world


def contents(world):
    """Every file of the project, the store and what may be made next to them."""
    folders = (world.project, world.store / "trees", world.root / "vendored", world.root / "lab")
    return {
        str(file): file.read_bytes()
        for folder in folders
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_the_list_of_commands_is_whole():
    assert set(EVERY) == set(plugins.commands)


@pytest.mark.parametrize("name", EVERY)
def test_every_command_has_the_options(name):
    known = {option for one in plugins.commands[name].params for option in one.opts}
    assert {"--offline", "--dry-run"} <= known
    assert ("--json" in known) == (name not in WITHOUT_JSON) or name == "describe"


@pytest.mark.parametrize("name", EVERY)
def test_a_dry_run_changes_nothing(locked, name):
    before = contents(locked)
    locked.run(name, *EVERY[name], "--dry-run")
    after = contents(locked)
    if name == "update":  # which looks into the new version; the store only keeps what it saw
        after = {file: data for file, data in after.items() if file in before}
    assert after == before


@pytest.mark.filterwarnings("ignore::specloom.SpecloomWarning")  # the plugin is edited here
def test_a_dry_description_writes_nothing(locked):
    locked.run("add", "lab", "--path", "../lab")
    (locked.root / "lab/acme_lab/nodes.json").unlink()
    before = contents(locked)
    done = locked.run("describe", "lab", "--write", "--dry-run")
    assert done.stdout.endswith("nodes.json: 1 would be described\n")
    assert contents(locked) == before
    locked.run("describe", "lab", "--write")
    assert contents(locked) != before


@pytest.mark.parametrize("name", [name for name in EVERY if name not in WITHOUT_JSON])
def test_the_answer_as_json_is_json(locked, name):
    assert json.loads(locked.run(name, *EVERY[name], "--json").stdout) is not None


@pytest.mark.parametrize("name", EVERY)
def test_offline_uses_no_network_in_any_command(locked, name, monkeypatch):
    used = []

    def refuse(*what, **options):
        used.append(what)
        raise AssertionError(f"{name} --offline uses {what}")

    monkeypatch.setattr(git, "_git", refuse)
    monkeypatch.setattr(socket, "socket", refuse)
    needs_remote = name in NEEDS_THE_REMOTE
    done = locked.run(name, *EVERY[name], "--offline", code=4 if needs_remote else 0)
    assert not needs_remote or done.error.what.startswith("E-OFFLINE")
    assert used == []
