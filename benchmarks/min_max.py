"""W2: minimum and maximum, and normalised data, beside cuvis-ai and scikit-learn; prints JSON.

    python benchmarks/min_max.py [--size medium small large] [--repeats 5] [--threads 1]

In a graph a normaliser before RX or PCA is folded away: ``pipeline.py`` has that.
"""

from functools import partial

import scenes
from timing import compare

if __name__ == "__main__":
    sizes = ("medium", "small", "large", "test")
    data = {size: partial(scenes.workload, size) for size in sizes}
    read = {"read": lambda n, channels: 4.0 * n * channels}
    copy = {"copy": lambda n, channels: 8.0 * n * channels}
    compare("W2", __doc__, data, {"fit": read, "apply": copy, "apply_again": copy})
