"""W6: the tutorial's two phases, statistics fixed while gradients train; prints JSON.

    python benchmarks/training.py [--repeats 5]

``stat`` is the whole statistical phase, ``epoch`` one epoch of gradients after the first.
"""

from functools import partial

import scenes
from timing import compare

if __name__ == "__main__":
    data = {size: partial(scenes.workload, size) for size in ("train", "test")}
    # Forward, and backward with respect to what is projected and to the projection.
    product = {rate: lambda n, channels: 6.0 * n * channels**2 for rate in ("gemm_f64", "gemm_f32")}
    compare("W6", __doc__, data, {"epoch": product})
