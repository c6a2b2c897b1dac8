"""The number of time series is bounded, whatever comes in: a label is never as long as the list of those who attack."""

import random
import string
from itertools import product

import pytest
from prometheus_client import CollectorRegistry

from channels.contract import ErrorClass
from gateway.telemetry import table
from gateway.telemetry.labels import CHANNELS, ROUTES, Labels, Vocabulary
from gateway.telemetry.metrics import Metrics

BUDGET = 2_500
PROVIDERS = ("alpha", "beta", "gamma")
COUNTRIES = tuple(f"{a}{b}" for a in "ABC" for b in string.ascii_uppercase)[:30]


def series(registry: CollectorRegistry) -> int:
    return sum(len(family.samples) for family in registry.collect())


def saturate(metrics: Metrics) -> None:
    """Everything that is legal happens."""
    for provider, channel, country in product(PROVIDERS, CHANNELS, COUNTRIES):
        for outcome in table.ATTEMPTS:
            metrics.attempt(channel, provider, country, outcome)
    for country in COUNTRIES:
        metrics.started("shop", "login", country)
    for provider, channel, currency in product(PROVIDERS, CHANNELS, ("USD", "EUR", "INR", "BRL", "GBP")):
        metrics.cost(channel, provider, 1, currency)
    for route, status in product((*ROUTES, "/livez", "/readyz", "/simulator", "/next"), table.STATUSES):
        metrics.http(route, status, 0.1)


def bombard(metrics: Metrics, times: int) -> None:
    """Nothing that comes is legal, but for being spread over every verb."""
    chance = random.Random(7)  # noqa: S311 # noise, not a secret; the same in every run

    def noise() -> str:
        return "".join(chance.choices(string.ascii_letters + "0123456789", k=chance.randrange(1, 9)))

    def lower() -> str:
        return noise().lower()

    verbs = (
        lambda: metrics.started(noise(), noise(), noise().upper()),
        lambda: metrics.ended(noise(), "shop", noise(), noise()[:2].upper()),
        lambda: metrics.refused(lower(), noise(), noise()),
        lambda: metrics.attempt(
            chance.choice(sorted(CHANNELS)), chance.choice(PROVIDERS), noise()[:2].upper(), noise(), noise()
        ),
        lambda: metrics.attempt("sms", "alpha", noise()[:2].upper(), "sent", chance.choice(list(ErrorClass))),
        lambda: metrics.fell_back(noise(), "sms", noise()),
        lambda: metrics.limited("default", noise(), chance.random() < 0.5),
        lambda: metrics.http("/" + lower(), chance.randrange(1000), 0.1),
        lambda: metrics.store(lower(), 0.1, True),
        lambda: metrics.cost("sms", "alpha", 1, noise()[:3].upper()),
        lambda: metrics.provider(noise(), "sms", 0.1),
        lambda: metrics.breaker(noise(), "sms", "open"),
        lambda: metrics.callback(noise(), noise()),
        lambda: metrics.checked(noise()),
        lambda: metrics.verified(noise(), 1.0),
        lambda: metrics.in_flight(noise(), 1),
    )
    for number in range(times):
        verbs[number % len(verbs)]()


def test_a_hundred_thousand_random_labels_stay_within_the_budget(registry: CollectorRegistry, labels: Labels) -> None:
    metrics = Metrics(registry, labels, "0.1.0")
    saturate(metrics)
    bombard(metrics, 100_000)
    full = series(registry)
    bombard(metrics, 1_000)
    assert full <= BUDGET
    assert series(registry) == full


def test_the_budget_notices_a_vocabulary_without_a_cap(
    registry: CollectorRegistry, labels: Labels, monkeypatch: pytest.MonkeyPatch
) -> None:
    def uncapped(self: Vocabulary, word: str) -> str:
        return word

    monkeypatch.setattr(Vocabulary, "__call__", uncapped)
    metrics = Metrics(registry, labels, "0.1.0")
    bombard(metrics, 20_000)
    assert series(registry) > BUDGET
