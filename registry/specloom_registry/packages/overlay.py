"""Packages that plugins need and the environment lacks: pinned by pip, installed beside it.

The overlay is a folder in the store, named by what it holds and put behind the environment on
``sys.path``. The environment's versions are constraints, so that nothing is installed twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from specloom.contract.errors import ConfigError
from specloom_registry.base.faults import PluginIntegrityError, PluginUnavailableError, redacted
from specloom_registry.model.requirements import normal, parse
from specloom_registry.model.versions import allows
from specloom_registry.packages import environment
from specloom_registry.packages.compatibility import Need, conflict
from specloom_registry.store import file_lock, tree

if TYPE_CHECKING:
    from specloom_registry.fetch.fetch import Fetching
    from specloom_registry.store.store import Store

LONGEST = 1800.0
OLDEST_PIP = "22.2"  # the first with --dry-run and --report


def resolve(
    wanted: Sequence[Need], lacking: Sequence[str], how: Fetching, pip: Sequence[str]
) -> dict[str, Any]:
    """The packages to install for ``lacking``, pinned with their hashes.

    Raises:
        ConfigError: There is no version that suits, or one would hide an installed module.
        PluginUnavailableError: There is no pip, it is too old, or there is no index.
    """
    if how.offline and not any(one in ("--no-index", "--find-links") for one in pip):
        _missing(wanted, lacking)
    here = environment.installed()
    _check_pip(here)
    with how.store.stage() as stage:
        (stage / "host.txt").write_text("".join(f"{n}=={v}\n" for n, v in sorted(here.items())))
        report = stage / "report.json"
        options = ["install", "--dry-run", "--report", str(report)]
        done = _pip(
            [*options, "-c", str(stage / "host.txt"), "--only-binary", ":all:", *pip, *lacking]
        )
        if done.returncode:
            _unresolved(wanted, lacking, done)
        found = json.loads(report.read_bytes())["install"]
    pins, used = list[dict[str, Any]](), {one.requirement.name for one in wanted}
    for one in sorted(found, key=lambda one: normal(one["metadata"]["name"])):
        name, version = normal(one["metadata"]["name"]), one["metadata"]["version"]
        sha256 = _sha256(name, version, one["download_info"])
        file = unquote(one["download_info"]["url"].rpartition("/")[2].partition("#")[0])
        why = sorted({need.entry.name for need in wanted if need.requirement.name == name})
        pins.append({"name": name, "version": version, "file": file, "sha256": sha256, "why": why})
        used |= {parse(text).name for text in one["metadata"].get("requires_dist", ())}
    host = {name: here[name] for name in sorted(used) if name in here}
    return {"wanted": list(lacking), "host": host, "pins": pins}


def _check_pip(here: Mapping[str, str]) -> None:
    """Refuse a pip that cannot report what it would install.

    Raises:
        PluginUnavailableError: It is older than ``OLDEST_PIP``.
    """
    version = here.get("pip", OLDEST_PIP)  # without metadata, pip itself says what is wrong
    if allows(f">={OLDEST_PIP}", version):
        return
    what = f"E-PIP pip {version} is too old to pin what plugins need; {OLDEST_PIP} is the oldest"
    fix = f"{sys.executable} -m pip install --upgrade 'pip>={OLDEST_PIP}'"
    raise PluginUnavailableError(what, where=sys.prefix, fix=fix)


def _sha256(name: str, version: str, download: Mapping[str, Any]) -> str:
    """The SHA-256 of a package in pip's report, in hexadecimal.

    ``archive_info`` has ``hashes``; before pip 23.1 it may have only ``hash``, which is
    ``"sha256=…"`` (PEP 610).

    Raises:
        PluginUnavailableError: The report has no SHA-256.
    """
    archive = download.get("archive_info", {})
    algorithm, _, value = archive.get("hash", "").partition("=")
    hashes = {algorithm: value} | archive.get("hashes", {})
    found = str(hashes.get("sha256", "")).lower()
    if re.fullmatch("[0-9a-f]{64}", found):
        return found
    url = redacted(str(download.get("url", "")))
    what = f"E-PIP package {name} {version}: pip reports no SHA-256 of {url}"
    fix = "use an index that publishes SHA-256, or a folder of wheels under installer.find-links"
    raise PluginUnavailableError(what, fix=fix)


def digest(pins: Sequence[Mapping[str, Any]]) -> str:
    """The name of the overlay that holds these packages."""
    lines = sorted(f"{one['name']}=={one['version']} {one['sha256']}\n" for one in pins)
    return f"p1-{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def install(
    store: Store, pins: Sequence[Mapping[str, Any]], pip: Sequence[str], *, offline: bool = False
) -> Path:
    """The overlay that holds these packages, made if it is not there.

    Raises:
        PluginUnavailableError: A package cannot be had.
        PluginIntegrityError: A package is not the one that was locked.
    """
    place = store.root / "overlays" / digest(pins)
    if tree.is_dir(place):
        return place
    with file_lock.locked(store.folder("locks") / f"{place.name[:32]}.lock", "packages"):
        if place.is_dir():
            return place
        files = [_wheel(store, one, pip, offline) for one in pins]
        with store.stage() as stage, store.writing():
            for file in files:
                _check_modules(file)
            pins_file = stage / "pins.txt"
            pins_file.write_text("".join(map(_pin, pins)))
            where = [f"--find-links={file.parent}" for file in files]
            options = ["--no-index", "--no-deps", "--no-compile", "--require-hashes", *where]
            target = ["--target", str(stage / "packages"), "-r", str(pins_file)]
            done = _pip(["install", *options, *target])
            if done.returncode:
                what = f"E-PIP packages cannot be installed: {_text(done.stderr)}"
                raise PluginUnavailableError(what, fix="mend what pip says")
            store.publish(stage / "packages", place)
    return place


def remarks(place: Path) -> list[str]:
    """What the user should know of an overlay: files that would run code if it were a site."""
    return [
        f"W-PTH {file.name} of the packages that plugins need is not run"
        for file in sorted(place.glob("*.pth"))
    ]


def _wheel(store: Store, one: Mapping[str, Any], pip: Sequence[str], offline: bool) -> Path:
    """The file of a package in the store, fetched if it is not there."""
    folder = store.root / "wheels" / f"sha256-{one['sha256']}"
    if (folder / one["file"]).is_file():
        return folder / str(one["file"])
    local = any(option in ("--no-index", "--find-links") for option in pip)
    with store.stage() as stage:
        pin = stage / "pin.txt"
        pin.write_text(_pin(one))
        get = ["download", "--no-deps", "--require-hashes", "--only-binary", ":all:", *pip]
        get += ["--no-index"] if offline else []
        fetched = stage / "wheel"
        if found := _nearby(one, pip):
            fetched.mkdir()
            (fetched / found.name).write_bytes(found.read_bytes())
            with store.writing():
                store.publish(fetched, folder)
            return folder / found.name
        if offline and not local:
            what = f"E-OFFLINE package {one['name']} {one['version']} is not in the store"
            raise PluginUnavailableError(what, fix="run it again without --offline")
        done = _pip([*get, "--dest", str(fetched), "-r", str(pin)])
        if done.returncode:
            mismatch = "DO NOT MATCH" in done.stderr
            kind = PluginIntegrityError if mismatch else PluginUnavailableError
            what = f"E-PIP package {one['name']} {one['version']}: {_text(done.stderr)}"
            fix = "find out who changed the file" if mismatch else "check the index and the network"
            raise kind(what, fix=fix)
        with store.writing():
            store.publish(fetched, folder)
    return folder / str(one["file"])


def _pin(one: Mapping[str, Any]) -> str:
    """A package as pip's requirements file has it."""
    return f"{one['name']}=={one['version']} --hash=sha256:{one['sha256']}\n"


def _nearby(one: Mapping[str, Any], pip: Sequence[str]) -> Path | None:
    """The file of a package in a folder that pip is told of, if it has the right bytes."""
    folders = [Path(value) for key, value in pairwise(pip) if key == "--find-links"]
    for file in (folder / str(one["file"]) for folder in folders if folder.is_dir()):
        if file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == one["sha256"]:
            return file
    return None


def _check_modules(wheel: Path) -> None:
    """Refuse a package that brings a module which the environment has: it would go unseen."""
    from importlib.util import find_spec

    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0].removesuffix(".py") for name in archive.namelist()}
    for top in sorted(tops):
        if top.isidentifier() and find_spec(top) is not None:
            raise ConfigError(
                f"E-SHADOW package {wheel.name} brings the module {top!r}, which is installed",
                fix=f"uninstall what brings {top!r}, or use a plugin that does not need it",
            )


def _pip(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "pip", *arguments]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=os.environ | quiet,
        timeout=LONGEST,
        check=False,
    )
    if "No module named pip" in done.stderr:
        what = "E-PIP this Python has no pip, which would install what plugins need"
        fix = f"run {sys.executable} -m ensurepip, or install the system's package python3-pip"
        raise PluginUnavailableError(what, fix=fix)
    return done


def _unresolved(
    wanted: Sequence[Need], lacking: Sequence[str], done: subprocess.CompletedProcess[str]
) -> None:
    _, caused, why = done.stdout.partition("The conflict is caused by:")
    text = done.stderr + caused + why.partition("To fix this")[0]
    names = {one.requirement.name for one in wanted if one.requirement.text in lacking}
    for name in sorted(names):
        users = [one for one in wanted if one.requirement.name == name]
        if len(users) > 1 and "conflicting dependencies" in text:
            raise conflict(users, None)
    _missing(wanted, lacking, f": {_text(text)}")


def _missing(wanted: Sequence[Need], lacking: Sequence[str], why: str = "") -> None:
    users = sorted({one.entry.name for one in wanted if one.requirement.text in lacking})
    raise PluginUnavailableError(
        f"E-DEP {', '.join(map(repr, lacking))} is needed by {', '.join(users)} and not installed"
        + why,
        fix=f"pip install {' '.join(repr(one) for one in lacking)}",
    )


def _text(stderr: str) -> str:
    """What pip says, without its last words on versions that it looked at."""
    lines = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.strip()]
    kept = [line for line in lines if "notice" not in line and "ResolutionImpossible" not in line]
    return redacted("\n    ".join(kept))


def present(store: Store, packages: Mapping[str, Any], name: str) -> Path | None:
    """The overlay of locked packages; None where none is needed here.

    Raises:
        PluginUnavailableError: It is not in the store, and ``name`` needs it.
    """
    pins = packages.get("pins", [])
    if not pins:
        return None
    place = store.root / "overlays" / digest(pins)
    if tree.is_dir(place):
        return place
    missing = ", ".join(f"{one['name']} {one['version']}" for one in pins)
    raise PluginUnavailableError(
        f"E-STORE-MISSING plugin {name!r}: the packages {missing} are not in the store",
        fix="run: specloom plugins sync",
    )
