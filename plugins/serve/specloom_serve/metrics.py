"""Counters of a server, as Prometheus reads them."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specloom_serve.engine import Engine

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""The upper ends of the classes of times, in seconds."""

PREDICTIONS = ("/predict", "/specloom.v1.Specloom/Predict")
"""The addresses of predictions, over HTTP and over gRPC."""

ROUTES = (
    *PREDICTIONS,
    "/specloom.v1.Specloom/Describe",
    "/docs",
    "/health",
    "/metrics",
    "/openapi.json",
    "/pipeline",
    "/ready",
)
"""The addresses that are counted by name; all others count as ``other``."""


class Metrics:
    """Counts of requests by address and status, and how long predictions took."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0

    def count(self, path: str, status: int, seconds: float) -> None:
        """Count an answer; its time where it is a prediction."""
        route = path if path in ROUTES else "other"
        with self._lock:
            self._requests[route, status] += 1
            if route in PREDICTIONS and status == 200:
                self._seconds += seconds
                self._buckets[_bucket(seconds)] += 1

    def text(self, engine: Engine, active: int) -> str:
        """The text format of Prometheus, version 0.0.4.

        Args:
            engine: What computes.
            active: Requests for predictions that are received, wait or are computed.
        """
        with self._lock:
            requests = dict(self._requests)
            buckets = list(self._buckets)
            seconds = self._seconds
        lines = ["# TYPE specloom_requests_total counter"]
        for (route, status), count in sorted(requests.items()):
            lines.append(f'specloom_requests_total{{path="{route}",status="{status}"}} {count}')
        lines.append("# TYPE specloom_predict_seconds histogram")
        total = 0
        for end, count in zip([*BUCKETS, "+Inf"], buckets, strict=True):
            total += count
            lines.append(f'specloom_predict_seconds_bucket{{le="{end}"}} {total}')
        lines += [
            f"specloom_predict_seconds_sum {seconds:.6f}",
            f"specloom_predict_seconds_count {total}",
            "# TYPE specloom_queued gauge",
            f"specloom_queued {engine.queued}",
            "# TYPE specloom_active gauge",
            f"specloom_active {active}",
            "# TYPE specloom_ready gauge",
            f"specloom_ready {int(engine.is_ready)}",
        ]
        return "\n".join([*lines, ""])


def _bucket(seconds: float) -> int:
    """The number of the class of a time."""
    for number, end in enumerate(BUCKETS):
        if seconds <= end:
            return number
    return len(BUCKETS)
