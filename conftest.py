"""All tests: the conformance kit says how many of its checks ran.

The checkout may be another user's, as in a container that runs as root.
"""

import os
from pathlib import Path

os.environ.setdefault("SPECLOOM_SAFE_DIRECTORY", str(Path(__file__).parent))
pytest_plugins = ["specloom.testing.reporting"]
