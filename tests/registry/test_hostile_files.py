"""What a user may have broken: git, the lock, nested files, records, the folder of results."""

import errno
import io
import json
import os
from pathlib import Path

import pytest
from bare_world import write_manifest
from click.testing import CliRunner
from registry_world import plugin_files
from run_world import made

from specloom import SpecloomError
from specloom_registry import resolve_plugins
from specloom_registry.commands.reproduce import reproduce
from specloom_registry.fetch import git as gitsafe
from specloom_registry.model import lockfile, manifest, metadata
from specloom_registry.provenance import compare_weights, run_record
from specloom_registry.store.store import Store

RESTORE = f"restore it, or {lockfile.RELOCK}"
NO_GIT = "E-GIT the command 'git' is in no folder of the PATH"
INSTALL_GIT = "install git, or add its folder to the PATH"
MANY = 100_000


def deep(opening="[", closing="]", times=MANY):
    return opening * times + closing * times


def error_of(call, *arguments):
    """The parts of the error that a call ends with."""
    with pytest.raises(SpecloomError) as caught:
        call(*arguments)
    found = caught.value
    return found.what, found.where, found.fix, found.exit_code


@pytest.fixture
def locked(world):
    world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock")
    return world


def relock(world, change):
    """Change a lock's value, and give it the digest of what it then is."""
    value = world.locked()
    del value["digest"]
    change(value)
    world.lock.write_text(json.dumps({**value, "digest": metadata.digest(value)}))


def no_git(world, monkeypatch):
    empty = world.root / "nothing"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "lab", "--git", "https://localhost:9/acme/lab.git", "--tag", "v1.0.0"),
        ("add", "lab", "--git", "https://localhost:9/acme/lab.git"),
        ("lock", "--fresh"),
        ("update",),
        ("update", "rx", "--to", "v1.1.0"),
        ("update", "--accept-moved-tag"),
        ("outdated",),
        ("sync",),
        ("sync", "--repair"),
    ],
)
def test_no_git_on_the_path_with_an_empty_store(locked, monkeypatch, arguments):
    no_git(locked, monkeypatch)
    monkeypatch.setenv("SPECLOOM_STORE", str(locked.root / "empty"))
    error = locked.run(*arguments, code=4).error
    assert NO_GIT.removeprefix("E-GIT ") in str(error)
    assert INSTALL_GIT in str(error)


def test_verify_names_the_absent_git(locked, monkeypatch):
    no_git(locked, monkeypatch)
    done = locked.run("verify", "--remote", code=1)
    assert f"rx 1.0.0: {NO_GIT}" in done.stdout


def test_objects_are_not_read_without_git(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(gitsafe.GitError) as caught, gitsafe.objects(tmp_path):
        pass
    assert str(caught.value) == f"{NO_GIT}\n  fix: {INSTALL_GIT}"


def test_a_git_that_is_no_program_is_reported(tmp_path, monkeypatch):
    git = tmp_path / "git"
    git.write_bytes(b"\0")
    git.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    what = f"E-GIT the command {git} cannot be started: Exec format error"
    fix = "install git again, or correct the PATH"
    assert error_of(gitsafe.tags, "https://localhost:9/x.git") == (what, "", fix, 4)
    with pytest.raises(gitsafe.GitError) as caught, gitsafe.objects(tmp_path):
        pass
    assert str(caught.value) == f"{what}\n  fix: {fix}"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda v: v.pop("plugins"), "'plugins' is missing"),
        (lambda v: v.pop("manifest"), "'manifest' is missing"),
        (lambda v: v.update(plugins=[]), "'plugins' is [], which is not a mapping"),
        (lambda v: v.update(manifest="x"), "'manifest' is \"x\", which is not a mapping"),
        (lambda v: v.update(packages=[1]), "'packages' is [1], which is not a mapping"),
        (lambda v: v.update(packages={"x": {}}), "'packages.x.pins' is missing"),
        (
            lambda v: v.update(packages={"x": {"pins": [3]}}),
            "'packages.x.pins[0]' is 3, which is not a mapping",
        ),
        (lambda v: v["manifest"].update(rx=None), "'manifest.rx' is null, which is not a mapping"),
        (lambda v: v["manifest"].clear(), "'rx' is not both in 'manifest' and in 'plugins'"),
        (lambda v: v["plugins"].clear(), "'rx' is not both in 'manifest' and in 'plugins'"),
        (lambda v: v["plugins"].update(rx=7), "'plugins.rx' is 7, which is not a mapping"),
        (lambda v: v["plugins"]["rx"].pop("source"), "'plugins.rx.source' is missing"),
        (lambda v: v["plugins"]["rx"].pop("package"), "'plugins.rx.package' is missing"),
        (lambda v: v["plugins"]["rx"].pop("tree"), "'plugins.rx.tree' is missing"),
        (lambda v: v["plugins"]["rx"].pop("api"), "'plugins.rx.api' is missing"),
        (
            lambda v: v["plugins"]["rx"].update(tree=["h1"]),
            "'plugins.rx.tree' is [\"h1\"], which is not a string",
        ),
        (
            lambda v: v["plugins"]["rx"].update(tree="../../x"),
            "'plugins.rx.tree' is \"../../x\", which is not the hash of a tree",
        ),
        (
            lambda v: v["plugins"]["rx"]["package"].update(root=True),
            "'plugins.rx.package.root' is true, which is not a string",
        ),
        (
            lambda v: v["plugins"]["rx"]["source"].pop("commit"),
            "'plugins.rx.source.commit' is missing",
        ),
        (
            lambda v: v["plugins"]["rx"].update(dependencies="numpy"),
            "'plugins.rx.dependencies' is \"numpy\", which is not a list",
        ),
        (
            lambda v: v["plugins"]["rx"].update(dependencies=[None]),
            "'plugins.rx.dependencies[0]' is null, which is not a string",
        ),
        (
            lambda v: v["plugins"]["rx"].update(nodes=["Twice"]),
            "'plugins.rx.nodes' is [\"Twice\"], which is not a mapping",
        ),
    ],
)
def test_a_lock_with_a_good_digest_and_another_form(locked, change, what):
    good = locked.lock.read_text()
    relock(locked, change)
    found = (f"E-LOCK {what}", str(locked.lock), lockfile.RELOCK, 2)
    assert error_of(resolve_plugins, locked.manifest) == found
    for command in (
        ["sync"],
        ["verify"],
        ["info", "rx"],
        ["why", "rx"],
        ["list"],
        ["vendor", locked.root / "away"],
        ["test", "rx"],
    ):
        error = locked.run(*command, code=2).error
        assert (error.what, error.fix) == (found[0], found[2])
    locked.run("lock")
    assert locked.lock.read_text() == good


def test_a_lock_with_many_problems_reports_ten(locked):
    def change(value):
        for i in range(30):
            value["manifest"][f"p{i}"] = {}

    relock(locked, change)
    with pytest.raises(SpecloomError) as caught:
        lockfile.read(locked.lock)
    assert len(caught.value.errors) == 10


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (deep(), "it is nested more than 100 deep"),
        (deep('{"a": ', "}", 101).replace(": }", ": 1}", 1), "it is nested more than 100 deep"),
        ('{"schema": 1, "a": "\\ud800"}', "surrogates not allowed"),
        ('{"schema": ' + "9" * 5000 + "}", "Exceeds the limit"),
    ],
)
def test_a_lock_that_json_or_its_digest_cannot_take(locked, text, why):
    locked.lock.write_text(text)
    what, where, fix, code = error_of(resolve_plugins, locked.manifest)
    assert what.startswith("E-LOCK is not JSON: ")
    assert why in what
    assert (where, fix, code) == (f"{locked.lock}:1", RESTORE, 2)
    assert lockfile.lock_digest(locked.lock) == ""
    locked.run("lock")


PROJECT = """\
[project]
name = "probe"
version = "1.0"
{}
[project.entry-points.specloom]
lab = "acme_lab"
"""


def local(world, project, name="lab"):
    """A plugin in a folder with a ``pyproject.toml`` of given text, and a manifest of it."""
    for path, text in plugin_files(name).items():
        file = world.root / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    file = world.root / name / "pyproject.toml"
    file.write_text(project)
    world.write(f"{name}: {{path: ../{name}}}")
    return file


@pytest.mark.parametrize(
    "line", [f"x = {deep()}", f"x = {deep('{a=', '}')}", f"x.{'a.' * 500}a = 1", f"[{'a.' * 500}a]"]
)
def test_a_project_file_that_is_nested_deeply(world, line):
    file = local(world, PROJECT.format(line))
    what, where, _, code = error_of(resolve_plugins, world.manifest)
    assert what == f"E-PLUGIN plugin 'lab': {file} is not TOML: it is nested more than 100 deep"
    assert (where, code) == (f"{world.manifest}:3", 2)
    world.run("lock", code=2)


@pytest.mark.parametrize(
    ("line", "key", "kind"),
    [
        ("dependencies = 5", "dependencies", "a list of strings"),
        ("dependencies = [5]", "dependencies", "a list of strings"),
        ("dependencies = 'numpy'", "dependencies", "a list of strings"),
        ("optional-dependencies = []", "optional-dependencies", "a table of lists of strings"),
        ("optional-dependencies = {a = 1}", "optional-dependencies", "a table of lists of strings"),
        ("requires-python = {a = 1}", "requires-python", "a string"),
        ("requires-python = 2020-01-01", "requires-python", "a string"),
    ],
)
def test_a_project_file_with_values_of_other_types(world, line, key, kind):
    file = local(world, PROJECT.format(line))
    what = f"E-PLUGIN plugin 'lab': {key!r} under [project] in {file} is not {kind}"
    found = (what, f"{world.manifest}:3", f"write {key} as {kind} there", 2)
    assert error_of(resolve_plugins, world.manifest) == found
    assert world.run("lock", code=2).error.what == what


def test_a_range_that_is_none_is_reported_by_a_run(world):
    local(world, PROJECT.format("requires-python = 'x'"))
    what = "E-PLUGIN plugin 'lab' 1.0: 'x' is not a version range"
    fix = "write a version range there, such as '>=3.11'"
    assert error_of(resolve_plugins, world.manifest) == (what, f"{world.manifest}:3", fix, 2)


def test_a_descriptor_that_is_nested_deeply(world):
    local(world, PROJECT.format(""))
    descriptor = world.root / "lab/acme_lab/nodes.json"
    descriptor.write_text(f'{{"Twice": {{"a": {deep()}}}}}')
    error = world.run("lock", code=2).error
    assert error.what == "E-PLUGIN plugin 'lab': its nodes.json: it is nested more than 100 deep"
    done = world.run("describe", "lab", "--check", code=1)
    assert "it cannot be read: it is nested more than 100 deep" in done.stderr


@pytest.mark.parametrize("text", [deep(), deep("{a: ", "}"), "- " * 1000, deep("- [", "]", 500)])
def test_a_manifest_that_is_nested_deeply(tmp_path, text):
    file = write_manifest(tmp_path, f"rx: {text}")
    what, where, fix, code = error_of(manifest.read, file)
    assert (what, fix) == ("is nested more than 20 deep", "flatten it") or "not YAML" in what
    assert where.startswith(f"{file}:")
    assert code == 2


@pytest.mark.parametrize("text", [deep(), f'{{"run": {deep()}}}', deep('{"run": ', "}", 101)])
def test_a_record_that_is_nested_deeply(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    what, where, fix, code = error_of(run_record.read, tmp_path)
    assert what.startswith(f"E-RUN {tmp_path} holds no run: ")
    assert (where, fix, code) == ("", "name the folder that 'specloom run' wrote", 2)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"run": []}, "'run' is [], which is not a mapping"),
        ({"seed": "0"}, "'seed' is \"0\", which is not a whole number"),
        ({"fold": 1}, "'fold' is 1, which is not a boolean"),
        ({"folder": None}, "'folder' is null, which is not a string"),
        ({"data": {"path": "x"}}, '\'data\' is {"path": "x"}, which is not a list'),
        ({"data": [{"size": 1}]}, "'data[0].path' is missing"),
        ({"data": [{"path": "x", "sha256": 3}]}, "'data[0].sha256' is 3, which is not a string"),
        ({"plugins": ["rx"]}, "'plugins' is [\"rx\"], which is not a mapping"),
        ({"plugins": {"rx": {"tree": 3}}}, "'plugins.rx.tree' is 3, which is not a string"),
        ({"packages": {"numpy": 2}}, "'packages.numpy' is 2, which is not a string"),
        ({"manifest": 3}, "'manifest' is 3, which is not a string"),
        ({"manifest_text": ["x"]}, "'manifest_text' is [\"x\"], which is not a string"),
        ({"threads": 4}, "'threads' is 4, which is not a string"),
        ({"lock": []}, "'lock' is [], which is not a mapping"),
    ],
)
def test_a_record_with_values_of_other_types(tmp_path, changed, what):
    run = made(tmp_path / "one", **changed)
    fix = "name the folder that 'specloom run' wrote"
    assert error_of(run_record.read, run) == (
        f"E-RUN {run} holds no run: in its run.json {what}",
        "",
        fix,
        2,
    )


@pytest.mark.parametrize("text", [deep(), "[]", '{"test": 1}', '"x"'])
def test_metrics_of_another_form(tmp_path, text):
    (tmp_path / "metrics.json").write_text(text)
    what, _, fix, code = error_of(run_record.metrics, tmp_path)
    assert what.startswith(f"E-RUN {tmp_path / 'metrics.json'} cannot be read: ")
    assert (fix, code) == ("restore it from where the run was saved", 2)


@pytest.mark.parametrize("header", [deep(), "[]", '{"a": 1}', '{"a": {"data_offsets": 1}}'])
def test_weights_with_a_header_of_another_form(tmp_path, header):
    file = tmp_path / "w.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header.encode())
    found = (
        f"{file} cannot be read: it is not a safetensors file",
        "",
        "restore it from where the run was saved",
        3,
    )
    assert error_of(compare_weights.read_tensors, file) == found


def test_what_the_store_remembers_may_be_nested_deeply(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/x.json").write_text(deep())
    assert Store(tmp_path).state("x") == {}


def repeated(*arguments):
    """The parts of the error that ``specloom reproduce`` ends with."""
    failed = CliRunner().invoke(reproduce, [*map(str, arguments)]).exception
    assert isinstance(failed, SpecloomError), failed
    return failed.what, failed.where, failed.fix, failed.exit_code


@pytest.mark.parametrize("about", [{}, {"manifest": "x", "manifest_text": "plugins: {}"}])
def test_results_that_cannot_be_written(tmp_path, about):
    run = made(tmp_path / "one", **about)
    (tmp_path / "file").touch()
    fix = "choose another folder with --out"
    for out, why in [
        ("file", "File exists"),
        ("file/x", "Not a directory"),
        ("x" * 300, "File name too long"),
    ]:
        what = f"E-DISK results cannot be written to {tmp_path / out}: {why}"
        assert repeated(run, "--out", tmp_path / out) == (what, "", fix, 4)


def test_results_where_the_manifest_cannot_be_replaced(tmp_path):
    run = made(tmp_path / "one", manifest="x", manifest_text="plugins: {}")
    (tmp_path / "out/plugins.yaml").mkdir(parents=True)
    what = f"E-DISK {tmp_path / 'out/plugins.yaml'} cannot be written: Is a directory"
    fix = "make room, or choose another folder with --out"
    assert repeated(run, "--out", tmp_path / "out") == (what, "", fix, 4)


def forbidden(monkeypatch, place):
    """Let the system refuse to look below ``place``, as it does for a user who may not."""
    whole = (os.stat, os.scandir, os.listdir)

    def refusing(call):
        def refused(path, *arguments, **options):
            below = isinstance(path, str | os.PathLike) and Path(path).is_relative_to(place)
            if below and not (call is whole[0] and Path(path) == place):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return call(path, *arguments, **options)

        return refused

    for call in whole:
        monkeypatch.setattr(os, call.__name__, refusing(call))
    monkeypatch.setattr(io, "open", refusing(io.open))
    monkeypatch.setattr(os, "open", refusing(os.open))


def test_a_store_that_may_not_be_searched(locked, monkeypatch):
    tree = locked.tree()
    forbidden(monkeypatch, locked.store / "trees")
    what = f"E-DISK {tree} cannot be read: Permission denied"
    fix = "make it readable for this user"
    for command in (["sync"], ["vendor", locked.root / "away"], ["info", "rx"]):
        error = locked.run(*command, code=4).error
        assert (error.what, error.fix) == (what, fix)
    assert f"rx 1.0.0: {what}\n  fix: {fix}" in locked.run("verify", code=1).stdout
    error = locked.run("gc", code=4).error
    assert error.what == f"E-DISK {locked.store / 'trees'} cannot be read: Permission denied"
    assert error.fix == fix


def test_a_file_of_a_local_plugin_that_may_not_be_read(world, monkeypatch):
    local(world, PROJECT.format(""))
    (world.root / "lab/deep").mkdir()
    forbidden(monkeypatch, world.root / "lab/deep")
    error = world.run("lock", code=4).error
    assert error.what == f"E-DISK {world.root / 'lab/deep'} cannot be read: Permission denied"
    assert error.fix == "make it readable for this user"


def test_a_project_that_may_not_be_searched(locked, monkeypatch):
    forbidden(monkeypatch, locked.project)
    why = "cannot be read: Permission denied"
    for command in (["list"], ["describe", "rx"]):  # which look at the lock first
        error = locked.run(*command, code=2).error
        assert (error.what, error.fix) == (f"E-LOCK {locked.lock} {why}", lockfile.RELOCK)
    for command in (["lock"], ["sync"], ["verify"], ["update"], ["remove", "rx"]):
        error = locked.run(*command, code=2).error
        assert (error.what, error.fix) == (f"{locked.manifest} {why}", "check the path")
    error = locked.run("add", "x", "--path", "../x", code=4).error
    assert (error.what, error.fix) == (f"{locked.manifest} {why}", "make it readable")


def test_a_manifest_that_is_a_circle_of_links(locked):
    locked.manifest.unlink()
    locked.manifest.symlink_to(locked.manifest.name)
    what = f"{locked.manifest} cannot be read: Too many levels of symbolic links"
    for command in (["describe", "rx"], ["list"]):
        error = locked.run(*command, code=2).error
        assert (error.what, error.fix) == (what, "check the path")


def test_a_plugin_that_is_a_circle_of_links_or_too_long_a_name(world):
    (world.root / "ring").symlink_to("ring")
    world.write("lab: {path: ../ring}")
    assert "E-PATH-MISSING plugin 'lab': '../ring' does not exist" in str(
        world.run("lock", code=2).error
    )
    world.write(f"lab: {{path: {'x' * 300}}}")
    error = world.run("lock", code=2).error
    assert "cannot be used: File name too long" in error.what
    assert error.fix == "correct the path; it is relative to the manifest's folder"


def test_adding_to_a_manifest_that_is_not_text(world):
    world.manifest.write_bytes(b"schema: 1\n\xff")
    error = world.run("add", "x", "--path", "../x", code=2).error
    found = ("is not UTF-8 text", f"{world.manifest}:2", "save it as UTF-8")
    assert (error.what, error.where, error.fix) == found


@pytest.mark.parametrize("data", [b"\xff\xfe", b""])
def test_checking_a_lock_that_is_not_text(locked, data):
    locked.lock.write_bytes(data)
    done = locked.run("lock", "--check", code=1)
    assert f"{locked.lock} is out of date\n  fix: run: specloom plugins lock" in done.stderr


def test_removing_a_plugin_next_to_a_folder_that_is_named_like_a_run_file(locked):
    (locked.project / "old.yaml").mkdir()
    locked.run("remove", "rx")
    assert locked.locked()["plugins"] == {}


@pytest.mark.parametrize("data", [b"\xff", b"a\0b", b""])
def test_notes_of_projects_that_are_no_paths_keep_nothing(locked, data):
    (locked.store / "roots/x.path").write_bytes(data)
    assert "0 deleted" in locked.run("gc").stdout


def test_a_note_of_a_project_that_cannot_be_read_stops_gc(locked):
    note = locked.store / "roots/x.path"
    note.mkdir()
    error = locked.run("gc", code=4).error
    assert error.what == f"E-DISK {note} cannot be read: Is a directory; nothing was deleted"
    assert error.fix == "make it readable for this user"


@pytest.mark.parametrize("marker", ["a" + ".a" * 3000, "(" * 500, "not " * 5000 + "x"])
def test_a_marker_that_is_nested_deeply(world, marker):
    local(world, PROJECT.format(f'dependencies = ["numpy; {marker}"]'))
    error = world.run("lock", code=2).error
    assert error.what.startswith("E-PLUGIN plugin 'lab': its dependency '")
    assert "' is not a requirement: " in error.what
    assert len(error.what) < 400
    assert error.where == f"{world.manifest}:3"


@pytest.mark.parametrize("value", ["[]", "{}", "{a: [b]}", "5", "'>=x'"])
def test_a_kernel_that_is_no_range(world, value):
    world.write("", head=f"specloom: {value}\n", mirrored=False)
    error = world.run("lock", code=2).error
    assert error.what.startswith("E-KERNEL ")
    assert error.what.endswith(" is not a version range")
    assert (error.where, error.fix) == (f"{world.manifest}:3", "write, for example, '>=0.1,<0.2'")


@pytest.mark.parametrize("root", [r'"a\u0000b"', "5", "[]"])
def test_a_source_root_that_is_no_path(world, root):
    file = local(world, PROJECT.format("") + f"[tool.specloom]\nsource-root = {root}\n")
    error = world.run("lock", code=2).error
    assert error.what.endswith("is not a folder of the plugin")
    assert error.fix == f'write source-root = "src" in {file}'


def test_a_source_root_of_too_long_a_name(world):
    local(world, PROJECT.format("") + f'[tool.specloom]\nsource-root = "{"x" * 300}"\n')
    error = world.run("lock", code=2).error
    assert error.what.endswith("holds no module 'acme_lab'")
    assert error.fix == "put the module next to pyproject.toml, or correct the entry point"


def test_describing_next_to_a_readme_that_cannot_be_read(world, monkeypatch):
    local(world, PROJECT.format(""))
    readme = world.root / "lab/README.md"
    readme.write_bytes(b"\xff")
    error = world.run("describe", "lab", "--check", code=2).error
    assert (error.what, error.fix) == (f"{readme} is not UTF-8 text", "save it as UTF-8")
    forbidden(monkeypatch, readme)
    error = world.run("describe", "lab", "--check", code=2).error
    what = f"{readme} cannot be read: Permission denied"
    assert (error.what, error.fix) == (what, "make it readable for this user")
