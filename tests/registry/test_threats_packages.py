"""T33, T40 to T42: packages that plugins need, had from a folder of wheels made on the spot."""

import base64
import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from specloom_registry import resolve_plugins
from specloom_registry.base.faults import PluginUnavailableError
from specloom_registry.packages import environment, overlay

HERE = environment.platform_tag()


def wheel(folder, name, version="1.0", needs=(), module=None, more=None):
    """A wheel with one module, or files as given."""
    folder.mkdir(exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    about += "".join(f"Requires-Dist: {one}\n" for one in needs)
    files = {
        f"{module or name.replace('-', '_')}.py": f"VERSION = {version!r}\n",
        f"{stem}.dist-info/METADATA": about,
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        **(more or {}),
    }
    record = "".join(f"{path},sha256={_hash(text)},{len(text)}\n" for path, text in files.items())
    files[f"{stem}.dist-info/RECORD"] = f"{record}{stem}.dist-info/RECORD,,\n"
    file = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0)), text)
    return file


def _hash(text):
    raw = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.fixture
def shop(world):
    """A project that installs from its own folder of wheels alone."""
    world.wheels = world.project / "wheels"
    world.wheels.mkdir()
    world.installer = "installer: {find-links: [wheels], no-index: true}\n"
    return world


def wants(world, *options, code=0, **needs):
    for name, one in needs.items():
        world.repo(name, needs=one)
    world.wants(*(f"{name}@v1.0.0" for name in needs), head=world.installer)
    return world.run("lock", *options, code=code)


def forget(*modules):
    for one in modules:
        sys.modules.pop(one, None)


def test_what_is_missing_is_pinned_installed_and_used(shop):
    file = wheel(shop.wheels, "acme-extra", "1.2", needs=["acme-deep>=1", "click>=1"])
    deep = wheel(shop.wheels, "acme-deep", "1.0", more={"evil.pth": "import os; os._exit(9)\n"})
    wheel(shop.wheels, "acme-extra", "2.0")
    done = wants(shop, rx=["acme-extra>=1,<2", "click"], lab=["acme-extra<1.5"])
    assert "warning: W-PTH evil.pth of the packages that plugins need is not run\n" in done.stderr
    sha = [hashlib.sha256(one.read_bytes()).hexdigest() for one in (deep, file)]
    assert shop.locked()["packages"] == {
        HERE: {
            "host": {"click": environment.installed()["click"]},
            "wanted": ["acme-extra<1.5", "acme-extra>=1,<2"],
            "pins": [
                {
                    "name": "acme-deep",
                    "version": "1.0",
                    "file": deep.name,
                    "sha256": sha[0],
                    "bytes": deep.stat().st_size,
                    "why": [],
                },
                {
                    "name": "acme-extra",
                    "version": "1.2",
                    "file": file.name,
                    "sha256": sha[1],
                    "bytes": file.stat().st_size,
                    "why": ["lab", "rx"],
                },
            ],
        }
    }
    before = shop.lock.read_bytes()
    assert shop.run("lock", "--fresh").exit_code == 0
    assert shop.lock.read_bytes() == before
    why = shop.run("why", "acme_extra").stdout.splitlines()
    assert why[-1] == f"package acme-extra 1.2 is installed next to the environment on {HERE}"
    assert why[0] == "package acme-extra <- lab 1.0.0 (<1.5), rx 1.0.0 (>=1,<2)"
    assert len(why) == 2
    resolve_plugins(shop.manifest)
    __import__("acme_rx")
    import acme_extra

    assert acme_extra.VERSION == "1.2"
    place = shop.store / "overlays" / overlay.digest(shop.locked()["packages"][HERE]["pins"])
    assert sys.path[-1] == str(place)
    forget("acme_extra", "acme_deep")


def test_an_overlay_that_is_not_there_is_reported(shop):
    import shutil

    from registry_world import open_up

    wheel(shop.wheels, "acme-extra")
    wants(shop, rx=["acme-extra"])
    shutil.rmtree(open_up(shop.store / "overlays"))
    resolve_plugins(shop.manifest)
    with pytest.raises(Exception) as caught:  # noqa: PT011  # its fields are looked at
        __import__("acme_rx")
    assert caught.value.what == (
        "E-STORE-MISSING plugin 'rx': the packages acme-extra 1.0 are not in the store"
    )
    assert caught.value.fix == "run: specloom plugins sync"
    assert "acme-extra 1.0 are not in the store" in shop.run("verify", code=1).stdout
    shutil.rmtree(shop.wheels)
    shop.run("sync", "--offline")
    assert shop.run("verify").exit_code == 0


def test_met_requirements_start_no_pip(world, monkeypatch):
    monkeypatch.setattr(overlay, "_run_pip", None)
    world.repo("rx", needs=["click>=1", "nothing-there>=1; python_version < '3'"])
    world.wants("rx@v1.0.0")
    world.run("lock")
    assert "packages" not in world.locked()


def test_what_no_index_has_is_reported(shop):
    done = wants(shop, code=4, rx=["acme-extra>=1"])
    assert done.error.what.startswith(
        "E-DEP 'acme-extra>=1' is needed by rx and not installed: "
        "Could not find a version that satisfies the requirement acme-extra>=1"
    )
    assert done.error.fix == "pip install 'acme-extra>=1'"
    assert not shop.lock.exists()


def test_two_plugins_that_cannot_share_a_package_are_reported_in_a_table(shop):
    done = wants(shop, code=2, rx=["acme-extra<2"], lab=["acme-extra>=3"])
    assert done.error.what == (
        "E-CONFLICT no version of 'acme-extra' suits all\n"
        "    version  why\n"
        "    -------  ---------------------\n"
        "    <2       required by rx 1.0.0\n"
        "    >=3      required by lab 1.0.0\n"
        "    -        not installed"
    )
    assert done.error.fix == "name other versions of these plugins: specloom plugins outdated"
    assert not shop.lock.exists()


def test_a_plugin_that_the_environment_does_not_suit_is_reported_in_a_table(world):
    world.repo("rx", needs=["click<1"])
    world.wants("rx@v1.0.0")
    done = world.run("lock", code=2)
    click = environment.installed()["click"]
    assert done.error.what == (
        "E-CONFLICT no version of 'click' suits all\n"
        "    version  why\n"
        "    -------  --------------------\n"
        "    <1       required by rx 1.0.0\n"
        f"    {click:<7}  the environment has"
    )


def test_conflicts_further_down_are_reported_in_pip_s_words(shop):
    wheel(shop.wheels, "acme-extra", needs=["acme-deep<2"])
    wheel(shop.wheels, "acme-other", needs=["acme-deep>=2"])
    wheel(shop.wheels, "acme-deep", "1.0")
    wheel(shop.wheels, "acme-deep", "2.0")
    done = wants(shop, code=4, rx=["acme-extra"], lab=["acme-other"])
    assert done.error.what.startswith(
        "E-DEP 'acme-extra', 'acme-other' is needed by lab, rx and not installed: "
    )
    assert "acme-extra 1.0 depends on acme-deep<2" in done.error.what
    assert "ResolutionImpossible" not in done.error.what


def test_a_package_of_a_module_that_is_installed_is_refused(shop):
    wheel(shop.wheels, "acme-extra", module="click")
    done = wants(shop, code=2, rx=["acme-extra"])
    assert done.error.what == (
        "E-SHADOW package acme_extra-1.0-py3-none-any.whl brings the module 'click', which is "
        "installed"
    )
    assert not shop.lock.exists()


def test_a_package_with_other_bytes_is_refused(shop):
    import shutil

    from registry_world import open_up

    wheel(shop.wheels, "acme-extra")
    wants(shop, rx=["acme-extra"])
    shutil.rmtree(open_up(shop.store))
    wheel(shop.wheels, "acme-extra", more={"evil.py": "x = 1\n"})
    done = shop.run("sync", code=3)
    assert done.error.what.startswith("E-PIP package acme-extra 1.0: THESE PACKAGES DO NOT MATCH")
    assert done.error.fix == "find out who changed the file"


@pytest.mark.parametrize("text", ["acme @ https://example.org/a.whl", "a b", "a>=x", "a; os == 1"])
def test_requirements_that_cannot_be_pinned_are_refused(world, text):
    world.repo("rx", needs=[text])
    world.wants("rx@v1.0.0")
    done = world.run("lock", code=2)
    assert done.error.what.startswith("E-PLUGIN plugin 'rx': its dependency ")
    assert done.error.fix == "use another version, or report it to its author"


def reports(monkeypatch, change):
    """Let pip's report be as ``change`` makes each ``download_info`` of it."""
    pip = overlay._run_pip

    def changed(arguments, **variables):
        done = pip(arguments, **variables)
        if "--report" in arguments:
            file = Path(arguments[arguments.index("--report") + 1])
            report = json.loads(file.read_text())
            for one in report["install"]:
                change(one["download_info"])
            file.write_text(json.dumps(report))
        return done

    monkeypatch.setattr(overlay, "_run_pip", changed)


@pytest.mark.parametrize("form", ["hash", "hashes", "both", "other hash"])
def test_the_reports_of_older_and_newer_pips_are_read(shop, monkeypatch, form):
    file = wheel(shop.wheels, "acme-extra")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    forms = {
        "hash": {"hash": f"sha256={sha256}"},  # pip 22.2 to 23.0.1
        "hashes": {"hashes": {"sha256": sha256}},
        "both": {"hash": f"sha256={sha256}", "hashes": {"sha256": sha256}},
        "other hash": {"hash": f"md5={'0' * 32}", "hashes": {"sha256": sha256}},
    }
    reports(monkeypatch, lambda download: download.update(archive_info=forms[form]))
    wants(shop, rx=["acme-extra"])
    (pin,) = shop.locked()["packages"][HERE]["pins"]
    assert pin["sha256"] == sha256


@pytest.mark.parametrize(
    "archive", [{}, {"hash": "md5=0"}, {"hashes": {"sha512": "0"}}, {"hash": "sha256="}, None]
)
def test_a_package_without_a_sha256_is_refused(shop, monkeypatch, archive):
    wheel(shop.wheels, "acme-extra")

    def without(download):
        del download["archive_info"]
        download["url"] = "https://me:pw@example.org/acme_extra-1.0-py3-none-any.whl"
        if archive is not None:
            download["archive_info"] = archive

    reports(monkeypatch, without)
    done = wants(shop, code=4, rx=["acme-extra"])
    assert done.error.what == (
        "E-PIP package acme-extra 1.0: pip reports no SHA-256 of "
        "https://***@example.org/acme_extra-1.0-py3-none-any.whl"
    )
    assert done.error.fix == (
        "use an index that publishes SHA-256, or a folder of wheels under installer.find-links"
    )
    assert not shop.lock.exists()


def test_a_pip_that_is_too_old_is_refused_before_it_is_started(shop, monkeypatch):
    here = environment.installed() | {"pip": "22.1.2"}
    monkeypatch.setattr(environment, "installed", lambda: here)
    monkeypatch.setattr(overlay, "_run_pip", None)
    done = wants(shop, code=4, rx=["acme-extra"])
    assert done.error.what == (
        "E-PIP pip 22.1.2 is too old to pin what plugins need; 22.2 is the oldest"
    )
    assert done.error.where == sys.prefix
    assert done.error.fix == f"{sys.executable} -m pip install --upgrade 'pip>=22.2'"


@pytest.mark.parametrize("version", ["22.2", "22.3.1", "23.0.1", "26.3"])
def test_a_pip_that_is_new_enough_is_used(shop, monkeypatch, version):
    wheel(shop.wheels, "acme-extra")
    here = environment.installed() | {"pip": version}
    monkeypatch.setattr(environment, "installed", lambda: here)
    wants(shop, rx=["acme-extra"])
    assert shop.lock.exists()


def test_a_python_without_pip_is_refused(shop, monkeypatch):
    def absent(command, **_options):
        said = f"{sys.executable}: No module named pip\n"
        return subprocess.CompletedProcess(command, 1, stdout="", stderr=said)

    monkeypatch.setattr(overlay.subprocess, "run", absent)
    with pytest.raises(PluginUnavailableError) as caught:
        overlay._run_pip(["--version"])
    assert caught.value.what == (
        "E-PIP this Python has no pip, which would install what plugins need"
    )
    assert caught.value.fix == (
        f"run {sys.executable} -m ensurepip, or install the system's package python3-pip"
    )


def test_a_package_with_a_local_version_is_pinned_by_the_name_of_its_file(shop):
    file = wheel(shop.wheels, "acme-extra", "1.0+cpu")  # a URL has it as 1.0%2Bcpu
    wants(shop, rx=["acme-extra"])
    (pin,) = shop.locked()["packages"][HERE]["pins"]
    assert pin["file"] == file.name
