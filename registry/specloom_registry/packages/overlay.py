"""Packages that plugins need and the environment lacks: pinned by pip, installed next to it.

Each package is installed once into a folder of the store. The overlay is a folder with hard links
to the files of one set of packages, named by what it holds and put behind the environment on
``sys.path``. The environment's versions are constraints, so that nothing is installed twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from specloom.contract.errors import ConfigError
from specloom_registry.base.faults import PluginIntegrityError, PluginUnavailableError, redacted
from specloom_registry.base.parallel import map_parallel
from specloom_registry.base.paths import is_folder
from specloom_registry.model.requirements import normalize_name, parse
from specloom_registry.model.versions import allows
from specloom_registry.packages import environment, progress
from specloom_registry.packages.compatibility import Need, conflict
from specloom_registry.store import file_lock

if TYPE_CHECKING:
    from specloom_registry.fetch.fetch import FetchContext
    from specloom_registry.store.store import Store

TIMEOUT = 1800.0
OLDEST_PIP = "22.2"  # the first with --dry-run and --report
LOCAL_OPTIONS = ("--no-index", "--find-links")
ONLY_WHEELS = ("--only-binary", ":all:")


def resolve(
    needs: Sequence[Need], missing: Sequence[str], context: FetchContext, pip: Sequence[str]
) -> dict[str, Any]:
    """Let pip choose the packages to install for ``missing``; return them, pinned with hashes.

    Raises:
        ConfigError: There is no version that suits, or one would hide an installed module.
        PluginUnavailableError: There is no pip, it is too old, or there is no index.
    """
    if context.offline and not _is_local(pip):
        raise _missing_error(needs, missing)
    installed = environment.installed()
    _check_pip(installed)
    progress.say(f"choosing versions of the packages that plugins need: {', '.join(missing)}")
    report = _pip_report(needs, missing, context, pip, installed)
    pins = []
    required = {need.requirement.name for need in needs}
    report.sort(key=lambda package: normalize_name(package["metadata"]["name"]))
    size_of = partial(progress.size_of, offline=context.offline)
    sizes = map_parallel(size_of, [one["download_info"]["url"] for one in report])
    for package, size in zip(report, sizes, strict=True):
        metadata = package["metadata"]
        pin = _pin(metadata, package["download_info"], needs)
        if size is not None:
            pin["bytes"] = size
        pins.append(pin)
        required |= {parse(text).name for text in metadata.get("requires_dist", ())}
    host = {name: installed[name] for name in sorted(required) if name in installed}
    return {"wanted": list(missing), "host": host, "pins": pins}


def _is_local(pip: Sequence[str]) -> bool:
    """Check whether pip's arguments name a place that needs no network."""
    return any(argument in LOCAL_OPTIONS for argument in pip)


def _pip_report(
    needs: Sequence[Need],
    missing: Sequence[str],
    context: FetchContext,
    pip: Sequence[str],
    installed: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Return what pip would install, the environment's versions being constraints."""
    with context.store.stage() as stage:
        constraints = stage / "host.txt"
        lines = [f"{name}=={version}\n" for name, version in sorted(installed.items())]
        constraints.write_text("".join(lines))
        report = stage / "report.json"
        options = ["--dry-run", "--report", str(report), "-c", str(constraints), *ONLY_WHEELS]
        done = _run_pip(["install", *options, *pip, *missing])
        if done.returncode:
            raise _resolution_error(needs, missing, done)
        packages: list[dict[str, Any]] = json.loads(report.read_bytes())["install"]
    return packages


def _pin(
    metadata: Mapping[str, Any], download: Mapping[str, Any], needs: Sequence[Need]
) -> dict[str, Any]:
    name = normalize_name(metadata["name"])
    version = metadata["version"]
    url = download["url"].partition("#")[0]
    users = {need.entry.name for need in needs if need.requirement.name == name}
    return {
        "name": name,
        "version": version,
        "file": unquote(url.rpartition("/")[2]),
        "sha256": _sha256(name, version, download),
        "why": sorted(users),
    }


def _check_pip(installed: Mapping[str, str]) -> None:
    """Refuse a pip that cannot report what it would install.

    Raises:
        PluginUnavailableError: It is older than ``OLDEST_PIP``.
    """
    version = installed.get("pip", OLDEST_PIP)  # without metadata, pip reports what is wrong
    if allows(f">={OLDEST_PIP}", version):
        return
    what = f"E-PIP pip {version} is too old to pin what plugins need; {OLDEST_PIP} is the oldest"
    fix = f"{sys.executable} -m pip install --upgrade 'pip>={OLDEST_PIP}'"
    raise PluginUnavailableError(what, where=sys.prefix, fix=fix)


def _sha256(name: str, version: str, download: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a package in pip's report, in hexadecimal.

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
    """Return the name of the overlay that holds these packages."""
    lines = sorted(f"{pin['name']}=={pin['version']} {pin['sha256']}\n" for pin in pins)
    return f"p1-{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def folder_of(store: Store, pins: Sequence[Mapping[str, Any]]) -> Path:
    """Return the folder of the overlay that holds these packages."""
    return store.root / "overlays" / digest(pins)


def install(
    store: Store, pins: Sequence[Mapping[str, Any]], pip: Sequence[str], *, offline: bool = False
) -> Path:
    """Return the overlay that holds these packages, installed if it is not there.

    Raises:
        PluginUnavailableError: A package is not available.
        PluginIntegrityError: A package is not the one that was locked.
    """
    folder = folder_of(store, pins)
    if is_folder(folder):
        return folder
    with file_lock.locked(store.folder("locks") / f"{folder.name[:32]}.lock", "packages"):
        if folder.is_dir():
            return folder
        wheels = _fetch_wheels(store, pins, pip, offline)
        for wheel in wheels:
            _check_modules(wheel)
        packages = _install_packages(store, pins, wheels)
        with store.stage() as stage, store.disk_errors():
            merged = stage / "packages"
            for package in packages:
                _link_files(package, merged)
            store.publish(merged, folder)
    return folder


def not_fetched(store: Store, pins: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the packages that are to be downloaded before these can be installed."""
    if is_folder(folder_of(store, pins)):
        return []
    return [pin for pin in pins if not _stored_wheel(store, pin).is_file()]


def _fetch_wheels(
    store: Store, pins: Sequence[Mapping[str, Any]], pip: Sequence[str], offline: bool
) -> list[Path]:
    """Return the files of packages in the store; say what is downloaded and how far it is."""
    missing = not_fetched(store, pins)
    if missing:
        progress.announce(missing)
    wheels = []
    for pin in pins:
        if pin in missing:
            place = f"{missing.index(pin) + 1} of {len(missing)}"
            progress.say(f"fetching {place}: {progress.describe(pin)}")
        wheels.append(_fetch_wheel(store, pin, pip, offline))
    return wheels


def _install_packages(
    store: Store, pins: Sequence[Mapping[str, Any]], wheels: Sequence[Path]
) -> list[Path]:
    """Return the folder of each package in the store, installed if it is not there."""
    folders = [package_folder(store, pin) for pin in pins]
    missing = [
        (wheel, pin, folder)
        for wheel, pin, folder in zip(wheels, pins, folders, strict=True)
        if not is_folder(folder)
    ]
    if missing:
        progress.say(f"installing {len(missing)} of {len(pins)} packages")
    map_parallel(lambda one: _install_wheel(store, *one), missing)
    return folders


def package_folder(store: Store, pin: Mapping[str, Any]) -> Path:
    """Return the folder of one installed package, which every overlay with it shares."""
    return store.root / "packages" / f"sha256-{pin['sha256']}"


def _install_wheel(store: Store, wheel: Path, pin: Mapping[str, Any], folder: Path) -> None:
    """Let pip install one wheel into a folder of the store."""
    with store.stage() as stage, store.disk_errors():
        requirements = stage / "pins.txt"
        requirements.write_text(_requirement_line(pin))
        options = ["--no-index", "--no-deps", "--no-compile", "--require-hashes"]
        options.append(f"--find-links={wheel.parent}")
        target = ["--target", str(stage / "package"), "-r", str(requirements)]
        done = _run_pip(["install", *options, *target])
        if done.returncode:
            what = f"E-PIP packages cannot be installed: {_pip_message(done.stderr)}"
            raise PluginUnavailableError(what, fix="correct what pip reports")
        store.publish(stage / "package", folder)


def _link_files(source: Path, target: Path) -> None:
    """Link the files of a folder into another one; copy those that cannot be linked.

    Where two packages bring one file the later package's stays, as with pip.
    """
    for parent, _, names in os.walk(source):
        folder = target / Path(parent).relative_to(source)
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            file = folder / name
            file.unlink(missing_ok=True)
            try:
                os.link(Path(parent, name), file)
            except OSError:  # a file system without links, or too many of one file
                shutil.copyfile(Path(parent, name), file)


def pth_warnings(folder: Path) -> list[str]:
    """Return a warning for each file of an overlay that would run code if it were a site."""
    return [
        f"W-PTH {file.name} of the packages that plugins need is not run"
        for file in sorted(folder.glob("*.pth"))
    ]


def _fetch_wheel(store: Store, pin: Mapping[str, Any], pip: Sequence[str], offline: bool) -> Path:
    """Return the file of a package in the store, fetched if it is not there."""
    wheel = _stored_wheel(store, pin)
    if wheel.is_file():
        return wheel
    with store.stage() as stage:
        target = stage / "wheel"
        local = _find_local_wheel(pin, pip)
        if local is not None:
            target.mkdir()
            shutil.copyfile(local, target / local.name)
        elif offline and not _is_local(pip):
            what = f"E-OFFLINE package {pin['name']} {pin['version']} is not in the store"
            raise PluginUnavailableError(what, fix="run it again without --offline")
        else:
            _download_wheel(pin, pip, stage, target, offline=offline)
        with store.disk_errors():
            store.publish(target, wheel.parent)
    return wheel


def _stored_wheel(store: Store, pin: Mapping[str, Any]) -> Path:
    """Return where the file of a package lies in the store."""
    return store.root / "wheels" / f"sha256-{pin['sha256']}" / str(pin["file"])


def _download_wheel(
    pin: Mapping[str, Any], pip: Sequence[str], stage: Path, target: Path, *, offline: bool
) -> None:
    requirement = stage / "pin.txt"
    requirement.write_text(_requirement_line(pin))
    options = ["--no-deps", "--require-hashes", *ONLY_WHEELS, *pip]
    if offline:
        options.append("--no-index")
    partial = stage / "partial"
    partial.mkdir()
    arguments = ["download", *options, "--dest", str(target), "-r", str(requirement)]
    with progress.reported(partial, progress.describe(pin)):
        done = _run_pip(arguments, TMPDIR=str(partial))
    if not done.returncode:
        return
    what = f"E-PIP package {pin['name']} {pin['version']}: {_pip_message(done.stderr)}"
    if "DO NOT MATCH" in done.stderr:
        raise PluginIntegrityError(what, fix="find out who changed the file")
    raise PluginUnavailableError(what, fix="check the index and the network")


def _requirement_line(pin: Mapping[str, Any]) -> str:
    """Return a package as pip's requirements file has it."""
    return f"{pin['name']}=={pin['version']} --hash=sha256:{pin['sha256']}\n"


def _find_local_wheel(pin: Mapping[str, Any], pip: Sequence[str]) -> Path | None:
    """Return the file of a package in a ``--find-links`` folder, if it has the right bytes."""
    for option, value in pairwise(pip):
        if option != "--find-links" or not Path(value).is_dir():
            continue
        file = Path(value) / str(pin["file"])
        if file.is_file() and _file_sha256(file) == pin["sha256"]:
            return file
    return None


def _file_sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _check_modules(wheel: Path) -> None:
    """Refuse a package that brings a module which the environment has: it would go unseen."""
    from importlib.util import find_spec

    with zipfile.ZipFile(wheel) as archive:
        modules = {name.partition("/")[0].removesuffix(".py") for name in archive.namelist()}
    for module in sorted(modules):
        if module.isidentifier() and find_spec(module) is not None:
            raise ConfigError(
                f"E-SHADOW package {wheel.name} brings the module {module!r}, which is installed",
                fix=f"uninstall what brings {module!r}, or use a plugin that does not need it",
            )


def _run_pip(arguments: Sequence[str], **variables: str) -> subprocess.CompletedProcess[str]:
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | quiet | variables,
        timeout=TIMEOUT,
        check=False,
    )
    if "No module named pip" in done.stderr:
        what = "E-PIP this Python has no pip, which would install what plugins need"
        fix = f"run {sys.executable} -m ensurepip, or install the system's package python3-pip"
        raise PluginUnavailableError(what, fix=fix)
    return done


def _resolution_error(
    needs: Sequence[Need], missing: Sequence[str], done: subprocess.CompletedProcess[str]
) -> ConfigError | PluginUnavailableError:
    """Return the error for packages of which pip finds no version."""
    _, heading, cause = done.stdout.partition("The conflict is caused by:")
    text = done.stderr + heading + cause.partition("To fix this")[0]
    names = {need.requirement.name for need in needs if need.requirement.text in missing}
    for name in sorted(names):
        of_package = [need for need in needs if need.requirement.name == name]
        if len(of_package) > 1 and "conflicting dependencies" in text:
            return conflict(of_package, None)
    return _missing_error(needs, missing, f": {_pip_message(text)}")


def _missing_error(
    needs: Sequence[Need], missing: Sequence[str], reason: str = ""
) -> PluginUnavailableError:
    users = sorted({need.entry.name for need in needs if need.requirement.text in missing})
    packages = ", ".join(map(repr, missing))
    return PluginUnavailableError(
        f"E-DEP {packages} is needed by {', '.join(users)} and not installed{reason}",
        fix=f"pip install {' '.join(map(repr, missing))}",
    )


def _pip_message(stderr: str) -> str:
    """Return what pip reports, without its last lines on versions that it looked at."""
    lines = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.strip()]
    useful = [line for line in lines if "notice" not in line and "ResolutionImpossible" not in line]
    return redacted("\n    ".join(useful))


def find(store: Store, packages: Mapping[str, Any], name: str) -> Path | None:
    """Return the overlay of locked packages; None if none is needed here.

    Raises:
        PluginUnavailableError: It is not in the store, and ``name`` needs it.
    """
    pins = packages.get("pins", [])
    if not pins:
        return None
    folder = folder_of(store, pins)
    if is_folder(folder):
        return folder
    missing = ", ".join(f"{pin['name']} {pin['version']}" for pin in pins)
    raise PluginUnavailableError(
        f"E-STORE-MISSING plugin {name!r}: the packages {missing} are not in the store",
        fix="run: specloom plugins sync",
    )
