"""The command line with small shares and small subtrees: ``fit_client.py run FILE --on dask …``."""

from __future__ import annotations

import specloom_jobs.parts
import specloom_jobs.shares
from specloom.cli import main

if __name__ == "__main__":
    specloom_jobs.parts.PART_LEVEL = 1
    specloom_jobs.shares.SHARE_TICKETS = 1
    main()
