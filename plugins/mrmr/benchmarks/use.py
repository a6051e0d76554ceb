"""How much three chosen bands are worth to a linear classifier, on public scenes.

    SPECLOOM_TEST_DATA=folder python plugins/mrmr/benchmarks/use.py [--only salinas] [--write]

Every scene (or set of tiles) is cut in two halves, by blocks or tiles. Bands are chosen and a
linear discriminant is fitted on one half and scored on the other, then the other way round; no
pixel is in both. The search takes, of all triples, the one whose discriminant parts the classes
of the training half farthest. The tuned selector's weights and penalty are those that do best in
cross-validation within the training half. ``--write`` puts the table into the plugin's README.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from tuned import classifier, streamed, tuned

from specloom_bands.nearest import nearest
from specloom_cubes.formats import open_cube
from specloom_cubes.masks import read_mask
from specloom_cubes.wavelengths import read_wavelengths
from specloom_mrmr.cir import SupervisedCIRBandSelector
from specloom_mrmr.false_rgb import SupervisedWindowedFalseRGBSelector
from specloom_mrmr.full_spectrum import SupervisedFullSpectrumBandSelector

Array = npt.NDArray[Any]

README = Path(__file__).parents[1] / "README.md"
LEAST = 20
"""Pixels that a class must have in each half."""


class Case(NamedTuple):
    """Pixels of two classes, in two halves."""

    scene: str
    target: str
    rows: Array
    """Float32 (N, C)."""
    labels: Array
    """Bool (N,)."""
    half: Array
    """0 or 1, (N,)."""
    centres: list[float]
    """The wavelengths in nm."""


def blocks(height: int, width: int, side: int) -> Array:
    """The half of each pixel, (H, W): blocks of ``side`` pixels, as on a chessboard."""
    y, x = np.mgrid[:height, :width] // side
    half: Array = (y + x) % 2
    return half


def sandiego(folder: Path) -> Iterator[Case]:
    """Planes on an airfield (SDData)."""
    cube = open_cube(folder / "envi_sandiego/SDData.hdr")
    truth = read_mask(folder / "envi_sandiego/SDDataGt.bmp", cube.shape[:2])
    rows = cube.clean().reshape(-1, cube.shape[2]).astype(np.float32)
    half, centres = blocks(*cube.shape[:2], 10).reshape(-1), cube.good_wavelengths.tolist()
    yield Case("SDData", "planes", rows, truth.reshape(-1) > 0, half, centres)


def salinas(folder: Path) -> Iterator[Case]:
    """Each class of Salinas-A against the other labelled pixels; the wavelengths are rough."""
    cube = open_cube(folder / "salinas_a/SalinasA_corrected.mat")
    truth = read_mask(folder / "salinas_a/SalinasA_gt.mat", cube.shape[:2])
    table = folder / "wavelengths/salinas_a_204_APPROX.csv"
    centres = read_wavelengths(table, cube).tolist()
    known = truth > 0
    rows, half = cube.read()[known].astype(np.float32), blocks(*truth.shape, 8)[known]
    for number in np.unique(truth[known]):
        yield Case("Salinas-A", f"class {number}", rows, truth[known] == number, half, centres)


def enmap(folder: Path) -> Iterator[Case]:
    """Each class of the EnMAP tiles against the other labelled pixels; every other tile a half."""
    parts, classes, halves, centres = [], [], [], []
    for number, path in enumerate(sorted((folder / "enmap_potsdam/images").glob("*.tif"))):
        cube = open_cube(path)
        truth = read_mask(folder / "enmap_potsdam/labels" / path.name, cube.shape[:2])
        good = (truth > 0) & np.isfinite(cube.clean()).all(-1)
        parts.append(cube.clean()[good].astype(np.float32))
        classes.append(truth[good])
        halves.append(np.full(good.sum(), number % 2))
        centres = cube.good_wavelengths.tolist()
    rows, known, half = (np.concatenate(one) for one in (parts, classes, halves))
    for number in np.unique(known):
        yield Case("EnMAP", f"class {number}", rows, known == number, half, centres)


SCENES: dict[str, Callable[[Path], Iterator[Case]]] = {
    "sandiego": sandiego,
    "salinas": salinas,
    "enmap": enmap,
}


def selectors(bands: int) -> dict[str, Any]:
    """The supervised selectors that are compared, with their defaults but for one."""
    tuned = {"score_weights": (0.0, 1.0, 0.0), "lambda_penalty": 4.0}
    return {
        "mRMR RGB": SupervisedWindowedFalseRGBSelector(bands),
        "mRMR CIR": SupervisedCIRBandSelector(bands),
        "mRMR full": SupervisedFullSpectrumBandSelector(bands),
        "full, AUC, 4": SupervisedFullSpectrumBandSelector(bands, **tuned),
    }


def chosen(rows: Array, labels: Array, centres: Sequence[float]) -> dict[str, list[int]]:
    """Three bands by each way to choose them, from training pixels alone."""
    found = {
        "RGB": [nearest(centres, nm) for nm in (650, 550, 450)],
        "CIR": [nearest(centres, nm) for nm in (860, 670, 560)],
    }
    statistics = streamed(rows, labels, centres).classes
    for name, node in selectors(rows.shape[1]).items():
        found[name] = node.choice(statistics, centres).bands
    found["search"] = best_triple(rows, labels)
    return found


def best_triple(rows: Array, labels: Array) -> list[int]:
    """Of all triples, the one with the largest d^T W^-1 d: what a linear discriminant maximises.

    d is the difference of the classes' means, W the covariance within them; of three bands both
    sides follow from 3 x 3 determinants, for all triples of a first band at once.
    """
    wide = rows.astype(np.float64)
    gap = wide[labels].mean(0) - wide[~labels].mean(0)
    centred = np.where(labels[:, None], wide - wide[labels].mean(0), wide - wide[~labels].mean(0))
    spread = centred.std(0)
    scale = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 0)
    d, w = gap * scale, (centred.T @ centred / len(rows)) * np.outer(scale, scale)
    # A little of the identity: duplicated bands have no inverse.
    w[np.diag_indices_from(w)] += 1e-9
    best, triple = -1.0, [0, 1, 2]
    for a in range(len(d) - 2):
        # With the first band projected out two bands remain.
        rest = slice(a + 1, None)
        u = d[rest] - w[rest, a] / w[a, a] * d[a]
        v = w[rest, rest] - np.outer(w[rest, a], w[rest, a]) / w[a, a]
        s = np.diag(v)
        determinant = np.outer(s, s) - v**2
        np.fill_diagonal(determinant, np.inf)
        pairs = (np.outer(u**2, s) + np.outer(s, u**2) - 2 * np.outer(u, u) * v) / determinant
        place = int(pairs.argmax())
        if (value := d[a] ** 2 / w[a, a] + pairs.flat[place]) > best:
            b, c = divmod(place, len(u))
            best, triple = value, sorted([a, a + 1 + b, a + 1 + c])
    return triple


Scores = dict[str, Array]
"""For each way to choose: AUC and average precision of the discriminant, AUC of the regression."""


def study(case: Case) -> Scores:
    """The scores of each way, means of both halves; empty where a half has too few of a class."""
    sides = [case.half == number for number in (0, 1)]
    if any(min(case.labels[s].sum(), (~case.labels[s]).sum()) < LEAST for s in sides):
        return {}
    scores: dict[str, list[list[float]]] = {}
    for train, test in (sides, sides[::-1]):
        truth = case.labels[test]
        known = case.rows[train], case.labels[train], case.centres
        for name, bands in {**chosen(*known), "full, tuned": tuned(*known)}.items():
            made = []
            for linear in (LinearDiscriminantAnalysis(), LogisticRegression(max_iter=1000)):
                model = classifier(linear).fit(case.rows[train][:, bands], case.labels[train])
                values = model.decision_function(case.rows[test][:, bands])
                made += [roc_auc_score(truth, values), average_precision_score(truth, values)]
            scores.setdefault(name, []).append(made[:3])
    return {name: np.mean(found, 0) for name, found in scores.items()}


def lines(results: Sequence[tuple[Case, Scores]]) -> Iterator[str]:
    """The Markdown table: ROC-AUC of each case, then means."""
    used = [(case, found) for case, found in results if found]
    names = list(used[0][1])
    yield f"| scene, class against the rest (pixels) | {' | '.join(names)} |"
    yield "|---" * (len(names) + 1) + "|"
    for case, found in used:
        what = f"{case.scene}, {case.target} ({case.labels.sum()})"
        yield f"| {what} | {' | '.join(f'{found[name][0]:.3f}' for name in names)} |"
    table = np.array([[found[name] for name in names] for _, found in used])
    means = ("mean", "mean average precision", "mean, logistic regression")
    for what, row in zip(means, table.mean(0).T, strict=True):
        yield f"| **{what}** | {' | '.join(f'{value:.3f}' for value in row)} |"
    better = (table[:, :, 0] > table[:, :1, 0]).sum(0)
    counts = ["-", *(f"{count} of {len(used)}" for count in better[1:])]
    yield f"| better than {names[0]} | {' | '.join(counts)} |"
    if left := [f"{case.scene} {case.target}" for case, found in results if not found]:
        what = ", ".join(left)
        yield f"\nNot scored, as a half has fewer than {LEAST} pixels of the class: {what}."


def write(path: Path, text: str, mark: str = "use") -> None:
    """Put a text between the marks of a README."""
    head, rest = path.read_text("utf-8").split(f"<!-- {mark} -->", 1)
    tail = rest.split(f"<!-- /{mark} -->", 1)[1]
    path.write_text(f"{head}<!-- {mark} -->\n\n{text}\n\n<!-- /{mark} -->{tail}", "utf-8")


def main() -> None:
    """Study the scenes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=SCENES, help="one of the scenes")
    parser.add_argument("--write", action="store_true", help="put the table into the README")
    options = parser.parse_args()
    if "SPECLOOM_TEST_DATA" not in os.environ:
        parser.error("set SPECLOOM_TEST_DATA to the folder of the scenes")
    folder = Path(os.environ["SPECLOOM_TEST_DATA"])
    scenes = [SCENES[options.only]] if options.only else list(SCENES.values())
    text = "\n".join(lines([(case, study(case)) for scene in scenes for case in scene(folder)]))
    print(text)
    if options.write and not options.only:
        write(README, text)


if __name__ == "__main__":
    main()
