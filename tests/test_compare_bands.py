"""The example that compares the ways to choose bands runs them all."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("compare_bands", ROOT / "examples/compare_bands.py")
example = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(example)
TINY = ["scenes=8", "height=24", "width=24", "anomaly_fraction=0.05", "clean_scenes=0"]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_all_run_files_are_in_the_table(capsys):
    assert len(example.FILES) == len(list((ROOT / "configs/bands").iterdir()))
    example.main([part for one in TINY for part in ("--set", f"data.config.{one}")])
    reported = capsys.readouterr()
    header, *rows = reported.out.splitlines()
    assert header.split() == ["file", "IoU", "F1", "ROC-AUC", "AP", "bands", "(nm)", "s"]
    assert sorted(row.split()[0] for row in rows) == [file.stem for file in example.FILES]
    precision = [float(row.split()[4]) for row in rows]
    assert precision == sorted(precision, reverse=True)
    lines = {row.split()[0]: row for row in rows}
    assert "646, 550, 446" in lines["false_rgb"]
    assert "for each image" in lines["high_contrast"]
    assert "mixes all" in lines["pca"]
    assert lines["concrete"].count(",") == lines["mrmr_full"].count(",") == 2
    assert reported.err.split() == [file.stem for file in example.FILES]


def test_some_run_files_can_be_named(capsys):
    file = ROOT / "configs/bands/false_rgb.yaml"
    example.main([str(file), *(part for one in TINY for part in ("--set", f"data.config.{one}"))])
    assert len(capsys.readouterr().out.splitlines()) == 2
