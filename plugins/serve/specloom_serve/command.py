"""``specloom serve``: a fitted pipeline as a server of HTTP and gRPC."""

from __future__ import annotations

import ctypes
import ipaddress
import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specloom import (
    ConfigError,
    UnavailableError,
    complete_run_folders,
    log_file_option,
    threads_option,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    import uvicorn

    from specloom_predict import Predictor
    from specloom_serve.grpc_server import GrpcServer
    from specloom_serve.service import Service

path = click.Path(path_type=Path)

LOOPBACK = frozenset(("127.0.0.1", "localhost", "[::1]"))
"""The names by which a server of this machine alone may be called."""

CONNECTIONS = 48
"""Connections beyond the requests for predictions: probes, metrics, callers that are refused."""

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8

FREE_BYTES = 64 * 2**20
"""The freed memory that stays with the process, for the arrays of the next request."""

MAPPED_BYTES = 32 * 2**20
"""The size from which an array has pages of its own, which go back to the system with it."""

MALLOC_OPTIONS = {
    M_ARENA_MAX: 1,
    M_TRIM_THRESHOLD: FREE_BYTES,
    M_MMAP_THRESHOLD: MAPPED_BYTES,
}
"""Parameters of mallopt in glibc."""

TOKEN_LENGTH = 16
"""The characters that a token has at least."""


@click.command()
@click.argument("pipeline", type=path, shell_complete=complete_run_folders)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.option(
    "--grpc-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Port where gRPC is answered, too [default: no gRPC].",
)
@click.option("--host", default="127.0.0.1", metavar="ADDRESS", show_default=True)
@click.option(
    "--root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Folder below which cubes may be named by path [default: no paths].",
)
@click.option(
    "--token",
    envvar="SPECLOOM_SERVE_TOKEN",
    default="",
    metavar="TEXT",
    help="Token that requests must bring; needed for another host than this one. Other users see "
    "options: rather set SPECLOOM_SERVE_TOKEN.",
)
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Certificate chain (PEM) for HTTPS.",
)
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Private key (PEM) of the certificate.",
)
@click.option(
    "--queue",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Requests that may wait; more are refused.",
)
@click.option(
    "--deadline",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds within which a request is answered.",
)
@click.option(
    "--max-bytes",
    type=click.IntRange(1),
    default=500_000_000,
    show_default=True,
    help="Bytes of a cube in a body.",
)
@click.option(
    "--max-requests",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Requests for predictions at the same time.",
)
@click.option("--device", default="auto", metavar="DEVICE", help="Compute device: auto, cpu, cuda.")
@click.option(
    "--reject-when",
    "reject_when",
    multiple=True,
    metavar="RULE",
    help="Reject cubes for which a rule holds, as for predict.",
)
@threads_option
@click.option("-q", "--quiet", is_flag=True, help="Log only warnings and errors.")
@log_file_option
def serve(**options: Any) -> None:
    """Answer requests over HTTP and gRPC with what PIPELINE makes of a cube.

    PIPELINE is the pipeline.yaml that a run wrote, or that run's folder. POST /predict takes a cube
    as NPY, the files of an ENVI pair, or a path below --root as JSON; the answer is JSON, or with
    ?format= npy, png or zip. /docs describes the addresses.
    """
    binding = Binding(
        options["host"],
        options["port"],
        options["token"],
        options["tls_cert"],
        options["tls_key"],
    )
    binding.check()
    reuse_memory()
    _log_requests(quiet=options["quiet"])
    service = _service(options)
    companion = None
    if options["grpc_port"] is not None:
        from specloom_serve.grpc_server import GrpcServer

        address = binding.at(options["grpc_port"])
        companion = GrpcServer(service, address, binding.token, binding.certificate, binding.key)
    listening = binding.listen()
    addresses = binding.address(listening)
    if companion is not None:
        addresses = f"{addresses} and {binding.grpc_address(companion.port)}"
    click.echo(f"serving on {addresses}; Ctrl-C stops it", err=True)
    with suppress(KeyboardInterrupt):
        http_server(service, binding, companion).run([listening])


def _service(options: Mapping[str, Any]) -> Service:
    """The service that the options describe.

    Raises:
        SpecloomError: The pipeline cannot be loaded, or an option cannot be used.
    """
    from specloom_serve.engine import Engine
    from specloom_serve.metrics import Metrics
    from specloom_serve.service import Service
    from specloom_serve.settings import Limits

    predictor = load_predictor(options["pipeline"], options["device"], options["reject_when"])
    limits = Limits(body_bytes=options["max_bytes"], requests=options["max_requests"])
    engine = Engine(predictor, waiting=options["queue"], deadline=options["deadline"])
    return Service(engine, limits, options["root"], Metrics())


def http_server(
    service: Service, binding: Binding, companion: GrpcServer | None = None
) -> uvicorn.Server:
    """The server of HTTP, which starts and stops the engine and the server of gRPC.

    Args:
        service: What both protocols share.
        binding: Where it listens, and who may call it.
        companion: The server of gRPC; None for none.
    """
    import uvicorn

    from specloom_serve.app import app_of
    from specloom_serve.guarded import GuardedProtocol

    limits = service.limits
    config = uvicorn.Config(
        app_of(service, binding.token, binding.names(), companion),
        host=binding.host,
        port=binding.port,
        http=GuardedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ssl_certfile=binding.certificate,
        ssl_keyfile=binding.key,
        limit_concurrency=limits.requests + CONNECTIONS,
        h11_max_incomplete_event_size=limits.header_bytes,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=int(service.engine.deadline) + 1,
    )
    return uvicorn.Server(config)


@dataclass(frozen=True)
class Binding:
    """Where a server listens, and who may call it.

    Args:
        host: The address of the network interface.
        port: The port; 0 for any that is free.
        token: What requests must bring; empty for no token.
        certificate: The certificate chain for HTTPS.
        key: Its private key.
    """

    host: str
    port: int
    token: str = ""
    certificate: Path | None = None
    key: Path | None = None

    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        if self.host == "localhost":
            return True
        with suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return False

    def check(self) -> None:
        """Accept a server that is not open to others without a token.

        Raises:
            ConfigError: It is, its token is weak or no ASCII, or half of TLS is named.
        """
        if not self.is_local() and not self.token:
            what = f"{self.host} is not only this machine, and there is no token"
            fix = "set SPECLOOM_SERVE_TOKEN, or leave --host out"
            raise ConfigError(what, where="--host", fix=fix)
        is_plain = self.token.isascii() and self.token.isprintable() and " " not in self.token
        if self.token and (len(self.token) < TOKEN_LENGTH or not is_plain):
            what = f"the token is shorter than {TOKEN_LENGTH} characters, or not plain ASCII"
            fix = "make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
            raise ConfigError(what, where="--token", fix=fix)
        if (self.certificate is None) != (self.key is None):
            what = "a certificate needs its key, and a key its certificate"
            raise ConfigError(what, where="--tls-cert", fix="use --tls-cert and --tls-key together")

    def names(self) -> tuple[str, ...]:
        """The names by which it may be called; any with a token."""
        if self.token:
            return ()
        host = f"[{self.host}]" if ":" in self.host else self.host
        return tuple(sorted({*LOOPBACK, host}))

    def listen(self) -> socket.socket:
        """Take the port.

        Raises:
            UnavailableError: Another program has it, or it may not be used.
        """
        import socket

        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        # asyncio sends small answers without delay only on sockets that name their protocol
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((self.host, self.port))
            listening.listen()  # so that clients wait until the first request can be answered
        except OSError as error:
            listening.close()
            raise _not_free(self, error) from error
        return listening

    def address(self, listening: socket.socket) -> str:
        """The address of the server."""
        scheme = "http" if self.certificate is None else "https"
        return f"{scheme}://{self.at(listening.getsockname()[1])}"

    def grpc_address(self, port: int) -> str:
        """The address of the server of gRPC, for ``Client``."""
        scheme = "grpc" if self.certificate is None else "grpcs"
        return f"{scheme}://{self.at(port)}"

    def at(self, port: int) -> str:
        """The host with a port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{port}"


def reuse_memory() -> bool:
    """Let requests use the memory of earlier ones again, where the C library is glibc.

    By default glibc gives the pages of freed arrays back to the system, and takes them again for
    the next array; for a cube of some MB that takes longer than to copy it. Threads have arenas of
    their own, between which no memory is shared.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    accepted = [mallopt(name, value) for name, value in MALLOC_OPTIONS.items()]
    return all(accepted)


def load_predictor(
    pipeline: Path, device: str = "auto", reject_when: tuple[str, ...] = ()
) -> Predictor:
    """Load a pipeline, and find out the pins of its plugins.

    Raises:
        ConfigError: There is no such pipeline, or a rule is none.
        IntegrityError: The pipeline's files are not what they say they are.
    """
    from specloom_predict import Predictor

    predictor = Predictor(pipeline, device=device, observed=True, reject_when=reject_when)
    predictor.run.quiet = True
    with predictor.watched():
        pass  # observers write down plugins and pins when they begin
    return predictor


def _not_free(binding: Binding, error: OSError) -> UnavailableError:
    """The error of a port that cannot be used."""
    what = f"{binding.host}, port {binding.port} cannot be used: {error.strerror}"
    return UnavailableError(what, where="--port", fix="use another port, or 0 for any")


def _log_requests(*, quiet: bool) -> None:
    """Show the log of requests on standard error, and no parts of their bodies."""
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    log = logging.getLogger("specloom.serve")
    log.setLevel(logging.WARNING if quiet else logging.INFO)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
