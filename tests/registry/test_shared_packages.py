"""Packages of plugins: what is said before they are downloaded, and that each is stored once."""

import errno
import json
import os
import shutil
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from registry_world import open_up
from test_threats_packages import HERE, shop, wants, wheel

from specloom_registry.packages import overlay, progress
from specloom_registry.store.store import Store

LARGE = {"acme_common/build/data.txt": "0123456789" * 20_000}

__all__ = ["shop"]


@pytest.fixture
def two_sets(shop):
    """Two sets of packages in the store, with a large package in both."""
    wheel(shop.wheels, "acme-common", more=LARGE)
    wheel(shop.wheels, "acme-first")
    wheel(shop.wheels, "acme-second")
    folders = []
    for needs in (["acme-common", "acme-first"], ["acme-common", "acme-second"]):
        wants(shop, **{needs[1].removeprefix("acme-"): needs})
        pins = shop.locked()["packages"][HERE]["pins"]
        folders.append(overlay.folder_of(Store(shop.store), pins))
    return folders


def disk_usage(*folders):
    """The size of the files in folders, each file once however many links it has."""
    sizes = {}
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for name in names:
                found = Path(parent, name).stat()
                sizes[found.st_ino] = found.st_size
    return sum(sizes.values())


def test_a_package_of_two_sets_is_stored_once(two_sets, shop):
    size = len(LARGE["acme_common/build/data.txt"])
    assert two_sets[0] != two_sets[1]
    first, second = (folder / "acme_common/build/data.txt" for folder in two_sets)
    assert first.samefile(second)
    assert first.stat().st_nlink == 3  # the package's own folder has one, too
    together = disk_usage(shop.store / "overlays", shop.store / "packages")
    assert size <= together < 1.1 * size
    assert sum(map(disk_usage, two_sets)) >= 2 * size
    assert first.stat().st_mode & 0o777 == 0o444


def test_where_files_cannot_be_linked_they_are_copied(shop, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source, None, target)

    monkeypatch.setattr(overlay.os, "link", refuse)
    wheel(shop.wheels, "acme-common", more=LARGE)
    wants(shop, rx=["acme-common"])
    pins = shop.locked()["packages"][HERE]["pins"]
    file = overlay.folder_of(Store(shop.store), pins) / "acme_common/build/data.txt"
    assert file.read_text() == LARGE["acme_common/build/data.txt"]
    assert file.stat().st_nlink == 1
    assert file.stat().st_mode & 0o777 == 0o444


def test_of_a_file_of_two_packages_the_later_one_is_used(shop):
    wheel(shop.wheels, "acme-common", more={"acme_shared/own.py": "A = 1\n"})
    wheel(shop.wheels, "acme-later", more={"acme_shared/own.py": "A = 2\n"})
    wants(shop, rx=["acme-common", "acme-later"])
    pins = shop.locked()["packages"][HERE]["pins"]
    store = Store(shop.store)
    assert (overlay.folder_of(store, pins) / "acme_shared/own.py").read_text() == "A = 2\n"
    own = [overlay.package_folder(store, pin) / "acme_shared/own.py" for pin in pins]
    assert [file.read_text() for file in own] == ["A = 1\n", "A = 2\n"]


def test_what_is_downloaded_is_said_before(shop):
    file = wheel(shop.wheels, "acme-common", "1.2", more=LARGE)
    done = wants(shop, rx=["acme-common"])
    size = progress.format_size(file.stat().st_size)
    assert done.stderr.splitlines() == [
        "choosing versions of the packages that plugins need: acme-common",
        f"packages that plugins need: 1 to download, {size}: acme-common 1.2 ({size})",
        f"fetching 1 of 1: acme-common 1.2 ({size})",
        "installing 1 of 1 packages",
    ]
    assert "acme-common 1.2" not in shop.run("sync").stderr


@pytest.mark.parametrize("command", ["lock", "sync"])
def test_a_dry_run_says_what_would_be_downloaded_and_downloads_nothing(shop, command):
    file = wheel(shop.wheels, "acme-common", "1.2", more=LARGE)
    size = progress.format_size(file.stat().st_size)
    what = f"packages that plugins need: 1 to download, {size}: acme-common 1.2 ({size})"
    if command == "sync":
        wants(shop, rx=["acme-common"])
        open_up(shop.store)
        shutil.rmtree(shop.store)
        done = shop.run("sync", "--dry-run", "--json")
        assert json.loads(done.stdout)["packages"] == [f"acme-common 1.2 ({size})"]
    else:
        done = wants(shop, "--dry-run", rx=["acme-common"])
        assert done.stdout.endswith("nothing was written\n")
    assert done.stderr.splitlines()[-1] == what
    assert not list(shop.store.glob("wheels/*"))
    assert not list(shop.store.glob("overlays/*"))


def test_a_size_that_is_not_known_is_not_said(capsys):
    known = {"name": "numpy", "version": "2.1", "bytes": 16_000_000}
    progress.announce([known, {"name": "sympy", "version": "1.13"}])
    assert capsys.readouterr().err == (
        "packages that plugins need: 2 to download, 16.0 MB and 1 of unknown size: "
        "numpy 2.1 (16.0 MB), sympy 1.13\n"
    )


def test_sizes_that_an_older_lock_does_not_have_are_not_said(capsys):
    progress.announce([{"name": "sympy", "version": "1.13"}])
    assert capsys.readouterr().err == (
        "packages that plugins need: 1 to download, of unknown size: sympy 1.13\n"
    )


def test_torch_is_better_installed(capsys):
    progress.announce([{"name": "torch", "version": "2.9.0", "bytes": 755_100_000}])
    assert capsys.readouterr().err == (
        "packages that plugins need: 1 to download, 755.1 MB: torch 2.9.0 (755.1 MB)\n"
        "torch is among them. To install it into the environment instead, for all projects: "
        "pip install 'specloom[torch]'\n"
    )


def test_a_download_shows_how_far_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "INTERVAL", 0.01)
    (tmp_path / "unpack").mkdir()
    (tmp_path / "unpack/torch.whl").write_bytes(bytes(2_500_000))
    with progress.reported(tmp_path, "torch 2.9.0 (755.1 MB)"):
        time.sleep(0.1)
    lines = capsys.readouterr().err.splitlines()
    assert set(lines) == {"torch 2.9.0 (755.1 MB): 2.5 MB so far"}


@pytest.fixture
def server(tmp_path):
    """A server of files; its URL."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_arguments):
            """Print nothing."""

    served = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{served.server_address[1]}"
    served.shutdown()
    thread.join()
    served.server_close()


def test_sizes_are_those_of_servers_and_files(server, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    file = tmp_path / "acme extra.whl"
    file.write_bytes(bytes(1234))
    assert progress.size_of(f"{server}/acme%20extra.whl") == 1234
    assert progress.size_of(f"{server}/acme%20extra.whl", offline=True) is None
    assert progress.size_of(file.as_uri(), offline=True) == 1234
    for url in (f"{server}/none.whl", "file:///nowhere/a.whl", "ssh://host/a.whl", "http://[x"):
        assert progress.size_of(url) is None


def test_packages_that_no_lock_names_are_deleted(two_sets, shop):
    assert len(list((shop.store / "packages").iterdir())) == 3
    shop.run("gc")
    left = {path.name for path in (shop.store / "packages").iterdir()}
    pins = shop.locked()["packages"][HERE]["pins"]
    assert left == {f"sha256-{pin['sha256']}" for pin in pins}
    assert not two_sets[0].exists()
    assert (two_sets[1] / "acme_common/build/data.txt").read_text() == LARGE[
        "acme_common/build/data.txt"
    ]
    open_up(shop.store)
