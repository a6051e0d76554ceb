"""The document on selector nodes, statement by statement."""

import inspect
import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parent))
from rows import NODES, differs, works

import specloom
from specloom import Pipeline
from specloom_bands import (
    BandSelectorBase,
    BaselineFalseRGBSelector,
    CIRFalseColorSelector,
    HighContrastBandSelector,
)
from specloom_cubes import AnomalyDataNode, Synthetic
from specloom_losses import SelectorDiversityRegularizer, SelectorEntropyRegularizer
from specloom_mrmr import (
    SupervisedCIRBandSelector,
    SupervisedFullSpectrumBandSelector,
    SupervisedWindowedFalseRGBSelector,
)
from specloom_normalize import MinMaxNormalizer
from specloom_selectors import SoftChannelSelector, TopKIndices
from specloom_training import StatisticalTrainer

WAVELENGTHS = torch.linspace(430, 910, 61)
CUBE = torch.rand(2, 6, 5, 61, generator=torch.Generator().manual_seed(0))

YAML = """
specloom: 1
data: {type: Synthetic, config: {scenes: 4, height: 16, width: 16}}
nodes:
  data: {type: AnomalyDataNode, config: {normal_class_ids: [0, 1]}}
  selector:
    type: SoftChannelSelector
    config:
      n_select: 3
      input_channels: 61
      init_method: variance
      temperature_init: 5.0
      temperature_min: 0.1
      temperature_decay: 0.9
      hard: false
  rx: {type: RXGlobal}
  entropy_loss:
    type: SelectorEntropyRegularizer
    config:
      weight: 0.01
  diversity_loss:
    type: SelectorDiversityRegularizer
    config:
      weight: 0.05
connections:
  - [data.cube, selector.data]
  - [selector.selected, rx.data]
  - [selector.weights, entropy_loss.weights]
  - [selector.weights, diversity_loss.weights]
"""


def source():
    return Synthetic(scenes=8, height=24, width=24, clean_scenes=0, anomaly_fraction=0.1)


def parameters(cls):
    found = inspect.signature(cls).parameters
    return {name: one.default for name, one in found.items() if name != "name"}


def supervised(node):
    """The node, fitted on scenes with masks."""
    pipeline = Pipeline("p")
    data = AnomalyDataNode(normal_class_ids=[0, 1], name="data")
    pipeline.connect(
        (data.outputs.cube, node.cube),
        (data.outputs.mask, node.mask),
        (data.outputs.wavelengths, node.wavelengths),
    )
    StatisticalTrainer(pipeline=pipeline, datamodule=source()).fit()
    return node


@works(NODES, "`SoftChannelSelector`: ports `data`, `selected`, `weights`, and their shapes")
def test_ports():
    made = SoftChannelSelector(n_select=3, input_channels=61)(data=CUBE)
    assert made["selected"].shape == CUBE.shape
    assert made["weights"].shape == (61,)


@differs(
    NODES,
    "Parameters and defaults of `SoftChannelSelector`",
    "As printed; `input_channels` may be omitted, and `gumbel: false` trains without noise.",
)
def test_parameters():
    found = parameters(SoftChannelSelector)
    assert found.pop("n_select") is inspect.Parameter.empty
    assert found == {
        "input_channels": None,
        "init_method": "uniform",
        "temperature_init": 5.0,
        "temperature_min": 0.1,
        "temperature_decay": 0.9,
        "hard": False,
        "eps": 1e-6,
        "gumbel": True,
    }


@works(NODES, "Weights sum to `n_select`; `get_selection_weights(hard=True)` has the top k")
def test_weights():
    selector = SoftChannelSelector(n_select=3, input_channels=61)
    selector.logits.copy_(torch.randn(61, generator=torch.Generator().manual_seed(0)))
    weights = selector.get_selection_weights(hard=False)
    assert float(weights.sum()) == pytest.approx(3)
    hard_weights = selector.get_selection_weights(hard=True)
    top_k_indices = torch.where(hard_weights > 0)[0]
    assert set(top_k_indices.tolist()) == set(weights.topk(3).indices.tolist())


@differs(
    NODES,
    "`selector.unfreeze()` converts the buffer `channel_logits` to a parameter",
    "It is called `logits`.",
)
def test_unfreeze():
    selector = SoftChannelSelector(n_select=3, input_channels=61)
    assert not list(selector.parameters())
    selector.unfreeze()
    assert [name for name, _value in selector.named_parameters()] == ["logits"]


@works(NODES, '`init_method="variance"`: logits = log(variance per channel)')
def test_variance():
    selector = SoftChannelSelector(n_select=3, input_channels=61, init_method="variance")
    selector.fit_start(0)
    selector.fit_update(CUBE)
    selector.fit_end()
    expected = CUBE.reshape(-1, 61).double().var(0, correction=0).log()
    torch.testing.assert_close(selector.logits.double(), expected, rtol=1e-4, atol=1e-4)


@works(NODES, "`selector.temperature = 5.0`, `update_temperature(epoch=…)`: 4.5, 0.608, 0.1")
def test_temperature():
    selector = SoftChannelSelector(n_select=3, input_channels=61)
    selector.temperature = 5.0
    for epoch, expected in {0: 5.0, 1: 4.5, 20: 0.608, 50: 0.1}.items():
        selector.update_temperature(epoch=epoch)
        assert selector.temperature == pytest.approx(expected, abs=5e-4)


@differs(
    NODES,
    "Issue: the temperature does not fall unless `update_temperature` is called",
    "A trainer calls it before each epoch; it warns where a temperature stays.",
)
def test_annealing():
    selector = SoftChannelSelector(n_select=3, input_channels=61)
    selector.on_epoch(1, 50)
    assert selector.temperature == pytest.approx(4.5)


@differs(
    NODES,
    "YAML: `type: SoftChannelSelector`, connections `- [data.cube, selector.data]`",
    "As printed, below `specloom: 1` and `data:`; a name without its plugin is found where one "
    "plugin offers it. Our own files write `selectors.SoftChannelSelector`.",
)
def test_yaml(tmp_path):
    (tmp_path / "run.yaml").write_text(YAML)
    run = specloom.load(tmp_path / "run.yaml", device="cpu")
    assert run.graph.types["selector"] == "selectors.SoftChannelSelector"


@works(NODES, "Collapse: a diversity regulariser weighs against weight on one channel")
def test_diversity():
    loss = SelectorDiversityRegularizer(weight=0.05)
    loss.build({"C": 4})
    collapsed = loss(weights=torch.tensor([0.0, 0.0, 2.98, 0.02]))["loss"]
    assert float(collapsed) == pytest.approx(0.05, abs=2e-3)
    assert float(loss(weights=torch.ones(4))["loss"]) == 0


@works(NODES, "`SelectorEntropyRegularizer(weight=0.01)` draws the weights towards all channels")
def test_entropy():
    loss = SelectorEntropyRegularizer(weight=0.01)
    loss.build({"C": 4})
    assert float(loss(weights=torch.ones(4))["loss"]) == pytest.approx(0, abs=1e-9)
    assert float(loss(weights=torch.tensor([1.0, 0, 0, 0]))["loss"]) > 0.01


@works(NODES, '`TopKIndices(k=3).forward(weights=…)["indices"]`, sorted by weight')
def test_top_k():
    weights = torch.zeros(61)
    weights[[15, 28, 41]] = torch.tensor([3.0, 2.0, 1.0])
    outputs = TopKIndices(k=3).forward(weights=weights)
    assert outputs["indices"].tolist() == [15, 28, 41]


@works(NODES, "`BaselineFalseRGBSelector`: picture [B, H, W, 3] in [0, 1], and `band_info`")
def test_baseline():
    baseline = BaselineFalseRGBSelector(target_wavelengths=(650.0, 550.0, 450.0))
    outputs = baseline.forward(cube=CUBE, wavelengths=WAVELENGTHS)
    rgb = outputs["rgb_image"]
    assert rgb.shape == (2, 6, 5, 3)
    assert float(rgb.min()) >= 0
    assert float(rgb.max()) <= 1
    info = outputs["band_info"]
    assert info["strategy"] == "baseline_false_rgb"
    assert info["target_wavelengths_nm"] == [650.0, 550.0, 450.0]
    assert len(info["band_indices"]) == len(info["band_wavelengths_nm"]) == 3


@works(NODES, "`CIRFalseColorSelector(nir_nm=860.0, …)` and its `channel_mapping`")
def test_cir():
    cir = CIRFalseColorSelector(nir_nm=860.0, red_nm=670.0, green_nm=560.0)
    outputs = cir.forward(cube=CUBE, wavelengths=WAVELENGTHS)
    assert outputs["band_info"]["channel_mapping"] == {"R": "NIR", "G": "Red", "B": "Green"}


@works(NODES, "`HighContrastBandSelector(alpha=0.1)`: variance + alpha x Laplacian energy")
def test_high_contrast():
    windows = ((440, 500), (500, 580), (610, 700))
    node = HighContrastBandSelector(windows=windows, alpha=0.1)
    cube = CUBE.clone()
    chosen = [5, 12, 28]
    for band in chosen:
        cube[..., band] *= 3
    info = node.forward(cube=cube, wavelengths=WAVELENGTHS)["band_info"]
    records = info if isinstance(info, list) else [info]
    assert sorted(records[0]["band_indices"]) == chosen


@works(NODES, "`SupervisedCIRBandSelector(…)`, `selected_indices`, `fisher_scores`, `auc_scores`")
def test_supervised_cir():
    supervised_cir = supervised(
        SupervisedCIRBandSelector(
            num_spectral_bands=61,
            windows=((840.0, 910.0), (650.0, 720.0), (500.0, 570.0)),
            score_weights=(1.0, 1.0, 1.0),
            lambda_penalty=0.5,
            name="supervised_cir",
        )
    )
    centres = WAVELENGTHS[supervised_cir.selected_indices]
    for centre, (least, most) in zip(centres, supervised_cir.windows, strict=True):
        assert least <= float(centre) <= most
    assert supervised_cir.fisher_scores.shape == supervised_cir.auc_scores.shape == (61,)


@works(NODES, "`SupervisedWindowedFalseRGBSelector`: windows of blue, green and red")
def test_supervised_windowed():
    node = supervised(SupervisedWindowedFalseRGBSelector(num_spectral_bands=61, name="bands"))
    assert node.windows == ((440.0, 500.0), (500.0, 580.0), (610.0, 700.0))
    centres = sorted(float(one) for one in WAVELENGTHS[node.selected_indices])
    for centre, (least, most) in zip(centres, node.windows, strict=True):
        assert least <= centre <= most


@works(NODES, "`SupervisedFullSpectrumBandSelector`: three bands of the whole spectrum")
def test_supervised_full():
    node = supervised(SupervisedFullSpectrumBandSelector(num_spectral_bands=61, name="bands"))
    assert len(set(node.selected_indices.tolist())) == 3


@differs(
    NODES,
    "mRMR: Fisher + AUC + MI, less lambda x the largest correlation with what was chosen",
    "Each score is ranked on its own scale before they are added: they have different units. "
    "`mask` is required for the fit only.",
)
def test_mrmr_ports():
    port = SupervisedCIRBandSelector.inputs["mask"]
    assert port.for_fit
    readme = Path(__file__).parents[2] / "plugins/mrmr/README.md"
    assert "lambda_penalty" in readme.read_text("utf-8")


@differs(
    NODES,
    "YAML: `[baseline_rgb.rgb_image, adaclip.rgb_input]`",
    "The port is `rgb_image`, as in the other document; the error names it.",
)
def test_rgb_port():
    from specloom_adaclip import AdaCLIPDetector

    assert "rgb_image" in AdaCLIPDetector.inputs
    pipeline = Pipeline("p")
    bands = BaselineFalseRGBSelector(name="baseline_rgb")
    pipeline.add_node(AdaCLIPDetector(name="adaclip"))
    pipeline.add_node(bands)
    with pytest.raises(specloom.GraphError, match="rgb_image"):
        pipeline.connect("baseline_rgb.rgb_image", "adaclip.rgb_input")


@differs(
    NODES,
    "`CustomBandSelector(BandSelectorBase)`: `super().__init__(custom_param=…, **kwargs)`",
    "As printed. In a pipeline `band_info` needs also `band_wavelengths_nm`, "
    "`target_wavelengths_nm` and `distance_nm`, which the document leaves to “additional "
    "metadata”: the error names them, and `band_record` makes all.",
)
def test_custom_selector():
    class CustomBandSelector(BandSelectorBase):
        def __init__(self, custom_param: float = 1.0, **kwargs):
            super().__init__(custom_param=custom_param, **kwargs)
            self.custom_param = custom_param

        def forward(self, cube, wavelengths, **kwargs):
            indices = [40, 20, 0]
            rgb = self._compose_rgb(cube, indices)
            band_info = {"strategy": "custom", "band_indices": indices}
            return {"rgb_image": rgb, "band_info": band_info}

    made = CustomBandSelector(custom_param=2.0)(cube=CUBE, wavelengths=WAVELENGTHS)
    assert made["rgb_image"].shape == (2, 6, 5, 3)
    missing = set(CustomBandSelector.outputs["band_info"].fields) - set(made["band_info"])
    assert missing == {"band_wavelengths_nm", "target_wavelengths_nm", "distance_nm"}
    pipeline = Pipeline("p")
    selector = CustomBandSelector(name="custom")
    normalizer = MinMaxNormalizer(name="normalizer")
    data = AnomalyDataNode(normal_class_ids=[0, 1])
    pipeline.connect(
        (data.outputs.cube, selector.cube),
        (data.outputs.wavelengths, selector.wavelengths),
        (selector.rgb_image, normalizer.data),
    )
    with pytest.raises(specloom.PortError) as caught:
        StatisticalTrainer(pipeline=pipeline, datamodule=source()).fit()
    names = "band_wavelengths_nm, target_wavelengths_nm, distance_nm"
    assert str(caught.value) == (
        f"custom.band_info lacks the keys {names}\n"
        f"  fix: add {names} to the mapping that the node makes"
    )
