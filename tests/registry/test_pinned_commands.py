"""Commands of plugins come from the manifest, and runs bring the plugins that they used."""

import json
import subprocess
import sys

import pytest
from registry_world import plugin_files
from test_installed_copies import install

COMMANDS = """
@impl
def register_commands():
    return {{"{name}": "acme_rx.hello:hello"}}
"""
HELLO = '''\
import click

import acme_rx

@click.command()
@click.argument("file", required=False)
def hello(file):
    """Say what this copy says."""
    click.echo(f"{acme_rx.SAYS} of {acme_rx.__file__}")
'''


def with_command(version="1.0.1", says="one", name="hello", described=True):
    """The files of a plugin with a command."""
    files = plugin_files("rx", version, says=says, init=COMMANDS.format(name=name))
    descriptor = json.loads(files["acme_rx/nodes.json"])
    descriptor[name] = {"kind": "commands", "doc": f"Say {says}."}
    if described:
        files["acme_rx/nodes.json"] = json.dumps(descriptor)
    else:
        del files["acme_rx/nodes.json"]
    return {**files, "acme_rx/hello.py": HELLO}


def specloom(world, *arguments, cwd=None):
    command = [sys.executable, "-m", "specloom", *map(str, arguments)]
    where = cwd or world.project
    return subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)


@pytest.fixture
def pinned(world):
    """A project that pins rx 1.0.0, which has a command; there is a version 1.1.0, too."""
    repo = world.repo("rx")
    repo.commit(with_command(), tag="v1.0.1")
    repo.commit(with_command("1.1.0", says="newer"), tag="v1.1.0")
    world.wants("rx@v1.0.1")
    world.run("lock")
    return world


def saved_run(world):
    """The folder of a run that used what is pinned now, as far as commands look at it."""
    folder = world.project / "runs/one"
    folder.mkdir(parents=True)
    (folder / "pipeline.yaml").write_text("specloom: 1\n")
    record = {
        "file": "run.yaml",
        "run": {},
        "manifest": str(world.manifest),
        "manifest_text": world.manifest.read_text(),
        "lock": world.locked(),
    }
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def test_a_command_is_of_the_pinned_plugin_and_no_installed_copy_is_imported(pinned, monkeypatch):
    install(pinned, monkeypatch, version="2.0.0", init="raise SystemExit('imported')")
    done = specloom(pinned, "hello")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"one of {pinned.tree()}/acme_rx/__init__.py\n"


def test_help_lists_commands_of_the_manifest_without_an_import(pinned):
    pinned.repo_of("rx").commit(
        {**with_command("1.2.0"), "acme_rx/__init__.py": "raise SystemExit('imported')"},
        tag="v1.2.0",
    )
    pinned.wants("rx@v1.2.0")
    pinned.run("lock")
    done = specloom(pinned, "--help")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "  hello " in done.stdout
    assert "Say one." in done.stdout
    assert "  plugins " in done.stdout
    assert "  predict " not in done.stdout  # installed, but not in the manifest


def test_help_with_a_damaged_manifest_says_what_is_not_listed(pinned):
    pinned.manifest.write_text("schema: 1\nplugins: []\n")
    done = specloom(pinned, "--help")
    assert done.returncode == 0
    assert done.stderr == (
        "warning: commands of plugins are not listed: "
        "E-SCHEMA 'plugins' must map names to plugins\n"
    )
    assert "  plugins " in done.stdout


def test_a_command_of_a_plugin_without_a_descriptor_is_found(pinned):
    pinned.repo_of("rx").commit(with_command("1.2.0", described=False), tag="v1.2.0")
    pinned.wants("rx@v1.2.0")
    pinned.run("lock")
    (pinned.repo_of("rx").path / "acme_rx/nodes.json").unlink(missing_ok=True)
    done = specloom(pinned, "hello")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("one of ")


def test_a_command_of_an_installed_plugin_that_the_manifest_does_not_name(pinned):
    done = specloom(pinned, "doctor")
    assert done.returncode == 2
    assert done.stderr == (
        "error: no command 'doctor' is offered here: the plugin 'report' has it "
        f"and is installed, but {pinned.manifest} does not name it\n"
        "  fix: run: specloom plugins add report, or: specloom plugins init --installed\n"
    )


def test_a_command_that_neither_the_run_nor_the_manifest_names(pinned):
    folder = saved_run(pinned)
    done = specloom(pinned, "predict", folder, "scene.npy", "--out", "out")
    assert done.returncode == 2
    assert f"is installed, but {pinned.manifest} does not name it\n" in done.stderr


def test_the_names_of_commands_are_suggested_from_the_manifest(pinned):
    done = specloom(pinned, "helo")
    assert done.returncode == 2
    assert "No such command 'helo'. Did you mean 'hello'?" in done.stderr


def test_a_run_brings_its_pins_and_says_which_plugin_differs(pinned):
    folder = saved_run(pinned)
    before = pinned.tree()
    commits = [pinned.locked()["plugins"]["rx"]["source"]["commit"][:12]]
    pinned.wants("rx@v1.1.0")
    pinned.run("lock")
    commits.append(pinned.locked()["plugins"]["rx"]["source"]["commit"][:12])
    assert specloom(pinned, "hello").stdout.startswith("newer of ")
    for place in (folder, folder / "pipeline.yaml"):
        done = specloom(pinned, "hello", place)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"one of {before}/acme_rx/__init__.py\n"
        assert (
            f"W-PINS the run used rx 1.0.1 (v1.0.1 {commits[0]}), which is used here, "
            f"not 1.1.0 (v1.1.0 {commits[1]}) of {pinned.manifest}"
        ) in done.stderr
    done = specloom(pinned, "hello", folder, "--frozen")
    assert done.returncode == 3
    assert f"{folder}/run.json: E-PINS the run used rx 1.0.1 (v1.0.1 " in done.stderr
    assert f"fix: run: specloom reproduce {folder}, or leave out --frozen" in done.stderr


def test_a_run_whose_pins_are_those_of_the_manifest_is_frozen_without_a_word(pinned):
    folder = saved_run(pinned)
    done = specloom(pinned, "hello", folder, "--frozen")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_pins_that_the_store_lacks_are_reported(pinned):
    folder = saved_run(pinned)
    pinned.wants("rx@v1.1.0")
    pinned.run("lock")
    record = json.loads((folder / "run.json").read_text())
    tree = pinned.store / "trees" / record["lock"]["plugins"]["rx"]["tree"]
    tree.rename(pinned.root / "elsewhere")
    done = specloom(pinned, "hello", folder)
    assert done.stdout.startswith("newer of ")
    assert "W-PINS the run used rx 1.0.1 (v1.0.1 " in done.stderr
    assert "which is not in the store: 1.1.0 (v1.1.0 " in done.stderr


def test_a_record_names_no_folder_of_its_own(pinned, tmp_path):
    """A run folder may come from elsewhere: code next to it is not run."""
    folder = saved_run(pinned)
    for path, text in with_command(says="evil").items():
        file = folder / "evil" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    record = json.loads((folder / "run.json").read_text())
    lock = {
        "schema": 1,
        "generator": "specloom",
        "manifest": {"rx": {"path": "evil"}},
        "plugins": {
            "rx": {
                "source": {"path": "evil"},
                "package": {"name": "specloom-rx", "version": "1.0.0"},
            }
        },
    }
    from specloom_registry.model.metadata import digest

    record["lock"] = {**lock, "digest": digest(lock)}
    record["manifest"] = str(folder / "plugins.yaml")
    (folder / "run.json").write_text(json.dumps(record))
    done = specloom(pinned, "hello", folder)
    assert done.stdout.startswith("one of ")
    assert "W-PINS the run used rx 1.0.0 (evil), a folder: 1.0.1 (v1.0.1 " in done.stderr


def test_a_record_leads_to_no_manifest_that_came_with_it(pinned, tmp_path):
    folder = saved_run(pinned)
    for path, text in with_command(says="evil").items():
        file = folder / "evil/rx" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (folder / "evil/plugins.yaml").write_text("schema: 1\nplugins: {rx: {path: rx}}\n")
    record = json.loads((folder / "run.json").read_text())
    record["file"] = str(folder / "evil/run.yaml")
    (folder / "run.json").write_text(json.dumps(record))
    away = tmp_path / "away"
    folder.rename(away)
    record["file"] = str(away / "evil/run.yaml")
    record["lock"] = resealed(record["lock"], manifest={}, plugins={})
    (away / "run.json").write_text(json.dumps(record))
    done = specloom(pinned, "hello", away, cwd=tmp_path)
    assert done.returncode == 2
    assert "No such command 'hello'" in done.stderr


def resealed(lock, **changes):
    """A lock with other contents and the digest of these."""
    from specloom_registry.model.metadata import digest

    body = {key: value for key, value in {**lock, **changes}.items() if key != "digest"}
    return {**body, "digest": digest(body)}


def test_a_changed_lock_in_a_record_is_refused(pinned):
    folder = saved_run(pinned)
    record = json.loads((folder / "run.json").read_text())
    record["lock"]["plugins"]["rx"]["tree"] = f"h1-{'0' * 64}"
    (folder / "run.json").write_text(json.dumps(record))
    done = specloom(pinned, "hello", folder)
    assert done.returncode == 3
    assert "E-LOCK the lock in the record was changed" in done.stderr


def test_a_run_without_a_manifest_near_uses_the_installed_plugins_and_its_pins(pinned, tmp_path):
    folder = saved_run(pinned)
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    done = specloom(pinned, "hello", elsewhere, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("one of ")
    assert done.stderr == ""


def test_the_error_for_an_installed_plugin_that_the_manifest_does_not_name(pinned):
    (pinned.project / "run.yaml").write_text(
        "specloom: 1\ndata: {type: cubes.Synthetic}\nnodes: {a: {type: rx.Twice}}\n"
        "connections: []\n"
    )
    done = specloom(pinned, "check", "run.yaml")
    assert f"plugin 'cubes' is installed, but {pinned.manifest} does not name it" in done.stderr
    assert "fix: run: specloom plugins add cubes, or: specloom plugins init --ins" in done.stderr


def test_installed_plugins_count_where_the_manifest_says_so(world):
    repo = world.repo("rx")
    repo.commit(with_command(), tag="v1.0.1")
    world.run("add", "rx", "--git", repo.url, "--allow-file")
    assert world.locked()["installed"]["predict"]
    assert "rx" not in world.locked()["installed"]
    done = specloom(world, "--help")
    assert "  hello " in done.stdout
    assert "  doctor " in done.stdout


def test_installed_plugins_of_other_versions_than_locked_are_reported(world, monkeypatch):
    world.write("", head="installed: true\n", mirrored=False)
    world.run("lock")
    locked = world.locked()
    site = world.root / "site/specloom_extra-1.0.0.dist-info"
    site.mkdir(parents=True)
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: specloom-extra\nVersion: 1.0.0\n")
    (site / "entry_points.txt").write_text("[specloom]\nextra = specloom_extra\n")
    monkeypatch.setenv("PYTHONPATH", str(site.parent))
    specloom(world, "plugins", "lock")
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: specloom-extra\nVersion: 2.0.0\n")
    done = specloom(world, "--help")
    assert "W-INSTALLED-VERSION the lock was made with extra 1.0.0, here is 2.0.0" in done.stderr
    done = specloom(world, "doctor", "--frozen")
    assert done.returncode == 3
    assert "E-INSTALLED the lock was made with extra 1.0.0, here is 2.0.0" in done.stderr
    assert "extra" not in locked["installed"]


def test_a_lock_from_before_installed_was_written_is_stale(world):
    world.write("", mirrored=False)
    world.run("lock")
    world.run("init", "--installed", "--dry-run")
    world.manifest.write_text("schema: 1\ninstalled: true\nplugins: {}\n")
    stale = f"{world.manifest}: E-LOCK-STALE 'installed' is True, but False in plugins.lock"
    done = specloom(world, "predict")
    assert done.returncode == 2
    assert f"error: {stale}\n" in done.stderr
    done = specloom(world, "doctor")
    assert done.returncode == 1
    assert f"  BROKEN  manifest: {stale}\n" in done.stdout


def test_the_doctor_reports_a_damaged_manifest_and_makes_its_other_checks(pinned):
    pinned.manifest.write_text("schema: 1\nplugins: {lab: {path: nowhere}, rx: {pth: x}}\n")
    done = specloom(pinned, "doctor")
    assert done.returncode == 1, done.stderr
    where = f"{pinned.manifest}:2"
    assert f"  BROKEN  manifest: {where}: E-PATH-MISSING plugin 'lab': 'nowhere' " in done.stdout
    assert f"  BROKEN  manifest: {where}: E-KEY unknown key 'pth' in plugin 'rx'\n" in done.stdout
    for topic in ("Python", "torch", "disk here", "threads", "report"):
        assert f"  ok      {topic}: " in done.stdout
    assert done.stdout.endswith("broken\n")
    done = specloom(pinned, "doctor", "--frozen")
    assert done.returncode == 2
    assert "E-PATH-MISSING" in done.stderr


def test_init_writes_a_manifest_and_with_installed_changes_one(world):
    world.run("init")
    assert world.manifest.read_text() == "schema: 1\nplugins: {}\n"
    assert "installed" not in world.locked()
    done = world.run("init", code=2)
    assert done.error.what == f"E-NAME {world.manifest} exists"
    world.run("init", "--installed")
    assert world.manifest.read_text() == "schema: 1\ninstalled: true\nplugins: {}\n"
    assert world.locked()["installed"]["report"]
    world.manifest.write_text("schema: 1\ninstalled: false  # not yet\nplugins: {}\n")
    world.run("init", "--installed")
    assert "installed: true  # not yet\n" in world.manifest.read_text()


def test_init_with_installed_makes_the_first_manifest(world):
    world.run("init", "--installed")
    assert world.manifest.read_text() == "schema: 1\ninstalled: true\nplugins: {}\n"
    done = specloom(world, "--help")
    assert "  doctor " in done.stdout
    assert done.stderr == ""


def test_installed_is_true_or_false(world):
    world.write("", head="installed: perhaps\n", mirrored=False)
    done = world.run("lock", code=2)
    assert done.error.what == "E-SCHEMA 'installed' is 'perhaps', which is not true or false"
