import subprocess
import sys

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from specloom import ConfigError
from specloom.graph.ported import build
from specloom.testing.device import never_waits_for_the_device
from specloom_pictures.cube_rgb import CubeRGBVisualizer, top_three
from specloom_pictures.paint import EXCLUDED
from specloom_pictures.plots import SHOWN_AS, legend, render, weight_figure

GRID = torch.arange(430.0, 910.1, 8)  # 61 bands


def pictures(node, *batches):
    node.measure_start("val")
    for batch in batches:
        assert node(**batch) == {}
    return node.measure_end()["artifacts"]


@pytest.mark.parametrize(
    ("weights", "wavelengths", "want"),
    [
        ([0, 3, 0, 1, 2], [400, 500, 600, 700, 800], [4, 3, 1]),
        ([0, 3, 0, 1, 2], None, [4, 3, 1]),
        ([0, 3, 0, 1, 2], [800, 700, 600, 500, 400], [1, 3, 4]),
        ([1, 1, 1, 1, 1], [400, 500, 600, 700, 800], [2, 1, 0]),
        ([1, 2, float("nan"), 3, 0], [400, 500, 600, 700, 800], [3, 1, 0]),
        ([1, 2], [400, 500], [1, 0, 0]),
        ([1], [400], [0, 0, 0]),
    ],
)
def test_the_longest_of_the_top_three_is_red(weights, wavelengths, want):
    grid = None if wavelengths is None else torch.tensor(wavelengths)
    assert top_three(torch.tensor(weights, dtype=torch.float32), grid).tolist() == want


def test_every_pixel_shows_the_three_bands():
    torch.manual_seed(0)
    cube, weights = torch.rand(3, 15, 9, 61), torch.full((61,), 0.01)
    weights[torch.tensor([42, 18, 55])] = torch.tensor([1.0, 0.9, 0.8])
    cube[0, 2, 3, 7] = torch.nan
    valid = torch.ones(3, 15, 9, 1, dtype=torch.bool)
    valid[1, 4, :] = False
    node = CubeRGBVisualizer(up_to=2)
    made = pictures(node, {"cube": cube, "weights": weights, "wavelengths": GRID, "valid": valid})
    assert list(made) == ["image_0", "image_1", "weights"]
    for i in range(2):
        picture, out = made[f"image_{i}"], (made[f"image_{i}"] == EXCLUDED).all(-1)
        want = ~valid[i, ..., 0].numpy() | cube[i].isnan().any(-1).numpy()
        np.testing.assert_array_equal(out, want)
        assert out.sum() == (1, 9)[i]
        for channel, band in enumerate((55, 42, 18)):
            x = cube[i, ..., band].double().numpy()
            ordered = np.sort(x[~out])
            first = (len(ordered) - 1) // 100
            level = (x - ordered[first]) / (ordered[-1 - first] - ordered[first])
            level = np.round(np.clip(level, 0, 1) * 255)
            np.testing.assert_array_equal(picture[..., channel][~out], level[~out])


def test_integer_cubes_without_wavelengths():
    cube = torch.randint(0, 4000, (1, 6, 6, 5), dtype=torch.int16)
    made = pictures(CubeRGBVisualizer(), {"cube": cube, "weights": torch.arange(5.0)})
    assert list(made) == ["image_0", "weights"]
    brightest = cube[0, ..., 4] == cube[0, ..., 4].max()
    assert (made["image_0"][..., 0][brightest.numpy()] == 255).all()


def test_the_bars_stand_where_the_weights_are():
    weights = np.full(61, 0.02)
    shown = np.array([55, 42, 18])
    weights[shown] = [0.9, 1.2, 0.6]
    figure = weight_figure(weights, GRID.numpy(), shown)
    picture = render(figure)
    assert picture.shape == (320, 800, 3)
    assert picture.dtype == np.uint8
    axes = figure.axes[0]
    assert axes.get_xlabel() == "wavelength (nm)"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["red: 870 nm", "green: 766 nm", "blue: 574 nm"]
    for colour, band in zip(SHOWN_AS.values(), shown, strict=True):
        rgb = tuple(bytes.fromhex(colour[1:]))
        x, y = axes.transData.transform((GRID[band], weights[band]))
        assert tuple(picture[int(320 - y) + 3, int(x)]) == rgb  # just under the top of the bar
        assert tuple(picture[int(320 - y) - 3, int(x)]) == (255, 255, 255)


def test_a_plot_without_wavelengths_or_with_one_band():
    assert weight_figure(np.ones(5), None, np.array([2, 1, 0])).axes[0].get_xlabel() == "band"
    assert render(weight_figure(np.ones(1), np.array([500.0]), np.zeros(3, int))).any()
    assert render(weight_figure(np.full(4, np.nan), None, np.array([2, 1, 0]))).any()


def test_plots_are_the_same_twice_and_touch_no_pyplot():
    weights, shown = np.arange(61.0), np.array([60, 59, 58])
    one, two = (render(weight_figure(weights, GRID.numpy(), shown)) for _ in "ab")
    np.testing.assert_array_equal(one, two)
    assert isinstance(weight_figure(weights, None, shown).canvas, FigureCanvasAgg) is False
    code = (
        "import sys, torch\n"
        "from specloom_pictures.cube_rgb import CubeRGBVisualizer\n"
        "assert 'matplotlib' not in sys.modules\n"
        "node = CubeRGBVisualizer()\n"
        "node(cube=torch.rand(1, 4, 4, 5), weights=torch.rand(5))\n"
        "assert 'weights' in node.measure_end()['artifacts']\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_legend_holds_all_four_colours():
    colours = set(map(tuple, legend().reshape(-1, 3).tolist()))
    assert colours >= {(86, 180, 233), (213, 94, 0), (240, 228, 66), (70, 80, 105)}


def test_wrong_parameters_are_reported():
    with pytest.raises(ConfigError, match="has up_to=0"):
        build(CubeRGBVisualizer(up_to=0), {"C": 5})


def test_nothing_is_made_of_a_stage_without_images():
    assert pictures(CubeRGBVisualizer()) == {}


def test_the_host_never_waits():
    never_waits_for_the_device(CubeRGBVisualizer)  # the kit checks nodes without host inputs only
