"""JSON that is nested deeper than Python's stack, in every file that is read: no exit code 70."""

import json
from pathlib import Path

import pytest

from specloom import ConfigError, DataError, IntegrityError, UnavailableError, write_file
from specloom.execution import run_folder
from specloom.torch import TorchRuntime
from specloom_adaclip.engine import stored_architecture
from specloom_adaclip.weights.reading import _read_safetensors
from specloom_adaclip.weights.store import Store
from specloom_predict.many import file_digest
from specloom_report import report_files

DEEP = "[" * 100_000 + "]" * 100_000


def test_run_json(tmp_path):
    (tmp_path / "run.json").write_text(DEEP)
    for reads in (run_folder.interrupted_run, report_files.load):
        with pytest.raises(ConfigError, match="holds no run"):
            reads(tmp_path)


@pytest.mark.parametrize("name", ["metrics.json", "report.json"])
def test_what_a_report_is_made_of(tmp_path, name):
    (tmp_path / "run.json").write_text(json.dumps({"file": "x.yaml", "run": {}}))
    (tmp_path / name).write_text(DEEP)
    report, arrays = report_files.load(tmp_path)
    assert (report["title"], arrays) == ("x", {})


def test_headers_of_safetensors(tmp_path):
    data = len(DEEP).to_bytes(8, "little") + DEEP.encode()
    with pytest.raises(IntegrityError, match="no safetensors file"):
        TorchRuntime("cpu").load(data)
    (tmp_path / "x.safetensors").write_bytes(data)
    with pytest.raises(IntegrityError, match="damaged or cut off"):
        _read_safetensors(tmp_path / "x.safetensors")
    with pytest.raises(IntegrityError, match="no valid architecture"):
        stored_architecture({"architecture": DEEP})


def test_an_entry_of_the_store_of_weights(tmp_path):
    (tmp_path / "names").mkdir()
    (tmp_path / "names/x.json").write_text(DEEP)
    with pytest.raises(IntegrityError, match="the entry cannot be read"):
        Store(tmp_path).entry("x")


@pytest.mark.parametrize("name", ["metrics.json", "report.json"])
@pytest.mark.parametrize("text", ["5", "[]", "null", '"x"', '{"test": 5}'])
def test_json_of_another_shape_counts_for_nothing(tmp_path, name, text):
    (tmp_path / "run.json").write_text(json.dumps({"file": "x.yaml", "run": {}}))
    (tmp_path / name).write_text(text)
    report, _ = report_files.load(tmp_path)
    assert "metrics" not in report


@pytest.mark.parametrize("run", [{"nodes": 5}, {"connections": [1]}, {"phases": 3}, {"data": 7}])
def test_a_record_of_a_run_of_another_shape(tmp_path, run):
    (tmp_path / "run.json").write_text(json.dumps({"file": "x.yaml", "run": run}))
    with pytest.raises(ConfigError, match=r"run\.json is no record of a run \("):
        report_files.load(tmp_path)


def test_a_file_without_a_name_cannot_be_written():
    with pytest.raises(UnavailableError) as error:
        write_file(Path(), b"x")
    assert str(error.value) == (
        "'.' cannot be written: it is a folder\n  fix: give the name of a file"
    )


def test_a_folder_is_no_table_of_wavelengths(tmp_path):
    with pytest.raises(DataError, match=r"cannot be read: Is a directory\n  fix: check the path"):
        file_digest(tmp_path)
