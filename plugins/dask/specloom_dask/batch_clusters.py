"""Clusters that start workers as jobs of a batch system, or as pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dask
from distributed import Client
from distributed.security import Security

from specloom import UnavailableError
from specloom_dask.cluster_file import ClusterFile, check_options
from specloom_dask.local_cluster import ALLOWED_DEATHS, ENVIRONMENT, FRUGAL

CLASSES: Mapping[str, tuple[str, str, str]] = {
    "slurm": ("dask_jobqueue", "SLURMCluster", "jobqueue"),
    "pbs": ("dask_jobqueue", "PBSCluster", "jobqueue"),
    "lsf": ("dask_jobqueue", "LSFCluster", "jobqueue"),
    "sge": ("dask_jobqueue", "SGECluster", "jobqueue"),
    "kubernetes": ("dask_kubernetes.operator", "KubeCluster", "kubernetes"),
}
"""For each kind the module, the class, and the extra of this package that brings it."""

BATCH_KINDS = tuple(CLASSES)
RESERVED = {
    "cores": "cores",
    "processes": "workers",
    "n_workers": "workers",
    "memory": "memory",
    "security": "security",
}
"""The parameters that other entries of the file set, each with that entry."""

EXPORTS = [f"export {name}={value}" for name, value in ENVIRONMENT.items()]
"""Lines of a job's script that set the environment of its worker."""

SETTINGS = {
    **FRUGAL,
    "distributed.scheduler.allowed-failures": ALLOWED_DEATHS,
    "distributed.worker.profile.enabled": False,
    "distributed.scheduler.http.routes": [],
}


@contextmanager
def batch_cluster(file: ClusterFile, workers: int | None) -> Iterator[Client]:
    """A client of workers that a cluster starts, which end with the context.

    Raises:
        ConfigError: The cluster has no such option.
        UnavailableError: The package for it is not installed, or it cannot be reached.
    """
    with dask.config.set(SETTINGS), _private_folder() as folder:
        cluster = make_cluster(file, folder)
        try:
            if file.least is not None:
                cluster.adapt(minimum=file.least, maximum=file.most)
            else:
                cluster.scale(workers or 1)
            with Client(cluster, set_as_default=False) as client:
                yield client
        finally:
            cluster.close()


def make_cluster(file: ClusterFile, folder: str) -> Any:
    """The cluster of a file, without workers.

    Args:
        file: The file.
        folder: A folder of this user alone, which all machines see, for certificates.

    Raises:
        ConfigError: It has no such option.
        UnavailableError: The package for it is not installed, or it cannot be reached.
    """
    cls = cluster_class(file.kind)
    check_options(file.options, cls, file.name, RESERVED)
    options: dict[str, Any] = dict(file.options)
    if file.kind == "kubernetes":
        resources = {"limits": {"cpu": str(file.cores), "memory": file.memory or None}}
        options.setdefault("resources", resources)
    else:
        options["cores"] = file.cores
        options["processes"] = 1
        options["memory"] = file.memory
        options["security"] = _security(file)
        options["protocol"] = "tls://"
        options.setdefault("shared_temp_directory", folder)
        options["job_script_prologue"] = [*options.get("job_script_prologue", ()), *EXPORTS]
    try:
        return cls(**options)
    except Exception as error:
        raise UnavailableError(
            f"the cluster cannot be started: {type(error).__name__}: {error}",
            where=file.name,
            fix="check the options of the cluster file",
        ) from error


def cluster_class(kind: str) -> Any:
    """The class of a kind of cluster.

    Raises:
        UnavailableError: The package that has it is not installed.
    """
    module, name, extra = CLASSES[kind]
    try:
        return getattr(import_module(module), name)
    except ImportError as error:
        package = module.partition(".")[0].replace("_", "-")
        raise UnavailableError(
            f"a cluster of the kind {kind} needs {package}",
            where="--on",
            fix=f"run: pip install 'specloom-dask[{extra}]'",
        ) from error


@contextmanager
def _private_folder() -> Iterator[str]:
    """A folder in the user's home, which machines of a cluster share as a rule."""
    parent = Path.home() / ".specloom"
    parent.mkdir(mode=0o700, exist_ok=True)
    with TemporaryDirectory(prefix="fleet-", dir=parent) as folder:
        yield folder


def _security(file: ClusterFile) -> Security:
    """The certificates of a file, or new ones for this run."""
    options = file.security_options()
    if options:
        for role in ("scheduler", "worker"):
            options[f"tls_{role}_cert"] = options.get("tls_client_cert")
            options[f"tls_{role}_key"] = options.get("tls_client_key")
        return Security(**options)
    made: Security = Security.temporary()
    return made
