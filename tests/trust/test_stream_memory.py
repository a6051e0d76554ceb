"""Memory does not grow with the number of batches, but for what a node says that it keeps."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs Linux's account of a process's memory"
)

# A process of its own, so that no other test's garbage is counted. What is counted is anonymous
# memory: neither files nor libraries.
SCRIPT = """
    import json, sys
    from functools import partial
    import numpy as np
    import torch
    from specloom import Graph, Pipeline, Port, Run
    from specloom.contract.ports import Connection
    from specloom_cubes.data_node import AnomalyDataNode
    from specloom_deciders.binary import BinaryDecider
    from specloom_metrics.anomaly import AnomalyDetectionMetrics
    from specloom_normalize.min_max import MinMaxNormalizer
    from specloom_rx.detector import RXGlobal
    from specloom_rx.logit import ScoreToLogit
    from specloom_training.evaluate import Evaluate
    from specloom_training.statistical import StatisticalTrainer

    def resident():
        with open("/proc/self/status") as status:
            (line,) = (line for line in status if line.startswith("RssAnon:"))
        return int(line.split()[1]) * 1024

    class Stream:
        # Fresh batches for as long as asked; what is resident is noted along the way.
        def __init__(self, length, make, outputs):
            self.length, self.make, self.outputs, self.seen = length, make, outputs, []

        def sizes(self):
            return {"C": 24}

        def splits(self):
            return ("train", "test")

        def count(self, split):
            return None

        def batches(self, split):
            random = np.random.default_rng(0)
            for number in range(self.length):
                if number % 10 == 0:
                    self.seen.append(resident())
                yield self.make(random)
            self.seen.append(resident())

    def cubes(random):
        return {"cube": random.random((2, 24, 24, 24), np.float32)}

    def logits(random):
        values = random.random((4, 64, 64, 1), np.float32)
        return {"logits": values, "targets": values > 0.9}

    def fit(length, quantiles=None):
        source = Stream(length, cubes, {"cube": Port("B H W C")})
        data = AnomalyDataNode([0])
        normalizer = MinMaxNormalizer(per_channel=True, quantiles=quantiles)
        rx, head, pipeline = RXGlobal(), ScoreToLogit(), Pipeline("stream")
        pipeline.connect(
            (data.outputs.cube, normalizer.data),
            (normalizer.normalized, rx.data),
            (rx.scores, head.scores),
        )
        StatisticalTrainer(pipeline=pipeline, datamodule=source).fit()
        assert head.pixels == length * 2 * 24 * 24
        return source.seen

    def evaluate(length):
        ports = {"logits": Port("B H W 1"), "targets": Port("B H W 1", dtype="bool")}
        source = Stream(length, logits, ports)
        nodes = {"decider": BinaryDecider(), "metrics": AnomalyDetectionMetrics()}
        ends = [
            ("batch.logits", "decider.logits"),
            ("decider.decisions", "metrics.decisions"),
            ("batch.logits", "metrics.logits"),
            ("batch.targets", "metrics.targets"),
        ]
        connections = [Connection(*end) for end in ends]
        run = Run(Graph(nodes, connections, batch=ports), source, device="cpu")
        Evaluate().train(run)
        assert run.metrics["test"]["metrics/pixels"] == length * 4 * 64 * 64
        return source.seen

    torch.set_num_threads(1)
    sample = partial(fit, quantiles=(0.001, 0.999))
    work = {"fit": fit, "sample": sample, "evaluate": evaluate}[sys.argv[1]]
    print(json.dumps([work(int(length)) for length in sys.argv[2:]]))
"""


def resident(work: str, *lengths: int) -> list[list[int]]:
    """Bytes along each stream, every tenth batch and at its end, in one process."""
    made = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), work, *map(str, lengths)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    found: list[list[int]] = json.loads(made.stdout)
    return found


def test_a_fit_of_400_batches_takes_no_more_than_one_of_40():
    _, short, long = resident("fit", 40, 40, 400)
    assert max(long) <= 1.05 * max(short)
    # All batches together would be 44 MB: even a twentieth of them would be seen.
    assert max(long) - max(short) < 2**21


def test_metrics_keep_five_bytes_a_pixel():
    seen = resident("evaluate", 40, 400)[1]
    pixels = 4 * 64 * 64 * (400 - 100)
    assert (seen[-1] - seen[10]) / pixels == pytest.approx(5, rel=0.05)


@pytest.mark.soak
@pytest.mark.parametrize(("work", "enough"), [("fit", 40), ("sample", 1000)])
def test_a_fit_of_2000_batches_takes_no_more_than_a_shorter_one(work, enough):
    _, short, long = resident(work, enough, enough, 2000)
    assert max(long) <= 1.05 * max(short)
    third = len(long) // 3
    assert max(long[-third:]) <= max(long[third:-third]) + 2**19
