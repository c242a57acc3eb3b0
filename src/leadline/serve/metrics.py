"""What the service counts and times, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
IMAGES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters of one service, in a registry of its own."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "leadline_requests", "requests answered, by route and status", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "leadline_request_seconds", "from head to answer", ["route"], buckets=SECONDS, registry=registry
        )
        self.batch = Histogram("leadline_batch_images", "images run together", buckets=IMAGES, registry=registry)
        self.network = Histogram(
            "leadline_network_seconds", "of one run of the network", buckets=SECONDS, registry=registry
        )
        self.jobs = Counter("leadline_jobs", "video jobs that came to an end", ["state"], registry=registry)

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Tell a number that is asked for when metrics are."""
        Gauge(f"leadline_{name}", what, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self._registry)
