"""Two-phase training in Python: the graph and the result of configs/channel_selector.yaml."""

import sys
from pathlib import Path

from specloom import Pipeline, Run
from specloom_cubes import AnomalyDataNode, Synthetic
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
    Calibrate,
    CallbacksConfig,
    EarlyStoppingConfig,
    GradientTrainer,
    ModelCheckpointConfig,
    PipelineMetadata,
    SchedulerConfig,
    StatisticalTrainer,
    TrainingConfig,
)


def main(out: Path, epochs: int = 30, scenes: int = 32, size: int = 64) -> dict[str, float]:
    """Train, save the pipeline under ``out``, and return the metrics of the test scenes."""
    datamodule = Synthetic(scenes=scenes, height=size, width=size, seed=7, batch_size=4)

    # Stage 1: the graph.
    pipeline = Pipeline("channel_selector")
    data = AnomalyDataNode(normal_class_ids=[0, 1], name="data")
    normalizer = MinMaxNormalizer(name="normalizer")
    selector = SoftChannelSelector(
        n_select=3,
        init_method="variance",
        temperature_init=5.0,
        temperature_min=0.1,
        temperature_decay=0.9,
        gumbel=False,
        name="selector",
    )
    rx = RXGlobal(shrinkage=1e-4, name="rx")
    logits = ScoreToLogit(name="logits")
    decider = BinaryDecider(name="decider")
    bce = AnomalyBCEWithLogits(weight=10.0, pos_weight=5.0, name="bce")
    entropy = SelectorEntropyRegularizer(weight=0.1, name="entropy")
    diversity = SelectorDiversityRegularizer(weight=0.01, name="diversity")
    metrics = AnomalyDetectionMetrics(name="metrics")
    mask = AnomalyMask(channel=30, up_to=5, name="mask")
    rgb = CubeRGBVisualizer(up_to=5, name="rgb")
    tensorboard = TensorBoardMonitorNode(
        output_dir=str(out / "tensorboard"), run_name=pipeline.name, name="tensorboard"
    )
    pipeline.connect(
        (data.outputs.cube, normalizer.data),
        (data.outputs.valid, normalizer.valid),
        (normalizer.normalized, selector.data),
        (data.outputs.valid, selector.valid),
        (selector.selected, rx.data),
        (selector.applied, rx.weights),
        (data.outputs.valid, rx.valid),
        (rx.scores, logits.scores),
        (data.outputs.valid, logits.valid),
        (logits.logits, decider.logits),
        (data.outputs.valid, decider.valid),
        (logits.logits, bce.predictions),
        (data.outputs.mask, bce.targets),
        (data.outputs.labelled, bce.valid),
        (selector.weights, entropy.weights),
        (selector.weights, diversity.weights),
        (decider.decisions, metrics.decisions),
        (logits.logits, metrics.logits),
        (data.outputs.mask, metrics.targets),
        (data.outputs.labelled, metrics.valid),
        (metrics.metrics, tensorboard.metrics),
        (decider.decisions, mask.decisions),
        (data.outputs.mask, mask.mask),
        (data.outputs.cube, mask.cube),
        (data.outputs.cube, rgb.cube),
        (selector.weights, rgb.weights),
        (data.outputs.wavelengths, rgb.wavelengths),
        (mask.artifacts, tensorboard.artifacts),
        (rgb.artifacts, tensorboard.artifacts),
    )

    # Stage 2: statistics, then gradients.
    StatisticalTrainer(pipeline=pipeline, datamodule=datamodule).fit()
    pipeline.unfreeze_nodes_by_name([selector.name, rx.name, logits.name])
    training = TrainingConfig.from_dict(
        {"trainer": {"max_epochs": epochs}, "optimizer": {"name": "adamw", "lr": 0.002}}
    )
    training.trainer.callbacks = CallbacksConfig(
        early_stopping=[EarlyStoppingConfig(monitor="train/bce", mode="min", patience=20)],
        checkpoint=ModelCheckpointConfig(
            dirpath=str(out / "checkpoints"),
            monitor="metrics/average_precision",
            mode="max",
            save_top_k=3,
            save_last=True,
        ),
    )
    trainer = GradientTrainer(
        pipeline=pipeline,
        datamodule=datamodule,
        loss_nodes=[bce, entropy, diversity],
        metric_nodes=[metrics],
        trainer_config=training.trainer,
        optimizer_config=training.optimizer,
        scheduler_config=SchedulerConfig(
            name="reduce_on_plateau", monitor="metrics/iou", mode="max", factor=0.5, patience=5
        ),
        monitors=[tensorboard],
        refit=[logits.name],
    )
    trainer.fit()
    print(f"best epoch: {trainer.best_epoch}")

    # Stage 3: the threshold from the validation scenes, the metrics from the test scenes.
    Calibrate(decider.name, metric="iou").train(Run(pipeline.graph(datamodule), datamodule))
    trainer.validate()
    found = trainer.test()
    about = PipelineMetadata(pipeline.name, description="Channel selector", tags=["rx", "gradient"])
    pipeline.save_to_file(out / "trained_models" / "Channel_Selector.yaml", metadata=about)
    weights = selector.get_selection_weights()
    print(f"largest weights: channels {weights.topk(3).indices.tolist()}")
    return found


if __name__ == "__main__":
    for name, value in main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/example")).items():
        print(f"{name:32} {value:.4f}")
