"""Inputs that no cube can be read from: a message, and exit code 2."""

import numpy as np
import pytest

from specloom import Pipeline, Plugins
from specloom_cubes.data_node import AnomalyDataNode
from specloom_cubes.sources.memory import InMemory
from specloom_predict import predict_all, record

ABSENT = ["nothere/x.hdr", "nothere/x.npy", "nothere/x", "a" * 300 + ".npy", "a" * 300 + ".hdr"]
ADDRESSES = ["s3://bucket/x.hdr", "s3://bucket/x.npy", "https://host/x.tif", "file:///x.mat"]
COPY = "copy the file to this machine and give its path"


@pytest.mark.parametrize("path", ABSENT + ADDRESSES)
def test_predict_of_what_is_not_there(tmp_path, path):
    pixels = np.zeros((2, 2, 2), np.float32)
    pipeline = Pipeline("pass", Plugins())
    pipeline.add_node(AnomalyDataNode([0]), "data")
    pipeline.outputs = {"scores": "data.cube"}
    pipeline.graph(InMemory(predict=[{"cube": pixels[None]}]))
    pipeline.save_to_file(tmp_path / "pipeline.yaml")
    good = tmp_path / "good.npy"
    np.save(good, pixels)
    summary = predict_all(tmp_path, [path, good], tmp_path / "out")
    assert len(summary.done) == 1
    assert (summary.exit_code, summary.unexpected) == (2, None)
    (text,) = [str(error) for _, error in summary.failed]
    if path in ADDRESSES:
        assert text.endswith(f"\n  fix: {COPY}")
    assert path.rpartition("/")[2] in text


def test_a_record_that_is_nested_too_deep_counts_for_nothing(tmp_path):
    (tmp_path / "predict.json").write_text("[" * 100_000 + "]" * 100_000)
    assert record.read(tmp_path) == {}
