"""W1: RX, fit and scores, beside cuvis-ai, SPy and scikit-learn on the same pixels; prints JSON.

    python benchmarks/rx.py [--size small medium alike large] [--repeats 5] [--threads 1]

Work is counted as a plain product, 2 N C^2 flops, of which a symmetric or triangular matrix needs
half: fractions may exceed 1.
"""

from functools import partial

import scenes
from timing import compare

PRODUCT = {rate: lambda n, channels: 2.0 * n * channels**2 for rate in ("gemm_f64", "gemm_f32")}

if __name__ == "__main__":
    sizes = ("medium", "small", "alike", "large", "test")
    data = {size: partial(scenes.workload, size) for size in sizes}
    compare("W1", __doc__, data, {"fit": PRODUCT, "score": PRODUCT})
