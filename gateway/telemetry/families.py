"""The metric families of one registry, with their children bound once and their known series exported at zero."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import Metric as LibraryMetric
from prometheus_client.registry import Collector

from channels.contract import Channel
from gateway.telemetry.durations import Durations, Series
from gateway.telemetry.labels import CHANNELS, ERRORS, Names, one_of
from gateway.telemetry.table import (
    ATTEMPTS,
    BLOCKS,
    CALLBACKS,
    CONVERSION,
    DECISIONS,
    LEVELS,
    MAIL,
    METRICS,
    MODES,
    MOVEMENTS,
    NONE,
    OTHER,
    OUTCOMES,
    REASONS,
    RELOADS,
    SUPPRESSIONS,
    VERDICTS,
    Kind,
    Metric,
)

T = TypeVar("T", Counter, Gauge)


class Family(Collector, Generic[T]):
    """One metric and its children. `labels()` of the library takes a lock and costs more than the count itself.

    A label tuple that has a child is valid by construction, so the usual call is one dictionary look-up; only an
    unknown tuple goes through `tidy`, which makes it one of the closed set. What is added up or put here, by one
    thread, is given to the library when somebody looks: scrapes are far fewer than counts.
    """

    def __init__(self, parent: T, tidy: Callable[..., Series], give: Callable[[T, float], None]) -> None:
        self.parent: T = parent
        self._tidy = tidy
        self._give: Callable[[T, float], None] = give
        self._children: dict[Series, T] = {}
        self._waiting: dict[Series, float] = {}
        self.before: Callable[[], None] | None = (
            None  # called when somebody looks: for what is kept elsewhere until then
        )

    def of(self, *raw: str) -> T:
        child = self._children.get(raw)
        return child if child is not None else self._bind(self._tidy(*raw))

    def add(self, *raw: str, amount: float = 1) -> None:
        """Count."""
        if raw not in self._children:
            raw = self._admitted(raw)
        self._waiting[raw] = self._waiting.get(raw, 0) + amount

    def put(self, value: float, *raw: str) -> None:
        """Say how things stand."""
        if raw not in self._children:
            raw = self._admitted(raw)
        self._waiting[raw] = value

    def prime(self, tuples: Iterable[Series]) -> None:
        """Export these at zero, so that a rate over them is 0 and not "no data"."""
        for raw in tuples:
            self.of(*raw)

    def describe(self) -> Iterable[LibraryMetric]:
        """What the registry asks at the beginning."""
        return self.parent.describe()

    def collect(self) -> Iterable[LibraryMetric]:
        """What the registry asks at each scrape."""
        if self.before:
            self.before()
        waiting, self._waiting = self._waiting, {}
        for labels, value in waiting.items():
            self._give(self._children[labels], value)
        return self.parent.collect()

    def _admitted(self, raw: Series) -> Series:
        labels = self._tidy(*raw)
        self._bind(labels)
        return labels

    def _bind(self, labels: Series) -> T:
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self.parent.labels(*labels) if labels else self.parent
        return child


class Families:
    """All of them, made from the table and registered in the registry that is passed in."""

    def __init__(self, registry: CollectorRegistry, names: Names) -> None:
        self._registry = registry
        self._table = {metric.name: metric for metric in METRICS}
        self._make_counters(names)
        self._make_measures(names)

    def _make_counters(self, names: Names) -> None:
        self.verifications = self._counter("otp_verifications_total", names.verification)
        self.conversions = self._counter("otp_country_verifications_total", names.conversion)
        self.attempts = self._counter("otp_attempts_total", names.attempt)
        self.errors = self._counter("otp_attempt_errors_total", names.error)
        self.fallbacks = self._counter("otp_fallbacks_total", names.fallback)
        self.checks = self._counter("otp_checks_total", lambda verdict: (one_of(VERDICTS, verdict),))
        self.failing = self._counter("otp_failing_checks_total", names.failing)
        self.limits = self._counter("otp_limit_decisions_total", names.limit)
        self.refusals = self._counter("otp_refusals_total", lambda rule: (names.rules(rule),))
        self.suspicions = self._counter("otp_fraud_total", names.suspicion)
        self.blocks = self._counter("otp_blocks_total", names.block)
        self.suppressions = self._counter("otp_suppressions_total", names.suppression)
        self.cost = self._counter("otp_cost_micros_total", names.cost)
        self.prices = self._counter("otp_price_lookups_total", names.price)
        self.spend = self._counter("otp_spend_micros_total", names.spend)
        self.country_spend = self._counter("otp_country_spend_micros_total", names.country_spend)
        self.cap_events = self._counter("otp_spend_cap_events_total", names.cap)
        self.lease_lost = self._counter("otp_lease_lost_total", _as_it_is)
        self.orphans = self._counter("otp_orphans_total", _as_it_is)
        self.store_errors = self._counter("otp_store_errors_total", lambda name: (names.operations(name),))
        self.callbacks = self._counter("otp_callbacks_total", names.callback)
        self.http_requests = self._counter("otp_http_requests_total", names.request)
        self.mail_lookups = self._counter("otp_mail_lookups_total", lambda result: (one_of(MAIL, result),))
        self.reloads = self._counter("otp_config_reload_total", lambda result: (one_of(RELOADS, result),))
        self.restarts = self._counter("otp_worker_restarts_total", _as_it_is)
        self.traffic_lost = self._counter("otp_traffic_lost_total", _as_it_is)

    def _make_measures(self, names: Names) -> None:
        self.delivery_seconds = self._histogram("otp_delivery_seconds", names.carrier)
        self.verify_seconds = self._histogram("otp_verify_seconds", lambda channel: (one_of(CHANNELS, channel),))
        self.provider_seconds = self._histogram("otp_provider_seconds", names.carrier)
        self.store_seconds = self._histogram("otp_store_seconds", lambda name: (names.operations(name),))
        self.http_seconds = self._histogram("otp_http_seconds", lambda route: (names.routes(route),))
        self.lateness = self._histogram("otp_timer_lateness_seconds", _as_it_is)
        self.standing = self._gauge("otp_blocks_standing", lambda app: (app if app in names.apps else OTHER,))
        self.due = self._gauge("otp_timers_due", _as_it_is)
        self.in_flight = self._gauge("otp_sends_in_flight", names.provider)
        self.breaker = self._gauge("otp_breaker_state", names.carrier)
        self.disabled = self._gauge("otp_provider_disabled", names.provider)
        self.cap_ratio = self._gauge("otp_spend_cap_ratio", names.cap)
        self.bad = self._gauge("otp_provider_bad", names.carrier)
        self.share = self._gauge("otp_provider_share", names.share)
        self.policy_info = self._gauge("otp_policy_info", _as_it_is)
        self.reloaded = self._gauge("otp_config_last_reload_success_timestamp_seconds", _as_it_is)
        self.build_info = self._gauge("otp_build_info", _as_it_is)

    def _counter(self, name: str, tidy: Callable[..., Series]) -> Family[Counter]:
        metric = self._taken(name, Kind.COUNTER)
        return self._registered(
            Family(Counter(metric.name, metric.help, metric.labels, registry=None), tidy, Counter.inc)
        )

    def _gauge(self, name: str, tidy: Callable[..., Series]) -> Family[Gauge]:
        metric = self._taken(name, Kind.GAUGE)
        return self._registered(Family(Gauge(metric.name, metric.help, metric.labels, registry=None), tidy, Gauge.set))

    def _histogram(self, name: str, tidy: Callable[..., Series]) -> Durations:
        durations = Durations(self._taken(name, Kind.HISTOGRAM), tidy)
        self._registry.register(durations)
        return durations

    def _registered(self, family: Family[T]) -> Family[T]:
        self._registry.register(family)
        return family

    def _taken(self, name: str, kind: Kind) -> Metric:
        metric = self._table.pop(name)
        if metric.kind is not kind:
            raise TypeError(f"{name} is a {metric.kind} in the table, not a {kind}")
        return metric


def prime(families: Families, names: Names) -> None:
    """Export every series at zero that the configuration makes known."""
    _prime_verifications(families, names)
    _prime_carriers(families, names)
    _prime_money(families, names)
    families.fallbacks.prime(product(CHANNELS, CHANNELS, REASONS))
    families.mail_lookups.prime((result,) for result in MAIL)
    families.reloads.prime((result,) for result in RELOADS)
    families.suspicions.prime(product(names.fraud, MODES))
    families.blocks.prime(product(names.fraud, BLOCKS))
    families.suppressions.prime(product(CHANNELS, SUPPRESSIONS))
    families.verify_seconds.prime((channel,) for channel in CHANNELS)
    families.callbacks.prime(product(names.providers, CALLBACKS))
    families.in_flight.prime((provider,) for provider in names.providers)
    families.disabled.prime((provider,) for provider in names.providers)
    for operation in names.operations.words:
        families.store_seconds.prime([(operation,)])
        families.store_errors.of(operation)
    for route in names.routes.words:
        families.http_seconds.prime([(route,)])
        # What an SLO divides by and what it counts; other answers appear when they are given.
        families.http_requests.prime((route, status) for status in ("200", "500", "503"))


def _prime_verifications(families: Families, names: Names) -> None:
    for app, purposes in names.apps.items():
        families.verifications.prime((outcome, app, purpose) for outcome in OUTCOMES for purpose in (*purposes, ""))
    countries = (*names.countries.words, "")
    families.conversions.prime(product(CONVERSION, countries))
    families.checks.prime((verdict,) for verdict in VERDICTS)
    families.failing.prime((app,) for app in names.apps)
    families.limits.prime((*pair, decision) for pair in names.limits for decision in DECISIONS)
    families.refusals.prime((rule,) for rule in names.rules.words)


def _prime_money(families: Families, names: Names) -> None:
    families.spend.prime(product(MOVEMENTS, names.apps))
    families.country_spend.prime(product(MOVEMENTS, (*names.countries.words, "")))
    families.cap_ratio.prime(names.caps)
    families.cap_events.prime((*cap, level) for cap in names.caps for level in LEVELS)


def _prime_carriers(families: Families, names: Names) -> None:
    for pair in names.carriers:
        places = (NONE,) if pair[1] == Channel.EMAIL else names.countries.words
        families.attempts.prime((*pair, *rest) for rest in product(places, ATTEMPTS))
        families.errors.prime((*pair, error) for error in ERRORS)
        families.delivery_seconds.prime([pair])
        families.provider_seconds.prime([pair])
        families.breaker.of(*pair)
        families.bad.of(*pair)


def _as_it_is(*labels: str) -> Series:
    return labels
