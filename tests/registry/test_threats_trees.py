"""T15 to T18, T24 to T26: what a tag's files may be, in real repositories."""

import pytest
from registry_world import plugin_files


def locked(world, code=0):
    world.wants("rx@v2.0.0")
    return world.run("lock", code=code)


def refused(world, what, fix):
    done = locked(world, code=done_code(what))
    assert done.error.what == what
    assert done.error.fix == fix
    assert (world.trees(), world.leftovers(), world.lock.exists()) == ([], [], False)


def done_code(what):
    return 4 if what.startswith("E-UNAVAILABLE") else 2


@pytest.fixture
def repo(world):
    repo = world.repo("rx")
    repo.write(plugin_files("rx", "2.0.0"))
    return repo


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "pyproject.toml", "acme_rx"])
def test_links_are_refused(world, repo, target):
    (repo.path / "sub").mkdir()
    (repo.path / "sub/link").symlink_to(target)
    repo.commit(tag="v2.0.0")
    refused(
        world,
        "E-SYMLINK plugin 'rx': the symbolic link 'sub/link' is not supported",
        "replace the link by the file, and tag again",
    )


def test_submodules_are_refused(world, repo):
    head = repo.git("rev-parse", "HEAD")
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{head},sub")
    repo.git("commit", "--quiet", "-m", "submodule")
    repo.tag("v2.0.0")
    refused(
        world,
        "E-SUBMODULE plugin 'rx': the submodule 'sub' is not supported",
        "vendor it, or publish it as a dependency, and tag again",
    )


@pytest.mark.parametrize("name", ["..", ".git", ".GIT", "git~1", "a/b", ".", ".git "])
def test_names_that_lead_elsewhere_are_stopped(world, repo, name):
    blob = repo.git("hash-object", "-w", "--stdin", data=b"x")
    repo.raw_tag(repo.raw_tree([("100644", name, blob)]), "v2.0.0")
    done = world.wants("rx@v2.0.0") and None
    for code in (4, 2):  # git's own check, or ours
        try:
            done = world.run("lock", code=code)
            break
        except AssertionError:
            continue
    assert done is not None
    assert done.error.what.split()[0] in ("E-UNAVAILABLE", "E-PATH")
    assert (world.trees(), world.leftovers(), world.lock.exists()) == ([], [], False)


NAMES = [
    ("aux.py", "is a name that some systems cannot hold"),
    ("COM1", "is a name that some systems cannot hold"),
    ("dot.", "is a name that some systems cannot hold"),
    ("blank ", "is a name that some systems cannot hold"),
    ("a\\b", "holds a character that some systems forbid"),
    ("a:b", "holds a character that some systems forbid"),
    ("a\x07b", "holds a character that some systems forbid"),
    ("a\nb", "holds a character that some systems forbid"),
    ("\udcff", "holds a character that some systems forbid"),
    ("n" * 241, "is longer than 240 characters"),
]


@pytest.mark.parametrize(("name", "why"), NAMES)
def test_names_that_some_systems_cannot_hold_are_refused(world, repo, name, why):
    blob = repo.git("hash-object", "-w", "--stdin", data=b"x")
    repo.raw_tag(repo.raw_tree([("100644", name, blob)]), "v2.0.0")
    refused(
        world,
        f"E-PATH plugin 'rx': {name!r} {why}",
        "request a new tag from its author, in which the file has another name",
    )


@pytest.mark.parametrize(
    ("one", "two"), [("Read.me", "read.me"), ("Pkg/a", "pkg/b"), ("e\u0301", "\u00e9")]
)
def test_names_that_are_one_on_some_systems_are_refused(world, repo, one, two):
    repo.commit({one: "1", two: "2"}, tag="v2.0.0")
    done = locked(world, code=2)
    assert done.error.what.startswith("E-PATH plugin 'rx': ")
    assert done.error.what.endswith(" on some systems")


def test_limits_hold_and_can_be_raised(world, repo):
    repo.commit({f"data/{i}": "x" for i in range(9)}, tag="v2.0.0")
    world.wants("rx@v2.0.0", head="limits: {files: 12}\n")
    done = world.run("lock", code=2)
    raise_it = "raise the limit under 'limits:' in plugins.yaml, if you trust the plugin"
    assert done.error.what == (
        "E-LIMIT plugin 'rx': it has more files or folders than the limit (files: 12)"
    )
    assert done.error.fix == raise_it
    world.wants("rx@v2.0.0", head="limits: {bytes: 100}\n")
    done = world.run("lock", code=2)
    assert done.error.what == "E-LIMIT plugin 'rx': its files are over the limit (bytes: 100)"
    assert done.error.fix == raise_it
    assert (world.trees(), world.leftovers()) == ([], [])
    world.wants("rx@v2.0.0", head="limits: {files: 13, bytes: 100000}\n")
    world.run("lock")


def test_pointers_to_large_files_are_refused(world, repo):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    repo.commit({"weights.bin": pointer}, tag="v2.0.0")
    refused(
        world,
        "E-LFS plugin 'rx': 'weights.bin' is a pointer to a file that Git LFS holds",
        "commit the file itself, or let the plugin fetch it by its hash",
    )


def test_files_are_as_committed_whatever_their_attributes_say(world, repo, tmp_path, monkeypatch):
    config = tmp_path / "gitconfig"
    config.write_text(f'[filter "f"]\n\tsmudge = touch {tmp_path}/ran\n[core]\n\tautocrlf = true\n')
    repo.commit(
        {
            ".gitattributes": "*.txt export-subst ident text eol=crlf\n"
            "*.f filter=f\nout export-ignore\n",
            "a.txt": b"$Format:%H$ $Id$\nline\n",
            "b.f": "b",
            "out": "kept",
        },
        tag="v2.0.0",
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    locked(world)
    assert (world.tree() / "a.txt").read_bytes() == b"$Format:%H$ $Id$\nline\n"
    assert (world.tree() / "out").read_text() == "kept"
    assert not (tmp_path / "ran").exists()


def test_what_tools_leave_behind_is_left_out(world, repo):
    clean = {f"{folder}/x": "x" for folder in ("__pycache__", ".mypy_cache", "a.egg-info")}
    repo.commit({**clean, "acme_rx/evil.pyc": "x"}, tag="v2.0.0")
    locked(world)
    names = sorted(one.name for one in world.tree().rglob("*"))
    assert names == ["__init__.py", "acme_rx", "nodes.json", "nodes.py", "pyproject.toml"]


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_modes_do_not_depend_on_the_umask(world, repo, umask):
    import os

    (repo.path / "tool.sh").write_text("#!/bin/sh")
    (repo.path / "tool.sh").chmod(0o755)
    repo.commit(tag="v2.0.0")
    before = os.umask(umask)
    try:
        locked(world)
    finally:
        os.umask(before)
    modes = {one.stat().st_mode & 0o777 for one in world.tree().rglob("*") if one.is_file()}
    assert modes == {0o444}
    folders = [one for one in (world.tree(), *world.tree().rglob("*")) if one.is_dir()]
    assert {one.stat().st_mode & 0o777 for one in folders} == {0o555}


def test_hostile_files_of_a_tree_never_run(world, repo, tmp_path):
    from specloom_registry import resolve_plugins

    ran = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    hostile = ("sitecustomize.py", "conftest.py", "setup.py", "usercustomize.py", "json.py")
    repo.commit({**dict.fromkeys(hostile, ran), "x.pth": f"import os; {ran}"}, tag="v2.0.0")
    locked(world)
    world.run("sync", probe=True)
    resolve_plugins(world.manifest)
    import json  # noqa: F401  # not the tree's

    import acme_rx

    assert acme_rx.SAYS == "one"
    assert not (tmp_path / "ran").exists()
