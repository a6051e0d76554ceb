"""Named pipes and devices where files should be, and files of no end: nothing waits for them."""

import os
import shutil

import pytest
from registry_world import open_up, plugin_files

from specloom import ConfigError, SpecloomError
from specloom.runfile import yaml
from specloom_registry import resolve_plugins
from specloom_registry.base.paths import read_regular
from specloom_registry.provenance import run_record


@pytest.fixture
def local(world):
    for name, text in plugin_files("lab").items():
        file = world.root / "lab" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    world.write("lab: {path: ../lab}")
    return world


def replace(file):
    file.unlink(missing_ok=True)
    os.mkfifo(file)


@pytest.mark.parametrize(
    ("name", "what", "code"),
    [
        ("pyproject.toml", "E-PLUGIN plugin 'lab': {file} cannot be read: {reason}", 2),
        ("acme_lab/nodes.json", "E-PLUGIN plugin 'lab': its nodes.json: [Errno 22] {reason}", 2),
        ("data", "E-DISK {file} cannot be read: {reason}", 4),
    ],
)
def test_a_pipe_in_the_folder_of_a_plugin(local, name, what, code):
    file = local.root / "lab" / name
    replace(file)
    error = local.run("lock", code=code).error
    assert error.what.startswith(what.format(file=file, reason="it is not a regular file"))


@pytest.mark.parametrize("which", ["manifest", "lock"])
def test_a_pipe_for_a_manifest_or_a_lock(local, which):
    local.run("lock")
    replace(getattr(local, which))
    with pytest.raises(SpecloomError, match=r"not a regular file|is a pipe or a socket"):
        resolve_plugins(local.manifest)


@pytest.mark.parametrize("kind", ["pipe", "device", "link"])
def test_what_is_no_file_in_a_vendor_folder(world, kind):
    world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock")
    vendor = world.root / "vendor"
    world.run("vendor", vendor)
    tree = vendor / "trees" / world.tree().name
    file = tree / "acme_rx/nodes.py"
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    else:
        file.symlink_to("__init__.py")
    shutil.rmtree(open_up(world.store))
    error = world.run("sync", "--from", vendor, code=3).error
    assert error.what == f"E-HASH {tree} does not hold what its name says; nothing was changed"
    assert world.trees() == []


@pytest.mark.parametrize("name", ["run.json", "metrics.json"])
def test_a_pipe_in_a_run_folder(tmp_path, name):
    replace(tmp_path / name)
    read = run_record.read if name == "run.json" else run_record.metrics
    with pytest.raises(ConfigError, match=r"it is not a regular file|not a regular file"):
        read(tmp_path)


def test_a_folder_and_a_file_are_what_they_are(tmp_path):
    (tmp_path / "x").write_bytes(b"1")
    assert read_regular(tmp_path / "x") == b"1"
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_a_text_of_30_megabytes_is_refused_before_it_is_parsed(tmp_path, quote):
    text = f"a: {quote}{'x ' * 15_000_000}{quote}\n"
    file = tmp_path / "run.yaml"
    file.write_text(text)
    for read in (lambda: yaml.read(file), lambda: yaml.parse(text, str(file))):
        with pytest.raises(ConfigError) as caught:
            read()
        assert (caught.value.what, caught.value.where) == ("is larger than 4 MiB", str(file))
        assert caught.value.fix == "name another file: it holds no settings"
