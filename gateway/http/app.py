"""The composition root: from settings to a gateway that is ready to serve. Everything is wired here, nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import structlog
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from starlette.types import ASGIApp

from channels.contract import Provider
from gateway.config.settings import ProviderSection, Settings
from gateway.config.version import version
from gateway.core.keys import Keyring
from gateway.core.machine import Pace
from gateway.guard import Guarded
from gateway.http.api import application
from gateway.http.surface import Surface
from gateway.service import App, Engine, Setup, Verifications
from gateway.service.reports import Reports
from gateway.service.setup import Times
from gateway.store.steps import Unavailable
from gateway.store.valkey import SCRIPTS, Store, connect
from gateway.telemetry.exposition import metrics_app
from gateway.telemetry.labels import Labels
from gateway.telemetry.metrics import Metrics
from gateway.worker import Worker
from policies import destination
from policies.engine import RULES

if TYPE_CHECKING:
    from channels.providers.simulator import Entry  # a provider is imported only when it is configured


@runtime_checkable
class Inboxed(Protocol):
    """A provider that shows its messages instead of sending them."""

    def inbox(self) -> Iterable[Entry]: ...


class Unbuildable(Exception):
    """A provider refuses its settings or its secrets."""


class Draining:
    """Whether the process was told to stop: it is then not ready, and takes no new work."""

    def __init__(self) -> None:
        self.begun = False

    def __call__(self) -> bool:
        return self.begun


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway, wired and not yet listening."""

    app: ASGIApp
    metrics: ASGIApp
    engine: Engine
    worker: Worker
    draining: Draining
    carriers: Mapping[str, Guarded]
    store: Store
    log: Any

    async def drain(self, seconds: float) -> int:
        """Finish what is under way and give back the rest. Returns how many sends were given back."""
        self.worker.stop()
        await self.worker.drain(seconds)
        return await self.engine.drain(seconds)

    async def close(self) -> None:
        for carrier in self.carriers.values():
            await carrier.close()
        await self.store.close()


def compose(settings: Settings, store_url: str, public_url: str) -> Gateway:
    """Wire a gateway. `store_url` and `public_url` are what the settings say, once an embedded store and a free port
    are known."""
    destination.load()
    log = structlog.get_logger()
    metrics, registry = _metrics(settings)
    store = Store(
        _connect(settings, store_url),
        prefix=settings.config.store.prefix,
        watch=lambda name, seconds, failed: metrics.store(name, seconds, error=failed),
    )
    providers = {name: _built(name, section) for name, section in settings.providers.items()}
    carriers = {
        name: Guarded(
            provider,
            name,
            concurrency=settings.providers[name].settings.concurrency,
            timeout=settings.providers[name].settings.timeout,
            rate=settings.providers[name].settings.rate,
            metrics=metrics,
            log=log,
        )
        for name, provider in providers.items()
    }
    setup = _setup(settings, store, metrics, log, carriers, public_url)
    engine, draining = Engine(setup), Draining()
    settings_engine = settings.config.engine
    surface = Surface(
        verifications=Verifications(setup, engine),
        reports=Reports(setup, engine),
        metrics=metrics,
        log=log,
        api_keys={digest: owner.app for digest, owner in settings.api_keys.items()},
        public_url=public_url,
        trusted_proxies=settings.config.server.trusted_proxies,
        max_body=settings.config.server.max_body,
        readiness=lambda: _problems(store, carriers),
        draining=draining,
        version=version(),
        min_useful=setup.pace.min_useful,
        simulator=None if settings.production else _inbox(providers),
    )
    return Gateway(
        app=application(surface),
        metrics=metrics_app(registry),
        engine=engine,
        worker=Worker(setup, engine, poll=settings_engine.poll / 1000, batch=settings_engine.batch),
        draining=draining,
        carriers=carriers,
        store=store,
        log=log,
    )


def _built(name: str, section: ProviderSection) -> Provider:
    try:
        return section.build()
    except ValueError as fault:
        raise Unbuildable(f"providers.{name}: {fault}") from None


def _connect(settings: Settings, url: str) -> Redis:
    store = settings.config.store
    return connect(url, timeout=store.timeout / 1000, connections=store.connections)


def _setup(
    settings: Settings,
    store: Store,
    metrics: Metrics,
    log: Any,
    carriers: Mapping[str, Guarded],
    public_url: str,
) -> Setup:
    engine = settings.config.engine
    return Setup(
        store=store,
        keys=Keyring(settings.lookup, settings.sealing),
        metrics=metrics,
        log=log,
        apps={
            name: App(name, app.name, app.policies, app.locale, {**app.templates})
            for name, app in settings.config.apps.items()
        },
        policies=settings.policies,
        carriers=carriers,
        callback_base=public_url,
        segments=settings.segments,
        pace=Pace(lease=engine.lease, min_useful=engine.min_useful),
        times=Times(tombstone=engine.tombstone, idempotency=engine.idempotency),
        most_sends=engine.sends,
    )


def _metrics(settings: Settings) -> tuple[Metrics, CollectorRegistry]:
    registry = CollectorRegistry()
    policies = settings.policies
    carriers: dict[str, list[str]] = {name: [] for name in settings.providers}
    for channel, names in settings.orders.items():
        for name in names:
            carriers[name].append(channel)
    metrics = Metrics(
        registry,
        Labels(
            apps={name: list(app.policies) for name, app in settings.config.apps.items()},
            carriers=carriers,
            limits={name: [*policy.settings.limits, "cooldown", "guesses"] for name, policy in policies.items()},
            countries=sorted({c for policy in policies.values() for c in policy.settings.countries.allow}),
            rules=[name for name, _ in RULES],
            operations=[*SCRIPTS, "ping", "release"],
        ),
        version(),
    )
    weak = {name for name, policy in policies.items() if policy.settings.code.allow_weak_codes}
    metrics.policies({name: policy.revision for name, policy in policies.items()}, weak)
    return metrics, registry


def _inbox(providers: Mapping[str, Provider]) -> Callable[[], Iterable[Entry]] | None:
    """The messages of the simulator, when there is one."""
    return next((provider.inbox for provider in providers.values() if isinstance(provider, Inboxed)), None)


async def _problems(store: Store, carriers: Mapping[str, Guarded]) -> list[str]:
    """Why it can't serve; nothing when it can."""
    problems = [] if carriers else ["no provider is configured"]
    try:
        await store.ping()
    except Unavailable:
        problems.append("the store does not answer")
    return problems
