"""What the documents say of gRPC: the titles of further pages, which print no calls."""

import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent))
from rows import ADACLIP, SELECTOR, differs, works

from specloom import Pipeline
from specloom_deciders import BinaryDecider
from specloom_predict import Predictor
from specloom_rx import RXGlobal, ScoreToLogit
from specloom_serve import Client, Engine, Limits
from specloom_serve.command import Binding, http_server
from specloom_serve.grpc_server import GrpcServer
from specloom_serve.metrics import Metrics
from specloom_serve.protocol import service_pb2
from specloom_serve.service import Service


def cube():
    values = np.random.default_rng(1).normal(10, 1, (30, 40, 61)).astype(np.float32)
    values[10:13, 20:23, 5:9] += 15
    return values


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a trained pipeline."""
    pipeline = Pipeline("Channel_Selector")
    rx = pipeline.add("rx", RXGlobal())
    logits = pipeline.add("logits", ScoreToLogit())
    decider = pipeline.add("decider", BinaryDecider(threshold=0.99))
    pipeline.chain("batch.cube", rx, logits, decider)
    pipeline.outputs = {"scores": rx.scores, "decisions": decider.decisions}
    folder = tmp_path_factory.mktemp("trained_models")
    pipeline.fit(cube()).save_to_file(folder / "pipeline.yaml")
    return folder


@pytest.fixture(scope="module")
def address(trained):
    """The address of gRPC of a server of it."""
    engine = Engine(Predictor(trained, device="cpu"))
    service = Service(engine, Limits(), None, Metrics())
    binding = Binding("127.0.0.1", 0)
    companion = GrpcServer(service, binding.at(0))
    server = http_server(service, binding, companion)
    listening = binding.listen()
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    while not engine.is_ready:
        time.sleep(0.01)
    yield binding.grpc_address(companion.port)
    server.should_exit = True
    thread.join(30)
    listening.close()


@works(SELECTOR, "gRPC workflow: deploy a trained pipeline as a service")
def test_a_trained_pipeline_is_a_service(trained, address):
    expected = Predictor(trained, device="cpu").predict(cube())
    with Client(address) as client:
        assert client.is_ready()
        found = client.predict(cube())
        assert client.pipeline()["name"] == "Channel_Selector"
    for name in ("scores", "decisions"):
        assert found[name].tobytes() == expected[name].tobytes()
    assert found.verdict == expected.verdict.word == "reject"


@differs(
    ADACLIP,
    "gRPC workflow: distributed training and inference",
    "Inference: `specloom serve PIPELINE --grpc-port N`, `specloom_serve.Client('grpc://…')`. Not "
    "training over the network: a run file names files and plugins, so whoever sends one runs code "
    "on the server. The document names the page and prints no calls.",
)
def test_the_service_has_calls_for_inference_only():
    methods = service_pb2.DESCRIPTOR.services_by_name["Specloom"].methods
    assert [method.name for method in methods] == ["Predict", "Describe"]


@works(ADACLIP, "gRPC deployment guide: deploy trained pipelines; inference-only clients")
def test_a_client_needs_nothing_of_the_pipeline(address):
    with Client(address) as client:
        described = client.describe(cube())
        ports = client.pipeline()["nodes"][0]["inputs"]
    assert described["measures"]["objects"] == 1
    assert ports[0]["name"] == "data"
