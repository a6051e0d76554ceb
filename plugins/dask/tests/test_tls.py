"""An encrypted scheduler with a worker, as ``dask scheduler`` and ``dask worker`` start them."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

import specloom_dask.places as places
from specloom import ConfigError, UnavailableError
from specloom_dask.command import fleet
from specloom_dask.places import Place, connected
from specloom_predict.command import predict

sys.path.append(str(Path(__file__).parent))
toys = import_module("fleet_toys")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Certificates that scheduler, worker and client share."""
    return toys.write_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def address(files, tmp_path_factory):
    """The address of a scheduler with a worker, both with certificates."""
    with toys.scheduler(tmp_path_factory.mktemp("dask"), 1, "--no-nanny", tls=files) as (found, _):
        assert found.startswith("tls://127.0.0.1:")
        yield found


def cluster_file(folder, address, files):
    """A cluster file; certificates are named from its folder."""
    security = {name: Path(file).name for name, file in files.items()}
    config = {"kind": "address", "address": address, "security": security}
    content = {"specloom-cluster": 1, "type": "dask.Dask", "config": config}
    file = folder / "cluster.yaml"
    file.write_text(json.dumps(content))
    return str(file)


def error_of(place):
    with pytest.raises((ConfigError, UnavailableError)) as caught, connected(place):
        pass
    return caught.value


def test_predict_and_check_by_a_cluster_file_with_certificates(address, files, tmp_path):
    place = cluster_file(Path(files["ca"]).parent, address, files)
    toys.fit(tmp_path / "fit")
    run, cubes = str(tmp_path / "fit/out"), str(tmp_path / "cubes")
    toys.write_cubes(tmp_path / "cubes", 3)
    calls = {"fleet": ["--on", place], "alone": []}
    for name, options in calls.items():
        call = [run, cubes, "--out", str(tmp_path / name), *options]
        done = CliRunner().invoke(predict, call, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        assert "3 cubes predicted, 0 up to date, 0 failed" in done.output
    assert toys.contents(tmp_path / "fleet") == toys.contents(tmp_path / "alone")
    checked = CliRunner().invoke(fleet, ["check", "--on", place, "--json"], catch_exceptions=False)
    assert checked.exit_code == 0, checked.output
    (worker,) = json.loads(checked.stdout)["workers"]
    assert worker["address"].startswith("tls://127.0.0.1:")
    assert worker["problems"] == []


def test_dask_s_own_configuration_has_the_certificates(address, files, monkeypatch):
    import dask

    names = {"ca-file": "ca", "client.cert": "cert", "client.key": "key"}
    options = {f"distributed.comm.tls.{one}": files[name] for one, name in names.items()}
    with dask.config.set(options), connected(Place.read(address)) as found:
        assert len(found.client.scheduler_info(n_workers=-1)["workers"]) == 1


def test_without_certificates_the_error_says_where_they_belong(address):
    error = error_of(Place.read(address))
    assert error.what == "tls:// needs certificates: ca and cert are not set"
    assert error.where == "--on"
    assert error.fix == (
        "give --on a cluster file with 'kind: address' and 'security: {ca: ca.pem, cert: me.pem, "
        "key: me.key}'"
    )
    assert error.exit_code == 2


def test_certificates_of_another_authority_are_refused(address, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "CONNECT_SECONDS", 2)
    others = toys.write_certificates(tmp_path)
    error = error_of(Place.read(cluster_file(tmp_path, address, others)))
    assert error.what == (
        f"the scheduler at {address} and this process do not accept each other's certificates"
    )
    assert error.fix == ("use certificates of one authority (ca) for scheduler, workers and client")
    assert error.exit_code == 4


def test_certificates_that_cannot_be_read(tmp_path):
    files = toys.write_certificates(tmp_path)
    place = Place.read(cluster_file(tmp_path, "tls://node7:8786", files))
    Path(files["cert"]).write_text("no certificate")
    error = error_of(place)
    assert error.what.startswith(f"{files['ca']} and {files['cert']} are no certificates: ")
    Path(files["key"]).unlink()
    error = error_of(place)
    assert error.what == f"{files['key']} cannot be read: No such file or directory"
    assert error.exit_code == 2
