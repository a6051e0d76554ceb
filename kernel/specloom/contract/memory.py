"""That no memory was left: recognised in any error, with the limit that this process has."""

import errno
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

#: What libraries write into other errors where an allocation failed.
TEXTS = re.compile(
    r"DefaultCPUAllocator|CUDA out of memory|std::bad_alloc|failed to map segment"
    r"|can(?:no|')t allocate memory|out of memory"
    r"|DataLoader worker .*(?:is killed by signal: Killed|exited unexpectedly)",
    re.IGNORECASE,
)
#: Where Linux mounts control groups.
CGROUPS = Path("/sys/fs/cgroup")
#: Limits from here on are none: version 1 of control groups writes a number of pages.
UNLIMITED = 1 << 60
#: Bytes of addresses without which the import of torch ends the process.
LEAST_FOR_TORCH = 640 * 10**6
#: The command that limits the addresses of a process.
ADDRESSES = "ulimit -v"


class MemoryLimit(NamedTuple):
    """How much memory this process may take.

    Args:
        size: The limit in bytes.
        origin: Who sets it, with the command or the option.
    """

    size: int
    origin: str

    def __str__(self) -> str:
        return f"{self.size / 1e9:.2g} GB ({self.origin})"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one behind it, says that no memory was left."""
    return find_memory_error(error) is not None


def find_memory_error(error: BaseException) -> BaseException | None:
    """The error, among this one and those behind it, that says that no memory was left."""
    return next((one for one in _chain(error) if _is_of_memory(one)), None)


def is_of_gpu(error: BaseException) -> bool:
    """Whether it is the memory of a GPU that was used up."""
    return type(error).__name__ == "OutOfMemoryError" or "CUDA out of memory" in str(error)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and those that led to it."""
    seen: BaseException | None = error
    number = 0
    while seen is not None and number < 100:
        yield seen
        seen = seen.__cause__ or seen.__context__
        number += 1


def _is_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    is_of_library = isinstance(error, RuntimeError | ImportError | OSError)
    return is_of_library and TEXTS.search(str(error)) is not None


def memory_limit() -> MemoryLimit | None:
    """The smaller limit of this process and of its container or job; None without any."""
    limits = [*_process_limits(), *_group_limits()]
    return min(limits, default=None)


def address_space_limit() -> MemoryLimit | None:
    """The limit of the addresses of this process, mapped files included; None without any."""
    return next((limit for limit in _process_limits() if limit.origin == ADDRESSES), None)


class _TorchRefusal:
    """A finder of modules that does not let torch be imported."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Find nothing; other finders come next.

        Raises:
            MemoryError: The module is torch.
        """
        if name == "torch":
            raise MemoryError(f"torch needs {LEAST_FOR_TORCH // 10**6} MB to be imported")


def refuse_torch_without_memory() -> None:
    """Make the import of torch an error where the limit of this process is too small for it.

    Its libraries would end the process with no more than ``std::bad_alloc``.
    """
    limit = address_space_limit()
    if limit is not None and limit.size < LEAST_FOR_TORCH and "torch" not in sys.modules:
        sys.meta_path.insert(0, _TorchRefusal)


def _process_limits() -> Iterator[MemoryLimit]:
    try:
        import resource
    except ImportError:
        return
    for kind, origin in ((resource.RLIMIT_AS, ADDRESSES), (resource.RLIMIT_DATA, "ulimit -d")):
        soft, _hard = resource.getrlimit(kind)
        if soft not in (resource.RLIM_INFINITY, -1):
            yield MemoryLimit(soft, origin)


def _group_limits() -> Iterator[MemoryLimit]:
    """The limits of the control groups that this process is in."""
    files = [CGROUPS / "memory/memory.limit_in_bytes"]
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            group = Path(line.rpartition(":")[2].lstrip("/"))
            folders = [CGROUPS / group, *(CGROUPS / parent for parent in group.parents)]
            files += [folder / "memory.max" for folder in folders]
    for file in files:
        with suppress(OSError, ValueError):
            size = int(file.read_text())
            if size < UNLIMITED:
                yield MemoryLimit(size, "of this container or job")
