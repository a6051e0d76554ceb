"""The README's selector of a third party keeps the kernel's rules."""

import re
from pathlib import Path

import pytest
import torch

from specloom.runfile import parameters
from specloom.testing import failures_of
from specloom_bands import BandSelectorBase

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


def your_selection_algorithm(cube, wavelengths):
    """The three bands of the largest mean."""
    return cube.mean((0, 1, 2)).topk(3).indices


class CustomBandSelector(BandSelectorBase):
    """The selector of the document on selector nodes, as printed there."""

    def __init__(self, custom_param: float = 1.0, **kwargs):
        super().__init__(custom_param=custom_param, **kwargs)
        self.custom_param = custom_param

    def forward(self, cube, wavelengths, **kwargs):
        # Your custom selection logic
        indices = your_selection_algorithm(cube, wavelengths)

        # Compose RGB using base class helper
        rgb = self._compose_rgb(cube, indices)

        band_info = {
            "strategy": "custom",
            "band_indices": indices,
            "band_wavelengths_nm": wavelengths[indices].tolist(),
            "target_wavelengths_nm": [],
            "distance_nm": [],
        }

        return {"rgb_image": rgb, "band_info": band_info}


def test_the_selector_of_the_document_works_as_printed():
    selector = CustomBandSelector(custom_param=2.0, stretch=None, name="custom")
    assert (selector.custom_param, selector.stretch, selector.name) == (2.0, None, "custom")
    cube = torch.rand(1, 4, 5, 6) + torch.arange(6)
    made = selector(cube=cube, wavelengths=torch.linspace(400, 700, 6))
    assert made["band_info"]["band_indices"].tolist() == [5, 4, 3]
    assert made["rgb_image"].shape == (1, 4, 5, 3)
    assert (CustomBandSelector().custom_param, CustomBandSelector().stretch) == (1, (0.001, 0.999))


def test_all_of_its_parameters_are_saved_and_can_stand_in_a_run_file():
    assert parameters.parameters(CustomBandSelector).keys() == {"custom_param", "stretch"}
    selector = CustomBandSelector(2, stretch=(0.1, 0.9))
    values = parameters.values(selector)
    assert values == {"custom_param": 2, "stretch": [0.1, 0.9]}
    found, problems = parameters.checked(CustomBandSelector, "own", values, lambda key: "")
    assert (found, problems) == ({"custom_param": 2, "stretch": (0.1, 0.9)}, [])


def test_what_neither_init_takes_is_an_error_that_says_what_to_write():
    with pytest.raises(TypeError) as caught:
        CustomBandSelector(strech=None)
    assert str(caught.value) == (
        "CustomBandSelector: super().__init__() of BandSelectorBase got an unexpected keyword "
        "argument 'strech'; did you mean 'stretch'? Otherwise pass it parameters of "
        "CustomBandSelector.__init__, or of these: stretch, name"
    )
