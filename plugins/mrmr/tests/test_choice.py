import json

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from specloom.testing import fit_shares
from specloom_mrmr.choice import can_be_distinct, choose_bands
from specloom_mrmr.cir import SupervisedCIRBandSelector
from specloom_mrmr.false_rgb import SupervisedWindowedFalseRGBSelector
from specloom_mrmr.full_spectrum import SupervisedFullSpectrumBandSelector

NM = torch.linspace(400, 1000, 31)


def batches(count=4, bands=31, seed=0, pixels=300):
    rng = np.random.default_rng(seed)
    lift, mixing = (
        rng.uniform(-1.5, 1.5, bands),
        rng.normal(size=(bands, bands)) + 3 * np.eye(bands),
    )
    made = []
    for _ in range(count):
        mask = rng.random((2, 10, pixels // 20, 1)) < 0.3
        cube = rng.normal(size=(*mask.shape[:3], bands)) @ mixing + mask * lift
        made.append({"cube": torch.from_numpy(cube).float(), "mask": torch.from_numpy(mask)})
    return [{**one, "wavelengths": NM[:bands]} for one in made]


def fit(node, data):
    fit_shares([node], [data])
    return node


def greedy(scores, corr, penalty, windows):
    """Plain mRMR, window after window."""
    chosen = []
    for inside in windows:
        rest = [band for band in inside if band not in chosen]
        cost = [max((corr[band, one] for one in chosen), default=0) for band in rest]
        adjusted = [scores[band] - penalty * c for band, c in zip(rest, cost, strict=True)]
        chosen.append(rest[int(np.argmax(adjusted))])
    return chosen


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (0.0, 2.0, 0.5)])
@pytest.mark.parametrize("penalty", [0.0, 0.5, 4.0])
def test_the_choice_equals_a_plain_one(weights, penalty):
    data = batches()
    rows = torch.cat([one["cube"].reshape(-1, 31) for one in data]).double().numpy()
    corr = np.abs(np.corrcoef(rows.T))
    params = {"score_weights": weights, "lambda_penalty": penalty}
    node = fit(SupervisedFullSpectrumBandSelector(31, n_bands=6, **params), data)
    parts = [node.fisher_scores, node.auc_scores, node.mi_scores]
    relevance = sum(
        w * (s - s.mean()) / s.std(correction=0) for w, s in zip(weights, parts, strict=True)
    )
    torch.testing.assert_close(node.band_scores, relevance)
    scores = node.band_scores.numpy()
    assert node.selected_indices.tolist() == greedy(scores, corr, penalty, [range(31)] * 6)
    cir = fit(SupervisedCIRBandSelector(31, **params), data)
    windows = [[b for b in range(31) if low <= NM[b] <= high] for low, high in cir.windows]
    assert cir.selected_indices.tolist() == greedy(scores, corr, penalty, windows)
    rgb = fit(SupervisedWindowedFalseRGBSelector(31, **params), data)
    windows = [[b for b in range(31) if low <= NM[b] <= high] for low, high in rgb.windows]
    assert rgb.selected_indices.tolist() == greedy(scores, corr, penalty, windows)[::-1]


def test_a_band_that_a_later_window_needs_is_left_to_it():
    allowed = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0]]).bool()
    scores, eye = torch.tensor([3.0, 2.0, 1.0]).double(), torch.eye(3).double()
    assert choose_bands(scores, eye, 0.5, allowed, torch.ones(3).bool()) == [2, 0, 1]
    assert can_be_distinct(allowed)
    assert not can_be_distinct(torch.tensor([[1, 0, 0], [1, 0, 0]]).bool())


def test_pictures_are_red_first():
    data = batches()
    node = fit(SupervisedWindowedFalseRGBSelector(31, stretch=None), data)
    out = node(cube=data[0]["cube"])
    nm = NM[node.selected_indices]
    assert nm[0] >= 610
    assert 500 <= nm[1] <= 580
    assert nm[2] <= 500
    bands = data[0]["cube"][..., node.selected_indices]
    low, high = bands.amin((1, 2), keepdim=True), bands.amax((1, 2), keepdim=True)
    torch.testing.assert_close(out["rgb_image"], (bands - low) / (high - low))
    info = out["band_info"]
    assert info["strategy"] == "supervised_windowed_false_rgb"
    assert info["band_indices"] == node.selected_indices.tolist()
    assert info["band_wavelengths_nm"] == nm.tolist()
    assert info["target_wavelengths_nm"] == [655.0, 540.0, 470.0]
    assert info["auc_scores"] == node.auc_scores[node.selected_indices].tolist()


def test_order_batches_and_processes_do_not_matter():
    data = batches(6, pixels=4000)
    whole = fit(SupervisedFullSpectrumBandSelector(31), data)
    single = [
        {**one, "cube": one["cube"][i : i + 1], "mask": one["mask"][i : i + 1]}
        for one in data
        for i in (0, 1)
    ]
    reverse = fit(SupervisedFullSpectrumBandSelector(31), single[::-1])
    shares = [SupervisedFullSpectrumBandSelector(31) for _ in range(3)]
    fit_shares(shares, [data[:1], data[1:4], data[4:]])
    for node in (reverse, *shares):
        for name, value in whole.state().items():
            torch.testing.assert_close(
                node.state()[name], value, rtol=1e-9, atol=1e-12, equal_nan=True
            )
    again = fit(SupervisedFullSpectrumBandSelector(31), data)
    assert all(torch.equal(again.state()[k], v) for k, v in whole.state().items())


def test_scores_come_out_as_rows_json_and_a_picture(tmp_path):
    data = batches()
    node = fit(SupervisedCIRBandSelector(31), data)
    rows = node.score_table()
    assert [row["band"] for row in rows] == list(range(31))
    assert [row["auc"] for row in rows] == node.auc_scores.tolist()
    chosen = {row["channel"]: row["band"] for row in rows if row["channel"] is not None}
    assert [chosen[i] for i in range(3)] == node.selected_indices.tolist()
    plain = json.loads(json.dumps(node.scores()))
    assert plain["bands"] == rows
    assert plain["band_indices"] == node.selected_indices.tolist()
    node.plot(tmp_path / "scores.png")
    assert imread(tmp_path / "scores.png").std() > 0
    assert node.fit_summary().startswith(f"bands {', '.join(map(str, plain['band_indices']))} (")


def test_without_wavelengths_the_bands_have_numbers_only(tmp_path):
    data = [{k: v for k, v in one.items() if k != "wavelengths"} for one in batches()]
    node = fit(SupervisedFullSpectrumBandSelector(31, n_bands=2), data)
    assert node(cube=data[0]["cube"])["rgb_image"].shape[-1] == 2
    assert node.scores()["band_wavelengths_nm"] == []
    assert node.score_table()[0]["wavelength_nm"] is None
    node.plot(tmp_path / "scores.png")


def test_a_restored_node_knows_its_choice():
    data = batches()
    node = fit(SupervisedCIRBandSelector(31), data)
    twin = SupervisedCIRBandSelector(31)
    twin.restore(node.state())
    for one, other in zip(
        node(cube=data[0]["cube"]).values(), twin(cube=data[0]["cube"]).values(), strict=True
    ):
        assert torch.equal(one, other) if torch.is_tensor(one) else one == other
    assert twin.scores() == node.scores()
