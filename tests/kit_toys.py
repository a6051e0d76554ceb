"""A source for the tests of the conformance kit."""

import numpy as np

from specloom import Port


class Scenes:
    outputs = {"cube": Port("B H W C", doc="Cubes.")}
    example = {"seed": 3}

    def __init__(self, seed: int, bands: int = 4) -> None:
        self.seed, self.bands = seed, bands

    def sizes(self):
        return {"C": self.bands}

    def splits(self):
        return ["train", "test"]

    def count(self, split):
        return 2

    def batches(self, split):
        rng = np.random.default_rng([self.seed, len(split)])
        for _ in range(2):
            yield {"cube": rng.random((1, 3, 5, self.bands)).astype("float32")}
