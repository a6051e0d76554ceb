"""Correct use of the Python API: type checkers find nothing here."""

from specloom import GraphView, Pipeline, PipelineView, Run, RunView
from specloom_cubes import AnomalyDataNode, Synthetic
from specloom_deciders import BinaryDecider
from specloom_normalize import MinMaxNormalizer
from specloom_rx import RXGlobal, ScoreToLogit
from specloom_training import Calibrate, StatisticalTrainer

data = AnomalyDataNode(normal_class_ids=[0, 1], name="data")
rx = RXGlobal(61, eps=0.0, name="rx")
logits = ScoreToLogit(name="logits")
pipeline = Pipeline("typed")
normalizer = pipeline.add("normalizer", MinMaxNormalizer(per_channel=True))
pipeline.connect((data.outputs.cube, normalizer.inputs.data), (normalizer.normalized, rx.data))
pipeline.connect("data.valid", "normalizer.valid", "rx.valid", logits.valid)
pipeline.connect(rx.scores, logits.scores)
pipeline.connect(data.cube, "rx.weights")
pipeline.chain(logits, BinaryDecider(name="decider"))
pipeline.outputs["scores"] = rx.scores
pipeline.outputs["logits"] = "logits.logits"
source = Synthetic(scenes=4)
run = Run(
    pipeline.graph(source), source, [("fit", StatisticalTrainer()), ("", Calibrate("decider"))]
)
graph_view: GraphView = run.graph
run_view: RunView = run
pipeline_view: PipelineView = pipeline
channels: int | None = rx.num_channels
mean = rx.background_mean.sum().item()
