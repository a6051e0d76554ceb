"""Scratch folders: of one process each, and removed when that process is dead."""

import os
import subprocess
import sys
import textwrap

import pytest

from specloom import UnavailableError, open_locked, process_tag
from specloom.execution import files
from specloom_predict import scratch as module
from specloom_predict.scratch import remove_leftovers, scratch_folder

HOST = process_tag().split("-")[0]


def test_a_scratch_folder_carries_host_process_and_a_random_part(tmp_path):
    with scratch_folder(tmp_path) as first, scratch_folder(tmp_path) as second:
        assert first != second
        for folder in (first, second):
            host, process, random = folder.name.removeprefix(".part-").split("-")
            assert (host, process, len(random)) == (HOST, str(os.getpid()), 8)
    assert list(tmp_path.iterdir()) == []


WORKING = """
    import os, sys
    from pathlib import Path
    from specloom import write_file
    from specloom_predict.scratch import scratch_folder
    out = Path(sys.argv[1])
    def stay(number):
        print("ready", flush=True)
        sys.stdin.readline()
    with scratch_folder(out) as scratch:
        (scratch / "scores.npy").write_bytes(b"half")
        os.fsync = stay
        write_file(out / "predict.json", b"whole")
"""


@pytest.fixture
def working(tmp_path):
    """A process that works in a scratch folder of ``tmp_path`` and writes a file beside it."""
    script = textwrap.dedent(WORKING)
    commands = []

    def start(*before):
        command = [*before, sys.executable, "-c", script, str(tmp_path)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        commands.append(process)
        assert process.stdout.readline() == b"ready\n", process.stderr.read()
        return process

    yield start
    for process in commands:
        process.kill()
        process.communicate()


def parts(folder):
    """The scratch folders and unfinished files in a folder."""
    return sorted(path.name for path in folder.glob(".*"))


def test_what_a_living_process_writes_stays_and_what_a_dead_one_left_goes(tmp_path, working):
    process = working()
    left = parts(tmp_path)
    assert [name[:6] for name in left] == [".part-", ".predi"]
    remove_leftovers(tmp_path)
    assert parts(tmp_path) == left
    process.kill()
    process.wait()
    remove_leftovers(tmp_path)
    assert parts(tmp_path) == []


NAMESPACES = ["unshare", "--pid", "--fork", "--kill-child"]


def has_namespaces():
    try:
        return subprocess.run([*NAMESPACES, "true"], stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not has_namespaces(), reason="no process namespaces without 'unshare --pid'")
def test_a_second_container_leaves_what_a_living_process_writes(tmp_path, working):
    process = working()
    left = parts(tmp_path)
    clean = f"""
        import os
        from pathlib import Path
        from specloom_predict.scratch import remove_leftovers
        assert os.getpid() < 9, os.getpid()
        remove_leftovers(Path({str(tmp_path)!r}))
    """
    script = textwrap.dedent(clean)
    subprocess.run([*NAMESPACES, sys.executable, "-c", script], check=True)
    assert parts(tmp_path) == left
    process.communicate(b"\n")
    assert process.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["predict.json"]


@pytest.mark.skipif(not has_namespaces(), reason="no process namespaces without 'unshare --pid'")
def test_a_living_process_in_another_container_is_known_as_one(tmp_path, working):
    working(*NAMESPACES)
    left = parts(tmp_path)
    remove_leftovers(tmp_path)
    assert parts(tmp_path) == left


def test_files_of_versions_without_locks_are_removed_and_others_stay(tmp_path):
    (tmp_path / f".part-{HOST}-4711-0123abcd").mkdir()
    (tmp_path / ".predict.json.4711").write_text("")
    (tmp_path / ".notes").write_text("")
    with scratch_folder(tmp_path) as scratch:
        assert parts(tmp_path) == sorted([".notes", scratch.name])
    assert parts(tmp_path) == [".notes"]


def test_a_scratch_folder_that_is_taken_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    taken = []

    def rival(path):
        if not taken:
            taken.append(path.parent)
            remove_leftovers(tmp_path)
        return open_locked(path)

    monkeypatch.setattr(module, "open_locked", rival)
    with scratch_folder(tmp_path) as scratch:
        assert scratch.is_dir()
        assert not taken[0].exists()


def test_a_name_of_a_host_with_hyphens_and_dots(monkeypatch):
    monkeypatch.setattr(files, "host_name", lambda: "node-7.cluster." + "x" * 99)
    host, process, random = process_tag().split("-")
    assert host == "node_7_cluster_" + "x" * 17
    assert (process, len(random)) == (str(os.getpid()), 8)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError) as error, scratch_folder(tmp_path / "file/out"):
        pass
    assert str(error.value) == (
        f"{tmp_path}/file/out cannot be written: a file of that name is there, not a folder\n"
        "  fix: choose another folder with --out"
    )
