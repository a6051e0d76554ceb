"""The scene, the fitted pipeline and the server of the tests of both protocols."""

import threading
from contextlib import contextmanager

import numpy as np
import pytest

from specloom import Pipeline
from specloom_cubes import AnomalyDataNode
from specloom_deciders import BinaryDecider
from specloom_predict import Predictor
from specloom_rx import RXGlobal, ScoreToLogit
from specloom_serve import Engine, Limits
from specloom_serve.command import http_server
from specloom_serve.grpc_server import GrpcServer
from specloom_serve.metrics import Metrics
from specloom_serve.service import Service

BANDS = 6


def scene(height=30, width=40, bands=BANDS):
    """A cube of float32 with one square that is brighter in two bands."""
    values = np.random.default_rng(4).normal(10, 1, (height, width, bands)).astype(np.float32)
    values[12:15, 20:22, 2:4] += 15
    return values


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pipeline = Pipeline("mine")
    rx = pipeline.add("rx", RXGlobal())
    logits = pipeline.add("logits", ScoreToLogit())
    decider = pipeline.add("decider", BinaryDecider(threshold=0.99))
    data = pipeline.add("data", AnomalyDataNode([0]))
    pipeline.chain("data.cube", rx, logits, decider)
    pipeline.connect(data.valid, rx.valid, logits.valid, decider.valid)
    pipeline.outputs = {"scores": rx.scores, "decisions": decider.decisions}
    found = tmp_path_factory.mktemp("run")
    pipeline.fit(scene()).save_to_file(found / "pipeline.yaml")
    return found


@pytest.fixture(scope="module")
def predictor(folder):
    return Predictor(folder, device="cpu")


@contextmanager
def served(folder, binding, protocol=None, **options):
    """A server of both protocols in a thread: where it listens for each."""
    service = Service(Engine(Predictor(folder, device="cpu")), Limits(**options), None, Metrics())
    companion = GrpcServer(service, binding.at(0), binding.token, binding.certificate, binding.key)
    server = http_server(service, binding, companion)
    if protocol is not None:
        server.config.http = protocol
    listening = binding.listen()
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield binding.address(listening), binding.grpc_address(companion.port)
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
    assert not thread.is_alive()
