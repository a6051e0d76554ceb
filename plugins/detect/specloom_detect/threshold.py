"""The phase that sets a threshold without masks."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from specloom import At, ConfigError, DataError, Graph, Run, SpecloomError, did_you_mean
from specloom_detect.censored_tail import CENSORED, TAIL, fit_censored_tail
from specloom_detect.distributions import chi_square_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_EXPECTED = 0.5
"""False alarms to expect, of all pixels, below which a threshold is only extrapolated."""

METHOD = "censored peaks over threshold"


@dataclass(frozen=True)
class FoundThreshold:
    """A threshold, and what it was found from.

    Args:
        threshold: The threshold.
        false_alarm_rate: The share of normal pixels that exceeds it.
        pixels: How many pixels there are.
        decided: How many reach it.
        shape: The shape of the tail.
        scale: The scale of the tail.
        chi_square: The threshold for the rate that chi-square gives; None where the scores have
            another distribution.
        chi_square_decided: How many pixels reach that.
    """

    threshold: float
    false_alarm_rate: float
    pixels: int
    decided: int
    shape: float
    scale: float
    chi_square: float | None = None
    chi_square_decided: int | None = None

    @property
    def expected_false_alarms(self) -> float:
        """How many normal pixels are expected to reach it."""
        return self.false_alarm_rate * self.pixels

    def line(self) -> str:
        """Everything in one line."""
        text = (
            f"threshold {self.threshold:.6g} for {self.false_alarm_rate:.3g} of the normal pixels, "
            f"{self.decided} of {self.pixels} pixels reach it, about "
            f"{self.expected_false_alarms:.3g} false alarms are expected; {METHOD}"
        )
        if self.chi_square is not None:
            text += f"; chi-square: {self.chi_square:.6g} ({self.chi_square_decided} pixels)"
        return text

    def values(self) -> dict[str, Any]:
        """Everything as plain values, for ``run.json``."""
        expected = self.expected_false_alarms
        return {**asdict(self), "expected_false_alarms": expected, "method": METHOD, "per": "pixel"}


class CensoredTail:
    """A phase that sets a decider's threshold for a false-alarm rate, on images with anomalies.

    The threshold follows from the tail of the scores that the decider reads, of all images of the
    split together. The share ``censored`` of the largest ones may be of anomalies: of them only
    counts that they are larger than the others, so that anomalies do not set their own threshold.
    Masks are not read. All scores of the split are in memory, 4 bytes a pixel.

    Args:
        decider: The decider node; it needs an input ``logits`` and a method ``calibrate``.
        false_alarm_rate: The share of normal pixels that may reach the threshold.
        split: The split.
        censored: The share of the largest scores that is censored.
        tail: The share of the scores that the tail is fitted to.
    """

    example: ClassVar = {"decider": "decider"}

    def __init__(
        self,
        decider: str,
        false_alarm_rate: float = 1e-3,
        split: str = "train",
        censored: float = CENSORED,
        tail: float = TAIL,
    ) -> None:
        self.decider = decider
        self.false_alarm_rate = false_alarm_rate
        self.split = split
        self.censored = censored
        self.tail = tail

    def check(self, graph: Graph, at: At) -> Iterable[SpecloomError]:
        """Find a wrong decider, split or share."""
        if self.split not in graph.splits:
            what = f"the data has no split {self.split!r}"
            yield ConfigError(what, where=at("split"), fix=did_you_mean(self.split, graph.splits))
        able = [name for name in graph.nodes if _is_decider(graph, name)]
        if self.decider not in able:
            what = f"there is no node {self.decider!r} whose threshold can be set"
            fix = did_you_mean(self.decider, able, otherwise="add a deciders.BinaryDecider node")
            yield ConfigError(what, where=at("decider"), fix=fix)
        if not 0 < self.censored < self.tail < 1:
            what = f"censored is {self.censored} and tail {self.tail}"
            fix = "set shares with 0 < censored < tail < 1"
            yield ConfigError(what, where=at("censored"), fix=fix)
        elif not 0 < self.false_alarm_rate < self.tail:
            what = f"false_alarm_rate is {self.false_alarm_rate}, the tail begins at {self.tail}"
            fix = "set a rate over 0 and below the tail, such as 1e-3"
            yield ConfigError(what, where=at("false_alarm_rate"), fix=fix)

    def uses_fits(self, graph: Graph) -> set[str]:
        """The nodes that lead to what the decider reads."""
        return graph.ancestors(_ends(graph, self.decider).values())

    def calibrates(self, graph: Graph) -> list[str]:
        """The decider."""
        return [self.decider]

    def train(self, run: Run) -> None:
        """Find the threshold, and set the decider to it.

        Raises:
            DataError: There are too few pixels, or no threshold follows from them.
        """
        scores = np.concatenate(list(self._scores(run)))
        try:
            tail = fit_censored_tail(scores.astype(np.float64), self.censored, self.tail)
        except DataError as error:
            where = run.graph.where("data")
            raise DataError(error.what, where=where, fix=error.fix) from error
        self._warn_beyond(run, len(scores))
        node: Any = run.graph.nodes[self.decider]
        node.calibrate(logit_threshold=tail.threshold(self.false_alarm_rate))
        threshold = float(node.logit_threshold)
        chi_square = _chi_square(run.graph, self.decider, self.false_alarm_rate)
        found = FoundThreshold(
            threshold,
            self.false_alarm_rate,
            pixels=len(scores),
            decided=int((scores >= threshold).sum()),
            shape=tail.shape,
            scale=tail.scale,
            chi_square=chi_square,
            chi_square_decided=None if chi_square is None else int((scores >= chi_square).sum()),
        )
        entry = {"decider": self.decider, "split": self.split, **found.values()}
        run.record.setdefault("calibrations", []).append({**entry, "summary": found.line()})
        run.log_metrics(self.split, {f"{self.decider}/threshold": threshold})
        run.hook.node_fitted(run=run, node=self.decider, summary=found.line())

    def _warn_beyond(self, run: Run, pixels: int) -> None:
        """Warn of a rate far below one pixel: no score says where its threshold lies."""
        expected = self.false_alarm_rate * pixels
        if expected >= LEAST_EXPECTED:
            return
        what = (
            f"false_alarm_rate {self.false_alarm_rate:g} of {pixels:,} pixels is {expected:.2g} of "
            "a pixel: the threshold lies beyond the scores that it follows from"
        )
        fix = "set a higher rate, or use more pixels"
        warnings.warn(str(DataError(what, where=run.graph.where("data"), fix=fix)), stacklevel=2)

    def _scores(self, run: Run) -> Iterator[NDArray[np.float32]]:
        """The scores of the pixels that count, of one batch after another, (N,)."""
        ends = _ends(run.graph, self.decider)
        plan = run.plan(self.split, ends.values())
        with run.inference():
            for batch in run.batches(self.split, f"calibrating {self.decider}"):
                values = plan(batch)
                scores = values[ends["logits"]]
                counted = scores.isfinite()
                if "valid" in ends and values[ends["valid"]] is not None:
                    counted = counted & values[ends["valid"]]
                yield scores[counted].cpu().numpy()


def _is_decider(graph: Graph, name: str) -> bool:
    """Whether a node has a threshold on logits that can be set."""
    node: Any = graph.nodes[name]
    has_logits = bool(graph.incoming(name).get("logits"))
    return has_logits and "logit_threshold" in getattr(node, "thresholds", ())


def _ends(graph: Graph, decider: str) -> Mapping[str, str]:
    """The values that a decider reads, by its inputs ``logits`` and ``valid``."""
    if decider not in graph.nodes:
        return {}
    incoming = graph.incoming(decider)
    return {name: incoming[name][0] for name in ("logits", "valid") if incoming.get(name)}


def _chi_square(graph: Graph, decider: str, rate: float) -> float | None:
    """The threshold of scores that are chi-square distributed; None of other scores."""
    detector = _ends(graph, decider)["logits"].partition(".")[0]
    node: Any = graph.nodes[detector]
    if not hasattr(node, "degrees_of_freedom"):
        return None
    freedom = node.degrees_of_freedom()
    if freedom is None:
        return None
    return chi_square_quantile(rate, freedom)
