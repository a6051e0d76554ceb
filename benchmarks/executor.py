"""W5: five nodes on small batches, through the executor and by hand; prints JSON.

    python benchmarks/executor.py [--repeats 5]

``full`` is the plain plan, ``full_folded`` the plan as it is run, ``bare`` the nodes by hand.
Overhead is that of ``full`` over ``bare``, in microseconds a node.
"""

from functools import partial

import scenes
from timing import compare

if __name__ == "__main__":
    data = {size: partial(scenes.workload, size) for size in ("tiny", "test")}
    compare("W5", __doc__, data, {})
