"""Locks that say something else of a plugin than its files, with a digest that is right."""

import json

import pytest

from specloom import SpecloomError
from specloom_registry import resolve_plugins
from specloom_registry.model.metadata import digest

MARK = "from pathlib import Path\nPath({mark!r}).write_text('ran')\n"


@pytest.fixture
def locked(world):
    world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock")
    return world


def forge(world, change):
    """Change the lock and give it the digest of its new contents."""
    value = world.locked()
    del value["digest"]
    change(value["plugins"]["rx"], value)
    world.lock.write_text(json.dumps({**value, "digest": digest(value)}))


def lure(world):
    """Put modules of the plugin's name outside the store; return the mark that they would leave."""
    mark = world.root / "ran"
    for folder in ("acme_rx", "evil"):
        file = world.root / "elsewhere" / folder / "__init__.py"
        file.parent.mkdir(parents=True)
        file.write_text(MARK.format(mark=str(mark)))
    return mark


OUTSIDE = ["../../../elsewhere", "/elsewhere", "a/../../../elsewhere", "..", "a//b", "a\\b", "a/"]


@pytest.mark.parametrize("root", OUTSIDE)
def test_a_root_outside_the_tree_is_refused(locked, root):
    mark = lure(locked)
    forge(locked, lambda rx, _: rx["package"].update(root=root))
    with pytest.raises(SpecloomError) as caught:
        resolve_plugins(locked.manifest)
    what = f"'plugins.rx.package.root' is {json.dumps(root)}, which is not a folder of the plugin"
    assert (caught.value.what, caught.value.where) == (f"E-LOCK {what}", str(locked.lock))
    assert caught.value.fix == "run: specloom plugins lock"
    assert not mark.exists()


FORGED = [
    ("root", "acme_rx", "."),
    ("module", "acme_rx.nodes", "acme_rx"),
    ("version", "9.9.9", "1.0.0"),
    ("name", "specloom-other", "specloom-rx"),
]


@pytest.mark.parametrize(("key", "forged", "said"), FORGED)
def test_what_the_files_say_is_believed_and_not_the_lock(locked, key, forged, said):
    forge(locked, lambda rx, _: rx["package"].update({key: forged}))
    what = (
        f"E-LOCK plugin 'rx': its {key} is {forged!r} in the lock, but {said!r} in the files that "
        "are locked"
    )
    fix = "restore the lock, or run: specloom plugins lock"
    resolve_plugins(locked.manifest)
    with pytest.raises(SpecloomError) as caught:
        __import__("acme_rx")
    assert (caught.value.what, caught.value.fix, caught.value.exit_code) == (what, fix, 3)
    assert locked.run("verify", "--full", code=1).stdout.splitlines()[0].endswith(what)
    assert locked.run("verify", code=1).stdout.splitlines()[0].endswith(what)
    assert locked.run("sync", code=3).error.what == what


def test_a_module_of_the_environment_is_not_answered_for_by_a_lock(locked):
    forge(locked, lambda rx, _: rx["package"].update(module="numpy"))
    with pytest.raises(SpecloomError) as caught:
        resolve_plugins(locked.manifest)
    assert caught.value.what == (
        "E-SHADOW plugin 'rx' brings the module 'numpy', which the environment has from numpy"
    )


def pin(**changes):
    good = {"name": "x", "version": "1.0", "file": "x-1.0-py3-none-any.whl", "sha256": "0" * 64}
    return {**good, "why": [], **changes}


WORDS = [
    ("tree", "h1-../../elsewhere", "the hash of a tree"),
    ("tree", "h1-" + "0" * 63, "the hash of a tree"),
    ("source.commit", "--upload-pack=touch x", "a commit"),
    ("source.tag_object", "x", "a Git object"),
    ("package.module", "os; import x", "the name of a module"),
    ("package.module", "acme_rx..nodes", "the name of a module"),
]


@pytest.mark.parametrize(("path", "forged", "kind"), WORDS)
def test_a_text_of_a_lock_that_is_used_as_a_name_has_the_form_of_one(locked, path, forged, kind):
    *above, key = path.split(".")

    def change(rx, _):
        inner = rx[above[0]] if above else rx
        inner[key] = forged

    forge(locked, change)
    with pytest.raises(SpecloomError) as caught:
        resolve_plugins(locked.manifest)
    assert caught.value.what == (
        f"E-LOCK 'plugins.rx.{path}' is {json.dumps(forged)}, which is not {kind}"
    )


PINS = [
    ("file", "../../x.whl", "the name of a wheel"),
    ("sha256", "../../x", "a SHA-256"),
    ("name", "x\n--index-url=https://localhost", "the name of a package"),
    ("version", "1.0 --pre", "a version"),
]


@pytest.mark.parametrize(("key", "forged", "kind"), PINS)
def test_a_package_of_a_lock_is_no_path_and_no_option_of_pip(locked, key, forged, kind):
    packages = {"any": {"pins": [pin(**{key: forged})]}}
    forge(locked, lambda _, value: value.update(packages=packages))
    with pytest.raises(SpecloomError) as caught:
        resolve_plugins(locked.manifest)
    assert caught.value.what == (
        f"E-LOCK 'packages.any.pins[0].{key}' is {json.dumps(forged)}, which is not {kind}"
    )
