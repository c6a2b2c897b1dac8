"""Several workers' metrics become one exposition, in which the restart of one is no fall of the others."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from itertools import pairwise

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.gathering import Gathering, Peers, merged
from gateway.telemetry.labels import Labels
from gateway.telemetry.metrics import Metrics


def exposition(started: int, odd: str = 'a"b\\c{d}') -> bytes:
    registry = CollectorRegistry()
    Counter("starts_total", "Starts.", ["app"], registry=registry).labels(odd).inc(started)
    Gauge("due", "Due.", registry=registry).set(started)
    Histogram("seconds", "How long.", ["way"], registry=registry, buckets=(1, 5)).labels("x").observe(started)
    return generate_latest(registry)


def values(text: bytes, sample: str) -> dict[str, float]:
    """The values of a sample by worker, as the library's own parser reads them."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for one in family.samples:
            if one.name == sample:
                found[one.labels["worker"]] = one.value
    return found


def test_each_sample_says_whose_it_is_and_each_family_is_told_once() -> None:
    text = merged({0: exposition(3), 2: exposition(4)})
    assert values(text, "starts_total") == {"0": 3, "2": 4}
    assert values(text, "due") == {"0": 3, "2": 4}
    assert values(text, "seconds_count") == {"0": 1, "2": 1}
    heads = [line for line in text.splitlines() if line.startswith(b"#")]
    assert len(heads) == len(set(heads))
    assert text.count(b"# TYPE ") == exposition(1).count(b"# TYPE ")


def test_labels_of_any_content_stay_what_they_are() -> None:
    (family,) = [f for f in text_string_to_metric_families(merged({1: exposition(1)}).decode()) if f.name == "starts"]
    assert [dict(one.labels) for one in family.samples if one.name == "starts_total"] == [
        {"worker": "1", "app": 'a"b\\c{d}'}
    ]


def increase(scrapes: list[dict[str, float]]) -> float:
    """What Prometheus makes of counters: each series by itself, and one that fell began anew at zero."""
    total = 0.0
    for before, after in pairwise(scrapes):
        for worker, value in after.items():
            last = before.get(worker, 0.0)
            total += value - last if value >= last else value
    return total


LIVES = [{0: 100, 1: 100}, {0: 110, 1: 110}, {0: 120, 1: 0}, {0: 130, 1: 10}]
"""Starts that two workers counted: 10 in each interval, but that the second was restarted in the third."""


def test_over_the_restart_of_a_worker_the_increase_is_what_was_counted() -> None:
    scrapes = [merged({n: exposition(count) for n, count in life.items()}) for life in LIVES]
    assert increase([values(text, "starts_total") for text in scrapes]) == 30 + 20


def test_added_up_the_restart_of_one_would_count_everybody_again() -> None:
    """The twin: the sum of all workers as one series falls when one of them is restarted."""
    assert increase([{"": float(sum(life.values()))} for life in LIVES]) == 20 + 120 + 20


@pytest.fixture
def doors() -> Iterator[tuple[socket.socket, ...]]:
    made = tuple(socket.socket() for _ in range(3))
    for door in made:
        door.bind(("127.0.0.1", 0))
    yield made
    for door in made:
        door.close()


def counted(labels: Labels, starts: int) -> CollectorRegistry:
    registry = CollectorRegistry()
    metrics = Metrics(registry, labels, "1")
    for _ in range(starts):
        metrics.started("shop", "login")
    return registry


async def test_whoever_is_asked_tells_of_all_that_are_there(doors: tuple[socket.socket, ...], labels: Labels) -> None:
    workers = [Gathering(counted(labels, n + 1), Peers(n, doors)) for n in range(3)]
    running = [asyncio.create_task(worker.run()) for worker in workers[:2]]  # the third is being restarted
    await asyncio.sleep(0)
    for worker in workers[:2]:
        text = await worker.exposition()
        found = {
            one.labels["worker"]: one.value
            for family in text_string_to_metric_families(text.decode())
            for one in family.samples
            if one.name == "otp_verifications_total" and one.labels["outcome"] == "started" and one.value
        }
        assert found == {"0": 1, "1": 2}
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
