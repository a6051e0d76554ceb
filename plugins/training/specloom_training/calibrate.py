"""Threshold calibration: a decider's thresholds from masks, or from normal images alone."""

import math
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from specloom import (
    At,
    ConfigError,
    DataError,
    Graph,
    NodeError,
    Run,
    SpecloomError,
    SpecloomWarning,
    did_you_mean,
)
from specloom_metrics import CRITERIA
from specloom_training.calibration.chi_square import detector_of, distribution
from specloom_training.calibration.collectors import DecidedPixels, FoundAlarms
from specloom_training.calibration.deciders import (
    GATE,
    DeciderInputs,
    has_threshold,
    inputs_of_metric_node,
    is_gated,
    metric_node,
    thresholds_of,
)
from specloom_training.calibration.false_alarms import (
    FalseAlarmThreshold,
    Method,
    chi_square_threshold,
    empirical_threshold,
    tail_threshold,
)
from specloom_training.calibration.normals import NormalScores, Per
from specloom_training.calibration.passes import CalibrationPasses
from specloom_training.calibration.pixel_thresholds import thresholds_of_split
from specloom_training.calibration.region_events import Connectivity
from specloom_training.calibration.same_images import check_test_images
from specloom_training.domain import DomainWatch
from specloom_training.evaluate import check_split, describe_missing, warn_skipped

MOST_DECIDED = 0.95
"""A threshold that decides a larger share of the pixels is an error."""

LEAST_OF_A_CLASS = 5
"""A threshold by a metric from fewer pixels of a class gives a warning."""

LEAST_DECIDED = 1e-4
"""A threshold by a metric that decides a smaller share of the pixels gives a warning."""


class Calibrate:
    """A phase that sets a decider's threshold: the best one by a metric, or one for a rate.

    By a metric, every distinct score that the decider reads on the split is tried, pooled over all
    its images. The masks, and the pixels that count, are those that the metrics node behind the
    decider reads. Of deciders.TwoStageBinaryDecider the thresholds of images and of pixels are
    found together.

    With ``false_alarm_rate`` no masks are needed: the threshold is the one that this share of the
    normal pixels or images reaches, or so many normal regions an image; its 95 % interval comes
    from resampling images or blocks of them. Where there are masks, anomalies are excluded.

    With its threshold the decider decides once more, and must reach what was found. Test data must
    not be used for this: the metrics of the test split would then be too good.

    Args:
        decider: The decider node; it needs an input ``logits``, an output ``decisions``
            and a method ``calibrate``.
        metric: What is maximised: ``f1``, ``iou`` or ``youden``.
        split: ``val``, or ``train`` where there is no validation data.
        parameter: The threshold to set where the decider has several, such as ``quantile`` or
            ``value``.
        false_alarm_rate: The rate of false alarms, instead of a metric.
        per: What a false alarm is: a ``pixel``, as a share of all; an ``object``, a connected
            region, counted for each image; or an ``image``, as a share of all.
        method: ``empirical``: quantiles of the scores. ``chi_square``: the distribution that
            scores of RX have on normally distributed pixels. ``peaks_over_threshold``: a
            generalised Pareto distribution of the largest scores.
        tail: The share of the pixels, or of the images for rates of images, whose scores
            ``peaks_over_threshold`` uses; by default 0.01, 0.003 for objects, 0.5 for images.
        connectivity: For objects, 8 where pixels that touch at a corner belong together, or 4.
    """

    example: ClassVar = {"decider": "decider"}

    def __init__(
        self,
        decider: str,
        metric: str = "f1",
        split: str = "val",
        parameter: str | None = None,
        false_alarm_rate: float | None = None,
        per: Per = "pixel",
        method: Method = "empirical",
        tail: float | None = None,
        connectivity: Connectivity = 8,
    ) -> None:
        self.decider = decider
        self.metric = metric
        self.split = split
        self.parameter = parameter
        self.false_alarm_rate = false_alarm_rate
        self.per = per
        self.method = method
        self.tail = tail
        self.connectivity = connectivity

    def check(self, graph: Graph, at: At) -> Iterable[SpecloomError]:
        """Find a wrong decider, parameter or split, and a decider that cannot be calibrated so."""
        yield from check_split(self.split, graph, at)
        if self.split == "test":
            yield ConfigError(
                "calibrating on the test split makes its metrics worthless",
                where=at("split"),
                fix="use split: val",
            )
        if self.metric not in CRITERIA:
            yield ConfigError(
                f"no threshold can be calibrated for {self.metric!r}",
                where=at("metric"),
                fix=did_you_mean(self.metric, CRITERIA),
            )
        yield from self._rate_problems(at)
        able = [name for name, node in graph.nodes.items() if has_threshold(node)]
        if self.decider not in able:
            yield self._no_threshold(graph, able, at)
            return
        yield from self._parameter_problems(graph, at)
        if self.false_alarm_rate is None:
            if metric_node(graph, self.decider) is None:
                yield ConfigError(
                    f"no metrics node compares the decisions of {self.decider!r} with a mask",
                    where=at("decider"),
                    fix=f"connect {self.decider}.decisions and a mask to a metrics node, or set "
                    "false_alarm_rate, which needs no mask",
                )
        elif self.method == "chi_square":
            yield from self._chi_square_problems(graph, at)

    def _rate_problems(self, at: At) -> Iterable[SpecloomError]:
        rate = self.false_alarm_rate
        if rate is not None and not self._is_rate(rate):
            yield ConfigError(
                f"false_alarm_rate is {rate} per {self.per}",
                where=at("false_alarm_rate"),
                fix="set a rate over 0 and below 1, such as 1e-4; per object it may be any number "
                "over 0",
            )
        if self.tail is not None and not 0 < self.tail < 1:
            yield ConfigError(
                f"tail is a share of the scores, got {self.tail}",
                where=at("tail"),
                fix="set a share over 0 and below 1, such as 0.01",
            )

    def _is_rate(self, rate: float) -> bool:
        if self.per == "object":
            return 0 < rate < math.inf
        return 0 < rate < 1

    def _no_threshold(self, graph: Graph, able: Sequence[str], at: At) -> SpecloomError:
        what = f"there is no node {self.decider!r}"
        if self.decider in graph.nodes:
            what = f"node {self.decider!r} has no threshold to calibrate"
        fix = did_you_mean(self.decider, able, otherwise="add a deciders.BinaryDecider node")
        return ConfigError(what, where=at("decider"), fix=fix)

    def _parameter_problems(self, graph: Graph, at: At) -> Iterable[SpecloomError]:
        """A threshold that the decider does not have, or that nothing can be calibrated for."""
        node = graph.nodes[self.decider]
        offered = self._parameters(node)
        if self.parameter is not None and self.parameter not in offered:
            target = f"the metric {self.metric}"
            if self.false_alarm_rate is not None:
                target = f"a false-alarm rate per {self.per}"
            yield ConfigError(
                f"{self.decider} has no threshold {self.parameter!r} to calibrate for {target}",
                where=at("parameter"),
                fix=did_you_mean(self.parameter, offered),
            )

    def _parameters(self, node: Any) -> list[str]:
        """The thresholds that can be calibrated, the one that is by default first."""
        names = list(thresholds_of(node))
        if self.false_alarm_rate is None:
            return [name for name in names if name != GATE]
        # With a quantile, each image has the same share of decisions.
        absolute = [name for name in names if name not in ("quantile", GATE)]
        if self.per == "image" and is_gated(node):
            return [GATE, *absolute]
        return absolute

    def _chosen_parameter(self, graph: Graph) -> str:
        return self.parameter or self._parameters(graph.nodes[self.decider])[0]

    def _chi_square_problems(self, graph: Graph, at: At) -> Iterable[SpecloomError]:
        if self._chosen_parameter(graph) == GATE:
            yield ConfigError(
                f"the image scores of {self.decider} are means, which are not chi-square "
                "distributed",
                where=at("method"),
                fix="use method: empirical or peaks_over_threshold",
            )
        elif detector_of(graph, self.decider) is None:
            yield ConfigError(
                f"{self.decider} reads no scores whose degrees of freedom are known",
                where=at("method"),
                fix="use method: empirical or peaks_over_threshold, or connect it to rx.RXGlobal "
                "or to rx.ScoreToLogit behind it",
            )

    def uses_fits(self, graph: Graph) -> set[str]:
        """The nodes that lead to the logits of the decider."""
        if self.skips(graph):
            return set()
        return graph.ancestors(DeciderInputs(graph, self.decider).ends)

    def calibrates(self, graph: Graph) -> list[str]:
        """The decider, unless it is skipped."""
        if self.skips(graph):
            return []
        return [self.decider]

    def skips(self, graph: Graph) -> list[str]:
        """That the threshold stays uncalibrated, where the split lacks masks."""
        if self.false_alarm_rate is not None:
            return []
        targets = inputs_of_metric_node(graph, self.decider)["targets"]
        if not graph.missing_data(self.split).values.issuperset(targets):
            return []
        why = describe_missing(graph, self.split)
        return [f"the threshold of {self.decider} stays uncalibrated: {why}"]

    def train(self, run: Run) -> None:
        """Find the threshold, set the decider to it, and let it decide again.

        On a split without masks a threshold by a metric stays as it is, with a warning.

        Raises:
            DataError: A batch has no mask, pixels of one class are all there are, the test split
                has the same images and is evaluated, or more than 95 % are decided.
            NodeError: With its threshold the decider does not reach what was found.
        """
        skipped = self.skips(run.graph)
        if skipped:
            warn_skipped(run, skipped)
            return
        check_test_images(run, self.split, f"the threshold of {self.decider}")
        if self.false_alarm_rate is None:
            self._calibrate_by_metric(run)
        else:
            self._calibrate_by_rate(run, self.false_alarm_rate)

    def _calibrate_by_metric(self, run: Run) -> None:
        node: Any = run.graph.nodes[self.decider]
        parameter = self._chosen_parameter(run.graph)
        passes = CalibrationPasses(run, self.decider, self.split)
        pixels = thresholds_of_split(run, passes, self.decider, self.split, parameter, self.metric)
        try:
            found = pixels.best()
        except DataError as error:
            raise DataError(
                f"{self.decider} cannot be calibrated on {self.split!r}: {error.what}",
                where=self._where(run),
                fix=f"{error.fix}, or set false_alarm_rate, which needs normal pixels alone",
            ) from error
        thresholds = dict(found.thresholds)
        if "quantile" in thresholds:
            thresholds["quantile"] = min(max(thresholds["quantile"], 0.0), 1.0)
        node.calibrate(**thresholds)
        reached_by = pixels.decided()
        reached = self._metric_of(reached_by)
        if reached != found.metric:
            raise NodeError(
                f"{self.decider} was calibrated for {self.metric} {found.metric:.6g} on "
                f"{self.split!r}, but its decisions reach {reached:.6g}",
                where=self._where(run),
                fix="let its calibrate() decide where logits reach the threshold, and its output "
                "depend on 'logits' alone",
            )
        decided = reached_by.true_positives + reached_by.false_positives
        pixel_count = reached_by.anomalous + reached_by.normal
        self._check_share(run, decided, pixel_count, least=LEAST_DECIDED)
        self._check_classes(run, reached_by)
        run.log_metrics(self.split, {f"{self.decider}/calibrated_{self.metric}": found.metric})
        values = {"metric": self.metric, "value": found.metric, "thresholds": thresholds}
        written = ", ".join(f"{name} {value:.6g}" for name, value in thresholds.items())
        share = decided / pixel_count
        line = f"{written} for {self.metric} {found.metric:.4g}, {share:.2%} of the pixels decided"
        self._report(run, values, line)

    def _calibrate_by_rate(self, run: Run, rate: float) -> None:
        parameter = self._chosen_parameter(run.graph)
        passes = CalibrationPasses(run, self.decider, self.split)
        config = {"parameter": parameter, "per": self.per, "connectivity": self.connectivity}
        watch = DomainWatch(run)
        levels = passes.collect("normals", config, f"calibrating {self.decider}", watch)
        normals: NormalScores = levels.normals
        self._require_images(run, normals)
        watch.report(self.split)
        try:
            found = self._threshold(run.graph, normals, rate)
        except DataError as error:
            raise DataError(
                f"{self.decider} cannot be calibrated on {self.split!r}: {error.what}",
                where=self._where(run),
                fix=error.fix,
            ) from error
        node: Any = run.graph.nodes[self.decider]
        node.calibrate(**{parameter: found.threshold})
        counts = passes.collect("alarms", config, f"checking {self.decider}")
        alarms: FoundAlarms = counts.alarms()
        if alarms.false_alarms != found.exceedances and parameter != GATE:
            raise NodeError(
                f"{self.decider} was calibrated for {found.exceedances} false alarms on "
                f"{self.split!r}, but its decisions have {alarms.false_alarms}",
                where=self._where(run),
                fix="let its calibrate() decide where logits reach the threshold, and its output "
                "depend on 'logits' alone",
            )
        self._check_share(run, alarms.decided_pixels, alarms.pixels, least=0.0)
        self._check_rate(run, found)
        low, high = found.interval
        numbers = {
            "threshold": found.threshold,
            "false_alarm_rate": found.rate,
            "false_alarm_rate_low": low,
            "false_alarm_rate_high": high,
            "exceedances": found.exceedances,
            "expected_exceedances": found.expected,
        }
        run.log_metrics(
            self.split, {f"{self.decider}/{name}": value for name, value in numbers.items()}
        )
        self._report(run, {"parameter": parameter, **found.values()}, found.line())

    def _require_images(self, run: Run, normals: NormalScores) -> None:
        """Raise DataError where no image counts."""
        if normals.images:
            return
        raise DataError(
            f"{self.decider} has no normal image in the split {self.split!r} to calibrate with",
            where=run.graph.where("data"),
            fix="use a split with images without anomalies, or another 'per'",
        )

    def _threshold(self, graph: Graph, normals: NormalScores, rate: float) -> FalseAlarmThreshold:
        if self.method == "chi_square":
            expected = distribution(graph, self.decider)
            return chi_square_threshold(normals, rate, self.per, *expected)
        if self.method == "peaks_over_threshold":
            return tail_threshold(normals, rate, self.per, self.tail)
        return empirical_threshold(normals, rate, self.per)

    def _check_rate(self, run: Run, found: FalseAlarmThreshold) -> None:
        """Warn where the normal scores do not have the distribution that the threshold is from."""
        low, high = found.interval
        if low <= found.rate <= high:
            return
        problem = DataError(
            f"the threshold of {self.decider} for a false-alarm rate of {found.rate:.3g} by "
            f"{found.method} has {low:.2g} to {high:.2g} on {self.split!r}",
            where=self._where(run),
            fix="use method: empirical",
        )
        warnings.warn(str(problem), SpecloomWarning, stacklevel=2)

    def _check_share(self, run: Run, decided: int, pixels: int, least: float) -> None:
        """An error where almost all pixels are decided, a warning where almost none are.

        Raises:
            DataError: More than 95 % are decided.
        """
        what = f"the threshold of {self.decider} decides {decided} of {pixels} pixels"
        if decided > MOST_DECIDED * pixels:
            raise DataError(
                f"{what} of {self.split!r}, almost all",
                where=self._where(run),
                fix="check the scores that it reads and the class numbers of the data node",
            )
        if decided < least * pixels:
            problem = DataError(
                f"{what} of {self.split!r}, fewer than 1 in 10,000",
                where=self._where(run),
                fix="check the masks, or set false_alarm_rate",
            )
            warnings.warn(str(problem), SpecloomWarning, stacklevel=2)

    def _check_classes(self, run: Run, pixels: DecidedPixels) -> None:
        """Warn where a threshold follows from so few pixels of a class that others move it."""
        for count, name in ((pixels.anomalous, "anomalous"), (pixels.normal, "normal")):
            if count >= LEAST_OF_A_CLASS:
                continue
            noun = "pixel" if count == 1 else "pixels"
            problem = DataError(
                f"the threshold of {self.decider} follows from {count} {name} {noun} of "
                f"{self.split!r}: other images would move it",
                where=self._where(run),
                fix="use a split with more of them, or set false_alarm_rate",
            )
            warnings.warn(str(problem), SpecloomWarning, stacklevel=2)

    def _report(self, run: Run, values: dict[str, Any], line: str) -> None:
        """Record what was calibrated, and show it in one line."""
        entry = {"decider": self.decider, "split": self.split, **values, "summary": line}
        run.record.setdefault("calibrations", []).append(entry)
        run.hook.node_fitted(run=run, node=self.decider, summary=line)

    def _where(self, run: Run) -> str:
        return run.graph.where("nodes", self.decider)

    def _metric_of(self, decided: DecidedPixels) -> float:
        """The metric of decisions, by the same formula as the threshold was found with."""
        true_positives = np.array(decided.true_positives)
        false_positives = np.array(decided.false_positives)
        criterion = CRITERIA[self.metric]
        return float(criterion(true_positives, false_positives, decided.anomalous, decided.normal))
