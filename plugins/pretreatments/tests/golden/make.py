"""Writes chemotools.json: what chemotools makes of some spectra.

It needs an environment of its own: pip install chemotools==0.5.0
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from chemotools.baseline import AsLs
from chemotools.derivative import SavitzkyGolay
from chemotools.scatter import (
    ExtendedMultiplicativeScatterCorrection,
    MultiplicativeScatterCorrection,
    StandardNormalVariate,
)


def spectra():
    """Peaks on slopes, with scatter and a little noise: 8 spectra of 60 bands."""
    random = np.random.default_rng(5)
    band = np.linspace(0, 1, 60)
    peaks = [np.exp(-(((band - centre) / 0.06) ** 2)) for centre in (0.25, 0.5, 0.8)]
    shares = random.uniform(0.2, 1.0, (8, 3))
    scale = random.uniform(0.7, 1.4, (8, 1))
    slope = random.uniform(-0.3, 0.5, (8, 1)) * band
    noise = random.normal(0, 0.003, (8, 60))
    return scale * (shares @ np.array(peaks)) + 0.5 + slope + noise


def main():
    """Write the file beside this one."""
    data = spectra()
    made = {
        "AsLs": AsLs(lam=1e3, penalty=0.01, nr_iterations=200),
        "EMSC": ExtendedMultiplicativeScatterCorrection(order=2),
        "MSC": MultiplicativeScatterCorrection(),
        "SNV": StandardNormalVariate(),
        "SavitzkyGolay": SavitzkyGolay(window_size=9, polynomial_order=2, derivate_order=1),
    }
    content = {"chemotools": version("chemotools"), "spectra": data.tolist()}
    for name, transformer in made.items():
        content[name] = transformer.fit_transform(data).tolist()
    path = Path(__file__).parent / "chemotools.json"
    path.write_text(json.dumps(content) + "\n", "utf-8")


if __name__ == "__main__":
    main()
