"""Scores and choice of a fitted selector in words, rows and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom_bands.info import band_record

if TYPE_CHECKING:
    from specloom_mrmr.selector import SupervisedBandSelector

Row = dict[str, Any]
CURVES = {
    "fisher": "Fisher score",
    "auc": "area under the ROC curve",
    "mi_bits": "mutual information (bits)",
    "relevance": "relevance (weighted, standardised)",
}
COLOURS = ("#0072B2", "#D55E00", "#009E73")  # distinct for colour-blind eyes


def record(node: SupervisedBandSelector) -> Row:
    """What ``band_info`` says: the chosen bands with their wavelengths and scores.

    The targets are the middles of the windows; where there are none, nothing was looked for, and
    they are the bands themselves. Without wavelengths these lists are empty.
    """
    chosen = node.selected_indices
    indices, centres = chosen.tolist(), node.known_wavelengths.tolist()
    windows = node.channel_windows()
    if centres[0] == centres[0]:
        middles = [(low + high) / 2 for low, high in windows] or [centres[i] for i in indices]
        made = band_record(node.strategy, indices, centres, middles)
    else:
        made = band_record(node.strategy, [], [], []) | {"band_indices": indices}
    made["windows_nm"] = [list(window) for window in windows]
    made["band_scores"] = node.band_scores[chosen].tolist()
    made["fisher_scores"] = node.fisher_scores[chosen].tolist()
    made["auc_scores"] = node.auc_scores[chosen].tolist()
    made["mi_scores"] = node.mi_scores[chosen].tolist()
    made["score_weights"] = list(node.score_weights)
    made["lambda_penalty"] = node.lambda_penalty
    return made


def table(node: SupervisedBandSelector) -> list[Row]:
    """One row a band, in plain numbers; ``channel`` counts from 0, None where not chosen."""
    columns = {
        "wavelength_nm": [c if c == c else None for c in node.known_wavelengths.tolist()],
        "fisher": node.fisher_scores.tolist(),
        "auc": node.auc_scores.tolist(),
        "auc_bound": node.auc_bounds.tolist(),
        "mi_bits": node.mi_scores.tolist(),
        "relevance": node.band_scores.tolist(),
    }
    places = {band: channel for channel, band in enumerate(node.selected_indices.tolist())}
    rows = zip(*columns.values(), strict=True)
    return [
        {"band": band, **dict(zip(columns, row, strict=True)), "channel": places.get(band)}
        for band, row in enumerate(rows)
    ]


def draw(rows: list[Row], path: Path | str) -> None:
    """Draw the scores over the wavelengths (or band numbers), with the chosen bands marked.

    Args:
        rows: What ``table`` gives.
        path: The picture's file; its ending says which kind.
    """
    # Imported here: it takes half a second, and a fit can do without.
    from matplotlib.figure import Figure

    known = rows[0]["wavelength_nm"] is not None
    # A camera's bands may overlap: a line must not run back.
    ordered = sorted(rows, key=lambda row: row["wavelength_nm"] if known else row["band"])
    along = "wavelength_nm" if known else "band"
    figure = Figure(figsize=(8, 9), layout="constrained")
    axes = figure.subplots(len(CURVES), 1, sharex=True)
    for axis, (name, label) in zip(axes, CURVES.items(), strict=True):
        axis.plot([row[along] for row in ordered], [row[name] for row in ordered], color="0.3")
        for row in ordered:
            if (channel := row["channel"]) is not None:
                axis.axvline(row[along], color=COLOURS[channel % len(COLOURS)], alpha=0.7)
        axis.set_ylabel(label)
    axes[-1].set_xlabel("wavelength (nm)" if known else "band")
    figure.savefig(path)


def summary(node: SupervisedBandSelector, left_out: int) -> str:
    """What was fitted, in one line."""
    indices = node.selected_indices.tolist()
    centres = node.known_wavelengths[indices].tolist()
    at = " (" + ", ".join(f"{c:g}" for c in centres) + " nm)" if centres[0] == centres[0] else ""
    others, positive = node.class_pixels.tolist()
    skipped = f" ({left_out} left out)" if left_out else ""
    return (
        f"bands {', '.join(map(str, indices))}{at} of {len(node.band_scores)}, from {positive} "
        f"pixels against {others}{skipped}, AUC within {float(node.auc_bounds.max()):.1e}"
    )
