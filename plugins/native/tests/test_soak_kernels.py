"""The kernels under the sanitizers of a compiler, on random shapes, strides and addresses."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from specloom_native import (
    Distances,
    Histograms,
    Projection,
    extremes,
    moments,
    native_library,
    toolchain,
    usable_rows,
)

pytestmark = pytest.mark.soak

PROGRAM = Path(__file__).parent / "random_rows.py"
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")


def gcc():
    found = shutil.which("gcc")
    if found is None or not sys.platform.startswith("linux"):
        pytest.skip("there is no gcc with sanitizers")
    return toolchain.Compiler((found,), "gcc")


def preloaded(compiler):
    """The libraries of the sanitizers, which must be there before Python starts."""
    files = []
    for name in ("libasan.so", "libubsan.so"):
        done = subprocess.run(
            [*compiler.command, f"-print-file-name={name}"],
            capture_output=True,
            text=True,
            check=True,
        )
        file = done.stdout.strip()
        if not Path(file).is_absolute():
            pytest.skip(f"there is no {name}")
        files.append(file)
    return " ".join(files)


@pytest.mark.parametrize("instructions", ["1", "avx2"])
def test_random_rows_touch_no_other_memory(tmp_path, monkeypatch, instructions):
    compiler = gcc()
    monkeypatch.setattr(toolchain, "COMPILE", (*toolchain.COMPILE, *SANITIZERS))
    monkeypatch.setattr(toolchain, "LINK", ("-shared", "-fsanitize=address,undefined"))
    toolchain.build(compiler, toolchain.here(), tmp_path)
    environment = {
        **os.environ,
        "LD_PRELOAD": preloaded(compiler),
        "ASAN_OPTIONS": "detect_leaks=0",
        "OMP_NUM_THREADS": "1",
        "SPECLOOM_NATIVE": instructions,
    }
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path), "400"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split() == ["400", "cases"]


@pytest.mark.skipif(native_library() is None, reason="the pure engine runs")
def test_rows_beyond_two_to_the_31_values(tmp_path):
    """Counts and addresses are of 64 bits: rows far apart in a sparse file, and very many rows."""
    bands = 61
    apart = 2**28
    size = 9 * apart
    file = tmp_path / "sparse"
    with file.open("wb") as stream:
        stream.truncate(4 * size)
    values = np.memmap(file, np.float32, "r+")
    last = 8 * apart
    values[last : last + bands] = 3
    rows = torch.from_numpy(values).as_strided((9, bands), (apart, 1))
    shift = torch.zeros(bands, dtype=torch.float64)
    assert moments(rows, shift).sums[0, 0] == 9
    assert extremes(rows).high.tolist() == [3] * bands
    scores = torch.empty(9)
    Distances(shift, torch.eye(bands))(rows, scores)
    assert scores.tolist() == [0] * 8 + [9 * bands]
    flags = torch.ones(9, dtype=torch.bool)
    whole, part = torch.zeros(2, bands, 40, dtype=torch.int32)
    scales = torch.full((bands,), 10.0)
    shifts = torch.full((bands,), 2.0**23)
    Histograms(torch.arange(bands), scales, shifts, 40)(rows, flags, flags, whole, part)
    assert whole[:, 30].tolist() == part[:, 30].tolist() == [1] * bands
    projected = torch.empty(9, 1)
    Projection(torch.ones(1, bands))(rows, projected)
    assert projected[-1] == 3 * bands
    many = torch.ones(1, bands).expand(40_000_000, bands)
    assert many.numel() > 2**31
    assert usable_rows(many)[1] == len(many)
    assert moments(many, shift).sums[0, 0] == len(many)
