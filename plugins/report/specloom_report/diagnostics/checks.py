"""What is installed, what works, and what is missing: each a finding with its remedy."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom import Plugins, SpecloomError

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("nodes", "losses", "trainers", "sources", "observers", "commands")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
LITTLE = 2**30
GOOD, NOTE, BROKEN = "ok", "note", "broken"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        topic: Under which heading it is told.
        name: What was looked at.
        state: ``ok``; ``note``, for what may be missed by some; ``broken``.
        said: What was found.
        fix: How to mend it.
    """

    topic: str
    name: str
    state: str
    said: str
    fix: str = ""


def findings(place: Path) -> Iterator[Finding]:
    """Everything, as it is found.

    Args:
        place: A file in the folder where runs would be started; it need not exist.
    """
    yield from system()
    yield from torch_and_gpu()
    yield from threads()
    yield from disk(place.parent)
    yield from plugins(place)
    yield from packages()


def system() -> Iterator[Finding]:
    """Python and the platform."""
    version = platform.python_version()
    good = sys.version_info[:2] == (3, 11)
    fix = "" if good else "install Python 3.11, and specloom with it"
    yield Finding("system", "Python", GOOD if good else BROKEN, f"{version}, {sys.executable}", fix)
    yield Finding("system", "specloom", GOOD, metadata.version("specloom"))
    yield Finding("system", "platform", GOOD, platform.platform())


def torch_and_gpu() -> Iterator[Finding]:
    """Whether torch works, and which GPUs it finds."""
    try:
        import torch
    except Exception as e:
        said, fix = f"{type(e).__name__}: {e}", "pip install 'specloom[torch]'"
        yield Finding("system", "torch", BROKEN, said, fix)
        return
    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for the CPU"
    yield Finding("system", "torch", GOOD, f"{torch.__version__}, {built}")
    if not torch.cuda.is_available():
        fix = "" if torch.version.cuda is None else "install the NVIDIA driver, if there is a GPU"
        yield Finding("system", "GPU", NOTE if fix else GOOD, "none found: runs use the CPU", fix)
        return
    for i in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(i)
        said = f"{about.name}, {about.total_memory / 2**30:.0f} GiB"
        try:
            torch.ones(1, device=f"cuda:{i}").sum().item()
            yield Finding("system", f"GPU {i}", GOOD, said)
        except Exception as e:
            fix = "check the driver, and whether another process holds the GPU; or --device cpu"
            yield Finding("system", f"GPU {i}", BROKEN, f"{said}: {e}", fix)


def threads() -> Iterator[Finding]:
    """How many threads the mathematics uses on how many cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    set_ = [f"{name}={os.environ[name]}" for name in THREADS if name in os.environ]
    torch = sys.modules.get("torch")
    used = torch.get_num_threads() if torch else None
    said = f"{cores} cores" + (f", torch uses {used} threads" if used else "")
    said += f" ({', '.join(set_)})" if set_ else ""
    many = used is not None and cores is not None and used > cores
    fix = f"export SPECLOOM_THREADS={cores}" if many else ""
    yield Finding("system", "threads", NOTE if many else GOOD, said, fix)


def disk(folder: Path) -> Iterator[Finding]:
    """Room for results here, and for temporary files."""
    places = {"disk here": folder, "disk for temporary files": Path(tempfile.gettempdir())}
    for name, place in places.items():
        try:
            free = shutil.disk_usage(place).free
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as e:
            fix = "check permissions, or work in another folder (for temporary files: set TMPDIR)"
            yield Finding("system", name, BROKEN, f"{place} cannot be written: {e.strerror}", fix)
            continue
        little = free < LITTLE
        fix = "make room before a long run" if little else ""
        said = f"{free / 2**30:.1f} GiB free in {place.resolve()}"
        yield Finding("system", name, NOTE if little else GOOD, said, fix)


def plugins(place: Path) -> Iterator[Finding]:
    """The plugins of the nearest manifest, or else the installed ones, each imported whole."""
    installed = Plugins()
    try:
        known = Plugins.for_file(place)
    except SpecloomError as e:
        yield Finding("plugins", "manifest", BROKEN, e.what, e.fix)
        known = installed
    if known.manifest:
        yield Finding("plugins", "manifest", GOOD, str(known.manifest))
    for name in sorted(known.modules):
        yield _plugin(known, name)
    for name in sorted(installed.modules.keys() - known.modules.keys()):
        said = f"{installed.version(name)}, installed, but not in the manifest"
        yield Finding("plugins", name, NOTE, said.lstrip(", "), "name it there to use it here")


def _plugin(known: Plugins, name: str) -> Finding:
    wrong = []
    try:
        offered = {key: at for key, at in known.offers(KINDS, name).items() if ":" in at}
    except SpecloomError as e:
        return Finding("plugins", name, BROKEN, e.what, e.fix)
    for label, target in offered.items():
        try:
            known.load(target, label)
        except SpecloomError as e:
            wrong.append(e)
    said = ", ".join(filter(None, [known.version(name), f"offers {len(offered)}"]))
    if not wrong:
        return Finding("plugins", name, GOOD, said)
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    return Finding("plugins", name, BROKEN, f"{wrong[0].what}{more}", wrong[0].fix)


def packages() -> Iterator[Finding]:
    """What the installed plugins need or can use, and is not there."""
    for one in metadata.distributions():
        owner = str(one.metadata["Name"])
        if owner != "specloom" and not owner.startswith("specloom-"):
            continue
        for text in one.requires or ():
            name, extra = requirement(text)
            if extra == "dev" or _installed(name):
                continue
            if extra is None:
                said, fix = f"{owner} needs it", f"pip install '{text.partition(';')[0].strip()}'"
                yield Finding("packages", name, BROKEN, said, fix)
            else:
                said, fix = f"optional: {owner}[{extra}]", f"pip install '{owner}[{extra}]'"
                yield Finding("packages", name, NOTE, said, fix)


def requirement(text: str) -> tuple[str, str | None]:
    """The name that a requirement names, and the extra that asks for it.

    >>> requirement("numpy>=1.26"), requirement('cuvis>=3.3; extra == "cu3s"')
    (('numpy', None), ('cuvis', 'cu3s'))
    """
    found = re.match(r"[\w.-]+", text)
    extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", text)
    return found.group() if found else text, extra.group(1) if extra else None


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def as_json(found: list[Finding]) -> dict[str, Any]:
    """Findings ready for JSON."""
    return {"broken": sum(f.state == BROKEN for f in found), "findings": [vars(f) for f in found]}
