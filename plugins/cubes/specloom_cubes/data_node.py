"""The node where labelled cubes enter a graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from specloom import (
    Batch,
    ConfigError,
    DataError,
    Input,
    IntegrityError,
    Output,
    SpecloomError,
    node,
)
from specloom.torch import TorchNode
from specloom_cubes.background import (
    CornerCounts,
    EqualPixels,
    equal_to_corner,
    fingerprint,
    has_value,
    may_equal_a_corner,
)
from specloom_cubes.class_lists import class_list_notes
from specloom_cubes.split_notes import split_notes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom import ImageWindows

TOLERANCE_NM = 0.5

IMAGES_COMPARED = 64
"""The first images, in which equal pixels are counted."""


class Targets(NamedTuple):
    """What a mask says of each pixel, bool (B, H, W, 1).

    Args:
        anomalous: Whether it is an anomaly.
        valid: Whether it may be used at all.
        labelled: Whether its class is in a list, so that losses and metrics may count it.
    """

    anomalous: Tensor
    valid: Tensor
    labelled: Tensor


def targets(mask: Tensor, normal: Sequence[int], anomalous: Sequence[int] | None) -> Targets:
    """Which pixels are anomalous, which may be used, and which have a label.

    Args:
        mask: Class numbers, (B, H, W); negative ones are unlabelled unless a list names them.
        normal: The classes that are normal.
        anomalous: The classes that are anomalous, all others being ignored; None where every
            class that is not normal is anomalous.
    """
    numbers = mask.to(torch.int64).unsqueeze(-1)
    is_normal = _among(numbers, normal)
    is_class = numbers >= 0
    if anomalous is not None:
        is_anomalous = _among(numbers, anomalous)
        labelled = is_anomalous | is_normal
        return Targets(is_anomalous, labelled | ~is_class, labelled)
    labelled = is_class | is_normal
    is_anomalous = labelled ^ is_normal  # what is normal is labelled
    return Targets(is_anomalous, torch.ones_like(labelled), labelled)


def _among(labels: Tensor, ids: Sequence[int]) -> Tensor:
    if not ids:
        return torch.zeros_like(labels, dtype=torch.bool)
    return reduce(torch.logical_or, [labels == one for one in ids])


@node
class AnomalyDataNode(TorchNode):
    """Cubes as float32, and what of their labels is normal and what an anomaly.

    Takes ``cube`` (B, H, W, C), ``mask`` (B, H, W), ``wavelengths`` (C,) or (B, C) and ``valid``
    (B, H, W) from the batch by name. Without ``anomaly_class_ids`` a pixel is anomalous when its
    class is not normal. With them, only those classes are anomalous, and a class in neither list
    is ignored. A negative class number that is in no list is unlabelled.

    ``valid`` is for what is fitted without labels: True where the pixel may be used at all, also
    without a label; False where its class is ignored. ``labelled`` is for what compares with
    labels, such as losses and metrics: True where the pixel is valid and its class is in a list,
    or is not ignored where there is one list. A batch without a mask gives no ``mask``; ``valid``
    is then True and ``labelled`` False everywhere. Where the batch's own ``valid`` is False
    (no-data pixels), ``mask``, ``valid`` and ``labelled`` are False. NaN pixels pass as they are.
    They are False too where all bands have the value ``background``, such as the 0 around objects
    that were cut out, or beside a flight line that was rotated. Many such pixels that count all the
    same are warned of.

    The first wavelengths are saved with the state; later ones must equal them within 0.5 nm.

    Args:
        normal_class_ids: The classes that are normal.
        anomaly_class_ids: The classes that are anomalous; None for all that are not normal.
        background: The value that all bands of a pixel of the background have; None for no such
            value. ``Background`` finds backgrounds that are not constant.

    Raises:
        ConfigError: A class is in both lists, or there is none to look for.
        DataError: Wavelengths differ within a batch, or from those the node knows.
    """

    entry = True
    locality = "pixel"
    cube_in = Input("B H W C", dtype="real", doc="Cubes as the source gives them.", name="cube")
    mask_in = Input("B H W", dtype="integer", optional=True, doc="Class numbers.", name="mask")
    wavelengths_in = Input(
        "... C",
        dtype="real",
        unit="nm",
        optional=True,
        host=True,
        doc="Band centres, (C,) or one row for each cube.",
        name="wavelengths",
    )
    valid_in = Input(
        "B H W", dtype="bool", optional=True, doc="False where there is no data.", name="valid"
    )
    cube = Output("B H W C", doc="The cubes as float32.")
    mask = Output("B H W 1", dtype="bool", optional=True, doc="True where anomalous.")
    valid = Output(
        "B H W 1",
        dtype="bool",
        doc="True where the pixel may be used, with or without a label.",
        unused_note="no-data pixels are not excluded",
    )
    labelled = Output(
        "B H W 1",
        dtype="bool",
        instead_of="valid",
        labels="mask",
        doc="True where the pixel is valid and its class is known: for losses and metrics.",
    )
    classes = Output(
        "B H W 1",
        dtype="integer",
        optional=True,
        doc="Class numbers of the masks, for reports by class.",
    )
    wavelengths = Output("C", unit="nm", optional=True, host=True, doc="Band centres.")
    example: ClassVar = {"normal_class_ids": [0, 1]}

    normal_class_ids: list[int]
    anomaly_class_ids: list[int] | None = None
    background: float | None = None

    def __post_init__(self) -> None:
        self._images_to_compare = IMAGES_COMPARED
        self._corner_counts: CornerCounts | None = None
        self._compared: set[bytes] = set()
        # The wavelengths of the first batch, in nm. Not a buffer: it is compared with every
        # batch, and must not follow the node to a device.
        self._reference: Tensor | None = None

    def build(self, sizes: Mapping[str, int]) -> None:
        """Check the class lists; no wavelengths are known yet, which NaN stands for."""
        _check_ids(self.normal_class_ids, self.anomaly_class_ids)
        if self._reference is None:
            self._reference = torch.full((sizes["C"],), torch.nan, dtype=torch.float64)

    def data_notes(self, splits: Mapping[str, Mapping[str, Any]]) -> Iterable[SpecloomError]:
        """What of the classes in the masks does not fit the lists, and what splits share."""
        yield from class_list_notes(splits, self.normal_class_ids, self.anomaly_class_ids)
        yield from split_notes(splits)

    def forward(
        self,
        cube: Tensor,
        mask: Tensor | None = None,
        wavelengths: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Batch:
        """Give the cubes, their targets, which pixels count, and the wavelengths."""
        outputs = {"cube": _as_float32(cube)}
        if mask is None:
            everywhere = torch.ones((*cube.shape[:3], 1), dtype=torch.bool, device=cube.device)
            outputs["valid"] = everywhere
            outputs["labelled"] = torch.zeros_like(everywhere)
        else:
            found = targets(mask, self.normal_class_ids, self.anomaly_class_ids)
            outputs["mask"] = found.anomalous
            outputs["valid"] = found.valid
            outputs["labelled"] = found.labelled
            outputs["classes"] = mask[..., None]
        if valid is not None:
            outputs = _restricted(outputs, valid[..., None])
        if self.background is not None:
            outputs = _restricted(outputs, ~has_value(cube, self.background))
        if wavelengths is not None:
            outputs["wavelengths"] = self._agreed(wavelengths).to(torch.float32)
        return outputs

    def forward_for(self, outputs: Collection[str]) -> Callable[..., Batch]:
        """``forward``, or one that makes the cubes alone where nothing else is wanted."""
        if set(outputs) == {"cube"}:
            return self._cubes_alone
        forward: Callable[..., Batch] = self.forward
        return forward

    def _cubes_alone(
        self,
        cube: Tensor,
        mask: Tensor | None = None,
        wavelengths: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Batch:
        """The cubes; wavelengths are compared as in ``forward``."""
        if wavelengths is not None:
            self._agreed(wavelengths)
        return {"cube": _as_float32(cube)}

    def look_at_batch(self, batch: Batch) -> None:
        """Warn once of many pixels that are equal to a corner of their image, and that count.

        A batch that comes again, as in a second pass, is not compared again. Batches that the
        source has put on a device are not compared.
        """
        cube = batch.get("cube")
        if self._images_to_compare <= 0 or not _is_on_host(cube):
            return
        pixels = _as_array(cube)
        if pixels.ndim != 4 or not pixels.size:
            return
        known = fingerprint(pixels)
        if known in self._compared:
            return
        self._compared.add(known)
        self._images_to_compare -= len(pixels)
        if may_equal_a_corner(pixels):
            self._warn_of(equal_to_corner(pixels, self._counted(pixels, batch)))

    def look_at_window(self, batch: Batch, rows: slice, image: ImageWindows) -> None:
        """As ``look_at_batch``, for an image that comes in windows, after the last one."""
        cube = batch.get("cube")
        if self._images_to_compare <= 0 or not _is_on_host(cube):
            return
        if rows.start == 0:
            self._corner_counts = CornerCounts(image.corners())
        if self._corner_counts is None:
            return
        pixels = _as_array(cube)
        self._corner_counts.add(pixels[0], self._counted(pixels, batch)[0])
        if rows.stop == image.height:
            self._images_to_compare -= 1
            self._warn_of(self._corner_counts.found())
            self._corner_counts = None

    def _warn_of(self, found: EqualPixels | None) -> None:
        """Warn once of many pixels that are equal to a corner."""
        if found is None:
            return
        self._images_to_compare = 0
        what = (
            f"{self.label}: {found.pixels:,} of {found.counted:,} pixels of an image have one and "
            f"the same spectrum ({found.spectrum}), that of a corner: fits and metrics count them"
        )
        warnings.warn(str(DataError(what, fix=found.fix)), stacklevel=4)

    def _counted(self, cube: NDArray[Any], batch: Batch) -> NDArray[np.bool_]:
        """Which pixels (B, H, W) count by the output ``valid``."""
        counted: NDArray[np.bool_] = np.ones(cube.shape[:3], bool)
        if batch.get("mask") is not None:
            mask = torch.from_numpy(np.asarray(batch["mask"]).astype(np.int64))
            found = targets(mask, self.normal_class_ids, self.anomaly_class_ids)
            counted &= found.valid[..., 0].numpy()
        if batch.get("valid") is not None:
            counted &= np.asarray(batch["valid"])
        if self.background is not None:
            counted &= ~(cube == self.background).all(-1)
        return counted

    def state(self) -> Mapping[str, Tensor]:
        """The wavelengths that the node knows, NaN where it has seen none."""
        wavelengths = torch.empty(0, dtype=torch.float64)
        if self._reference is not None:
            wavelengths = self._reference.clone()
        return {**super().state(), "known_wavelengths": wavelengths}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over saved wavelengths.

        Raises:
            IntegrityError: They are missing, or for another number of bands.
        """
        rest = dict(state)
        saved = rest.pop("known_wavelengths", None)
        if saved is None:
            raise IntegrityError(f"the state of {type(self).__name__} lacks 'known_wavelengths'")
        if self._reference is not None and saved.shape != self._reference.shape:
            raise IntegrityError(
                f"{type(self).__name__} was saved for {saved.numel()} bands, "
                f"here are {len(self._reference)}"
            )
        super().restore(rest)
        self._images_to_compare = 0  # what is only predicted is neither fitted nor measured
        self._reference = None
        if saved.numel() > 0:
            self._reference = saved.detach().to("cpu", torch.float64, copy=True)

    def _agreed(self, wavelengths: Tensor) -> Tensor:
        rows = wavelengths.detach().to("cpu", torch.float64).reshape(-1, wavelengths.shape[-1])
        first = rows[0]
        if not ((rows > 0) & rows.isfinite()).all():
            raise DataError(
                "the wavelengths hold values that are not positive numbers",
                fix="give every band's centre in nm, or no wavelengths at all",
            )
        gap = (rows - first).abs()
        if gap.max() > TOLERANCE_NM:
            row, band = divmod(int(gap.argmax()), rows.shape[1])
            raise DataError(
                f"the cubes of a batch have different wavelengths: band {band} is "
                f"{first[band]:.2f} nm in the first, {rows[row, band]:.2f} nm in number {row + 1}",
                fix="resample them to one grid, or use one batch for each grid",
            )
        if self._reference is None or (
            self._reference.isnan().all() and first.shape == self._reference.shape
        ):
            self._reference = first.clone()
        _compare(first, self._reference)
        return first


def _as_float32(cube: Tensor) -> Tensor:
    """The cube as float32; a conversion that changes nothing would cost a microsecond."""
    if cube.dtype == torch.float32:
        return cube
    return cube.to(torch.float32)


def _as_array(value: Any) -> NDArray[Any]:
    """An array as one of NumPy, which has no bfloat16."""
    if isinstance(value, Tensor) and value.dtype == torch.bfloat16:
        value = value.float()
    return np.asarray(value)


def _is_on_host(value: Any) -> bool:
    """Whether an array is in this process's own memory."""
    if isinstance(value, Tensor):
        return value.device.type == "cpu"
    return isinstance(value, np.ndarray)


def _restricted(outputs: Mapping[str, Tensor], counted: Tensor) -> dict[str, Tensor]:
    """The outputs, those on targets being False where a pixel does not count."""
    found = dict(outputs)
    for name in ("mask", "valid", "labelled"):
        if name in found:
            found[name] = found[name] & counted
    return found


LentilsAnomalyDataNode = AnomalyDataNode
"""The name of the same node in earlier documents, which stays."""


def _compare(first: Tensor, reference: Tensor) -> None:
    fix = "use data of the camera that the graph was fitted on, or resample it"
    if first.shape != reference.shape:
        what = f"the batch has {len(first)} wavelengths, before {len(reference)}"
        raise DataError(what, fix=fix)
    gap = (first - reference).abs()
    if gap.max() > TOLERANCE_NM:
        band = int(gap.argmax())
        raise DataError(
            f"band {band} is at {first[band]:.2f} nm, before at {reference[band]:.2f} nm "
            f"(more than {TOLERANCE_NM} nm apart)",
            fix=fix,
        )


def _check_ids(normal: Sequence[int], anomalous: Sequence[int] | None) -> None:
    both = sorted(set(normal) & set(anomalous or ()))
    if both:
        raise ConfigError(
            f"classes {both} are both normal and anomalous", fix="remove each from one list"
        )
    if not normal and not anomalous:
        raise ConfigError(
            "normal_class_ids is empty, so every pixel would be an anomaly",
            fix="name the normal classes",
        )
    if anomalous is not None and not anomalous:
        raise ConfigError(
            "anomaly_class_ids is empty, so nothing would be an anomaly",
            fix="name the anomalous classes, or remove it for all that are not normal",
        )
