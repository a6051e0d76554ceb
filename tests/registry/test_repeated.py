"""The same lock gives the same bytes: from origin, mirror and vendor folder, anywhere."""

import filecmp
import os
import shutil
import subprocess
import sys

import pytest
from registry_world import Repo, open_up, plugin_files
from test_threats_packages import wheel


@pytest.fixture
def locked(world):
    world.repo("rx")
    world.repo("lab")
    world.wants("rx@v1.0.0", "lab@v1.0.0")
    world.run("lock")
    return world


@pytest.fixture
def with_packages(world):
    world.repo("rx", needs=["acme-extra"])
    world.repo("lab")
    wheel(world.project / "wheels", "acme-extra")
    installer = "installer: {find-links: [wheels], no-index: true}\n"
    world.wants("rx@v1.0.0", "lab@v1.0.0", head=installer)
    world.run("lock")
    return world


def same(one, two):
    """Two folders hold the same files with the same bytes."""
    seen = filecmp.dircmp(one, two)
    assert [seen.left_only, seen.right_only, seen.diff_files, seen.funny_files] == [[]] * 4
    return all(same(one / name, two / name) for name in seen.common_dirs)


def test_two_stores_filled_from_origin_and_from_a_vendor_folder_are_the_same(
    with_packages, monkeypatch
):
    locked = with_packages
    locked.run("vendor", "--json", locked.root / "stick", "--dry-run")
    assert not (locked.root / "stick").exists()
    done = locked.run("vendor", locked.root / "stick")
    assert done.stdout.count("trees/h1-") == 2
    assert "wheels/acme_extra-1.0-py3-none-any.whl" in done.stdout
    assert locked.run("vendor", locked.root / "stick").stdout.endswith("nothing\n")
    monkeypatch.setenv("SPECLOOM_STORE", str(locked.root / "second"))
    shutil.rmtree(locked.origins)
    shutil.rmtree(locked.project / "wheels")
    done = locked.run("sync", "--offline", code=4)
    assert "E-OFFLINE plugin 'rx': 'v1.0.0' is not in the store" in str(done.error)
    locked.run("sync", "--offline", "--from", locked.root / "stick", probe=True)
    for kind in ("trees", "overlays"):
        assert same(locked.store / kind, locked.root / "second" / kind)
    open_up(locked.root / "second")


def test_a_vendor_folder_with_other_bytes_is_refused(locked, monkeypatch):
    stick = locked.root / "stick"
    locked.run("vendor", stick)
    tree = locked.tree().name
    (stick / "trees" / tree / "acme_rx/nodes.py").chmod(0o644)
    (stick / "trees" / tree / "acme_rx/nodes.py").write_text("x = 1")
    monkeypatch.setenv("SPECLOOM_STORE", str(locked.root / "second"))
    done = locked.run("sync", "--offline", "--from", stick, code=3)
    assert done.error.what == (
        f"E-HASH {stick}/trees/{tree} does not hold what its name says; nothing was changed"
    )
    open_up(locked.root / "second")
    assert not (locked.root / "second/trees" / tree).exists()


@pytest.mark.parametrize(
    ("seed", "locale", "zone", "umask"),
    [
        ("1", "C", "UTC", 0o022),
        ("2", "C.UTF-8", "Asia/Tokyo", 0o077),
        ("3", "tr_TR.UTF-8", "America/St_Johns", 0o000),
    ],
)
def test_the_lock_is_written_again_byte_for_byte(locked, seed, locale, zone, umask):
    before = locked.lock.read_bytes()
    elsewhere = locked.root / f"another place {seed}"
    shutil.copytree(locked.project, elsewhere)
    (elsewhere / "plugins.lock").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "specloom", "plugins", "lock", "--no-probe"],
        cwd=elsewhere,
        env=os.environ
        | {
            "PYTHONHASHSEED": seed,
            "LC_ALL": locale,
            "TZ": zone,
            "SPECLOOM_STORE": str(locked.root / f"store{seed}"),
        },
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (elsewhere / "plugins.lock").read_bytes() == before
    assert str(locked.root).encode() not in before
    assert b"2026-" not in before.replace(b"specloom 2026", b"")
    assert same(locked.store / "trees", locked.root / f"store{seed}" / "trees")
    open_up(locked.root / f"store{seed}")


def test_the_order_of_the_manifest_changes_nothing_in_the_lock(locked):
    before = locked.locked()
    lines = locked.manifest.read_text().splitlines()
    lines[2], lines[3] = lines[3], lines[2]
    locked.manifest.write_text("\n".join(lines) + "\n")
    locked.lock.unlink()
    locked.run("lock")
    assert locked.locked() == before


def test_annotated_nested_and_folder_tags_give_one_tree(world):
    repo = Repo(world.origins / "rx.git")
    repo.commit(plugin_files("rx"), tag="v1.0.0")
    repo.tag("annotated", annotated=True)
    repo.tag("nested", annotated=True, at="annotated")
    repo.commit({"other": "x", **{f"in/{k}": v for k, v in plugin_files("rx").items()}}, tag="sub")
    found = set()
    for tag, more in [("v1.0.0", ""), ("annotated", ""), ("nested", ""), ("sub", ", subdir: in")]:
        from registry_world import ORIGIN

        world.write(f"rx: {{git: {ORIGIN}rx.git, tag: {tag}{more}}}")
        world.run("lock")
        found.add(world.tree().name)
    assert len(found) == 1
