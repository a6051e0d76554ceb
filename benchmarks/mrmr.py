"""W4: relevance of bands (Fisher, AUC, mutual information) and the choice; prints JSON.

    python benchmarks/mrmr.py [--size 1M 5M] [--repeats 5]

The peers go band by band: they are timed on three bands, and their times scaled up.
"""

from functools import partial

from scenes import labelled
from timing import compare

if __name__ == "__main__":
    data = {
        "1M": partial(labelled, 1_000_000, 61),
        "100k": partial(labelled, 100_000, 61),
        "5M": partial(labelled, 5_000_000, 200),
        "test": partial(labelled, 3000, 9),
    }
    both_passes = {"read": lambda n, channels: 8.0 * n * channels}
    compare("W4", __doc__, data, {"score": both_passes})
