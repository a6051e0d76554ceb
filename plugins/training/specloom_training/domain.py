"""Whether the cubes of a split are like those that the pipeline was fitted on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from specloom_statistics import DomainMeasure, DomainPixels, DomainReference, measure_domain
from specloom_training.windows import SampledPixels

if TYPE_CHECKING:
    from specloom import Batch, Run

MOST_NAMED = 3


class DomainWatch:
    """Compares each cube of a split with what the pipeline was fitted on.

    As of a metric node, there are ``measure_start``, ``measure_state`` and ``measure_merge``.

    Args:
        run: The run; where its graph has no record of a fit, nothing is compared.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._reference: DomainReference | None = None
        record = run.graph.fitted_on
        if record:
            plain = {name: value.cpu().numpy() for name, value in record.items()}
            self._reference = DomainReference(plain)
        self.measure_start()

    def measure_start(self) -> None:
        """Forget the cubes that were compared."""
        self._measures: list[DomainMeasure] = []

    def add_batch(self, batch: Batch) -> None:
        """Compare the cubes (B, H, W, C) of a batch."""
        cube = batch.get("cube")
        if self._reference is None or not isinstance(cube, Tensor) or cube.dim() != 4:
            return
        for number in range(len(cube)):
            sampled = SampledPixels(*cube.shape[1:3])
            valid = batch.get("valid")
            if valid is not None:
                valid = valid[number : number + 1]
            sampled.add(slice(0, cube.shape[1]), cube[number : number + 1], valid)
            self.add_image(sampled)

    def add_image(self, sampled: SampledPixels) -> None:
        """Compare the pixels of one cube."""
        if self._reference is None or sampled.pixels is None:
            return
        if sampled.pixels.shape[1] != self._reference.bands:
            return
        self._measures.append(measure_domain(self._reference, _looked_at(sampled)))

    def measure_state(self) -> Mapping[str, Tensor]:
        """The comparisons since ``measure_start``, as the bytes of JSON."""
        plain = [one.as_json() for one in self._measures]
        data = bytearray(json.dumps(plain).encode())
        return {"measures": torch.frombuffer(data, dtype=torch.uint8)}

    def measure_merge(self, state: Mapping[str, Tensor]) -> None:
        """Append the ``measure_state()`` of another one."""
        plain = json.loads(state["measures"].numpy().tobytes())
        self._measures += [DomainMeasure.from_json(one) for one in plain]

    def report(self, split: str) -> None:
        """Record the comparison for ``run.json``, and warn where a cube is unlike the fit's.

        ``specloom run --strict`` then ends with exit code 1.
        """
        if not self._measures:
            return
        plain = [one.as_json() for one in self._measures]
        compared = self._run.record.setdefault("domain", {})
        if compared.get(split) == plain:
            return  # an earlier phase has read the same cubes
        compared[split] = plain
        message = _message(split, self._measures)
        if message:
            self._run.failed_checks.append(message)
            self._run.hook.warned(run=self._run, message=message)


def _looked_at(sampled: SampledPixels) -> DomainPixels:
    """Some pixels of an image."""
    assert sampled.pixels is not None, "the caller has checked it"
    pixels = sampled.pixels.cpu().double().numpy()
    usable: Any = np.ones(len(pixels), bool)
    if sampled.valid is not None:
        usable = sampled.valid.cpu().numpy()
    rows = sampled.rows.numpy() / sampled.height
    columns = sampled.columns.numpy() / sampled.width
    return DomainPixels(pixels, rows, columns, usable)


def _message(split: str, measures: list[DomainMeasure]) -> str:
    """What is unlike, by the numbers of the cubes in the split from 1; empty where nothing is."""
    unlike = []
    for number, one in enumerate(measures, start=1):
        if one.reasons:
            unlike.append(f"cube {number}: {one.reasons[0]}")
    if not unlike:
        return ""
    listed = "; ".join(unlike[:MOST_NAMED])
    if len(unlike) > MOST_NAMED:
        listed += "; …"
    counts = f"{len(unlike)} of {len(measures)} cubes of {split!r}"
    return f"{counts} are unlike what the pipeline was fitted on: {listed}"
