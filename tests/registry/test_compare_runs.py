"""``specloom compare``, and the data files of records."""

import json
import os

import pytest
from click.testing import CliRunner
from run_world import made

from specloom import SpecloomError
from specloom_registry.commands.reproduce import compare
from specloom_registry.provenance import data_files, run_record


def test_runs_are_tabulated_with_what_differs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made(tmp_path / "a")
    run = {"nodes": {"rx": {"type": "rx.RXGlobal", "config": {"eps": 0.5}}}}
    made(
        tmp_path / "b",
        run=run,
        seed=1,
        iou=0.75,
        ended="",
        packages={"numpy": "2.1"},
        plugins={"rx": {"version": "1.0", "tag": "v1.0", "tree": "h1-abc"}},
    )
    done = CliRunner().invoke(compare, ["a", "b"])
    assert done.stderr == "warning: b was stopped before its end, or is still running\n"
    assert done.stdout == (
        "metric        a     b\n"
        "----------  ---  ----\n"
        "test/m/iou  0.5  0.75\n"
        "test/m/nan  nan   nan\n"
        "\n"
        "parameter that differs  a    b\n"
        "----------------------  -  ---\n"
        "nodes.rx.config.eps     0  0.5\n"
        "seed                    0    1\n"
        "\n"
        "circumstance that differs  a                b\n"
        "-------------------------  -  ---------------\n"
        "plugin rx                  -  1.0 v1.0 h1-abc\n"
    )
    more = CliRunner().invoke(compare, ["a", "b", "--packages"]).stdout
    assert "\npackage numpy              2.0              2.1\n" in more
    value = json.loads(CliRunner().invoke(compare, ["a", "b", "--json"]).stdout)
    assert value["b"]["parameters"] == {"nodes.rx.config.eps": "0.5", "seed": "1"}
    assert value["b"]["facts"]["package numpy"] == "2.1"
    assert value["a"]["metrics"]["test/m/iou"] == 0.5
    same = CliRunner().invoke(compare, ["a", "a"])
    assert "differs" not in same.stdout


def test_a_folder_without_a_run_is_reported(tmp_path):
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(SpecloomError) as caught:
        run_record.read(tmp_path)
    assert str(caught.value) == (
        f"E-RUN {tmp_path} holds no run: it is not the record of a run\n"
        "  fix: name the folder that 'specloom run' wrote"
    )


def lines(folder, cube, **more):
    run = {"data": {"type": "cubes.Scene", "config": {"cube": cube, "scenes": 3, **more}}}
    return data_files.describe_files(run, folder)


def test_files_of_data_are_recorded_with_what_lies_next_to_them(tmp_path):
    for name in ("s.hdr", "s", "s.png", "t.hdr"):
        (tmp_path / name).write_text(name)
    found = lines(tmp_path, "s.hdr", mask="absent.png")
    assert [one["path"] for one in found] == ["s.hdr", "s", "s.png"]
    assert {one["used_by"] for one in found} == {"data.config.cube"}
    assert found[1]["size"] == 1
    assert found[1]["sha256"].startswith("043a718774c572bd")  # of "s"
    assert lines(tmp_path, "a\0b") == lines(tmp_path, "x" * 5000) == []


def test_weights_that_nodes_name_are_recorded_but_no_folders(tmp_path):
    (tmp_path / "w.pt").write_text("w")
    (tmp_path / "train").mkdir()
    nodes = {"clip": {"type": "adaclip.X", "config": {"weights": ["w.pt"], "mode": "train"}}}
    (one,) = data_files.describe_files({"nodes": nodes}, tmp_path)
    assert (one["used_by"], one["path"]) == ("nodes.clip.config.weights[0]", "w.pt")
    assert data_files.describe_files(None, tmp_path) == []


def test_large_files_are_known_by_size_time_and_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(data_files, "MAX_HASHED", 10)
    monkeypatch.setattr(data_files, "END", 3)
    file = tmp_path / "big"
    file.write_bytes(b"abcdefghijkl")
    (was,) = lines(tmp_path, "big")
    assert was.keys() == {"used_by", "path", "size", "mtime", "ends_sha256"}
    at = file.stat().st_mtime_ns
    for text, same in ((b"abcXefghijkl", True), (b"abcdefghijkX", False)):
        file.write_bytes(text)
        os.utime(file, ns=(at, at))
        assert (lines(tmp_path, "big") == [was]) is same


def test_a_folder_of_data_has_one_hash(tmp_path, monkeypatch):
    (tmp_path / "scenes/a").mkdir(parents=True)
    (tmp_path / "scenes/a/1").write_text("12345")
    (tmp_path / "scenes/2").write_text("12345678")
    (was,) = lines(tmp_path, "scenes")
    assert (was["files"], was["size"], was["tree"][:3]) == (2, 13, "h1-")
    (tmp_path / "scenes/a/1").write_text("12346")
    assert lines(tmp_path, "scenes") != [was]
    monkeypatch.setattr(data_files, "MAX_HASHED", 9)
    assert "ends_tree" in lines(tmp_path, "scenes")[0]
    monkeypatch.setattr(data_files, "MAX_FILES", 1)
    assert lines(tmp_path, "scenes")[0]["unread"] == "more than 1 files"
