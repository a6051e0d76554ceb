"""The images of a report: the list of them, and what the script of the page shows of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from specloom_pictures import cividis, colour_scale
from specloom_report.page.images import (
    COLOUR_BYTES,
    KIND_BYTES,
    SCORE_BYTES,
    colour_tag,
    fit_kinds,
    fit_scores,
    image_tag,
)
from specloom_report.page.names import name_image, split_names
from specloom_report.page.wording import counted, describe_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from markupsafe import Markup
    from numpy.typing import NDArray

    from specloom_report.page.packing import Block
    from specloom_report.report_files import Arrays

GRID_BYTES = 1_000_000
"""Bytes of the spectra of pixels of all images together, before base64."""

OBJECT_VALUES = 75_000
"""Values of the spectra of objects of all images together, 4 bytes each."""

LEAST_GAP = 0.15
"""Labels of a colour bar that are closer, as a share of its length, are not shown."""


class Tick(NamedTuple):
    """A label of a colour bar: its place as a share of the length, and its text."""

    place: float
    text: str


class ShownImage(NamedTuple):
    """One image as the list of images has it.

    Args:
        name: Its name.
        caption: Its result in a few words.
        picture: Its false colours, or else its scores or classes.
        node: The comparing node.
    """

    name: str
    caption: str
    picture: Markup | str
    node: str


class Viewer:
    """The images of a report.

    Args:
        report: The report.
        arrays: Its arrays.
        block: Where arrays for the script go.
    """

    def __init__(self, report: Mapping[str, Any], arrays: Arrays, block: Block) -> None:
        self._report = report
        self._arrays = arrays
        self._block = block
        self._pictures = report.get("pictures") or {}
        self._names = split_names(report)
        self.stage = self._pictures.get("stage", "")
        self.masked = all(
            one.get("masked", True)
            for one in report.get("judged") or ()
            if one["stage"] == self.stage
        )
        if "prediction" in report:
            self.masked = False
        self._images = sorted(self._pictures.get("images") or [], key=self._old_rank)
        self._order = self._band_order()
        self.shown = [self._show(one) for one in self._images]

    def as_json(self) -> dict[str, Any]:
        """Return what the script needs of all images."""
        return {
            "images": [self._describe(one) for one in self._images],
            "spectra": self._spectra_axis(),
            "masked": self.masked,
            "palette": cividis().ravel().tolist(),
        }

    def as_listed(self) -> Sequence[Mapping[str, Any]]:
        """Return the images as they are stored, in the order of ``shown``."""
        return self._images

    @property
    def order_note(self) -> str:
        """Return in which order the images are; nothing of a single one."""
        if len(self._images) < 2:
            return ""
        if self._report.get("prediction"):
            return "Rejected cubes come first, then unjudged ones, those with most decided first."
        if not self.masked:
            return "Those with most decided pixels come first."
        return (
            "Those with most missed and false objects come first, "
            "then those with most wrong pixels."
        )

    @property
    def several_nodes(self) -> bool:
        """Whether several nodes compared these images."""
        return len({one["judge"] for one in self._images}) > 1

    @property
    def false_colours(self) -> str:
        """Return the bands that are shown as red, green and blue."""
        names = []
        for band in self._pictures.get("bands") or ():
            if band.get("nm") is None:
                names.append(f"band {band['band']}")
            else:
                names.append(f"{band['nm']:.0f} nm")
        return ", ".join(names)

    def colour_bars(self) -> dict[str, dict[str, Any]]:
        """Return by node the labels of its colour bar, and where the threshold is."""
        bars = {}
        for node, values in (self._pictures.get("scales") or {}).items():
            scale = colour_scale(values)
            ticks = scale.ticks()
            places = scale.shade(np.array(ticks)).tolist()
            marks = [
                Tick(place, f"{value:.4g}") for place, value in zip(places, ticks, strict=True)
            ]
            threshold = None
            value = self._threshold(node)
            if value is not None:
                text = f"{value:.4g}"
                if not scale.low <= value <= scale.high:
                    text = f"{text}, beyond the colours"
                threshold = Tick(float(scale.shade(np.array([value]))[0]), text)
            bars[node] = {
                "ticks": _legible(marks),
                "threshold": threshold,
                "log": scale.log,
                "low": f"{scale.low:.4g}",
                "high": f"{scale.high:.4g}",
            }
        return bars

    def _threshold(self, node: str) -> float | None:
        for evaluation in self._report.get("judged") or ():
            if evaluation["judge"] == node and evaluation["stage"] == self.stage:
                value: float | None = (evaluation.get("threshold") or {}).get("value")
                return value
        return None

    def _old_rank(self, image: Mapping[str, Any]) -> int:
        """Return the place of an image of an earlier version, which was not stored by errors."""
        metrics = self._metrics(image)
        if "object_count" in image or not metrics:
            return 0
        wrong: int = metrics["decided"] + metrics["anomalous"] - 2 * metrics["hits"]
        return -wrong

    def _show(self, image: Mapping[str, Any]) -> ShownImage:
        name = self._name(image)
        caption = image.get("caption") or describe_image(self._metrics(image), self.masked)
        return ShownImage(name, caption, self._picture(image, name), image["judge"])

    def _name(self, image: Mapping[str, Any]) -> str:
        if image.get("name"):
            return str(image["name"])
        total = len(self._images)
        for evaluation in self._evaluations(image):
            total = evaluation["images"]
        return name_image(self._names, self.stage, image["number"], total, self.masked)

    def _evaluations(self, image: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        for evaluation in self._report.get("judged") or ():
            if evaluation["judge"] == image["judge"] and evaluation["stage"] == self.stage:
                yield evaluation

    def _metrics(self, image: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the metrics of one image; nothing if the table of images ends before it."""
        for evaluation in self._evaluations(image):
            rows = evaluation["rows"]
            if image["number"] < len(rows):
                metrics: Mapping[str, Any] = rows[image["number"]]
                return metrics
        return {}

    def _array(self, image: Mapping[str, Any], part: str) -> NDArray[Any] | None:
        return self._arrays.get(f"{image['judge']}/{image['number']}/{part}")

    def _picture(self, image: Mapping[str, Any], name: str) -> Markup | str:
        colours = self._array(image, "colours")
        if colours is not None:
            most = COLOUR_BYTES // len(self._images)
            return colour_tag(colours, most, f"false colour of {name}")
        scores = self._array(image, "scores")
        if scores is not None:
            small = fit_scores(scores, SCORE_BYTES // len(self._images))
            return image_tag(np.ascontiguousarray(small), cividis(), f"scores of {name}")
        return ""

    def _describe(self, image: Mapping[str, Any]) -> dict[str, Any]:
        """Return one image for the script; its arrays go into the block."""
        shown = self.shown[self._images.index(image)]
        described: dict[str, Any] = {
            "name": shown.name,
            "caption": shown.caption,
            "node": image["judge"],
            "size": image.get("size"),
            "hasColours": self._array(image, "colours") is not None,
            "objects": image.get("objects", []),
            "objectCount": image.get("object_count"),
        }
        count = len(self._images)
        kinds = self._array(image, "kinds")
        if kinds is not None:
            described["kinds"] = self._block.add(fit_kinds(kinds, KIND_BYTES // count))
            described["size"] = described["size"] or list(kinds.shape)
        scores = self._array(image, "scores")
        if scores is not None:
            described["scores"] = self._block.add(fit_scores(scores, SCORE_BYTES // count))
            described["scale"] = self._scale_of(image["judge"])
        return described | self._describe_spectra(image)

    def _scale_of(self, node: str) -> dict[str, Any] | None:
        """Return the scale of a node's scores; None where each image had its own."""
        scales = self._pictures.get("scales") or {}
        return scales.get(node)

    def _describe_spectra(self, image: Mapping[str, Any]) -> dict[str, Any]:
        grid = self._array(image, "grid")
        places = self._array(image, "grid_places")
        ends = self._array(image, "grid_ends")
        if grid is None or places is None or ends is None or grid.shape[1] != len(self._order):
            return {}
        chosen = _thinned(grid, GRID_BYTES // len(self._images))
        described = {
            "grid": self._block.add(grid[chosen][:, self._order]),
            "gridPlaces": self._block.add(places[chosen]),
            "gridEnds": self._block.add(ends[:, self._order]),
        }
        scores = self._array(image, "grid_scores")
        if scores is not None:
            described["gridScores"] = self._block.add(scores[chosen])
        objects = self._array(image, "objects")
        if objects is not None:
            most = OBJECT_VALUES // (len(self._images) * max(objects.shape[1], 1))
            described["objectSpectra"] = self._block.add(objects[: max(most, 4), self._order])
        return described

    def _band_order(self) -> NDArray[np.intp]:
        """Return the bands by rising wavelength."""
        wavelengths = self._pictures.get("wavelengths")
        bands = self._band_count()
        if wavelengths is not None and len(wavelengths) == bands:
            return np.argsort(wavelengths, kind="stable")
        return np.arange(bands)

    def _band_count(self) -> int:
        for image in self._images:
            grid = self._array(image, "grid")
            if grid is not None:
                return int(grid.shape[1])
        return 0

    def _spectra_axis(self) -> dict[str, Any] | None:
        """Return the axis of all spectra, and those of both classes; None without spectra."""
        if not len(self._order):
            return None
        label, places = self.axis()
        pooled = self._pictures.get("spectra") or {}
        described: dict[str, Any] = {"x": places, "label": label}
        for name in ("background", "foreground"):
            curves = pooled.get(name)
            if curves is None:
                continue
            described[name] = {}
            for curve in ("mean", "low", "high"):
                if curve in curves:
                    described[name][curve] = np.asarray(curves[curve])[self._order].tolist()
        return described

    def axis(self) -> tuple[str, list[float]]:
        """Return the label of the axis of spectra, and the rising places on it."""
        wavelengths = self._pictures.get("wavelengths")
        if wavelengths is not None and len(wavelengths) == len(self._order):
            return "wavelength, nm", np.asarray(wavelengths)[self._order].tolist()
        return "band", [float(band) for band in range(len(self._order))]

    @property
    def order(self) -> NDArray[np.intp]:
        """The bands by rising wavelength."""
        return self._order

    def pooled(self) -> Mapping[str, Any]:
        """Return the mean spectra of both classes as they are stored."""
        spectra: Mapping[str, Any] = self._pictures.get("spectra") or {}
        return spectra

    def class_name(self, number: int) -> str:
        """Return what a class of the masks is called: by its name where the data have one."""
        for split in self._report.get("splits") or ():
            names = (split.get("masks") or {}).get("names") or {}
            if str(number) in names:
                return f"{number} {names[str(number)]}"
        return f"class {number}"

    def limits(self) -> list[str]:
        """Return what of the images is not on the page, in sentences."""
        texts = []
        rows = (self._report.get("prediction") or {}).get("rows", ())
        if len(rows) > len(self._images):
            texts.append(f"The page has {len(self._images)} of {counted(len(rows), 'cube')}.")
        for evaluation in self._report.get("judged") or ():
            own = [one for one in self._images if one["judge"] == evaluation["judge"]]
            if evaluation["stage"] == self.stage and evaluation["images"] > len(own) > 0:
                total = counted(evaluation["images"], "image")
                texts.append(f"The page has {len(own)} of {total}.")
        for image in self._images:
            listed = len(image.get("objects", ()))
            if image.get("object_count", 0) > listed:
                texts.append(f"Of an image with more objects only {listed} are listed.")
        return list(dict.fromkeys(texts))


def _legible(marks: Sequence[Tick]) -> list[Tick]:
    """Return the labels of a bar that have room: both ends, and those that touch no other."""
    chosen = [marks[0], *marks[1:][-1:]]
    for mark in marks[1:-1]:
        if all(abs(mark.place - other.place) >= LEAST_GAP for other in chosen):
            chosen.append(mark)
    return sorted(chosen)


def _thinned(grid: NDArray[Any], most: int) -> NDArray[np.intp]:
    """Return which pixels of a grid are on the page: all, or every second, third, …"""
    every = max(1, -(-grid.size // most))
    return np.arange(0, len(grid), every)
