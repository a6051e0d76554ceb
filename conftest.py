"""All tests: the conformance kit says how many of its checks ran.

The checkout may be another user's, as in a container that runs as root. Kernels are compiled once
for all tests, and not for each that has a home of its own.
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent

os.environ.setdefault("SPECLOOM_SAFE_DIRECTORY", str(ROOT))
os.environ.setdefault("SPECLOOM_NATIVE_CACHE", str(ROOT / ".pytest_cache/native"))
pytest_plugins = ["specloom.testing.reporting"]
