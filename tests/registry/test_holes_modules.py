"""Plugins that bring a module of the environment, and plugins of one file."""

import sys
import warnings

import pytest
from registry_world import plugin_files

from specloom import SpecloomError
from specloom_registry import NodeRegistry, resolve_plugins

FIX = "use another plugin: its author must rename the module"
#: Modules that the environment has, and the distributions that it has them from.
MODULES = {"numpy": "numpy", "yaml": "PyYAML", "pluggy": "pluggy", "specloom_rx": "specloom-rx"}


def what(module, owner):
    return (
        f"E-SHADOW plugin 'evil' brings the module {module!r}, which the environment has from "
        f"{owner}"
    )


@pytest.mark.parametrize("module", MODULES)
def test_a_plugin_from_a_tag_that_brings_an_installed_module_is_not_locked(world, module):
    world.repo("evil", top=module)
    world.wants("evil@v1.0.0")
    error = world.run("lock", code=2).error
    assert (error.what, error.fix) == (what(module, MODULES[module]), FIX)
    assert error.where == f"{world.manifest}:3"
    assert not world.lock.exists()


@pytest.mark.parametrize("module", MODULES)
def test_a_plugin_in_a_folder_that_brings_an_installed_module_is_not_used(world, module):
    for name, text in plugin_files("evil", top=module).items():
        file = world.root / "evil" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    world.write("evil: {path: ../evil}")
    before = sys.modules.get(module)
    with pytest.raises(SpecloomError) as caught:
        resolve_plugins(world.manifest)
    assert caught.value.what == what(module, MODULES[module])
    with pytest.raises(SpecloomError) as caught:
        NodeRegistry().load_plugin("evil", {"path": str(world.root / "evil")})
    assert caught.value.what == what(module, MODULES[module])
    assert sys.modules.get(module) is before


def test_the_name_of_a_distribution_is_no_pass(world):
    """A plugin that calls itself numpy is not the numpy that is installed."""
    files = plugin_files("evil", top="numpy")
    files["pyproject.toml"] = files["pyproject.toml"].replace("specloom-evil", "numpy")
    repo = world.repo("evil")
    repo.commit(files)
    repo.tag("v1.0.0", force=True)
    world.wants("evil@v1.0.0")
    assert world.run("lock", code=2).error.what == what("numpy", "numpy")


def one_file(folder, says):
    files = plugin_files("lab")
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(files["pyproject.toml"])
    text = f"from specloom import impl\nSAYS = {says!r}\n"
    (folder / "acme_lab.py").write_text(text)


@pytest.mark.parametrize("kind", ["a package", "a file"])
def test_a_plugin_of_one_file_beside_an_installed_one_of_the_same_name(world, monkeypatch, kind):
    one_file(world.root / "lab", "pinned")
    site = world.root / "site"
    if kind == "a file":
        one_file(site, "installed")
    else:
        (site / "acme_lab").mkdir(parents=True)
        (site / "acme_lab/__init__.py").write_text("SAYS = 'installed'\n")
    monkeypatch.syspath_prepend(site)
    world.write("lab: {path: ../lab}")
    resolve_plugins(world.manifest)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert __import__("acme_lab").SAYS == "pinned"
    folder = site / "acme_lab" if kind == "a package" else site
    assert [str(one.message) for one in caught] == [
        f"W-INSTALLED lab: the environment has another copy in {folder}; that of the manifest, "
        "1.0.0, is used"
    ]
