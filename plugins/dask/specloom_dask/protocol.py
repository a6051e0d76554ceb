"""The version of what travels."""

from __future__ import annotations

#: Client and workers must have the same.
PROTOCOL = 2
