"""Where work is done: new workers on this machine, or those of a scheduler or a cluster."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from specloom import ConfigError, UnavailableError
from specloom_dask.cluster_file import ClusterFile, is_cluster_file, read_cluster_file

if TYPE_CHECKING:
    from distributed import Client
    from distributed.security import Security

LOCAL = "dask"
ADDRESS = re.compile(r"(tcp|tls)://(?P<host>\[[^\]]+\]|[^:/]+):\d+")
CONNECT_SECONDS = 10
CLOSE_SECONDS = 5
WORKER_SECONDS = 300
"""How long a cluster may take to give its first worker; a run begins with it."""

FIX_CERTIFICATES = (
    "give --on a cluster file with 'kind: address' and 'security: {ca: ca.pem, cert: me.pem, "
    "key: me.key}'"
)
FIX_PLACE = "use dask, the address of a scheduler such as tls://host:8786, or a cluster file"


class Fleet(NamedTuple):
    """Workers that are connected.

    Args:
        client: Their client.
        expected: How many were started; 0 where others started them.
        restore: Starts workers again for those that could not.
    """

    client: Client
    expected: int
    restore: Callable[[], None]


@dataclass(frozen=True)
class Place:
    """Where work is done.

    Args:
        on: What ``--on`` says.
        workers: How many workers are started; None for one a core, or as the cluster file says.
        address: The address of a scheduler; empty where one is started.
        file: What a cluster file says.
    """

    on: str
    workers: int | None = None
    address: str = ""
    file: ClusterFile = field(default_factory=ClusterFile)

    @classmethod
    def read(cls, on: str, workers: int | None = None, *, insecure: bool = False) -> Place:
        """The place that ``--on`` names.

        Raises:
            ConfigError: It is none, or an address of another machine without encryption.
        """
        if is_cluster_file(on):
            file = read_cluster_file(on)
            if file.kind == "address":
                return cls._of_address(on, workers, file.address, file, insecure=insecure)
            return cls(on, workers or file.workers, file=file)
        if on == LOCAL:
            return cls(on, workers)
        return cls._of_address(on, workers, on, ClusterFile(), insecure=insecure)

    @classmethod
    def _of_address(
        cls, on: str, workers: int | None, address: str, file: ClusterFile, *, insecure: bool
    ) -> Place:
        match = ADDRESS.fullmatch(address)
        if match is None:
            raise ConfigError(f"{address!r} is no place to work on", where="--on", fix=FIX_PLACE)
        if workers is not None:
            what = f"the scheduler at {address} has its own workers"
            raise ConfigError(what, where="--workers", fix="leave --workers out")
        if address.startswith("tcp://") and not insecure and not is_loopback(match["host"]):
            raise ConfigError(
                f"{address} is not encrypted: whoever reaches it can run code there",
                where="--on",
                fix="use tls://, or say --insecure",
            )
        return cls(on, None, address, file)


@contextmanager
def connected(place: Place) -> Iterator[Fleet]:
    """The workers of a place, ready for a job.

    Raises:
        ConfigError: A cluster has no such option.
        UnavailableError: No scheduler answers, or there is no worker.
    """
    from specloom_dask.batch_clusters import BATCH_KINDS, batch_cluster
    from specloom_dask.local_cluster import local_cluster, usable_cores

    if place.address:
        with _client_of(place.address, place.file.security_options()) as client:
            _prepare(client)
            yield Fleet(client, 0, _do_nothing)
    elif place.file.kind in BATCH_KINDS:
        with batch_cluster(place.file, place.workers) as client:
            _prepare(client)
            yield Fleet(client, 0, _do_nothing)
    else:
        count = place.workers or usable_cores()
        with local_cluster(count) as local:
            _prepare(local.client)
            yield Fleet(local.client, count, local.restore)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, and reached without a network."""
    name = host.strip("[]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _prepare(client: Client) -> None:
    """Wait for the first worker, and let each get ready.

    Raises:
        UnavailableError: There is none, or one cannot get ready.
    """
    from specloom_dask.preparation import Preparation

    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
    except TimeoutError as error:
        raise UnavailableError(
            f"the cluster gave no worker within {WORKER_SECONDS / 60:g} min",
            where="--on",
            fix="look at the queue of the cluster, or start workers with 'dask worker'",
        ) from error
    try:
        client.register_plugin(Preparation())
    except OSError:  # a worker died meanwhile; the scheduler gives it to those that come
        return
    except Exception as error:
        raise UnavailableError(
            f"a worker cannot get ready: {type(error).__name__}: {error}",
            where="--on",
            fix="install specloom-dask and what it needs on every worker",
        ) from error


@contextmanager
def _client_of(address: str, security: dict[str, Any]) -> Iterator[Client]:
    """A client of a scheduler.

    Raises:
        UnavailableError: None answers.
    """
    from distributed import Client
    from distributed.security import Security

    options: dict[str, Any] = {}
    if security:
        options["security"] = Security(**security)
    if address.startswith("tls://"):
        _check_certificates(options.get("security") or Security())
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False, **options)
    except (OSError, ValueError, TypeError) as error:
        if _is_about_certificates(error):
            raise UnavailableError(
                f"the scheduler at {address} and this process do not accept each other's "
                "certificates",
                where="--on",
                fix="use certificates of one authority (ca) for scheduler, workers and client",
            ) from error
        raise UnavailableError(
            f"no scheduler answers at {address} within {CONNECT_SECONDS} s",
            where="--on",
            fix="start it with 'dask scheduler', or use --on dask",
        ) from error
    try:
        yield client
    finally:
        with suppress(TimeoutError):  # the scheduler may be gone
            client.close(timeout=CLOSE_SECONDS)


def _check_certificates(security: Security) -> None:
    """Refuse an encrypted connection for which certificates are missing or cannot be read.

    Raises:
        ConfigError: They are, of the cluster file or of Dask's configuration.
    """
    names = {"ca": "tls_ca_file", "cert": "tls_client_cert", "key": "tls_client_key"}
    files = {name: getattr(security, option) for name, option in names.items()}
    missing = [name for name in ("ca", "cert") if not files[name]]
    if missing:
        what = f"tls:// needs certificates: {' and '.join(missing)} are not set"
        raise ConfigError(what, where="--on", fix=FIX_CERTIFICATES)
    for file in files.values():
        if file and "\n" not in file:  # the text of a certificate can stand in its place
            _check_readable(file)
    try:
        security.get_connection_args("client")
    except (OSError, ValueError) as error:
        what = f"{files['ca']} and {files['cert']} are no certificates: {error}"
        raise ConfigError(what, where="--on", fix=FIX_CERTIFICATES) from error


def _check_readable(file: str) -> None:
    """Raise ConfigError where a file of certificates cannot be read."""
    try:
        Path(file).read_bytes()
    except OSError as error:
        what = f"{file} cannot be read: {error.strerror or error}"
        raise ConfigError(what, where="--on", fix=FIX_CERTIFICATES) from error


def _is_about_certificates(error: BaseException) -> bool:
    """Whether an error, or what led to it, is one of encryption."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ssl.SSLError) or "certificate" in str(found).lower():
            return True
        found = found.__cause__ or found.__context__
    return False


def _do_nothing() -> None:
    """Leave workers to those who started them."""
