"""Inputs that no cube can be read from: a message, and exit code 2."""

import os
import sys

import numpy as np
import pytest

from specloom import Pipeline, Plugins
from specloom_cubes.data_node import AnomalyDataNode
from specloom_cubes.sources.memory import InMemory
from specloom_predict import predict_all, record, tiled_run

ABSENT = ["nothere/x.hdr", "nothere/x.npy", "nothere/x", "a" * 300 + ".npy", "a" * 300 + ".hdr"]
ADDRESSES = ["s3://bucket/x.hdr", "s3://bucket/x.npy", "https://host/x.tif", "file:///x.mat"]
COPY = "copy the file to this machine and give its path"


def saved(folder, pixels):
    """The folder of a pipeline whose scores are its cube."""
    pipeline = Pipeline("pass", Plugins())
    pipeline.add_node(AnomalyDataNode([0]), "data")
    pipeline.outputs = {"scores": "data.cube"}
    pipeline.graph(InMemory(predict=[{"cube": pixels[None]}]))
    pipeline.save_to_file(folder / "pipeline.yaml")
    return folder


@pytest.mark.parametrize("path", ABSENT + ADDRESSES)
def test_predict_of_what_is_not_there(tmp_path, path):
    pixels = np.zeros((2, 2, 2), np.float32)
    saved(tmp_path, pixels)
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


@pytest.mark.skipif(sys.platform != "linux", reason="file systems of others refuse such names")
@pytest.mark.parametrize("named", [True, False])
def test_a_name_that_is_no_utf_8_stops_no_other_cube(tmp_path, named):
    pixels = np.zeros((2, 2, 2), np.float32)
    folder = tmp_path / "in"
    folder.mkdir()
    bad = folder / os.fsdecode(b"caf\xe9.npy")
    for path in (bad, folder / "good.npy"):
        np.save(path, pixels)
    inputs = [bad, folder] if named else [folder]
    summary = predict_all(saved(tmp_path, pixels), inputs, tmp_path / "out")
    assert len(summary.done) == 1
    ((address, error),) = summary.failed
    assert address == f"{folder}/caf\\udce9.npy"
    assert str(error) == f"{address} cannot be predicted: its path is no UTF-8\n  fix: rename it"
    assert [one.cube for one in summary.verdicts if not one.folder] == [address]
    assert "\\udce9.npy,unjudged," in (tmp_path / "out/summary.csv").read_text()


def test_memory_that_is_not_known_to_be_free(monkeypatch):
    known = {name: number for name, number in os.sysconf_names.items() if "AVPHYS" not in name}
    monkeypatch.setattr(os, "sysconf_names", known)
    everything = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert tiled_run._free_bytes() == everything
