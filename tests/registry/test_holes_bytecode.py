"""Byte code that no hash covers, wherever it lies: none of it runs."""

import importlib.util
import marshal
import py_compile
import shutil
import sys
from pathlib import Path

import pytest
from registry_world import open_up, plugin_files

from specloom import SpecloomError
from specloom_registry import resolve_plugins


@pytest.fixture
def pinned(world):
    """Two plugins, one in the store and one in a folder, locked; each has a module ``extra``."""
    repo = world.repo("rx")
    repo.commit({"acme_rx/extra.py": "SAYS = 'good'\n"})
    repo.tag("v1.0.0", force=True)
    for name, text in plugin_files("lab").items():
        file = world.root / "lab" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (world.root / "lab/acme_lab/extra.py").write_text("SAYS = 'good'\n")
    world.wants("rx@v1.0.0")
    text = world.manifest.read_text().replace("plugins:", "plugins:\n  lab: {path: ../lab}")
    world.manifest.write_text(text)
    world.run("lock")
    return world


def home(world, name):
    if name == "lab":
        return world.root / "lab"
    return open_up(world.tree())


def forge(source, target):
    """Write byte code with another value that Python takes for that of a source file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lie = target.with_suffix(".lie")
    lie.write_text("SAYS = 'evil'\n")
    py_compile.compile(str(lie), cfile=str(target), dfile=str(source))
    stat = source.stat()
    data = bytearray(target.read_bytes())
    data[8:12] = int(stat.st_mtime).to_bytes(4, "little")
    data[12:16] = stat.st_size.to_bytes(4, "little")
    target.write_bytes(data)
    lie.unlink()


@pytest.mark.parametrize("mode", ["", "full", "frozen"])
@pytest.mark.parametrize("name", ["rx", "lab"])
def test_forged_byte_code_next_to_a_source_does_not_run(pinned, monkeypatch, name, mode):
    monkeypatch.setenv("SPECLOOM_VERIFY", mode)
    if mode == "frozen":
        monkeypatch.setenv("SPECLOOM_FROZEN", "1")
    source = home(pinned, name) / f"acme_{name}/extra.py"
    forge(source, Path(importlib.util.cache_from_source(str(source))))
    resolve_plugins(pinned.manifest)
    assert importlib.import_module(f"acme_{name}.extra").SAYS == "good"


def test_forged_byte_code_in_the_store_s_old_cache_does_not_run(pinned, monkeypatch):
    source = pinned.tree() / "acme_rx/extra.py"
    monkeypatch.setattr(sys, "pycache_prefix", str(pinned.store / "pyc"))
    forge(source, Path(importlib.util.cache_from_source(str(source))))
    resolve_plugins(pinned.manifest)
    assert importlib.import_module("acme_rx.extra").SAYS == "good"


@pytest.mark.parametrize("suffix", [".pyc", ".pyd"])
@pytest.mark.parametrize("name", ["rx", "lab"])
def test_a_module_without_source_is_not_found(pinned, monkeypatch, name, suffix):
    package = home(pinned, name) / f"acme_{name}"
    forge(package / "extra.py", package / f"more{suffix}")
    if name == "rx" or suffix == ".pyd":
        monkeypatch.setenv("SPECLOOM_FROZEN", "1")
    resolve_plugins(pinned.manifest)
    with pytest.raises((ImportError, SpecloomError)) as caught:
        importlib.import_module(f"acme_{name}.more")
    messages = (
        f"No module named 'acme_{name}.more'",
        f"acme_{name}/more{suffix} was added in",
        "E-LOCAL-CHANGED lab: ",
    )
    assert any(message in str(caught.value) for message in messages)


@pytest.mark.parametrize("folder", [".venv/lib", "__pycache__"])
def test_a_source_root_that_no_hash_covers_is_refused(pinned, folder):
    lab = pinned.root / "lab"
    (lab / folder).mkdir(parents=True)
    shutil.copytree(lab / "acme_lab", lab / folder / "acme_lab")
    (lab / folder / "acme_lab/__init__.py").write_text("SAYS = 'evil'\n")
    with (lab / "pyproject.toml").open("a") as file:
        file.write(f'[tool.specloom]\nsource-root = "{folder}"\n')
    pinned.run("lock")
    resolve_plugins(pinned.manifest)
    with pytest.raises(SpecloomError) as caught:
        importlib.import_module("acme_lab")
    file = lab / folder / "acme_lab/__init__.py"
    what = f"E-STORE module 'acme_lab': {file} lies where tools put what no hash covers"
    assert (caught.value.what, caught.value.exit_code) == (what, 3)


def test_a_package_that_is_spread_outside_its_folder_is_refused(pinned):
    outside = pinned.root / "outside"
    outside.mkdir()
    (outside / "evil.py").write_text("SAYS = 'evil'\n")
    resolve_plugins(pinned.manifest)
    package = importlib.import_module("acme_rx")
    package.__path__.append(str(outside))
    with pytest.raises(SpecloomError) as caught:
        importlib.import_module("acme_rx.evil")
    assert caught.value.what == (
        f"E-STORE module 'acme_rx': {outside}/evil.py lies outside its folder {pinned.tree()}"
    )


@pytest.mark.parametrize("name", ["rx", "lab"])
def test_a_module_is_verified_when_it_is_read(pinned, name):
    resolve_plugins(pinned.manifest)
    importlib.import_module(f"acme_{name}")
    package = home(pinned, name) / f"acme_{name}"
    (package / "extra.py").write_text("SAYS = 'evil'\n")
    (package / "more.py").write_text("SAYS = 'evil'\n")
    for module, what in [
        ("extra", "was changed after it was verified"),
        ("more", "is not among the files that were verified"),
    ]:
        with pytest.raises(SpecloomError) as caught:
            importlib.import_module(f"acme_{name}.{module}")
        assert caught.value.what == (f"E-STORE module 'acme_{name}': {package}/{module}.py {what}")
        assert caught.value.fix == "start again; if it stays: specloom plugins sync --repair"


def test_what_the_store_remembers_of_a_tree_is_held_to_its_hash(pinned):
    """A forged list of hashes next to a forged file and its times: the name of the tree decides."""
    import hashlib

    from specloom_registry.store import tree
    from specloom_registry.store.store import Store

    folder = home(pinned, "rx")
    evil = b"SAYS = 'evil'\n"
    (folder / "acme_rx/extra.py").write_bytes(evil)
    store = Store()
    files = store.state(folder.name)["files"]
    files["acme_rx/extra.py"] = hashlib.sha256(evil).hexdigest()
    store.remember(folder.name, signature=tree.signature(folder), files=files)
    resolve_plugins(pinned.manifest)
    with pytest.raises(SpecloomError, match="E-STORE plugin 'rx'"):
        importlib.import_module("acme_rx")


def test_byte_code_is_what_the_attack_makes_it(tmp_path):
    """The attack works on Python's own import: else the tests above would show nothing."""
    source = tmp_path / "probe_lie.py"
    source.write_text("SAYS = 'good'\n")
    cached = Path(importlib.util.cache_from_source(str(source)))
    forge(source, cached)
    assert b"evil" in marshal.dumps(marshal.loads(cached.read_bytes()[16:]))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        assert importlib.import_module("probe_lie").SAYS == "evil"
