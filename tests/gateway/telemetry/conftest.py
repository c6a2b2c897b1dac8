"""Telemetry for tests: a fresh registry, and logging that is put back as it was."""

import logging
from collections.abc import Iterator

import pytest
import structlog
from prometheus_client import CollectorRegistry

from gateway.telemetry.labels import Labels
from gateway.telemetry.metrics import Metrics

CHANNELS = ("sms", "voice", "whatsapp", "email")


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def labels() -> Labels:
    return Labels(
        apps={"shop": ("login", "payment", "*"), "bank": ("login",)},
        carriers=dict.fromkeys(("alpha", "beta", "gamma"), CHANNELS),
        limits=dict.fromkeys(("default", "strict"), ("destination-10m", "destination-day", "ip-hour")),
        countries=("US", "BR"),
        rules=("country", "number_type", "route", "limits"),
        operations=("create", "check", "commit", "claim"),
    )


@pytest.fixture
def metrics(registry: CollectorRegistry, labels: Labels) -> Metrics:
    return Metrics(registry, labels, "0.1.0")


@pytest.fixture
def logging_restored() -> Iterator[None]:
    names = ("", "uvicorn", "uvicorn.error", "uvicorn.access", "aiohttp.access")
    loggers = [logging.getLogger(name) for name in names]
    before = [(one, list(one.handlers), one.level, one.propagate, one.disabled) for one in loggers]
    yield
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    for logger, handlers, level, propagate, disabled in before:
        logger.handlers, logger.propagate, logger.disabled = handlers, propagate, disabled
        logger.setLevel(level)
