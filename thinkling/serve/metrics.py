"""What the server measures of itself, in Prometheus' text format: a few counters per request, none per token.

Gauges of the models are read when somebody asks for them. Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from thinkling.core.types import Usage
from thinkling.serve.source import Source

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SHORT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LONG = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_GAP = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "OPTIONS"})
_GAUGES = {
    "running": "Sequences that are being continued.",
    "waiting": "Sequences that wait for a slot.",
    "slots": "Sequences that the model continues side by side.",
}
_READY = {"loading": 0.0, "ready": 1.0, "broken": 0.0, "closed": 0.0}


class Metrics:
    """A registry of its own: two servers in one process do not count into each other."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "thinkling_requests",
            "HTTP requests, by the route that they matched.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "thinkling_request_seconds",
            "From a request's arrival to the last byte of its response.",
            ["route"],
            buckets=_LONG,
            registry=self._registry,
        )
        self._tokens = Counter(
            "thinkling_tokens",
            "Tokens of finished answers: read (prompt), drawn (completion), and those of the drawn that were thinking "
            "(reasoning).",
            ["model", "kind"],
            registry=self._registry,
        )
        self._first = Histogram(
            "thinkling_first_token_seconds",
            "From a request's arrival to its first token.",
            ["model"],
            buckets=_SHORT,
            registry=self._registry,
        )
        self._gap = Histogram(
            "thinkling_token_gap_seconds",
            "Time per token after the first, averaged over an answer.",
            ["model"],
            buckets=_GAP,
            registry=self._registry,
        )
        self._answer = Histogram(
            "thinkling_answer_seconds",
            "From a request's arrival to the end of its answer.",
            ["model"],
            buckets=_LONG,
            registry=self._registry,
        )
        self._registry.register(_Loads(sources))

    def answered(self, model: str, usage: Usage, *, seconds: float, first: float | None = None) -> None:
        """An answer of ``model`` has ended after ``seconds``, its first token after ``first`` (None: not seen)."""
        for kind, count in (("prompt", usage.prompt), ("completion", usage.completion), ("reasoning", usage.thinking)):
            self._tokens.labels(model, kind).inc(count)
        self._answer.labels(model).observe(seconds)
        if first is not None:
            self._first.labels(model).observe(first)
            if usage.completion > 1:
                self._gap.labels(model).observe((seconds - first) / (usage.completion - 1))

    def responded(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered. ``route`` is a route's pattern: what a client writes is never a label."""
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)


class _Loads(Collector):
    """The models' own gauges, by model."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        loads = {name: source.load for name, source in self._sources.items()}
        for key, help in _GAUGES.items():
            gauge = GaugeMetricFamily(
                f"thinkling_sequences_{key}" if key != "slots" else "thinkling_slots", help, labels=["model"]
            )
            for name, load in loads.items():
                gauge.add_metric([name], load.get(key, 0))
            yield gauge
        drawn = CounterMetricFamily(
            "thinkling_tokens_drawn", "Tokens drawn, cut-off answers included.", labels=["model"]
        )
        ready = GaugeMetricFamily("thinkling_model_ready", "1 where the model answers, else 0.", labels=["model"])
        for name, source in self._sources.items():
            drawn.add_metric([name], loads[name].get("tokens", 0))
            ready.add_metric([name], _READY[source.state])
        yield drawn
        yield ready
