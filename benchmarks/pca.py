"""W3: three principal components, fit and projection; prints JSON.

python benchmarks/pca.py [--size medium small large] [--repeats 5] [--threads 1]
"""

from functools import partial

import scenes
from timing import compare

if __name__ == "__main__":
    sizes = ("medium", "small", "large", "test")
    data = {size: partial(scenes.workload, size) for size in sizes}
    product = {"gemm_f64": lambda n, channels: 2.0 * n * channels**2}
    read = {"read": lambda n, channels: 4.0 * n * channels}
    compare("W3", __doc__, data, {"fit": product, "project": read})
