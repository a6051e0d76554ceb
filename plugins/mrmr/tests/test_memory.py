"""A fit's memory does not grow with the number of batches."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs Linux's account of a process's memory"
)

# A process of its own, so that no other test's garbage is counted. What is counted is anonymous
# memory: neither files nor libraries.
SCRIPT = """
    import json, sys
    import torch
    from specloom_mrmr.full_spectrum import SupervisedFullSpectrumBandSelector

    def resident():
        with open("/proc/self/status") as status:
            (line,) = (line for line in status if line.startswith("RssAnon:"))
        return int(line.split()[1]) * 1024

    def fit(length):
        seen, node = [], SupervisedFullSpectrumBandSelector(16)
        for pass_ in range(2):
            node.fit_start(pass_)
            generator = torch.Generator().manual_seed(0)
            for _ in range(length):
                mask = torch.rand(1, 128, 256, 1, generator=generator) < 0.2
                cube = torch.randn(1, 128, 256, 16, generator=generator) + mask * 0.3
                node.fit_update(cube=cube, mask=mask)
                seen.append(resident())
            node.fit_end()
        assert node.pixels == length * 128 * 256
        return max(seen)

    torch.set_num_threads(1)
    print(json.dumps([fit(int(length)) for length in sys.argv[1:]]))
"""


def test_a_fit_of_128_batches_takes_no_more_than_one_of_8():
    made = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), "8", "8", "128"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    _, short, long = json.loads(made.stdout)
    # The 120 batches between them are 252 MB; what the allocator keeps varies by some 10 MB.
    assert long - short < 25e6
