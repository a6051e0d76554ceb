"""W6: the tutorial's two phases, statistics fixed while gradients train; prints JSON.

    python benchmarks/training.py [--repeats 5]
    python benchmarks/training.py --profile [RUN_FILE] [--size train] [--epochs 10]

``stat`` is the whole statistical phase, ``epoch`` one epoch of gradients after the first. With
``--profile``, the shares of the CPU time of the loop of gradients: of W6, or of a run file.
"""

import argparse
import json
import os
import sys
import warnings
from functools import partial

import scenes
from timing import about, compare

THREADS = 1
"""Of a profile: the shares are those of CPU time."""


def profile() -> None:
    """Print the shares of the loop."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--profile", nargs="?", const="", metavar="RUN_FILE")
    parser.add_argument("--size", default="train", choices=list(scenes.SIZES))
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    os.environ["SPECLOOM_THREADS"] = str(THREADS)
    warnings.simplefilter("ignore")
    import ours_adapter
    import torch
    from training_shares import measured_loop

    import specloom

    torch.set_num_threads(THREADS)
    if options.profile:
        run = specloom.load(options.profile)
        with measured_loop() as shares:
            run.run()
    else:
        epoch = ours_adapter.training(scenes.workload(options.size))["epoch"]
        ours_adapter.EPOCHS = 2
        epoch()
        ours_adapter.EPOCHS = options.epochs
        with measured_loop() as shares:
            epoch()
    workload = options.profile or f"W6 {options.size}"
    print(json.dumps(about(workload, THREADS) | shares.report(), indent=2))


if __name__ == "__main__":
    if "--profile" in sys.argv:
        profile()
    else:
        data = {size: partial(scenes.workload, size) for size in ("train", "test")}
        # Forward, and backward with respect to what is projected and to the projection.
        product = {
            rate: lambda n, channels: 6.0 * n * channels**2 for rate in ("gemm_f64", "gemm_f32")
        }
        compare("W6", __doc__, data, {"epoch": product})
