"""One script for a machine with a GPU: whether results are right there, and how long they take.

    python benchmarks/gpu.py [--device cuda] [--minutes 8] [--tiny] [--only RX PCA]

For each workload: the largest difference from the CPU, relative to the largest value, and the
median wall time on the device and on the CPU. AdaCLIP has random weights. Beside them stand the
rates of torch's own products of matrices. After ``--minutes`` no other workload is started. With
``--tiny`` and ``--device cpu`` it shows that the script works. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from ours_adapter import built, fitted
from ours_graphs import Detector, source_of
from scenes import labelled, workload

import specloom
from specloom import Run
from specloom_mrmr import SupervisedFullSpectrumBandSelector
from specloom_pca import TrainablePCA
from specloom_rx import RXGlobal

REPEATS = 5
MATRIX = {False: 8192, True: 128}
"""The side of the matrices of the rates, by whether data are tiny."""

PIXELS = {False: 1_000_000, True: 2_000}
"""The pixels of mRMR."""

ADACLIP_BATCHES = (1, 4, 8)
RUN_FILE = Path(__file__).parents[1] / "configs/channel_selector.yaml"
METRICS = ("metrics/roc_auc", "metrics/average_precision")


class Work(NamedTuple):
    """A workload on one device."""

    run: Callable[[], torch.Tensor]
    """Does it, and gives the result that is compared."""


def wait(device: str) -> None:
    """Wait until a device has done everything."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def median_ms(run: Callable[[], object], device: str, repeats: int) -> float:
    """The median wall time of calls, after one that is not counted."""
    seconds = []
    for number in range(repeats + 1):
        wait(device)
        start = time.perf_counter()
        run()
        wait(device)
        if number:
            seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


def node_fit(node: Any, batches: list[dict[str, torch.Tensor]], result: str) -> torch.Tensor:
    """Fit a node; what it has learned."""
    found: torch.Tensor = getattr(fitted(node, batches), result)
    return found


def node_output(node: Any, port: str, data: torch.Tensor) -> torch.Tensor:
    """One output of a fitted node."""
    with torch.inference_mode():
        found: torch.Tensor = node(data=data)[port]
    return found


def one_node(
    node: Any, result: str, port: str, data: Mapping[str, Any], device: str
) -> Iterator[tuple[str, Work]]:
    """Fit and output of a node on a scene."""
    placed = built(node, data["C"]).to(device)
    cube = data["batches"][0].to(device)
    batches = [{"data": cube}]
    fitted(placed, batches)
    yield "fit", Work(partial(node_fit, placed, batches, result))
    yield port, Work(partial(node_output, placed, port, cube))


def mrmr(count: int, device: str) -> Iterator[tuple[str, Work]]:
    """Both passes of the supervised selection."""
    data = labelled(count, 61)
    node = SupervisedFullSpectrumBandSelector(data["C"]).to(device)
    batch = {
        "cube": torch.from_numpy(data["X"]).view(1, 1, count, -1).to(device),
        "mask": torch.from_numpy(data["y"]).view(1, 1, count, 1).to(device),
        "wavelengths": torch.linspace(400, 1000, data["C"]).to(device),
    }
    yield "both passes", Work(partial(node_fit, node, [batch], "mi_scores"))


def scores_of(run: Run) -> torch.Tensor:
    """The scores of a fitted pipeline for all batches."""
    plan = run.plan("predict", ["rx.scores"])
    with run.inference():
        found = [plan(batch)["rx.scores"] for batch in run.batches("train")]
    return torch.cat(found)


def pipeline(data: Mapping[str, Any], device: str) -> Iterator[tuple[str, Work]]:
    """The whole fit and the whole run of normaliser, RX, logits and decider."""
    detector = Detector()
    source = source_of(data)
    detector.fit(source)
    run = Run(detector.pipeline.graph(source), source, device=device)
    run.place()
    yield "run", Work(partial(scores_of, run))


def epoch(tiny: bool, device: str) -> Iterator[tuple[str, Work]]:
    """The shipped run of two phases with one epoch, and its metrics on the test scenes."""
    sets = ["phases.1.config.epochs=1"]
    if tiny:
        sets += ["data.config.scenes=8", "data.config.height=32", "data.config.width=32"]

    def train() -> torch.Tensor:
        run = specloom.load(RUN_FILE, sets, device=device)
        run.run()
        metrics = run.metrics["test"]
        return torch.tensor([metrics[name] for name in METRICS], dtype=torch.float64)

    yield "whole run", Work(train)


def adaclip(device: str, *, tiny: bool) -> Iterator[tuple[str, Work]]:
    """The detector's network with random weights, in half precision on a GPU."""
    import open_clip

    from specloom_adaclip.engine import make_engine
    from specloom_adaclip.model.adaclip import AdaCLIP
    from specloom_adaclip.model.adapters import Adapters
    from specloom_adaclip.model.backbones import architecture, backbone_model

    name, side = ("ViT-B-16", 64) if tiny else ("ViT-L-14-336", 518)
    config = architecture(name)
    torch.manual_seed(0)
    clip = backbone_model(config, open_clip.CLIP(**config).state_dict(), side)
    widths = (clip.visual.proj.shape[0], clip.positional_embedding.shape[1])
    model = AdaCLIP(clip, Adapters(*widths, clip.visual.proj.shape[1]))
    dtype = torch.float16 if device.startswith("cuda") else torch.float32
    engine = make_engine(model.requires_grad_(False).eval(), device, tower_dtype=dtype)
    for count in ADACLIP_BATCHES:
        images = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))
        images = images.to(device)

        def maps(images: torch.Tensor = images) -> torch.Tensor:
            with torch.inference_mode():
                return engine(images).abnormal_map(side)

        yield f"batch of {count}", Work(maps)


def workloads(tiny: bool) -> dict[str, Callable[[str], Iterator[tuple[str, Work]]]]:
    """The workloads by name, each made for a device."""
    scene = workload("test" if tiny else "medium")
    several = workload("test" if tiny else "train")
    return {
        "RX": lambda device: one_node(RXGlobal(), "background_mean", "scores", scene, device),
        "PCA": lambda device: one_node(TrainablePCA(3), "directions", "projected", scene, device),
        "mRMR": partial(mrmr, PIXELS[tiny]),
        "pipeline": partial(pipeline, several),
        "training": partial(epoch, tiny),
        "AdaCLIP": partial(adaclip, tiny=tiny),
    }


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, relative to the largest value."""
    found = found.detach().double().cpu()
    expected = expected.detach().double().cpu()
    finite = expected.isfinite() & found.isfinite()
    size = expected[finite].abs().max().clamp(min=1e-300)
    return float((found[finite] - expected[finite]).abs().max() / size)


def product_rates(device: str, side: int, repeats: int) -> dict[str, float]:
    """Teraflops of torch's products of square matrices."""
    found = {}
    kinds = [torch.float64, torch.float32, torch.bfloat16]
    if device.startswith("cuda"):
        kinds.append(torch.float16)
    for dtype in kinds:
        matrix = torch.randn(side, side, device=device).to(dtype)
        spent = median_ms(lambda m=matrix: m @ m, device, repeats)
        found[str(dtype).removeprefix("torch.")] = 2 * side**3 / spent / 1e9
    return found


def measured(
    make: Callable[[str], Iterator[tuple[str, Work]]], device: str, repeats: int
) -> dict[str, dict[str, float]]:
    """Difference and times of each part of a workload."""
    found = {}
    on_cpu = dict(make("cpu"))
    for part, work in make(device):
        reference = on_cpu[part]
        row = {"difference": difference(work.run(), reference.run())}
        row["device_ms"] = median_ms(work.run, device, repeats)
        row["cpu_ms"] = median_ms(reference.run, "cpu", 1)
        found[part] = row
    return found


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--tiny", action="store_true", help="tiny data")
    parser.add_argument("--only", nargs="+", help="the names of workloads")
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes
    device = arguments.device
    report: dict[str, Any] = {"device": device, "torch": torch.__version__}
    if device.startswith("cuda"):
        report["name"] = torch.cuda.get_device_name(device)
    side = MATRIX[arguments.tiny]
    report["teraflops"] = product_rates(device, side, arguments.repeats)
    report["workloads"] = {}
    report["not_started"] = []
    for name, make in workloads(arguments.tiny).items():
        if arguments.only and name not in arguments.only:
            continue
        if time.monotonic() > end:
            report["not_started"].append(name)
            continue
        report["workloads"][name] = measured(make, device, arguments.repeats)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
