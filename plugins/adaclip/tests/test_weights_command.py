import hashlib
import json
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save

from specloom import ConfigError, IntegrityError, SpecloomError, UnavailableError
from specloom_adaclip.commands import weights
from specloom_adaclip.weights import catalogue, download
from specloom_adaclip.weights.catalogue import Checkpoint
from specloom_adaclip.weights.store import Store

sys.path.append(str(Path(__file__).parent))
serving = import_module("file_server").serving
DATA, OTHER = save({"a": torch.arange(5000.0)}), save({"a": torch.ones(5)})
HASH = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server, a fresh store, and a list of one pinned and one unpinned file."""
    monkeypatch.setenv("SPECLOOM_WEIGHTS", str(tmp_path / "store"))
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    with serving(DATA) as made:
        names = {
            "pinned": Checkpoint("backbone", made.url, len(DATA), HASH),
            "unpinned": Checkpoint("adapter", made.url, None, None),
        }
        monkeypatch.setattr(catalogue, "checkpoints", lambda: names)
        monkeypatch.setattr(
            import_module("specloom_adaclip.weights.store"), "checkpoints", lambda: names
        )
        yield made


def call(*arguments, code=0):
    result = CliRunner().invoke(weights, [str(one) for one in arguments])
    if isinstance(result.exception, SpecloomError):
        raise result.exception
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def test_a_pinned_file_is_fetched_once_and_verified(server):
    assert call("fetch", "pinned") == f"pinned: {HASH}, 0.0 MB\n"
    assert call("fetch", "pinned") == "pinned: already stored\n"
    assert len(server.requests) == 1
    store = Store()
    assert store.find("pinned").read_bytes() == DATA
    assert store.find("pinned").name == HASH
    assert not list((store.folder / "parts").iterdir())
    assert call("verify") == "pinned: good\n"
    listed = call("list")
    assert f"{HASH[:12]}, 0.0 MB, {server.url}" in listed
    assert "not stored; hash not published" in listed


def test_an_interrupted_fetch_is_continued(server):
    server.script[:] = ["drop", "503", "503", "503"]
    with pytest.raises(UnavailableError, match="run the same command again"):
        call("fetch", "pinned")
    call("fetch", "pinned")
    assert server.requests[-1] == f"bytes={len(DATA) // 2}-"
    assert call("verify", "pinned") == "pinned: good\n"


def test_a_wrong_hash_is_refused_and_the_file_not_stored(server):
    server.data = DATA[:-1] + b"\0"
    with pytest.raises(
        IntegrityError, match=rf"pinned has the SHA-256 \w+, not {HASH}, the one of"
    ):
        call("fetch", "pinned")
    assert Store().find("pinned") is None
    assert not Store().partial_file("pinned").exists()


def test_a_file_without_known_hash_must_be_trusted_once(server):
    with pytest.raises(
        IntegrityError,
        match=r"the SHA-256 of unpinned is not published.*\n.*"
        r"fetch unpinned --trust-first-use",
    ):
        call("fetch", "unpinned")
    assert server.requests == []
    call("fetch", "unpinned", "--trust-first-use")
    entry = json.loads((Store().folder / "names/unpinned.json").read_text())
    assert entry == {"sha256": HASH, "size": len(DATA), "source": server.url}
    Store().find("unpinned").unlink()
    call("fetch", "unpinned")  # trusted: the same file again
    Store().find("unpinned").unlink()
    server.data = OTHER
    with pytest.raises(IntegrityError, match="the one that was trusted at first"):
        call("fetch", "unpinned")


def test_a_mirror_must_have_the_same_file(server):
    with serving(OTHER) as mirror, pytest.raises(IntegrityError, match="would send"):
        call("fetch", "pinned", "--url", mirror.url)
    with serving(DATA) as mirror:
        call("fetch", "pinned", "--url", mirror.url)
    assert server.requests == []
    assert "goes with one name" in call("fetch", "pinned", "unpinned", "--url", "x", code=2)


def test_local_files_are_added(server, tmp_path):
    file = tmp_path / "mine.safetensors"
    file.write_bytes(DATA)
    assert call("add", "mine", file) == f"mine: {HASH}, 0.0 MB\n"
    call("add", "pinned", file)
    with pytest.raises(IntegrityError, match="if you trust its address: specloom"):
        call("add", "unpinned", file)
    call("add", "unpinned", file, "--trust-first-use")
    assert len(list((Store().folder / "sha256").iterdir())) == 1
    file.write_bytes(OTHER)
    with pytest.raises(IntegrityError, match=r"not .*, the one of the published file"):
        call("add", "pinned", file)
    file.write_text("<html>")
    with pytest.raises(IntegrityError, match="it is an HTML page"):
        call("add", "mine", file)
    with pytest.raises(UnavailableError, match="absent cannot be read"):
        call("add", "mine", tmp_path / "absent")
    with pytest.raises(ConfigError, match=r"'\.\./x' is no name for weights"):
        Store().put("../x", tmp_path / "mine.safetensors", "here")


def test_what_changed_in_the_store_is_seen(server):
    call("fetch", "pinned")
    file = Store().find("pinned")
    file.write_bytes(DATA[:-1])
    assert call("verify", code=1) == "pinned: its file is not what was stored\n"
    assert call("fetch", "pinned").endswith("MB\n")
    assert file.read_bytes() == DATA
    file.unlink()
    assert call("verify", "pinned", code=1) == "pinned: its file is missing\n"
    assert "file missing" in call("list")
    (Store().folder / "names/pinned.json").write_text("{")
    with pytest.raises(IntegrityError, match="the entry cannot be read"):
        call("verify", "pinned")


def test_a_user_without_a_home_folder_names_another_one(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SPECLOOM_WEIGHTS", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(UnavailableError) as caught:
        Store()
    assert caught.value.what == "there is no home folder for the store of weights"
    assert caught.value.fix == "set SPECLOOM_WEIGHTS to a folder"


def test_an_unknown_name_is_reported(server):
    with pytest.raises(ConfigError, match="by the name 'pined'\n  fix: did you mean 'pinned'"):
        call("fetch", "pined")


def test_the_list_that_ships():
    listed = (
        catalogue.__dict__["files"]("specloom_adaclip.weights")
        .joinpath("catalogue.json")
        .read_text()
    )
    for name, entry in json.loads(listed).items():
        assert Checkpoint(**entry).url.startswith("https://")
        pinned = entry["sha256"]
        assert entry["kind"] in ("backbone", "adapter")
        assert pinned is None or (len(pinned) == 64 and pinned in entry["url"]), name
