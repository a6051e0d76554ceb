"""Cluster files: which cluster starts the workers, and with which of its options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from specloom import ConfigError, did_you_mean

KINDS = ("local", "address", "slurm", "pbs", "lsf", "sge", "kubernetes")
TYPE = "dask.Dask"
VERSION = 1
HEADER = ("specloom-cluster", "type", "config")
SECURITY = {"ca": "tls_ca_file", "cert": "tls_client_cert", "key": "tls_client_key"}
"""The files of certificates in a cluster file, by Dask's names."""


@dataclass(frozen=True)
class ClusterFile:
    """What a cluster file says.

    Args:
        name: The file.
        kind: One of ``KINDS``.
        address: The address of a scheduler, where it is of that kind.
        workers: The number of workers.
        least: The least number of workers, where the cluster may give more.
        most: The largest number.
        cores: The cores of a worker.
        memory: The memory of a worker, such as ``8GB``.
        options: The cluster's own options by name.
        security: The files ``ca``, ``cert`` and ``key``.
        ship_plugins: Whether plugins that a manifest pins are sent to workers.
    """

    name: str = ""
    kind: str = "local"
    address: str = ""
    workers: int | None = None
    least: int | None = None
    most: int | None = None
    cores: int = 1
    memory: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    security: Mapping[str, str] = field(default_factory=dict)
    ship_plugins: bool = True

    def security_options(self) -> dict[str, Any]:
        """The options of Dask's ``Security``; empty without certificates."""
        if not self.security:
            return {}
        folder = Path(self.name).parent
        found: dict[str, Any] = {"require_encryption": True}
        for name, file in self.security.items():
            found[SECURITY[name]] = str(folder / file)
        return found


FIELDS = ("kind", "address", "workers", "cores", "memory", "options", "security", "ship_plugins")


def is_cluster_file(on: str) -> bool:
    """Whether ``--on`` names a file."""
    return on.endswith((".yaml", ".yml"))


def read_cluster_file(name: str) -> ClusterFile:
    """What a cluster file says.

    Raises:
        ConfigError: It cannot be read, or has an entry that it must not have.
    """
    try:
        found = yaml.safe_load(Path(name).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        what = f"{name} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise ConfigError(what, where="--on", fix="give a cluster file") from error
    if not isinstance(found, dict) or found.get("specloom-cluster") != VERSION:
        what = f"{name} is no cluster file"
        fix = f"begin it with 'specloom-cluster: {VERSION}'"
        raise ConfigError(what, where="--on", fix=fix)
    _check_names(found, HEADER, name)
    if found.get("type") != TYPE:
        what = f"type is {found.get('type')!r}"
        raise ConfigError(what, where=name, fix=f"write 'type: {TYPE}'")
    config = found.get("config") or {}
    if not isinstance(config, dict):
        raise ConfigError("config has no entries", where=name, fix="add 'kind: slurm'")
    _check_names(config, FIELDS, name)
    return _cluster(config, name)


def check_options(
    options: Mapping[str, Any], cls: Callable[..., Any], name: str, reserved: Mapping[str, str]
) -> None:
    """Hold a cluster's own options to the signature of its class.

    Args:
        options: The options of the file.
        cls: The class of the cluster.
        name: The file.
        reserved: The parameters that other entries of the file set, each with that entry.

    Raises:
        ConfigError: The class has no such option, or another entry of the file sets it.
    """
    known = _parameters(cls)
    for option in options:
        if option in reserved:
            what = f"the option {option!r} is set by {reserved[option]!r}"
            fix = f"use {reserved[option]!r} instead"
            raise ConfigError(what, where=f"{name}: options", fix=fix)
        if option not in known:
            what = f"{cls.__name__} has no option {option!r}"
            raise ConfigError(
                what, where=f"{name}: options", fix=did_you_mean(option, known - reserved.keys())
            )


def _parameters(cls: Callable[..., Any]) -> set[str]:
    """The parameters of a class, of those above it, and of the class of a cluster's jobs."""
    names: set[str] = set()
    classes = list(cls.__mro__) if isinstance(cls, type) else [cls]
    for one in classes:
        jobs = vars(one).get("job_cls") if isinstance(one, type) else None
        if isinstance(jobs, type):
            names |= _parameters(jobs)
    for one in classes:
        function = vars(one).get("__init__") if isinstance(one, type) else one
        if function is None:
            continue
        kinds = []
        for parameter in inspect.signature(function).parameters.values():
            kinds.append(parameter.kind)
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                names.add(parameter.name)
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            break
    return names - {"self"}


def _cluster(config: Mapping[str, Any], name: str) -> ClusterFile:
    kind = config.get("kind", "local")
    if kind not in KINDS:
        fix = did_you_mean(str(kind), KINDS)
        raise ConfigError(f"no cluster is of the kind {kind!r}", where=name, fix=fix)
    workers, least, most = _workers(config.get("workers"), name)
    security = config.get("security") or {}
    _check_names(security, SECURITY, f"{name}: security")
    memory = config.get("memory", "")
    if kind in ("slurm", "pbs", "lsf", "sge") and not memory:
        fix = "add for example 'memory: 8GB'"
        raise ConfigError(f"a worker of {kind} has no memory", where=name, fix=fix)
    return ClusterFile(
        name,
        kind,
        str(config.get("address", "")),
        workers,
        least,
        most,
        int(config.get("cores", 1)),
        str(memory),
        dict(config.get("options") or {}),
        dict(security),
        bool(config.get("ship_plugins", True)),
    )


def _workers(value: Any, name: str) -> tuple[int | None, int | None, int | None]:
    """The number of workers, or the least and the largest number.

    Raises:
        ConfigError: It is none.
    """
    if value is None:
        return None, None, None
    if isinstance(value, int) and value > 0:
        return value, None, None
    if isinstance(value, dict) and set(value) == {"least", "most"}:
        least, most = value["least"], value["most"]
        if isinstance(least, int) and isinstance(most, int) and 0 < least <= most:
            return None, least, most
    what = f"workers is {value!r}"
    raise ConfigError(what, where=name, fix="write a number, or {least: 4, most: 200}")


def _check_names(found: Mapping[str, Any], known: Any, place: str) -> None:
    for name in found:
        if name not in known:
            fix = did_you_mean(str(name), known)
            raise ConfigError(f"there is no entry {name!r}", where=place, fix=fix)
