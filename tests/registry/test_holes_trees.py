"""Trees of a few bytes that unfold to more than any disk holds."""

import time

import pytest
from registry_world import plugin_files

LIMIT = "raise the limit under 'limits:' in plugins.yaml, if you trust the plugin"


@pytest.fixture
def repo(world):
    repo = world.repo("rx")
    repo.write(plugin_files("rx", "2.0.0"))
    return repo


def refused(world, what, fix):
    world.wants("rx@v2.0.0")
    started = time.monotonic()
    done = world.run("lock", code=2)
    assert (done.error.what, done.error.fix) == (what, fix)
    assert time.monotonic() - started < 60
    assert (world.trees(), world.leftovers(), world.lock.exists()) == ([], [], False)


@pytest.mark.parametrize("leaf", ["a file", "an empty folder"])
def test_a_tree_of_a_billion_paths_is_counted_on_the_way(world, repo, leaf):
    inner = repo.raw_tree([])
    if leaf == "a file":
        inner = repo.raw_tree(
            [("100644", "f", repo.git("hash-object", "-w", "--stdin", data=b"x"))]
        )
    for _ in range(9):
        inner = repo.raw_tree([("40000", str(i), inner) for i in range(10)])
    repo.raw_tag(inner, "v2.0.0")
    what = "E-LIMIT plugin 'rx': it has more files or folders than the limit (files: 20000)"
    refused(world, what, LIMIT)


def test_a_tree_that_is_thousands_deep_is_refused_at_the_longest_path(world, repo):
    inner = repo.raw_tree([("100644", "f", repo.git("hash-object", "-w", "--stdin", data=b"x"))])
    names = nested_trees(inner, 4_000)
    store_objects(repo, names)
    repo.raw_tag(names[-1][0], "v2.0.0")
    path = "/".join("d" * 121)
    what = f"E-PATH plugin 'rx': {path!r} is longer than 240 characters"
    refused(world, what, "request a new tag from its author, in which the file has another name")


def nested_trees(inner, depth):
    """Return hash and bytes of trees that each hold the one before."""
    import hashlib

    found = []
    for _ in range(depth):
        data = b"40000 d\0" + bytes.fromhex(inner)
        inner = hashlib.sha1(b"tree %d\0" % len(data) + data).hexdigest()
        found.append((inner, data))
    return found


def store_objects(repo, names):
    """Write trees as loose objects, without a process for each."""
    import zlib

    for name, data in names:
        file = repo.path / ".git/objects" / name[:2] / name[2:]
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(zlib.compress(b"tree %d\0" % len(data) + data))


def test_one_folder_with_too_many_names_is_not_read(world, repo):
    blob = repo.git("hash-object", "-w", "--stdin", data=b"x")
    many = repo.raw_tree([("100644", f"{i:0240d}", blob) for i in range(30_000)])
    repo.raw_tag(many, "v2.0.0")
    what = "E-LIMIT plugin 'rx': it has more files or folders than the limit (files: 20000)"
    refused(world, what, LIMIT)
