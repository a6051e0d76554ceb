"""RX on synthetic lentils in Python: the graph and scores of configs/rx_statistical.yaml."""

from specloom import Pipeline, Run
from specloom_cubes import AnomalyDataNode, Synthetic
from specloom_deciders import BinaryDecider
from specloom_metrics import AnomalyDetectionMetrics
from specloom_normalize import MinMaxNormalizer
from specloom_rx import RXGlobal, ScoreToLogit
from specloom_training import Calibrate, Evaluate, StatisticalTrainer


def build() -> Pipeline:
    """Connect the nodes; they get the names that the run file gives them."""
    data = AnomalyDataNode(normal_class_ids=[0, 1], name="data")
    normalizer = MinMaxNormalizer(name="normalizer")
    rx = RXGlobal(name="rx")
    logits = ScoreToLogit(name="logits")
    decider = BinaryDecider(name="decider")
    metrics = AnomalyDetectionMetrics(name="metrics")
    pipeline = Pipeline("rx_statistical")
    pipeline.connect(
        (data.outputs.cube, normalizer.data),
        (data.outputs.valid, normalizer.valid),
        (normalizer.normalized, rx.data),
        (data.outputs.valid, rx.valid),
        (rx.scores, logits.scores),
        (data.outputs.valid, logits.valid),
        (logits.logits, decider.logits),
        (data.outputs.valid, decider.valid),
        (decider.decisions, metrics.decisions),
        (logits.logits, metrics.logits),
        (data.outputs.mask, metrics.targets),
        (data.outputs.labelled, metrics.valid),
    )
    return pipeline


def main() -> dict[str, float]:
    """Fit, calibrate and test; the metrics of the test scenes."""
    pipeline, source = build(), Synthetic(scenes=32, seed=7, batch_size=4)
    trainer = StatisticalTrainer(pipeline=pipeline, datamodule=source)
    trainer.fit()
    run = Run(pipeline.graph(source), source)
    Calibrate("decider", metric="f1", split="val").train(run)
    Evaluate("test").train(run)
    return run.metrics["test"]


if __name__ == "__main__":
    for name, value in main().items():
        print(f"{name:32} {value:.4f}")
