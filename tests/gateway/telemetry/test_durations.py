"""Seconds that are counted in plain lists are exposed as the library would expose its own histogram."""

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from gateway.telemetry.durations import Durations, Series
from gateway.telemetry.families import Family
from gateway.telemetry.table import Kind, Metric

ROUTE = Metric("otp_some_seconds", Kind.HISTOGRAM, ("route",), 'Some "help".', (0.005, 0.1, 2.5, 10))
ALONE = Metric("otp_other_seconds", Kind.HISTOGRAM, (), "Others.", (1,))
SECONDS = st.one_of(st.sampled_from([0.0, 0.005, 0.1, 2.5, 10.0, 11.0]), st.floats(0, 20, allow_nan=False))


def known(*labels: str) -> Series:
    return labels if labels in ((), ("a",), ("b",)) else ("other",)


def theirs(metric: Metric, observed: list[tuple[str, float]]) -> str:
    registry = CollectorRegistry()
    histogram = Histogram(metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=registry)
    for route, seconds in observed:
        child = histogram.labels(*known(route)) if metric.labels else histogram
        child.observe(seconds)
    lines = generate_latest(registry).decode().splitlines()
    return "\n".join(line for line in lines if "_created" not in line)


def ours(metric: Metric, observed: list[tuple[str, float]]) -> str:
    registry, durations = CollectorRegistry(), Durations(metric, known)
    registry.register(durations)
    for route, seconds in observed:
        durations.observe(seconds, *((route,) if metric.labels else ()))
    return generate_latest(registry).decode().rstrip()


@given(st.lists(st.tuples(st.sampled_from("abc"), SECONDS), max_size=12))
@settings(max_examples=60, deadline=None)
def test_it_is_exposed_as_the_librarys_own(observed: list[tuple[str, float]]) -> None:
    for metric in (ROUTE, ALONE):
        assert ours(metric, observed) == theirs(metric, observed)


def test_only_labels_of_the_closed_set_get_a_series() -> None:
    told = ours(ROUTE, [("a", 1), *((f"/{n}", 1.0) for n in range(50))])
    assert told.count("_count{") == 2
    assert 'otp_some_seconds_count{route="other"} 50.0' in told


def test_what_is_counted_is_there_at_every_look() -> None:
    registry = CollectorRegistry()
    family = Family(Counter("otp_things_total", "Things.", ("route",), registry=None), known, Counter.inc)
    registry.register(family)
    family.prime([("b",)])
    seen = []
    for route in ("a", "a", "x", "y"):
        family.add(route, amount=2)
        seen.append([registry.get_sample_value("otp_things_total", {"route": name}) for name in ("a", "b", "other")])
    assert seen == [[2, 0, None], [4, 0, None], [4, 0, 2], [4, 0, 4]]
    assert not family._waiting


def test_unknown_labels_wait_under_the_closed_set() -> None:
    """However long nobody looks."""
    family = Family(Counter("otp_things_total", "Things.", ("route",), registry=None), known, Counter.inc)
    for number in range(1_000):
        family.add(f"/{number}")
    assert family._waiting == {("other",): 1_000}
