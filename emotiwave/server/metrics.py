"""What is counted, for Prometheus: never what was sent or answered."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """Counters of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "emotiwave_requests", "Requests by route and status.", ("route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "emotiwave_request_seconds",
            "Seconds of a request, by route.",
            ("route",),
            buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100),
            registry=self.registry,
        )
        self.batch = Histogram(
            "emotiwave_batch_size", "Requests answered together.", buckets=(1, 2, 4, 8, 16, 32), registry=self.registry
        )
        self.replaced = Counter("emotiwave_workers_replaced", "Processes that were replaced.", registry=self.registry)
        self.waiting = Gauge("emotiwave_waiting", "Requests that wait.", registry=self.registry)
        self.running = Gauge("emotiwave_running", "Requests that are being answered.", registry=self.registry)

    def text(self) -> bytes:
        """All of it as Prometheus reads it."""
        return generate_latest(self.registry)
