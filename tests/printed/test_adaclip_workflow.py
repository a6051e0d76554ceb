"""The AdaCLIP workflow, statement by statement."""

import sys
import warnings
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parent))
from rows import ADACLIP, differs, works

import specloom
from specloom import Pipeline
from specloom_adaclip import AdaCLIPDetector
from specloom_cubes import LentilsAnomalyDataNode, Synthetic
from specloom_deciders import QuantileBinaryDecider, TwoStageBinaryDecider
from specloom_losses import DistinctnessLoss, IoULoss
from specloom_metrics import AnomalyDetectionMetrics
from specloom_mixer import LearnableChannelMixer
from specloom_normalize import MinMaxNormalizer
from specloom_pca import TrainablePCA
from specloom_pictures import DRCNNTensorBoardViz
from specloom_registry import NodeRegistry
from specloom_selectors import ConcreteBandSelector
from specloom_tensorboard import TensorBoardMonitorNode
from specloom_training import GradientTrainer, SchedulerConfig, StatisticalTrainer, TrainingConfig

ROOT = Path(__file__).parents[2]
PRINTED = {
    "prompt_text": "",
    "image_size": 518,
    "prompting_depth": 4,
    "prompting_length": 5,
    "gaussian_sigma": 4.0,
    "use_half_precision": False,
    "enable_warmup": False,
    "enable_gradients": True,
}
TINY = {**PRINTED, "weight_name": "tiny", "backbone": "tiny", "image_size": 64}


def datamodule():
    return Synthetic(
        scenes=8, height=24, width=24, clean_scenes=0, anomaly_fraction=0.1, batch_size=4
    )


def quietly_fit(trainer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit()


@differs(
    ADACLIP,
    '`NodeRegistry().load_plugin(name="adaclip", config={"repo": …, "tag": …, "provides": […]})`',
    "As printed; `adaclip` is part of this repository, so that a repository is needed for other "
    'plugins only. A folder is `{"path": …}`. The class is '
    "`specloom_adaclip.detector.AdaCLIPDetector`, which the errors of the printed path name.",
)
def test_registry():
    registry = NodeRegistry()
    path = "specloom_adaclip.detector.AdaCLIPDetector"
    config = {"path": str(ROOT / "plugins/adaclip"), "provides": [path]}
    assert "adaclip.AdaCLIPDetector" in registry.load_plugin(name="adaclip", config=config)
    assert NodeRegistry.get(path) is AdaCLIPDetector
    printed = "cuvis_ai_adaclip.node.adaclip_node.AdaCLIPDetector"
    with pytest.raises(specloom.PluginError, match=r"did you mean 'adaclip\.AdaCLIPDetector'"):
        NodeRegistry.get(printed)
    with pytest.raises(specloom.PluginError, match=f"fix: did you mean '{path}'"):
        registry.load_plugin(name="adaclip", config={**config, "provides": [printed]})


@works(ADACLIP, '`TrainablePCA(n_components=3, whiten=False, init_method="svd", eps=1e-6)`')
def test_pca():
    pca = TrainablePCA(
        n_components=3, whiten=False, init_method="svd", eps=1e-6, name="pca_baseline"
    )
    assert (pca.n_components, pca.name) == (3, "pca_baseline")


@works(ADACLIP, "`MinMaxNormalizer(use_running_stats=False)`: each image alone, nothing to fit")
def test_normalizer():
    pca_normalizer = MinMaxNormalizer(eps=1e-6, use_running_stats=False, name="out")
    made = pca_normalizer(data=5 * torch.rand(2, 4, 4, 3))["normalized"]
    assert made.amin((1, 2, 3)).tolist() == pytest.approx([0, 0], abs=1e-5)
    assert made.amax((1, 2, 3)).tolist() == pytest.approx([1, 1], abs=1e-5)


@works(ADACLIP, "`AdaCLIPDetector(…)` with the printed parameters, frozen")
def test_detector():
    adaclip = AdaCLIPDetector(
        weight_name="pretrained_all", backbone="ViT-L-14-336", **PRINTED, name="adaclip"
    )
    adaclip.build({})
    assert not list(adaclip.parameters())


@differs(
    ADACLIP,
    '`prompt_text="normal: lentils, anomaly: stones"`',
    "Each state gets its noun; the existing system puts the text in as it is.",
)
def test_prompt():
    from specloom_adaclip.model.prompts import parse_nouns

    nouns = parse_nouns("normal: lentils, anomaly: stones")
    assert "lentils" in str(nouns)
    assert "stones" in str(nouns)


@pytest.fixture(scope="module")
def baseline():
    """The pipeline of the first approach, fitted."""
    pipeline = Pipeline("pca_adaclip")
    data_node = LentilsAnomalyDataNode(normal_class_ids=[0, 1])
    normalizer = MinMaxNormalizer(eps=1e-6, use_running_stats=True, name="hsi_normalizer")
    pca = TrainablePCA(n_components=3, name="pca_baseline")
    pca_normalizer = MinMaxNormalizer(use_running_stats=False, name="pca_output_normalizer")
    adaclip = AdaCLIPDetector(**TINY, name="adaclip")
    decider = QuantileBinaryDecider(quantile=0.995, name="decider")
    metrics_node = AnomalyDetectionMetrics(name="metrics_anomaly")
    tensorboard_node = TensorBoardMonitorNode(name="tensorboard")
    pipeline.connect(
        (data_node.outputs.cube, normalizer.data),
        (normalizer.normalized, pca.data),
        (pca.projected, pca_normalizer.data),
        (pca_normalizer.normalized, adaclip.rgb_image),
        (adaclip.scores, decider.logits),
        (adaclip.scores, metrics_node.logits),
        (decider.decisions, metrics_node.decisions),
        (data_node.outputs.mask, metrics_node.targets),
        (metrics_node.metrics, tensorboard_node.metrics),
    )
    stat_trainer = StatisticalTrainer(pipeline=pipeline, datamodule=datamodule())
    stat_trainer.fit()
    return stat_trainer, normalizer, pca


@works(ADACLIP, "Approach 1: printed connections, `stat_trainer.fit()`, `validate()`, `test()`")
def test_baseline(baseline):
    stat_trainer, _normalizer, _pca = baseline
    for results in (stat_trainer.validate(), stat_trainer.test()):
        assert 0 <= results["metrics_anomaly/iou"] <= 1


@differs(
    ADACLIP,
    "`sample_batch = next(iter(train_loader))`, then `normalizer.forward(…)`, `pca.forward(…)`",
    "As printed; `train_loader = datamodule.train_loader()`, which the document leaves out.",
)
def test_explained_variance(baseline):
    _trainer, normalizer, pca = baseline
    train_loader = datamodule().train_loader()
    with torch.no_grad():
        sample_batch = next(iter(train_loader))
        sample_cube = sample_batch["cube"].float()
        normalizer_output = normalizer.forward(data=sample_cube)
        pca_output = pca.forward(data=normalizer_output["normalized"])
        ev_ratio = pca_output.get("explained_variance_ratio", torch.zeros(3))
    assert len(ev_ratio.tolist()) == 3
    assert 0.8 < ev_ratio.sum().item() <= 1


def mixer(**parameters):
    return LearnableChannelMixer(
        **{
            "input_channels": 61,
            "output_channels": 3,
            "leaky_relu_negative_slope": 0.1,
            "use_bias": True,
            "use_activation": True,
            "normalize_output": True,
            "init_method": "pca",
            "eps": 1e-6,
            "reduction_scheme": [61, 16, 8, 3],
            "name": "channel_mixer",
            **parameters,
        }
    )


@works(ADACLIP, "`LearnableChannelMixer(…)` as printed, and `mixer.requires_initial_fit`")
def test_mixer():
    assert mixer().requires_initial_fit
    assert not mixer(init_method="xavier").requires_initial_fit


@pytest.fixture(scope="module")
def drcnn():
    """The pipeline of the second approach, trained, and the parameters before."""
    pipeline = Pipeline("drcnn")
    data_node = LentilsAnomalyDataNode(normal_class_ids=[0, 1], anomaly_class_ids=[3])
    normalizer = MinMaxNormalizer(eps=1e-6, use_running_stats=True)
    channel_mixer = mixer()
    adaclip = AdaCLIPDetector(**TINY, name="adaclip")
    iou_loss = IoULoss(weight=1.0, smooth=1e-6, normalize_method="minmax", name="iou_loss")
    decider = QuantileBinaryDecider(quantile=0.995, name="decider")
    metrics_node = AnomalyDetectionMetrics(name="metrics_anomaly")
    tensorboard_node = TensorBoardMonitorNode(name="tensorboard")
    drcnn_tb_viz = DRCNNTensorBoardViz(
        hsi_channels=[0, 20, 40],
        max_samples=4,
        log_every_n_batches=1,
        name="drcnn_tensorboard_viz",
    )
    pipeline.connect(
        (data_node.outputs.cube, normalizer.data),
        (normalizer.normalized, channel_mixer.data),
        (channel_mixer.rgb, adaclip.rgb_image),
        (adaclip.scores, iou_loss.predictions),
        (data_node.outputs.mask, iou_loss.targets),
        (adaclip.scores, decider.logits),
        (decider.decisions, metrics_node.decisions),
        (data_node.outputs.mask, metrics_node.targets),
        (data_node.outputs.cube, drcnn_tb_viz.hsi_cube),
        (channel_mixer.rgb, drcnn_tb_viz.mixer_output),
        (data_node.outputs.mask, drcnn_tb_viz.ground_truth_mask),
        (adaclip.scores, drcnn_tb_viz.adaclip_scores),
        (drcnn_tb_viz.artifacts, tensorboard_node.artifacts),
    )
    data = datamodule()
    quietly_fit(StatisticalTrainer(pipeline=pipeline, datamodule=data))
    pipeline.unfreeze_nodes_by_name([channel_mixer.name])
    initial_weights = {}
    for name, param in channel_mixer.named_parameters():
        initial_weights[name] = param.data.clone()
    towers = [one.clone() for one in adaclip._engine.model.parameters()]
    training_cfg = TrainingConfig.from_dict(
        {"trainer": {"max_epochs": 1}, "optimizer": {"name": "adamw", "lr": 0.01}}
    )
    training_cfg.scheduler = SchedulerConfig(
        name="reduce_on_plateau", monitor="metrics_anomaly/iou", mode="max", factor=0.5, patience=5
    )
    quietly_fit(
        GradientTrainer(
            pipeline=pipeline,
            datamodule=data,
            loss_nodes=[iou_loss],
            metric_nodes=[metrics_node],
            trainer_config=training_cfg.trainer,
            optimizer_config=training_cfg.optimizer,
        )
    )
    return channel_mixer, initial_weights, adaclip, towers


@works(ADACLIP, "Approach 2: two phases, IoU loss, and `named_parameters()` before and after")
def test_mixer_weights(drcnn):
    channel_mixer, initial_weights, _adaclip, _towers = drcnn
    changes = []
    for name, param in channel_mixer.named_parameters():
        diff = (param.data - initial_weights[name]).abs()
        changes.append(diff.max().item())
    assert max(changes) > 1e-4


@works(ADACLIP, "AdaCLIP stays frozen, and gradients flow through it: `enable_gradients=True`")
def test_frozen(drcnn):
    _mixer, _initial, adaclip, towers = drcnn
    after = list(adaclip._engine.model.parameters())
    assert all(torch.equal(one, other) for one, other in zip(after, towers, strict=True))


@works(ADACLIP, "`DRCNNTensorBoardViz(hsi_channels=[0, 20, 40], …)` and its connections")
def test_viz():
    node = DRCNNTensorBoardViz(hsi_channels=[0, 20, 40], max_samples=4, log_every_n_batches=1)
    ports = {"hsi_cube", "mixer_output", "ground_truth_mask", "adaclip_scores"}
    assert ports <= set(node.inputs)


def selector():
    node = ConcreteBandSelector(
        input_channels=61,
        output_channels=3,
        tau_start=10.0,
        tau_end=0.1,
        max_epochs=50,
        use_hard_inference=True,
        eps=1e-6,
        name="concrete_selector",
    )
    node.seed(0)
    return node


@differs(
    ADACLIP,
    "`ConcreteBandSelector(…)` as printed; argmax of each channel at inference",
    "The bands are distinct also where two channels prefer the same one: those with the largest "
    "sum of logits.",
)
def test_concrete():
    node = selector()
    node.logits.zero_()
    node.logits[:, 7] = 5.0
    node.logits[1, 9] = 4.0
    node.logits[2, 3] = 1.0
    assert len(set(node.get_selected_bands().tolist())) == 3


@works(
    ADACLIP,
    "`get_selection_weights(deterministic=True)`, `get_selected_bands()`, `_get_tau(0)`",
)
def test_bands_before_training():
    node = selector()
    node.eval()
    with torch.no_grad():
        s_initial = node.get_selection_weights(deterministic=True)
        bands_initial = node.get_selected_bands()
        tau_initial = node._get_tau(epoch=0)
    assert tau_initial == 10.0
    assert len(bands_initial.tolist()) == node.output_channels
    for c in range(node.output_channels):
        top3 = torch.topk(s_initial[c], k=3)
        assert len(top3.indices.tolist()) == 3


@works(ADACLIP, "Linear annealing: tau_start + (tau_end - tau_start) x epoch / max_epochs")
def test_annealing():
    node = selector()
    for epoch in range(60):
        progress = epoch / 50
        expected = 0.1 if epoch >= 50 else 10.0 + (0.1 - 10.0) * progress
        assert node._get_tau(epoch) == pytest.approx(expected)


@works(ADACLIP, "`DistinctnessLoss(weight=0.1)`: less where channels choose different bands")
def test_distinctness():
    loss = DistinctnessLoss(weight=0.1, name="distinctness_loss")
    loss.build({"K": 3, "C": 61})
    apart = torch.eye(3, 61)
    together = torch.zeros(3, 61)
    together[:, 7] = 1
    values = [float(loss(selection_weights=one)["loss"]) for one in (apart, together)]
    assert values[0] < values[1] == pytest.approx(0.1)


@works(ADACLIP, "`TwoStageBinaryDecider(image_threshold=0.20, top_k_fraction=0.001, …)`")
def test_two_stage():
    decider = TwoStageBinaryDecider(
        image_threshold=0.20, top_k_fraction=0.001, quantile=0.995, name="decider"
    )
    scores = torch.full((2, 10, 10, 1), 0.1)
    scores[1, 0, 0] = 0.9
    decisions = decider(logits=scores)["decisions"]
    assert decisions.flatten(1).sum(1).tolist() == [0, 1]


@differs(
    ADACLIP,
    "IoU 0.68 (PCA), 0.75 (DRCNN), 0.74 (Concrete), and frames per second",
    "The data are not public, and the real weights are fetched by a command. The order is the "
    "same on synthetic lentils with tiny weights: DRCNN, Concrete, PCA, by ROC-AUC.",
)
def test_performance():
    text = (ROOT / "tests/test_adaclip_workflows.py").read_text("utf-8")
    assert 'areas["drcnn"] > areas["concrete"] > areas["pca"]' in text


@differs(
    ADACLIP,
    "Hydra files of train runs",
    "They are no run files; `specloom import cuvis FILE` converts cuvis-ai's own YAML. Ours are in "
    "configs/adaclip.",
)
def test_configs():
    assert {"pca", "drcnn", "concrete"} <= {one.stem for one in ROOT.glob("configs/adaclip/*.yaml")}


@works(ADACLIP, "Troubleshooting: band collapse, raise the weight of the distinctness loss")
def test_collapse():
    node = selector()
    node.logits.zero_()
    node.logits[:, 7] = 50.0
    assert "raise the weight of the distinctness loss" in node.diagnose()


@works(ADACLIP, "Next steps: IoU with entropy and diversity, other selectors, as run files")
def test_next_steps():
    for name in ("multi_loss", "supervised_cir", "supervised_windowed"):
        run = specloom.load(ROOT / f"configs/adaclip/{name}.yaml", device="cpu")
        assert "adaclip" in run.graph.nodes


@differs(
    ADACLIP,
    "Custom CLIP models: ViT-B-16, ViT-L-14",
    "Both by name. The public adapters fit ViT-L-14 and ViT-L-14-336; for ViT-B-16 they are drawn "
    "at random, `weight_name: new`, and trained. `check` finds sizes that do not fit.",
)
def test_other_backbones():
    AdaCLIPDetector(backbone="ViT-L-14").build({})
    AdaCLIPDetector(backbone="ViT-B-16", weight_name="new", image_size=512).build({})
    with pytest.raises(specloom.ConfigError, match="pretrained_all"):
        AdaCLIPDetector(backbone="ViT-B-16", image_size=512).build({})


@works(ADACLIP, "Transfer learning: fine-tune AdaCLIP's prompts, `unfreeze: [adaclip]`")
def test_tuning():
    run = specloom.load(ROOT / "configs/adaclip/tuned.yaml", device="cpu")
    assert run.phases[0][1].unfreeze == ["adaclip"]
