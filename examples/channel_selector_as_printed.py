"""The tutorial's graph of the channel selector as printed, with and without its companion edge.

The calls are those of the tutorial's script: no connection for pixels that count, no weights for
RX, one loss, a fixed threshold. Where this differs, a comment says why. RX scores data that the
selector multiplied by its weights, which change in training; RX was fitted before. Printed so, RX
scores data that it was not fitted for. The graph therefore adds the edge from ``selector.applied``
to ``rx.weights`` by itself, and ``companions=False`` leaves it out, as the tutorial has it.
"""

import argparse
from pathlib import Path
from typing import Any

from specloom import Pipeline
from specloom_cubes import LentilsAnomalyDataNode, Synthetic
from specloom_deciders import BinaryDecider
from specloom_losses import (
    AnomalyBCEWithLogits,
    SelectorDiversityRegularizer,
    SelectorEntropyRegularizer,
)
from specloom_metrics import AnomalyDetectionMetrics
from specloom_normalize import MinMaxNormalizer
from specloom_pictures import AnomalyMask, CubeRGBVisualizer
from specloom_rx import RXGlobal, ScoreToLogit
from specloom_selectors import SoftChannelSelector
from specloom_tensorboard import TensorBoardMonitorNode
from specloom_training import (
    CallbacksConfig,
    EarlyStoppingConfig,
    GradientTrainer,
    ModelCheckpointConfig,
    PipelineMetadata,
    SchedulerConfig,
    StatisticalTrainer,
    TrainingConfig,
    TrainRunConfig,
)

TRAINING = {"trainer": {"max_epochs": 30}, "optimizer": {"name": "adamw", "lr": 0.001}}
"""What the tutorial reads from a file that it does not print."""


def main(
    output_dir: Path,
    companions: bool = True,
    training: dict[str, Any] = TRAINING,
    **data: Any,
) -> dict[str, float]:
    """Train the printed graph, and return the metrics of the test scenes."""
    # Synthetic scenes, because the tutorial's recording is not public.
    datamodule = Synthetic(**{"scenes": 32, "seed": 7, "batch_size": 4, **data})
    datamodule.setup(stage="fit")

    pipeline = Pipeline("Channel_Selector", companions=companions)
    data_node = LentilsAnomalyDataNode(normal_class_ids=[0, 1])
    normalizer = MinMaxNormalizer(eps=1.0e-6, use_running_stats=True)
    selector = SoftChannelSelector(
        n_select=3,
        input_channels=61,
        init_method="variance",
        temperature_init=5.0,
        temperature_min=0.1,
        temperature_decay=0.9,
    )
    # Without num_channels=15: the selector weights all 61 bands and passes them on.
    rx = RXGlobal(eps=1.0e-6)
    logit_head = ScoreToLogit(init_scale=1.0, init_bias=0.0)
    decider = BinaryDecider(threshold=0.5)
    bce_loss = AnomalyBCEWithLogits(name="bce", weight=10.0)
    entropy_loss = SelectorEntropyRegularizer(name="entropy", weight=0.1)
    diversity_loss = SelectorDiversityRegularizer(name="diversity", weight=0.01)
    metrics_anomaly = AnomalyDetectionMetrics(name="metrics_anomaly")
    viz_mask = AnomalyMask(name="mask", channel=30, up_to=5)
    viz_rgb = CubeRGBVisualizer(name="rgb", up_to=5)
    tensorboard_node = TensorBoardMonitorNode(
        output_dir=str(output_dir / ".." / "tensorboard"),
        run_name=pipeline.name,
    )
    pipeline.connect(
        (data_node.outputs.cube, normalizer.data),
        (normalizer.normalized, selector.data),
        (selector.selected, rx.data),
        (rx.scores, logit_head.scores),
        (logit_head.logits, bce_loss.predictions),
        (data_node.outputs.mask, bce_loss.targets),
        (selector.weights, entropy_loss.weights),
        (selector.weights, diversity_loss.weights),
        (logit_head.logits, decider.logits),
        (decider.decisions, metrics_anomaly.decisions),
        (data_node.outputs.mask, metrics_anomaly.targets),
        (metrics_anomaly.metrics, tensorboard_node.metrics),
        (decider.decisions, viz_mask.decisions),
        (data_node.outputs.mask, viz_mask.mask),
        (data_node.outputs.cube, viz_mask.cube),
        (data_node.outputs.cube, viz_rgb.cube),
        (selector.weights, viz_rgb.weights),
        (data_node.outputs.wavelengths, viz_rgb.wavelengths),
        (viz_mask.artifacts, tensorboard_node.artifacts),
        (viz_rgb.artifacts, tensorboard_node.artifacts),
    )

    training_cfg = TrainingConfig.from_dict(training)
    if training_cfg.trainer.callbacks is None:
        training_cfg.trainer.callbacks = CallbacksConfig()
    training_cfg.trainer.callbacks.early_stopping.append(
        EarlyStoppingConfig(monitor="train/bce", mode="min", patience=20)
    )
    training_cfg.scheduler = SchedulerConfig(
        name="reduce_on_plateau",
        monitor="metrics_anomaly/iou",
        mode="max",
        factor=0.5,
        patience=5,
    )
    training_cfg.trainer.callbacks.checkpoint = ModelCheckpointConfig(
        dirpath=str(output_dir / "checkpoints"),
        monitor="metrics_anomaly/iou",
        mode="max",
        save_top_k=3,
        save_last=True,
    )

    stat_trainer = StatisticalTrainer(pipeline=pipeline, datamodule=datamodule)
    stat_trainer.fit()

    unfreeze_node_names = [selector.name, rx.name, logit_head.name]
    pipeline.unfreeze_nodes_by_name(unfreeze_node_names)

    grad_trainer = GradientTrainer(
        pipeline=pipeline,
        datamodule=datamodule,
        loss_nodes=[bce_loss],
        metric_nodes=[metrics_anomaly],
        trainer_config=training_cfg.trainer,
        optimizer_config=training_cfg.optimizer,
        monitors=[tensorboard_node],
    )
    grad_trainer.fit()

    grad_trainer.validate()
    found = grad_trainer.test()

    pipeline.save_to_file(
        str(output_dir / "trained_models" / "Channel_Selector.yaml"),
        metadata=PipelineMetadata(
            name=pipeline.name,
            description="Channel Selector with two-phase training",
            tags=["gradient", "channel_selector"],
            author="cuvis.ai",
        ),
    )
    trainrun_config = TrainRunConfig(
        name="channel_selector",
        pipeline=pipeline.serialize(),
        data=datamodule,
        training=training_cfg,
        output_dir="outputs",
        loss_nodes=["bce"],
        metric_nodes=["metrics_anomaly"],
        freeze_nodes=[],
        unfreeze_nodes=unfreeze_node_names,
    )
    trainrun_config.save_to_file(output_dir / "trained_models" / "channel_selector_trainrun.yaml")
    # Beyond the tutorial: the folder that `specloom run` writes, for `specloom reproduce`.
    grad_trainer.save_run(output_dir / "run")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=Path("runs/as_printed"))
    out = parser.parse_args().out
    for name, companions in (("as printed, companions off", False), ("with the companion", True)):
        found = main(out / ("on" if companions else "off"), companions)
        print(f"{name:28} test IoU {found['metrics_anomaly/iou']:.3f}")
