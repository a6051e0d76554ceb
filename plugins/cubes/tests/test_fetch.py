"""``specloom data`` against a local server that speaks the endpoints of the hub."""

import json
import shutil
import socket
import sys
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from specloom import ConfigError, IntegrityError, UnavailableError
from specloom_cubes.fetch import fetching
from specloom_cubes.fetch.command import data

constants = pytest.importorskip("huggingface_hub.constants")
sys.path.append(str(Path(__file__).parent))
hub_server = import_module("hub_server")

NAME = "cubert-gmbh/XMR_Lentils"
FIRST = "1" * 40
SECOND = "2" * 40
FILES = {
    "README.md": b"---\nlicense: apache-2.0\n---\n",
    "Lentils_000.cu3s": bytes(range(256)) * 400,
    "day 1/Lentils_000.json": b'{"images": []}',
}


@pytest.fixture
def server(monkeypatch):
    with hub_server.serving(NAME, {FIRST: FILES}) as made:
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        monkeypatch.setattr(time, "sleep", lambda _: None)  # between tries of the client
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)  # what it writes in one piece
        yield made


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data/XMR_Lentils"


def run(*arguments):
    """The output of a command, which must succeed."""
    result = CliRunner().invoke(data, [*arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def fetch(*options):
    return run("fetch", NAME, "--yes", *options)


def refusal(kind, *options):
    with pytest.raises(kind) as error:
        run("fetch", NAME, "--yes", *options)
    return error.value


def lock_of(folder):
    return json.loads((folder / "data.lock.json").read_text())


def files_of(folder):
    return {name: (folder / name).read_bytes() for name in lock_of(folder)["files"]}


def test_the_first_fetch_locks_what_it_took(server, folder):
    output = fetch()
    assert output.splitlines()[0] == (
        f"{NAME} at 111111111111: 3 files, 102.4 kB, licence: apache-2.0"
    )
    assert output.splitlines()[1].startswith(
        "to download: 3 files, 102.4 kB into data/XMR_Lentils ("
    )
    assert output.splitlines()[-1] == (
        "fetched: data/XMR_Lentils, 3 files, 102.4 kB, locked in data.lock.json"
    )
    assert files_of(folder) == FILES
    locked = {}
    for name, contents in FILES.items():
        locked[name] = {"size": len(contents), "sha256": hub_server.sha256(contents)}
    assert lock_of(folder) == {
        "version": 1,
        "repository": NAME,
        "revision": FIRST,
        "license": "apache-2.0",
        "files": locked,
    }


def test_a_complete_data_set_needs_no_network(server, folder):
    fetch()
    server.requests.clear()
    said = "data/XMR_Lentils: 3 files, 102.4 kB, as locked at 111111111111\n"
    assert fetch() == said
    assert fetch("--offline") == said
    assert server.requests == []


def test_a_changed_file_is_an_error_with_both_hashes(server, folder):
    fetch()
    (folder / "Lentils_000.cu3s").write_bytes(b"changed")
    locked = hub_server.sha256(FILES["Lentils_000.cu3s"])
    for options in ((), ("--offline",), ("--update",)):
        error = refusal(IntegrityError, *options)
        assert error.what == (
            f"data/XMR_Lentils/Lentils_000.cu3s has the SHA-256 {hub_server.sha256(b'changed')}, "
            f"and data.lock.json has {locked}"
        )
        assert error.fix == (
            "remove the file and fetch again; after a change of your own, remove the lock"
        )
        assert error.exit_code == 3
    assert (folder / "Lentils_000.cu3s").read_bytes() == b"changed"
    (folder / "Lentils_000.cu3s").unlink()
    fetch()
    assert files_of(folder) == FILES


def test_a_missing_file_comes_from_the_locked_revision(server, folder):
    fetch()
    server.revisions[SECOND] = {**FILES, "README.md": b"new"}
    (folder / "README.md").unlink()
    output = fetch()
    assert output.startswith(f"{NAME} at 111111111111: 3 files")
    assert files_of(folder) == FILES
    assert lock_of(folder)["revision"] == FIRST


def test_update_takes_the_newest_revision(server, folder):
    fetch()
    newer = {"README.md": b"new", "Lentils_000.cu3s": FILES["Lentils_000.cu3s"]}
    server.revisions[SECOND] = newer
    output = fetch("--update")
    assert "to download: 1 file, 3 bytes" in output
    assert lock_of(folder)["revision"] == SECOND
    assert files_of(folder) == newer


def test_another_revision_than_the_locked_one(server, folder):
    fetch("--revision", FIRST)
    server.revisions[SECOND] = FILES
    error = refusal(ConfigError, "--revision", SECOND)
    assert error.what == f"data/XMR_Lentils/data.lock.json has the revision {FIRST}, not {SECOND}"
    assert error.fix == "add --update to take another revision"
    fetch("--revision", SECOND, "--update")
    assert lock_of(folder)["revision"] == SECOND


def test_a_revision_that_is_gone(server, folder):
    fetch()
    server.revisions = {SECOND: FILES}
    (folder / "README.md").unlink()
    error = refusal(UnavailableError)
    assert error.what == f"{server.url} has no revision {FIRST} of {NAME}"
    assert error.fix == "check the revision; with a lock, --update takes the present one"


def test_a_revision_that_was_rewritten(server, folder):
    fetch()
    (folder / "Lentils_000.cu3s").unlink()
    other = bytes(2000)
    server.revisions[FIRST] = {**FILES, "Lentils_000.cu3s": other}
    error = refusal(IntegrityError)
    assert error.what == (
        f"{NAME} has Lentils_000.cu3s with the SHA-256 {hub_server.sha256(other)}, and "
        f"data.lock.json has {hub_server.sha256(FILES['Lentils_000.cu3s'])}"
    )
    assert error.fix == "report it to the owner of the data set: a revision never changes"
    (folder / "README.md").unlink()
    server.revisions[FIRST] = {**FILES, "README.md": b"new"}
    error = refusal(IntegrityError)
    assert error.what == (
        f"data/XMR_Lentils/README.md has the SHA-256 {hub_server.sha256(b'new')}, and "
        f"data.lock.json has {hub_server.sha256(FILES['README.md'])}"
    )
    assert not (folder / "README.md").exists()
    server.revisions[FIRST] = {"README.md": FILES["README.md"]}
    error = refusal(IntegrityError)
    assert error.what == f"data.lock.json has Lentils_000.cu3s, which {NAME} has no more at {FIRST}"


def test_bytes_that_are_not_what_the_hub_states(server, folder):
    wrong = FILES["Lentils_000.cu3s"][:-1] + b"x"
    server.wrong["Lentils_000.cu3s"] = wrong
    error = refusal(IntegrityError)
    assert error.what == (
        "data/XMR_Lentils/Lentils_000.cu3s was downloaded with the hash "
        f"{hub_server.sha256(wrong)}, and the hub states "
        f"{hub_server.sha256(FILES['Lentils_000.cu3s'])}: it was removed"
    )
    assert error.fix == "run the command again: what was downloaded is not downloaded again"
    assert not (folder / "Lentils_000.cu3s").exists()
    assert not (folder / "data.lock.json").exists()
    server.wrong.clear()
    fetch()
    assert files_of(folder) == FILES


def test_a_small_file_is_compared_by_the_hash_of_git(server, folder):
    server.wrong["README.md"] = b"x" * len(FILES["README.md"])
    error = refusal(IntegrityError)
    assert hub_server.blob(FILES["README.md"]) in error.what
    assert hub_server.blob(server.wrong["README.md"]) in error.what


def ranges_of(server):
    """The ranges of the session's file that were requested."""
    paths = [path for _, path, wanted in server.requests if wanted]
    assert all(path.endswith(".cu3s") for path in paths)
    return [wanted for _, _, wanted in server.requests if wanted]


def test_a_cut_transfer_is_continued(server, folder):
    server.cut.append("Lentils_000.cu3s")
    fetch()
    assert files_of(folder) == FILES
    half = len(FILES["Lentils_000.cu3s"]) // 2
    assert ranges_of(server) == [f"bytes={half}-"]


def test_a_transfer_that_is_always_cut_is_continued_by_the_next_call(server, folder):
    server.cut += ["Lentils_000.cu3s"] * 40
    error = refusal(UnavailableError)
    assert error.fix.endswith("run the command again: what was downloaded is not downloaded again")
    assert error.exit_code == 4
    assert not (folder / "data.lock.json").exists()
    server.cut.clear()
    server.requests.clear()
    fetch()
    assert files_of(folder) == FILES
    (first,) = ranges_of(server)
    assert int(first.removeprefix("bytes=").removesuffix("-")) >= 50_000


def test_without_a_network(server, folder, monkeypatch):
    fetch()
    (folder / "README.md").unlink()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", closed)
        error = refusal(UnavailableError)
    assert error.what.startswith(f"{closed} cannot be used: ")
    assert error.fix.startswith("check the network and HF_ENDPOINT; run the command again")
    error = refusal(UnavailableError, "--offline")
    assert error.what == "data/XMR_Lentils lacks files that its lock has"
    assert error.fix == "fetch it without --offline"


def test_a_data_set_that_was_renamed(server, folder):
    server.moved = "owner/former"
    run("fetch", "owner/former", "--yes", "--out", str(folder))
    assert files_of(folder) == FILES
    assert lock_of(folder)["repository"] == "owner/former"


def test_a_file_that_another_process_fetched_in_the_meantime(server, folder, monkeypatch):
    original = fetching.check_disk

    def fetch_in_between(plan):
        original(plan)
        for name, contents in FILES.items():
            (plan.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (plan.folder / name).write_bytes(contents)

    monkeypatch.setattr("specloom_cubes.fetch.command.check_disk", fetch_in_between)
    fetch()
    assert files_of(folder) == FILES
    assert all("/resolve/" not in path for _, path, _ in server.requests)


def test_offline_without_a_lock(folder):
    error = refusal(UnavailableError, "--offline")
    assert error.what == "data/XMR_Lentils has no lock, so that nothing says what should be there"
    assert error.fix == "fetch it once without --offline"


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_a_hub_that_refuses(server, folder, status):
    server.answer = status
    error = refusal(UnavailableError)
    assert server.url in error.what


def test_a_data_set_that_is_not_there(server, folder):
    with pytest.raises(UnavailableError) as error:
        run("fetch", "cubert-gmbh/other", "--yes")
    assert error.value.what == f"{server.url} has no public data set cubert-gmbh/other"
    assert error.value.fix == "check the name: OWNER/NAME"


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"rfilename": "../x"}, "'../x' leads out of the folder"),
        ({"rfilename": "/etc/x"}, "'/etc/x' leads out of the folder"),
        ({"rfilename": "a\\b"}, "'a\\\\b' leads out of the folder"),
        ({"rfilename": "data.lock.json"}, "'data.lock.json' is a name that is used here"),
        ({"rfilename": ".cache/x"}, "'.cache/x' is a name that is used here"),
        ({"size": None}, "'README.md' has no size and hash"),
        ({"blobId": "x"}, "'README.md' has no size and hash"),
    ],
)
def test_a_hub_that_describes_what_cannot_be(server, folder, stated, said):
    server.stated["README.md"] = stated
    error = refusal(IntegrityError)
    assert error.what == f"{server.url} describes {NAME} in a way that cannot be used: {said}"
    assert error.fix == "check HF_ENDPOINT, or report it to the hub"


def test_a_full_disk(server, folder, monkeypatch):
    usage = SimpleNamespace(free=50_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    error = refusal(UnavailableError)
    assert error.what == "data/XMR_Lentils needs 0.00 GB, and its disk has 0.00 GB free"
    assert error.fix == "make room, or name a folder on another disk with --out"
    assert not folder.exists()
    usage.free = 200_000
    fetch()


def test_a_file_of_another_origin_is_not_overwritten(server, folder):
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("mine")
    error = refusal(IntegrityError)
    assert error.what == (
        f"data/XMR_Lentils/README.md has the SHA-256 {hub_server.sha256(b'mine')}, and {NAME} has "
        f"{hub_server.blob(FILES['README.md'])} (Git)"
    )
    assert error.fix == "move the file away, or name another folder with --out"
    assert (folder / "README.md").read_text() == "mine"


def test_another_data_set_in_the_folder(server, folder):
    fetch()
    with pytest.raises(ConfigError) as error:
        run("fetch", "owner/name", "--out", str(folder))
    assert error.value.what == f"{folder} has the data set {NAME}, not owner/name"
    assert error.value.fix == "name another folder with --out"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version": 2}', "[" * 100_000, '{"version": 1, "files": {"../x": {}}}'],
)
def test_a_damaged_lock(folder, text):
    folder.mkdir(parents=True)
    (folder / "data.lock.json").write_text(text)
    error = refusal(ConfigError)
    assert error.what.startswith("data/XMR_Lentils/data.lock.json is no lock of a data set: ")
    assert error.fix == "restore it, or remove it to lock again what is there"


def test_what_is_there_is_locked_without_a_download(server, folder):
    fetch()
    (folder / "data.lock.json").unlink()
    assert "to download: 0 files, 0 bytes" in run("fetch", NAME)
    assert len(lock_of(folder)["files"]) == 3


def test_a_confirmation(server, folder, monkeypatch):
    with pytest.raises(ConfigError) as error:
        run("fetch", NAME)
    assert error.value.what == (
        "nothing is downloaded without a confirmation, and there is no terminal"
    )
    assert error.value.fix == "add --yes"
    assert not folder.exists()


def test_names(folder):
    for name, fix in (
        ("XMR_Lentils", f"did you mean '{NAME}'?"),
        ("a/b/c", f"write OWNER/NAME, as in {NAME}"),
        ("../x", f"write OWNER/NAME, as in {NAME}"),
    ):
        with pytest.raises(ConfigError) as error:
            run("fetch", name)
        assert error.value.what == f"{name!r} is no name of a data set"
        assert error.value.fix == fix


def test_list(server, folder):
    lines = run("list").splitlines()
    assert NAME in lines[0]
    assert "foreign objects, 252 frames of 6 bands" in lines[3]
    assert [line.split("/")[0] for line in lines[:5]] == ["cubert-gmbh"] * 5
    fetch()
    assert f"data/XMR_Lentils: {NAME} at 111111111111, 3 files, 102.4 kB" in run("list")


def test_without_the_client(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    error = refusal(UnavailableError)
    assert error.what.startswith("fetching data needs the package huggingface_hub, which cannot be")
    assert error.fix == "pip install 'specloom-cubes[fetch]'"


def test_the_room_on_the_disk_of_a_folder_to_be_made(tmp_path):
    assert fetching.free_bytes(tmp_path / "a/b/c") > 0
