"""W8: data, normaliser, RX, logits and decisions, the whole fit and the whole run; prints JSON.

python benchmarks/pipeline.py [--size batch8 medium small] [--repeats 5]
"""

from functools import partial

import scenes
from timing import compare

if __name__ == "__main__":
    data = {size: partial(scenes.workload, size) for size in ("batch8", "medium", "small", "test")}
    product = {rate: lambda n, channels: 2.0 * n * channels**2 for rate in ("gemm_f64", "gemm_f32")}
    compare("W8", __doc__, data, {"fit": product, "run": product})
