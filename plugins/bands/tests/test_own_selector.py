"""The README's selector of a third party keeps the kernel's rules."""

import re
from pathlib import Path

import pytest
import torch

from specloom.testing import failures_of

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
BLOCK = next(b for b in re.findall(r"```python\n(.*?)```", README, re.S) if "class Even" in b)


@pytest.fixture
def selector_class(tmp_path, monkeypatch):
    (tmp_path / "even_bands.py").write_text(BLOCK, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    module = __import__("even_bands")
    yield module.EvenBandSelector
    del __import__("sys").modules["even_bands"]


def test_it_is_short():
    body = BLOCK[BLOCK.index("class ") :]
    assert len([line for line in body.splitlines() if line.strip()]) <= 15


def test_it_passes_the_conformance_kit(selector_class):
    assert failures_of(selector_class) == {}


def test_it_makes_a_picture(selector_class):
    nm, cube = torch.linspace(400, 700, 31), torch.rand(2, 4, 5, 31)
    made = selector_class(step_nm=150.0)(cube=cube, wavelengths=nm)
    assert made["band_info"]["band_indices"] == [30, 15, 0]
    assert made["rgb_image"].shape == (2, 4, 5, 3)
