"""Opens the store that was configured, after a look at how it is set up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.config.settings import Settings
from gateway.store import survey
from gateway.store.topology import configured, steps, waiter, watched
from gateway.store.valkey import Store
from gateway.telemetry.metrics import Metrics

_GATHER = 0.05
"""Seconds for which it is gathered what the watches are told of codes that were typed."""


async def open_store(settings: Settings, url: str, metrics: Metrics, log: Any) -> Store:
    """The store, after a look at how it is set up. Raises survey.Unfit."""
    said = settings.config.store
    calls = configured(said, url)
    info = await survey.try_look(calls)
    try:
        _examine(settings, url, info, log)
    except survey.Unfit:
        await calls.close()
        raise
    found = survey.replicas(info) if info else 0
    number = min(1, watched(url) or found) if said.wait.replicas is None else said.wait.replicas
    waiting = waiter(url, configured(said, url, slack=said.wait.timeout), number, said.wait.timeout) if number else None
    return Store(
        calls,
        prefix=said.prefix,
        watch=metrics.store,
        replicas=waiting,
        confirm_starts=said.wait.starts,
        gather=_GATHER,
        steps=steps(url),
    )


def _examine(settings: Settings, url: str, info: Mapping[str, str] | None, log: Any) -> None:
    """Refuse a store that may lose data, or warn of it. One that can't be looked at is let pass: it may be back before
    anybody asks for anything. Raises survey.Unfit."""
    if info is None:
        log.warning("store.failed", operation="survey", fault="it can't be looked at")
        return
    judgements = survey.judged(info, watched=watched(url))
    checks = settings.config.store.checks
    if checks == "refuse" or (checks == "auto" and settings.production):
        survey.refuse(judgements)
    for one in judgements:
        if one.remedy:
            log.warning("store.warned", setting=one.setting, value=one.value, remedy=one.remedy)
