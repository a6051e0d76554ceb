"""Where work is done: what ``--on`` may say, cluster files, and what is refused."""

from __future__ import annotations

import socket
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import specloom_dask.batch_clusters as batch_clusters
import specloom_dask.places as places
from specloom import ConfigError, UnavailableError
from specloom_dask.cluster_file import read_cluster_file
from specloom_dask.places import Place

sys.path.append(str(Path(__file__).parent))
toys = import_module("fleet_toys")

SLURM = """
specloom-cluster: 1
type: dask.Dask
config:
  kind: slurm
  workers: {least: 4, most: 200}
  memory: 8GB
  options: {queue: short, walltime: "02:00:00", job_extra_directives: ["--signal=TERM@60"]}
"""


def write(folder: Path, text: str) -> str:
    file = folder / "cluster.yaml"
    file.write_text(text)
    return str(file)


def test_addresses_of_other_machines_are_encrypted_or_refused():
    with pytest.raises(ConfigError) as caught:
        Place.read("tcp://node7:8786")
    assert "is not encrypted: whoever reaches it can run code there" in caught.value.what
    assert caught.value.fix == "use tls://, or say --insecure"
    assert caught.value.exit_code == 2
    assert Place.read("tcp://node7:8786", insecure=True).address == "tcp://node7:8786"
    for address in ("tls://node7:8786", "tcp://127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1"):
        assert Place.read(address).address == address


@pytest.mark.parametrize(
    "address", ["tcp://10.0.0.4:8786", "tcp://0.0.0.0:1", "tcp://127.0.0.1.evil:1"]
)
def test_what_looks_like_loopback_is_refused(address):
    with pytest.raises(ConfigError, match="is not encrypted"):
        Place.read(address)


def test_what_is_no_place():
    with pytest.raises(ConfigError) as caught:
        Place.read("tls://nowhere")
    assert caught.value.what == "'tls://nowhere' is no place to work on"
    assert "tls://host:8786" in caught.value.fix
    with pytest.raises(ConfigError) as caught:
        Place.read("tls://node7:8786", workers=3)
    assert "has its own workers" in caught.value.what
    assert caught.value.fix == "leave --workers out"


def test_no_scheduler_answers(monkeypatch):
    monkeypatch.setattr(places, "CONNECT_SECONDS", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(UnavailableError) as caught, places.connected(Place.read(address)):
            pass
    assert caught.value.what == f"no scheduler answers at {address} within 0.5 s"
    assert caught.value.fix == "start it with 'dask scheduler', or use --on dask"
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("before", "after", "what", "fix"),
    [
        ("kind: slurm", "kind: slrum", "no cluster is of the kind 'slrum'", "slurm"),
        ("type: dask.Dask", "type: os.system", "type is 'os.system'", "dask.Dask"),
        ("specloom-cluster: 1", "cluster: 1", "is no cluster file", "specloom-cluster: 1"),
        ("memory: 8GB", "memry: 8GB", "there is no entry 'memry'", "memory"),
        ("  memory: 8GB\n", "", "a worker of slurm has no memory", "memory: 8GB"),
        ("{least: 4, most: 200}", "-1", "workers is -1", "{least: 4, most: 200}"),
        ("{least: 4, most: 200}", "{least: 4}", "workers is {'least': 4}", "write a number"),
        ("config:", "config: 3 #", "config has no entries", "kind: slurm"),
        ("options:", "security: {cert: a, pem: b}\n  options:", "no entry 'pem'", "use one of"),
    ],
)
def test_wrong_cluster_files(tmp_path, before, after, what, fix):
    text = SLURM.replace(before, after)
    if after.endswith("#"):
        text = text.partition("config: 3")[0] + "config: 3\n"
    with pytest.raises(ConfigError) as caught:
        read_cluster_file(write(tmp_path, text))
    assert what in str(caught.value)
    assert fix in caught.value.fix


def test_a_cluster_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        Place.read(str(tmp_path / "absent.yaml"))


def test_the_address_of_a_cluster_file_is_held_to_the_same_rule(tmp_path):
    text = "specloom-cluster: 1\ntype: dask.Dask\nconfig: {kind: address, address: 'tcp://n:1'}\n"
    file = write(tmp_path, text)
    with pytest.raises(ConfigError, match="is not encrypted"):
        Place.read(file)
    text = text.replace("tcp://n:1'", "tls://n:1', security: {ca: ca.pem, cert: c.pem, key: k.pem}")
    place = Place.read(write(tmp_path, text))
    options = place.file.security_options()
    assert options["require_encryption"] is True
    assert options["tls_ca_file"] == str(tmp_path / "ca.pem")


@pytest.mark.parametrize("kind", ["slurm", "pbs", "lsf", "sge"])
def test_options_are_those_of_the_class(tmp_path, kind):
    pytest.importorskip("dask_jobqueue")
    text = SLURM.replace("slurm", kind).replace("queue: short", "quue: short")
    with pytest.raises(ConfigError) as caught:
        batch_clusters.make_cluster(read_cluster_file(write(tmp_path, text)), "")
    assert caught.value.what == f"{kind.upper()}Cluster has no option 'quue'"
    assert caught.value.fix == "did you mean 'queue'?"
    text = SLURM.replace("slurm", kind).replace("queue: short", "cores: 4")
    with pytest.raises(ConfigError) as caught:
        batch_clusters.make_cluster(read_cluster_file(write(tmp_path, text)), "")
    assert caught.value.what == "the option 'cores' is set by 'cores'"


def test_the_script_of_a_job(tmp_path):
    pytest.importorskip("dask_jobqueue")
    cluster = batch_clusters.make_cluster(read_cluster_file(write(tmp_path, SLURM)), str(tmp_path))
    try:
        script = cluster.job_script()
        assert cluster.scheduler_address.startswith("tls://")
    finally:
        cluster.close()
    for line in ("#SBATCH -p short", "#SBATCH -t 02:00:00", "#SBATCH --signal=TERM@60"):
        assert line in script
    assert "export OMP_NUM_THREADS=1" in script
    assert "--tls-cert" in script


def test_kubernetes_needs_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_kubernetes", None)
    monkeypatch.setitem(sys.modules, "dask_kubernetes.operator", None)
    text = SLURM.replace("slurm", "kubernetes")
    with pytest.raises(UnavailableError) as caught:
        batch_clusters.make_cluster(read_cluster_file(write(tmp_path, text)), "")
    assert caught.value.what == "a cluster of the kind kubernetes needs dask-kubernetes"
    assert caught.value.fix == "run: pip install 'specloom-dask[kubernetes]'"
    assert caught.value.exit_code == 4


def test_a_place_that_no_plugin_knows(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(toys.RX)
    command = [*toys.SPECLOOM, "run", str(file), "--out", str(tmp_path / "out")]
    for options, exit_code, said in (
        (["--on", "ray"], 2, "no plugin can work on 'ray'"),
        (["--workers", "2"], 2, "--workers needs --on: one process has no workers"),
        (["--on", "tcp://node7:8786"], 2, "fix: use tls://, or say --insecure"),
    ):
        done = subprocess.run([*command, *options], check=False, capture_output=True, text=True)
        assert done.returncode == exit_code
        assert said in done.stderr
        assert not (tmp_path / "out").exists()
