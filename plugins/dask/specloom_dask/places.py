"""Where work is done: new workers on this machine, or those of a scheduler."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from specloom import ConfigError, UnavailableError

if TYPE_CHECKING:
    from distributed import Client

LOCAL = "dask"
ADDRESS = re.compile(r"(tcp|tls)://(?P<host>\[[^\]]+\]|[^:/]+):\d+")
CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Place:
    """Where work is done.

    Args:
        address: The address of a scheduler; empty for new workers on this machine.
        workers: How many workers are started; None for one a core.
    """

    address: str = ""
    workers: int | None = None

    @classmethod
    def read(cls, on: str, workers: int | None = None, *, insecure: bool = False) -> Place:
        """The place that ``--on`` names.

        Raises:
            ConfigError: It is none, or an address of another machine without encryption.
        """
        if on == LOCAL:
            return cls(workers=workers)
        match = ADDRESS.fullmatch(on)
        if match is None:
            fix = "use dask, the address of a scheduler such as tls://host:8786, or a cluster file"
            raise ConfigError(f"{on!r} is no place to work on", where="--on", fix=fix)
        if workers is not None:
            what = f"the scheduler at {on} has its own workers"
            raise ConfigError(what, where="--workers", fix="leave --workers out")
        if on.startswith("tcp://") and not insecure and not _is_loopback(match["host"]):
            raise ConfigError(
                f"{on} is not encrypted and lets anybody there run code",
                where="--on",
                fix="use tls://, or say --insecure",
            )
        return cls(address=on)


@contextmanager
def connected(place: Place) -> Iterator[Client]:
    """A client of the workers of a place.

    Raises:
        UnavailableError: No scheduler answers, or there is no worker.
    """
    from specloom_dask.local_cluster import local_cluster, usable_cores
    from specloom_dask.preparation import Preparation

    if place.address:
        with _client_of(place.address) as client:
            client.register_plugin(Preparation())
            yield client
        return
    with local_cluster(place.workers or usable_cores()) as client:
        client.register_plugin(Preparation())
        yield client


@contextmanager
def _client_of(address: str) -> Iterator[Client]:
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except OSError as error:
        raise UnavailableError(
            f"no scheduler answers at {address} within {CONNECT_SECONDS} s",
            where="--on",
            fix="start it with 'dask scheduler', or use --on dask",
        ) from error
    with client:
        yield client


def _is_loopback(host: str) -> bool:
    """Whether a host is this machine, and reached without a network."""
    name = host.strip("[]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
