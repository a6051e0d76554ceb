"""Checks of the installation: each yields findings, with a fix where something is wrong."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom import Plugins, SpecloomError

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("nodes", "losses", "trainers", "sources", "observers", "commands")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
LITTLE_SPACE = 2**30
GIB = 2**30
KEY_LENGTH = 12
UNMET = "W-REQUIRES"
OK = "ok"
NOTE = "note"
BROKEN = "broken"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Args:
        topic: The heading under which it is printed.
        name: What was checked.
        state: ``ok``; ``note``, for what only some need; ``broken``.
        said: What was found.
        fix: How to fix it.
    """

    topic: str
    name: str
    state: str
    said: str
    fix: str = ""


def all_findings(file: Path) -> Iterator[Finding]:
    """Yield the findings of all checks.

    Args:
        file: A file in the folder where runs would be started; it need not exist.
    """
    yield from check_system()
    yield from check_torch()
    yield check_threads()
    yield check_kernels()
    yield from check_disk(file.parent)
    yield from check_plugins(file)
    yield from check_packages()


def check_system() -> Iterator[Finding]:
    """Check Python and the platform."""
    said = f"{platform.python_version()}, {sys.executable}"
    if sys.version_info[:2] == (3, 11):
        yield Finding("system", "Python", OK, said)
    else:
        fix = "install Python 3.11, and specloom with it"
        yield Finding("system", "Python", BROKEN, said, fix)
    yield Finding("system", "specloom", OK, metadata.version("specloom"))
    yield Finding("system", "platform", OK, platform.platform())


def check_torch() -> Iterator[Finding]:
    """Check whether torch works, and which GPUs it finds."""
    try:
        import torch
    except Exception as e:
        fix = "pip install 'specloom[torch]'"
        yield Finding("system", "torch", BROKEN, f"{type(e).__name__}: {e}", fix)
        return
    if torch.version.cuda is None:
        yield Finding("system", "torch", OK, f"{torch.__version__}, built for the CPU")
    else:
        said = f"{torch.__version__}, built for CUDA {torch.version.cuda}"
        yield Finding("system", "torch", OK, said)
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            yield _check_gpu(torch, number)
    elif torch.version.cuda is None:
        yield Finding("system", "GPU", OK, "none found: runs use the CPU")
    else:
        fix = "install the NVIDIA driver, if there is a GPU"
        yield Finding("system", "GPU", NOTE, "none found: runs use the CPU", fix)


def _check_gpu(torch: Any, number: int) -> Finding:
    properties = torch.cuda.get_device_properties(number)
    said = f"{properties.name}, {properties.total_memory / GIB:.0f} GiB"
    try:
        torch.ones(1, device=f"cuda:{number}").sum().item()
    except Exception as e:
        fix = "check the driver, and whether another process uses the GPU; or --device cpu"
        return Finding("system", f"GPU {number}", BROKEN, f"{said}: {e}", fix)
    return Finding("system", f"GPU {number}", OK, said)


def check_threads() -> Finding:
    """Check how many threads the mathematics uses on how many cores."""
    cores = _count_cores()
    parts = [f"{cores} cores"]
    torch = sys.modules.get("torch")
    threads = 0
    if torch is not None:
        threads = torch.get_num_threads()
        parts.append(f"torch uses {threads} threads")
    said = ", ".join(parts)
    variables = [f"{name}={os.environ[name]}" for name in THREAD_VARIABLES if name in os.environ]
    if variables:
        said += f" ({', '.join(variables)})"
    if threads > cores:
        return Finding("system", "threads", NOTE, said, f"export SPECLOOM_THREADS={cores}")
    return Finding("system", "threads", OK, said)


def check_kernels() -> Finding:
    """Check which engine computes statistics and scores, and why."""
    try:
        from specloom_native import engine
    except ImportError:
        said = "pure: the package specloom-native is not installed"
        return Finding("system", "kernels", NOTE, said, "pip install specloom-native")
    try:
        found = engine()
    except SpecloomError as e:
        return Finding("system", "kernels", BROKEN, e.what, e.fix)
    said = f"{found.name}: {found.reason}"
    if found.key:
        said = f"{said}, {found.key[:KEY_LENGTH]}"
    return Finding("system", "kernels", OK, said)


def _count_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_disk(folder: Path) -> Iterator[Finding]:
    """Check the space for results here, and for temporary files."""
    yield _check_folder("disk here", folder)
    yield _check_folder("disk for temporary files", Path(tempfile.gettempdir()))


def _check_folder(name: str, folder: Path) -> Finding:
    try:
        free = shutil.disk_usage(folder).free
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as e:
        fix = "check permissions, or use another folder (for temporary files: set TMPDIR)"
        said = f"{folder} cannot be written: {e.strerror}"
        return Finding("system", name, BROKEN, said, fix)
    said = f"{free / GIB:.1f} GiB free in {folder.resolve()}"
    if free < LITTLE_SPACE:
        return Finding("system", name, NOTE, said, "free some space before a long run")
    return Finding("system", name, OK, said)


def check_plugins(file: Path) -> Iterator[Finding]:
    """Check the plugins of the nearest manifest, or else the installed ones, by importing them."""
    installed = Plugins()
    plugins = installed
    try:
        plugins = Plugins.for_file(file)
    except SpecloomError as e:
        for one in getattr(e, "errors", [e]):
            said = one.what
            if one.where:
                said = f"{one.where}: {one.what}"
            yield Finding("plugins", "manifest", BROKEN, said, one.fix)
    if plugins.manifest:
        yield Finding("plugins", "manifest", OK, str(plugins.manifest))
    for name in sorted(plugins.modules):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            finding = _check_plugin(plugins, name)
        yield finding
        for warning in caught:
            yield _check_warning(name, str(warning.message))
    for name in sorted(installed.modules.keys() - plugins.modules.keys()):
        said = _join(installed.version(name), "installed, but not in the manifest")
        yield Finding("plugins", name, NOTE, said, "add it to the manifest to use it here")


def _check_plugin(plugins: Plugins, name: str) -> Finding:
    try:
        offers = plugins.offers(KINDS, name)
    except SpecloomError as e:
        return Finding("plugins", name, BROKEN, e.what, e.fix)
    targets = {label: target for label, target in offers.items() if ":" in target}
    errors = []
    for label, target in targets.items():
        try:
            plugins.load(target, label)
        except SpecloomError as e:
            errors.append(e)
    if not errors:
        said = _join(plugins.version(name), f"offers {len(targets)}")
        return Finding("plugins", name, OK, said)
    said = errors[0].what
    if len(errors) > 1:
        said += f" (and {len(errors) - 1} more)"
    return Finding("plugins", name, BROKEN, said, errors[0].fix)


def _check_warning(name: str, message: str) -> Finding:
    """Check what a plugin was imported with: a requirement that is not met is broken."""
    if message.startswith(UNMET):
        said, _, fix = message.partition("; ")
        return Finding("plugins", name, BROKEN, said, fix)
    return Finding("plugins", name, NOTE, message)


def _join(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def check_packages() -> Iterator[Finding]:
    """Check for packages that the installed plugins need or can use, and that are missing."""
    from packaging.requirements import Requirement

    for distribution in metadata.distributions():
        owner = str(distribution.metadata["Name"])
        if owner != "specloom" and not owner.startswith("specloom-"):
            continue
        extras = distribution.metadata.get_all("Provides-Extra") or []
        for text in distribution.requires or ():
            requirement = Requirement(text)
            if _is_installed(requirement.name):
                continue
            name = requirement.name
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                fix = f"pip install '{name}{requirement.specifier}'"
                yield Finding("packages", name, BROKEN, f"{owner} needs it", fix)
                continue
            for extra in extras:
                if extra != "dev" and requirement.marker.evaluate({"extra": extra}):
                    wanted = f"{owner}[{extra}]"
                    fix = f"pip install '{wanted}'"
                    yield Finding("packages", name, NOTE, f"optional: {wanted}", fix)


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def summarise(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return findings for JSON, with the number of broken ones."""
    broken = sum(finding.state == BROKEN for finding in findings)
    return {"broken": broken, "findings": [asdict(finding) for finding in findings]}
