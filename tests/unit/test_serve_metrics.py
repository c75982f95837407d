"""What Prometheus reads: the sums are exact, the gauges those of the models, the format the library's own."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from thinkling.core.types import Usage
from thinkling.serve.metrics import Metrics


class Loaded:
    """Only what metrics look at."""

    state = "ready"

    def __init__(self, **load: int) -> None:
        self.load = load


def read(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def test_answers_add_up() -> None:
    metrics = Metrics({})
    metrics.answered("nano", Usage(10, 21, 5, 1), seconds=3.0, first=1.0)
    metrics.answered("nano", Usage(7, 1, 0, 1), seconds=0.5, first=0.5)
    metrics.answered("nano", Usage(1, 1, 1, 1), seconds=2.0)
    found, nano = read(metrics), ("model", "nano")
    for kind, total in (("prompt", 18), ("completion", 23), ("reasoning", 6)):
        assert found["thinkling_tokens_total", (("kind", kind), nano)] == total
    assert found["thinkling_answer_seconds_sum", (nano,)] == 5.5
    assert found["thinkling_answer_seconds_count", (nano,)] == 3
    assert found["thinkling_first_token_seconds_sum", (nano,)] == 1.5
    assert found["thinkling_first_token_seconds_count", (nano,)] == 2
    assert found["thinkling_token_gap_seconds_sum", (nano,)] == pytest.approx(0.1)  # 20 gaps in two seconds
    assert found["thinkling_token_gap_seconds_count", (nano,)] == 1  # a single token has no gap


def test_gauges_are_read_when_asked_for() -> None:
    sources: dict[str, Any] = {"a": Loaded(running=3, waiting=2, slots=8, tokens=100), "b": Loaded()}
    metrics = Metrics(sources)
    found = read(metrics)
    a, b = (("model", "a"),), (("model", "b"),)
    assert found["thinkling_sequences_running", a] == 3
    assert found["thinkling_sequences_waiting", a] == 2
    assert found["thinkling_slots", a] == 8
    assert found["thinkling_tokens_drawn_total", a] == 100
    assert found["thinkling_sequences_running", b] == 0
    assert found["thinkling_model_ready", b] == 1
    sources["a"].load, sources["b"].state = {"running": 0}, "broken"
    found = read(metrics)
    assert found["thinkling_sequences_running", a] == 0
    assert found["thinkling_model_ready", b] == 0


def test_requests() -> None:
    metrics, other = Metrics({}), Metrics({})
    metrics.responded("GET", "/v1/models", 200, 0.25)
    metrics.responded("GET", "/v1/models", 401, 0.25)
    metrics.responded("\n} 1", "/v1/models", 405, 0.25)
    found = read(metrics)
    route = ("route", "/v1/models")
    assert found["thinkling_requests_total", (("method", "GET"), route, ("status", "200"))] == 1
    assert found["thinkling_requests_total", (("method", "other"), route, ("status", "405"))] == 1
    assert found["thinkling_request_seconds_sum", (route,)] == 0.75
    assert "thinkling_requests_total{" not in other.text().decode()
