"""Scores and choice of a fitted selector in words, rows and pictures."""

from __future__ import annotations

import math
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from specloom_bands import band_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

Row = dict[str, Any]
CURVES = {
    "fisher": "Fisher score",
    "auc": "area under the ROC curve",
    "mi_bits": "mutual information (bits)",
    "relevance": "relevance (weighted, standardised)",
}
COLOURS = ("#0072B2", "#D55E00", "#009E73")  # distinct for colour-blind eyes


class FittedSelector(Protocol):
    """What is read of a fitted ``SupervisedBandSelector``."""

    strategy: str
    score_weights: tuple[float, float, float]
    lambda_penalty: float
    left_out: int
    selected_indices: Tensor
    known_wavelengths: Tensor
    band_scores: Tensor
    fisher_scores: Tensor
    auc_scores: Tensor
    auc_bounds: Tensor
    mi_scores: Tensor
    class_pixels: Tensor

    def channel_windows(self) -> Sequence[tuple[float, float]]:
        """Where the band of each channel may lie, in nm; empty: anywhere."""


def record(node: FittedSelector, centres: Sequence[float]) -> Row:
    """The value of ``band_info``: the chosen bands with their wavelengths and scores.

    The targets are the middles of the windows; where there are none, they are the bands
    themselves. Without wavelengths these lists are empty.

    Args:
        node: The selector.
        centres: The wavelengths of all bands in nm; empty where they are not known.
    """
    chosen = node.selected_indices
    indices = chosen.tolist()
    windows = node.channel_windows()
    if not centres:
        values = band_record(node.strategy, [], [], [])
        values["band_indices"] = indices
    else:
        targets = [(low + high) / 2 for low, high in windows]
        if not windows:
            targets = [centres[i] for i in indices]
        values = band_record(node.strategy, indices, centres, targets)
    values["windows_nm"] = [list(window) for window in windows]
    values["band_scores"] = node.band_scores[chosen].tolist()
    values["fisher_scores"] = node.fisher_scores[chosen].tolist()
    values["auc_scores"] = node.auc_scores[chosen].tolist()
    values["mi_scores"] = node.mi_scores[chosen].tolist()
    values["score_weights"] = list(node.score_weights)
    values["lambda_penalty"] = node.lambda_penalty
    return values


def table(node: FittedSelector) -> list[Row]:
    """One row a band, in plain numbers; ``channel`` counts from 0, None where not chosen."""
    columns = {
        "wavelength_nm": [_without_nan(centre) for centre in node.known_wavelengths.tolist()],
        "fisher": node.fisher_scores.tolist(),
        "auc": node.auc_scores.tolist(),
        "auc_bound": node.auc_bounds.tolist(),
        "mi_bits": node.mi_scores.tolist(),
        "relevance": node.band_scores.tolist(),
    }
    places = {band: channel for channel, band in enumerate(node.selected_indices.tolist())}
    rows = []
    for band in range(len(node.band_scores)):
        scores = {name: values[band] for name, values in columns.items()}
        rows.append({"band": band, **scores, "channel": places.get(band)})
    return rows


def _without_nan(value: float) -> float | None:
    if math.isnan(value):
        return None
    return value


def draw(rows: list[Row], path: Path | str) -> None:
    """Draw the scores over the wavelengths (or band numbers), with the chosen bands marked.

    Args:
        rows: The result of ``table``.
        path: The picture's file; its ending sets the format.
    """
    # Imported here: it takes half a second, and a fit can do without.
    from matplotlib.figure import Figure

    along = "band"
    label_along = "band"
    if rows[0]["wavelength_nm"] is not None:
        along = "wavelength_nm"
        label_along = "wavelength (nm)"
    # A camera's bands may overlap: a line must not run back.
    ordered = sorted(rows, key=itemgetter(along))
    figure = Figure(figsize=(8, 9), layout="constrained")
    axes = figure.subplots(len(CURVES), 1, sharex=True)
    for axis, (name, label) in zip(axes, CURVES.items(), strict=True):
        axis.plot([row[along] for row in ordered], [row[name] for row in ordered], color="0.3")
        for row in ordered:
            channel = row["channel"]
            if channel is not None:
                axis.axvline(row[along], color=COLOURS[channel % len(COLOURS)], alpha=0.7)
        axis.set_ylabel(label)
    axes[-1].set_xlabel(label_along)
    figure.savefig(path)


def summary(node: FittedSelector) -> str:
    """What was fitted, in one line."""
    indices = node.selected_indices.tolist()
    centres = node.known_wavelengths[indices].tolist()
    wavelengths = ""
    if not math.isnan(centres[0]):
        wavelengths = " (" + ", ".join(f"{centre:g}" for centre in centres) + " nm)"
    others, positive = node.class_pixels.tolist()
    excluded = f" ({node.left_out} excluded)" if node.left_out else ""
    return (
        f"bands {', '.join(map(str, indices))}{wavelengths} of {len(node.band_scores)}, "
        f"from {positive} pixels against {others}{excluded}, "
        f"AUC within {float(node.auc_bounds.max()):.1e}"
    )
