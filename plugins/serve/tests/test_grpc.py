"""The server of gRPC: the answers of HTTP, statuses, and what follows refusals."""

import json
import socket
import sys
import threading
import time
from importlib import import_module
from pathlib import Path

import grpc
import numpy as np
import pytest
from click.testing import CliRunner
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from starlette.testclient import TestClient

from specloom import ConfigError, DataError, UnavailableError
from specloom_objects import measure_objects
from specloom_predict.command import predict as command
from specloom_serve import AnswerError, Client, Engine, Limits, Upload
from specloom_serve.app import app_of
from specloom_serve.grpc_server import GrpcServer
from specloom_serve.metrics import Metrics
from specloom_serve.protocol import service_pb2 as pb
from specloom_serve.protocol.service_pb2_grpc import SpecloomStub
from specloom_serve.service import Service
from specloom_statistics import DomainMeasure

sys.path.append(str(Path(__file__).parent))
toys = import_module("serve_toys")
BANDS = toys.BANDS
scene = toys.scene
folder = toys.folder
predictor = toys.predictor
TOKEN = "a-long-token-of-ours"
PATIENCE = 20


def write_envi(folder, values):
    """An ENVI pair of float32, band-interleaved by pixel."""
    height, width, bands = values.shape
    header = folder / "pair.hdr"
    header.write_text(
        f"ENVI\nsamples = {width}\nlines = {height}\nbands = {bands}\n"
        "data type = 4\ninterleave = bip\nbyte order = 0\n"
    )
    (folder / "pair.img").write_bytes(values.astype("<f4").tobytes())
    return header


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    found = tmp_path_factory.mktemp("cubes")
    np.save(found / "scene.npy", scene())
    write_envi(found, scene())
    return found


class Served:
    """A service over both protocols.

    Args:
        predictor: The pipeline.
        options: ``root``, ``limits``, ``engine`` and ``token``.
    """

    def __init__(self, predictor, root=None, limits=None, engine=None, token=""):
        self.engine = engine or Engine(predictor)
        self.service = Service(self.engine, limits or Limits(), root, Metrics())
        server = GrpcServer(self.service, "127.0.0.1:0", token)
        self.address = f"127.0.0.1:{server.port}"
        self.http = TestClient(app_of(self.service, token, companion=server))
        self.channel = grpc.insecure_channel(self.address)
        self.stub = SpecloomStub(self.channel)
        self.token = token

    def clients(self):
        """A client for each protocol."""
        yield Client("http://testserver", self.token, http=self.http)
        with Client(f"grpc://{self.address}", self.token) as client:
            yield client

    def __enter__(self):
        self.http.__enter__()
        return self

    def __exit__(self, *raised):
        self.channel.close()
        self.http.__exit__(*raised)


@pytest.fixture(scope="module")
def both(predictor, root):
    limits = Limits(body_bytes=100_000, pixels=5000, requests=4, body_seconds=0.5)
    with Served(predictor, root, limits) as served:
        yield served


@pytest.fixture
def stub(both):
    """The calls; after the test, the next one is served."""
    yield both.stub
    answer = both.stub.Predict(request_of(scene()), timeout=PATIENCE)
    assert answer.verdict == "reject"


def array(values):
    values = np.asarray(values)
    return pb.Array(shape=values.shape, dtype=values.dtype.name, data=values.tobytes())


def request_of(values, **options):
    return pb.PredictRequest(array=array(values), **options)


def plain(result):
    """A result without its times."""
    found = json.loads(json.dumps(result))
    found.pop("seconds")
    found["measures"].pop("seconds")
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16"])
def test_both_clients_get_the_bytes_of_the_command(both, folder, tmp_path, dtype):
    cube = scene().astype(dtype)
    np.save(tmp_path / "cube.npy", cube)
    arguments = [folder, tmp_path / "cube.npy", "--out", tmp_path / "out", "--device", "cpu"]
    assert CliRunner().invoke(command, [*map(str, arguments), "--quiet"]).exit_code == 0
    written = {}
    for name in ("scores", "decisions"):
        written[name] = np.load(tmp_path / "out" / "cube" / f"{name}.npy")
    results = []
    for client in both.clients():
        answer = client.predict(cube)
        assert answer.arrays.keys() == written.keys()
        for name, expected in written.items():
            assert answer[name].dtype == expected.dtype
            assert answer[name].shape == expected.shape
            assert answer[name].tobytes() == expected.tobytes()
        results.append(plain(answer.result))
        assert plain(client.describe(cube)) == results[-1]
    assert results[0] == results[1]
    assert results[0]["objects"][0]["pixels"] == 6
    assert results[0]["domain"]["reasons"] == []


def test_a_path_a_pair_and_a_mask_give_the_same_over_both(both, root):
    valid = np.ones((30, 40), bool)
    valid[:5] = False
    expected = both.engine.predictor.predict(scene(), valid=valid)
    found = []
    for client in both.clients():
        by_path = client.predict("scene.npy")
        by_pair = client.predict(Upload(root / "pair.hdr"))
        of_root = client.predict("pair.hdr", variable=None)
        assert by_path["scores"].tobytes() == by_pair["scores"].tobytes()
        assert by_path["scores"].tobytes() == of_root["scores"].tobytes()
        masked = client.predict(scene(), valid=valid, wavelengths=np.linspace(400, 900, BANDS))
        assert masked.result["unjudged"] == 200
        assert masked["scores"].tobytes() == expected.scores.tobytes()
        picture = client.picture(scene(), "decisions")
        assert picture.startswith(b"\x89PNG")
        assert client.picture(scene()).startswith(b"\x89PNG")
        assert client.is_ready()
        found.append((plain(by_pair.result), plain(masked.result), picture, client.pipeline()))
    assert found[0] == found[1]


def test_messages_hold_every_column_of_objects_and_domains():
    columns = measure_objects(np.zeros((2, 2), bool)).columns
    assert [field.name for field in pb.Object.DESCRIPTOR.fields] == list(columns)
    measured = DomainMeasure(1.0, 1.0).as_json()
    assert [field.name for field in pb.Domain.DESCRIPTOR.fields] == list(measured)


def test_numbers_that_are_not_known_are_none_over_both(both):
    cube = np.full((20, 20, BANDS), np.nan, np.float32)
    results = [plain(client.predict(cube).result) for client in both.clients()]
    assert results[0] == results[1]
    assert (results[0]["verdict"], results[0]["unjudged"]) == ("unjudged", 400)
    assert results[0]["measures"]["decided"] is None


def test_an_answer_holds_the_outputs_that_are_wanted(stub):
    answer = stub.Predict(request_of(scene(), outputs=["decisions"]), timeout=PATIENCE)
    assert list(answer.outputs["decisions"].shape) == [30, 40]
    assert len(answer.outputs["decisions"].data) == 1200
    assert answer.outputs["scores"].without_data
    assert answer.outputs["scores"].data == b""
    assert answer.measures.objects == 1


REQUESTS = {
    "no cube": (
        pb.PredictRequest(),
        "INVALID_ARGUMENT",
        "the request has no cube; fix: set one of array, file and envi",
    ),
    "bands": (
        request_of(scene(bands=5)),
        "INVALID_ARGUMENT",
        "the cube has 5 bands, the pipeline was made for 6; "
        "fix: use cubes of the camera, and with the bands, that it was fitted on",
    ),
    "type": (
        pb.PredictRequest(array=pb.Array(shape=[2, 2, 6], dtype="O", data=b"x")),
        "INVALID_ARGUMENT",
        "the array is of a type that is not read; fix: send one of float32, float64, float16, "
        "int8 to int64, uint8 to uint64, little-endian",
    ),
    "bytes": (
        pb.PredictRequest(array=pb.Array(shape=[2, 2, 6], dtype="float32", data=b"x")),
        "INVALID_ARGUMENT",
        "the array has 1 bytes, its shape and type say 96; "
        "fix: send the bytes of numpy.ascontiguousarray(cube)",
    ),
    "negative": (
        pb.PredictRequest(array=pb.Array(shape=[-2, -2, 6], dtype="float32")),
        "INVALID_ARGUMENT",
        "the array has the shape (-2, -2, 6), where (H, W, C) with pixels is needed; "
        "fix: send what numpy.save writes of an array (rows, columns, bands)",
    ),
    "huge": (
        pb.PredictRequest(array=pb.Array(shape=[10**9, 10**9, 6], dtype="float32")),
        "RESOURCE_EXHAUSTED",
        "the cube has 1000000000000000000 pixels, where 5000 may be; fix: send it in parts",
    ),
    "mask": (
        request_of(scene(), valid=array(np.ones((30, 40), np.float32))),
        "INVALID_ARGUMENT",
        "the mask 'valid' is of type float32, not bool; "
        "fix: send what numpy.save writes of an array of bool (rows, columns)",
    ),
    "mask axes": (
        request_of(scene(), valid=array(np.ones((30, 40, 1), bool))),
        "INVALID_ARGUMENT",
        "the mask 'valid' has the shape (30, 40, 1), where (H, W) is needed; "
        "fix: send what numpy.save writes of an array of bool (rows, columns)",
    ),
    "mask size": (
        request_of(scene(), valid=array(np.ones((30, 41), bool))),
        "INVALID_ARGUMENT",
        None,
    ),
    "wavelengths": (
        request_of(scene(), wavelengths=[np.nan] * BANDS),
        "INVALID_ARGUMENT",
        "of the wavelengths one is not finite; fix: send them in nm",
    ),
    "wavelengths of a file": (
        pb.PredictRequest(file=pb.File(path="scene.npy"), wavelengths=[1.0]),
        "INVALID_ARGUMENT",
        "wavelengths and valid are only for arrays; fix: leave them out: the file has its own",
    ),
    "output": (
        request_of(scene(), outputs=["score"]),
        "INVALID_ARGUMENT",
        "the pipeline has no output 'score'; fix: did you mean 'scores'?",
    ),
    "absent": (
        pb.PredictRequest(file=pb.File(path="none.npy")),
        "NOT_FOUND",
        "there is no such file below the root of the server; "
        "fix: name a file below the root of the server, relative to it",
    ),
    "out of the root": (
        pb.PredictRequest(file=pb.File(path="../secret.npy")),
        "PERMISSION_DENIED",
        "the path leads out of the root of the server; "
        "fix: name a file below the root of the server, relative to it",
    ),
    "header": (
        pb.PredictRequest(envi=pb.EnviPair(header=b"ENVI\n", data=b"")),
        "INVALID_ARGUMENT",
        None,
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_malformed_call_is_refused(stub, name):
    request, code, details = REQUESTS[name]
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request, timeout=PATIENCE)
    assert caught.value.code().name == code
    assert "/" not in caught.value.details()
    if details is not None:
        assert caught.value.details() == details


def test_a_client_gets_the_same_error_over_both(both):
    errors = []
    for client in both.clients():
        with pytest.raises(AnswerError) as caught:
            client.predict(scene(bands=5))
        errors.append((caught.value.status, caught.value.what, caught.value.fix))
    assert errors[0] == errors[1]
    assert errors[0][:2] == (
        422,
        "the server answers 422: the cube has 5 bands, the pipeline was made for 6",
    )


def test_random_messages_are_refused_or_served(both, stub):
    rng = np.random.default_rng(8)
    good = np.frombuffer(request_of(scene()).SerializeToString(), np.uint8)
    call = both.channel.unary_unary(f"/{pb.DESCRIPTOR.package}.Specloom/Predict")
    codes = set()
    for number in range(150):
        body = good.copy()
        body[rng.integers(0, 24, 3)] = rng.integers(0, 256, 3)
        message = body[: rng.integers(0, body.size)] if number % 3 else body
        try:
            call(message.tobytes(), timeout=PATIENCE)
            codes.add("OK")
        except grpc.RpcError as error:
            codes.add(error.code().name)
    assert "INVALID_ARGUMENT" in codes
    assert codes <= {"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "NOT_FOUND"}


def test_a_message_that_is_too_large_is_refused_before_memory_is_taken(both, stub):
    size = 100_000 + 5000 + 2_100_000
    request = pb.PredictRequest(array=pb.Array(shape=[1, 1, 6], dtype="uint8", data=bytes(size)))
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request, timeout=PATIENCE)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    for client in both.clients():
        with pytest.raises(AnswerError) as refused:
            client.predict(np.zeros((1, 1, size), np.uint8))
        assert refused.value.status == 413


def test_a_compressed_message_is_held_to_the_size_of_what_it_holds(both, stub):
    options = [("grpc.max_send_message_length", -1)]
    gzip = grpc.Compression.Gzip
    with grpc.insecure_channel(both.address, options, compression=gzip) as channel:
        call = channel.unary_unary(f"/{pb.DESCRIPTOR.package}.Specloom/Predict")
        assert call(request_of(scene()).SerializeToString(), timeout=PATIENCE)
        with pytest.raises(grpc.RpcError) as caught:
            call(bytes(30_000_000), timeout=PATIENCE)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_metadata_that_are_too_large_are_refused(stub):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request_of(scene()), metadata=[("x", "y" * 40_000)], timeout=PATIENCE)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_message_that_does_not_arrive_is_cancelled(both, stub):
    call = both.channel.stream_unary(f"/{pb.DESCRIPTOR.package}.Specloom/Predict")
    release = threading.Event()

    def messages():
        assert release.wait(10)
        yield b""

    started = time.monotonic()
    with pytest.raises(grpc.RpcError) as caught:
        call(messages(), timeout=PATIENCE)
    release.set()
    assert caught.value.code() is grpc.StatusCode.CANCELLED
    assert time.monotonic() - started < 5
    wait_until_free(both.service)


def test_a_token_is_needed_but_by_probes(predictor):
    with Served(predictor, token=TOKEN) as served:
        for metadata in ((), [("authorization", "Bearer wrong")], [("authorization", "x")]):
            for call in (served.stub.Predict, served.stub.Describe):
                with pytest.raises(grpc.RpcError) as caught:
                    call(pb.PredictRequest(), metadata=metadata, timeout=PATIENCE)
                assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
                assert caught.value.details() == (
                    "the token is missing or wrong; "
                    "fix: send the metadata 'authorization: Bearer TOKEN'"
                )
        check = health_pb2_grpc.HealthStub(served.channel).Check
        for name in ("", "specloom.v1.Specloom"):
            answer = check(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        for client in served.clients():
            assert client.predict(scene()).verdict == "reject"
        with Client(f"grpc://{served.address}", "x" * 16) as stranger:
            with pytest.raises(AnswerError) as refused:
                stranger.pipeline()
            assert refused.value.status == 401


class Blocked:
    """An engine whose thread is held."""

    def __init__(self, engine):
        self.started = threading.Event()
        self.release = threading.Event()
        engine.submit(self.wait, 30)
        assert self.started.wait(10)

    def wait(self, predictor):
        self.started.set()
        assert self.release.wait(10)


def wait_until_free(service):
    """Return when no request has a place."""
    deadline = time.monotonic() + 10
    while service.active and time.monotonic() < deadline:
        time.sleep(0.01)
    assert service.active == 0


def test_both_share_queue_places_and_deadlines(predictor):
    engine = Engine(predictor, waiting=1, deadline=30)
    with Served(predictor, limits=Limits(requests=2), engine=engine) as served:
        held = Blocked(engine)
        with pytest.raises(grpc.RpcError) as caught:
            served.stub.Predict(request_of(scene()), timeout=0.2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        wait_until_free(served.service)
        waiting = engine.submit(lambda predictor: "done")
        with pytest.raises(grpc.RpcError) as caught:
            served.stub.Predict(request_of(scene()), timeout=PATIENCE)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert caught.value.details().startswith("1 requests wait, and no more may")
        with served.service.place(), served.service.place():
            for client in served.clients():
                with pytest.raises(AnswerError) as refused:
                    client.predict(scene())
                assert refused.value.status == 503
                assert refused.value.what == (
                    "the server answers 503: 2 requests are in progress, and no more may"
                )
        held.release.set()
        assert waiting.result(10) == "done"
        for client in served.clients():
            assert client.predict(scene()).verdict == "reject"


def test_a_call_that_was_cancelled_is_not_computed(predictor, monkeypatch):
    computed = []
    describe = "specloom_serve.grpc_server.describe"
    monkeypatch.setattr(describe, lambda *arguments: computed.append(1))
    engine = Engine(predictor)
    with Served(predictor, engine=engine) as served:
        held = Blocked(engine)
        call = served.stub.Predict.future(request_of(scene()), timeout=PATIENCE)
        while not engine.queued:
            time.sleep(0.01)
        call.cancel()
        wait_until_free(served.service)
        held.release.set()
        assert engine.predict(scene())["scores"].shape == (30, 40)
    assert computed == []


def test_what_is_unexpected_says_nothing_of_the_server(both, stub, monkeypatch, caplog):
    def broken(*arguments):
        raise RuntimeError("a secret")

    with monkeypatch.context() as patch:
        patch.setattr("specloom_serve.grpc_server.describe", broken)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Predict(request_of(scene()), timeout=PATIENCE)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert caught.value.details() == (
        "the request failed; fix: report it with the log of the server"
    )
    assert "a secret" in caplog.text


def test_the_description_has_ports_and_parameters(both, stub):
    found = stub.Describe(pb.DescribeRequest(), timeout=PATIENCE)
    assert (found.name, found.bands) == ("mine", BANDS)
    assert dict(found.outputs) == {"scores": "rx.scores", "decisions": "decider.decisions"}
    nodes = {node.name: node for node in found.nodes}
    assert nodes["decider"].type == "specloom_deciders.BinaryDecider"
    assert nodes["decider"].parameters["threshold"] == "0.99"
    ports = {port.name: port for port in nodes["rx"].inputs}
    assert ports["data"].axes == "B H W num_channels"
    assert ports["data"].dtype == "float32"
    assert ports["valid"].is_optional
    for client in both.clients():
        described = client.pipeline()
        assert described == json.loads(found.json)
        assert described["plugins"]["rx"]["version"]


def test_reflection_names_the_service(both):
    stub = reflection_pb2_grpc.ServerReflectionStub(both.channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    answers = stub.ServerReflectionInfo(iter([request]), timeout=PATIENCE)
    names = {service.name for service in next(answers).list_services_response.service}
    assert {"specloom.v1.Specloom", "grpc.health.v1.Health"} <= names


def test_calls_are_counted_and_logged_without_data(both, stub, caplog):
    with caplog.at_level("INFO", "specloom.serve"):
        stub.Predict(request_of(scene()), timeout=PATIENCE)
    assert "gRPC Predict 200" in caplog.text
    text = both.http.get("/metrics").text
    assert 'specloom_requests_total{path="/specloom.v1.Specloom/Predict",status="200"}' in text


def test_ports_and_addresses_that_cannot_be_used(predictor):
    with Served(predictor) as served:
        service = Service(Engine(predictor), Limits(), None, Metrics())
        with pytest.raises(UnavailableError) as caught:
            GrpcServer(service, served.address)
    assert str(caught.value) == (
        f"--grpc-port: {served.address} cannot be used for gRPC\n"
        "  fix: use another port, or 0 for any, and files of PEM for TLS"
    )
    with Client(f"grpc://{served.address}", timeout=PATIENCE) as client:
        assert not client.is_ready()
        with pytest.raises(AnswerError) as refused:
            client.describe(scene())
    assert refused.value.status == 0
    assert refused.value.what.startswith(f"grpc://{served.address} does not answer: ")
    with pytest.raises(ConfigError) as caught:
        Client("ftp://somewhere")
    assert str(caught.value) == (
        "ftp://somewhere is no address of a server\n"
        "  fix: begin it with http://, https://, grpc:// or grpcs://"
    )


def test_an_upload_without_its_data_is_refused(both, tmp_path):
    (tmp_path / "cube.hdr").write_text("ENVI\n")
    for client in both.clients():
        with pytest.raises(DataError) as caught:
            client.predict(Upload(tmp_path / "cube.hdr"))
        assert str(caught.value) == (
            f"{tmp_path / 'cube.hdr'} is no header of an ENVI pair\n"
            "  fix: name the file .hdr; its data file lies in the same folder"
        )


def test_options_of_another_kind_of_cube_are_refused(both, tmp_path):
    mask = np.ones((30, 40), bool)
    header = tmp_path / "cube.hdr"
    for client in both.clients():
        with pytest.raises(DataError) as caught:
            client.predict(scene(), variable="cube")
        assert str(caught.value) == "the variable 'cube' is only for paths\n  fix: leave it out"
        for options in ({"valid": mask}, {"wavelengths": [1.0]}):
            for cube in ("day/scene.npy", Upload(header)):
                with pytest.raises(DataError) as caught:
                    client.describe(cube, **options)
                assert str(caught.value) == (
                    f"{next(iter(options))} is only for arrays\n"
                    "  fix: leave it out: the file has its own, or send an array"
                )


def test_a_cube_without_the_mask_that_the_fit_had_is_refused(both, predictor, root, monkeypatch):
    monkeypatch.setattr(predictor, "valid_files", "{stem}_valid.npy")
    mask = np.ones((30, 40), bool)
    mask[:5] = False
    for client in both.clients():
        for cube in (scene(), Upload(root / "pair.hdr")):
            with pytest.raises(AnswerError) as caught:
                client.predict(cube)
            assert caught.value.status == 422
            assert str(caught.value) == (
                "the server answers 422: the request does not say which pixels count, as files did "
                "for the cubes of the fit\n"
                "  fix: send an array with the mask 'valid', or a path below the root"
            )
        assert client.predict(scene(), valid=mask).result["unjudged"] == 200


@pytest.mark.parametrize(("scheme", "status"), [("http", 0), ("grpc", 504)])
def test_an_answer_that_is_late(scheme, status):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        with Client(address, timeout=0.3) as client, pytest.raises(AnswerError) as caught:
            client.predict("scene.npy")
    assert caught.value.status == status
    assert str(caught.value) == (
        f"{address} did not answer within 0.3 s\n  fix: try again later, or with a longer timeout"
    )


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_what_no_client_can_do(scheme):
    address = f"{scheme}://127.0.0.1:1"
    for token in ("two\nlines", "ü"):
        with pytest.raises(ConfigError) as caught:
            Client(address, token)
        assert str(caught.value) == (
            "the token has characters that no header holds\n"
            "  fix: use the token that the server was started with"
        )
    with pytest.raises(ConfigError) as caught:
        Client(address, timeout=-1)
    assert str(caught.value) == "the timeout is -1 s\n  fix: set a number of seconds above 0"
    client = Client(address)
    client.close()
    client.close()
    for call in (client.pipeline, client.is_ready, lambda: client.predict("a.npy")):
        with pytest.raises(ConfigError) as caught:
            call()
        assert str(caught.value) == "the client was closed\n  fix: make another Client"


@pytest.mark.parametrize("scheme", ["grpc", "grpcs"])
def test_no_answer_names_the_address(scheme):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"{scheme}://127.0.0.1:{free.getsockname()[1]}"
    with Client(address, timeout=PATIENCE) as client, pytest.raises(AnswerError) as caught:
        client.pipeline()
    assert caught.value.what.startswith(f"{address} does not answer: ")
