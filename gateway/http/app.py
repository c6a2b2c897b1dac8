"""The composition root: from settings to a gateway that is ready to serve. Everything is wired here, nowhere else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Receive, Scope, Send

from channels.contract import Channel
from gateway.config.model import AppSettings, OrderingSettings
from gateway.config.settings import Settings
from gateway.config.version import version
from gateway.core.keys import Keyring
from gateway.core.machine import Pace
from gateway.guard import Guarded
from gateway.guard.judge import Judge
from gateway.guard.standing import Band, Terms
from gateway.http import carriers
from gateway.http.api import application
from gateway.http.carriers import Carriers
from gateway.http.direct import START, Direct
from gateway.http.opening import open_store
from gateway.http.room import Room
from gateway.http.surface import Surface
from gateway.http.whole import Door
from gateway.service import App, Engine, Setup, Verifications, trial
from gateway.service.erasure import Erasure
from gateway.service.lists import Lists
from gateway.service.mailhosts import MailHosts
from gateway.service.prices import Prices
from gateway.service.reports import Reports
from gateway.service.setup import Times
from gateway.service.suppressions import Suppressions
from gateway.service.suspicion import Blocks
from gateway.service.switches import PAUSE, Switches
from gateway.service.vigilance import FailedChecks, Vigilance
from gateway.store.steps import Unavailable
from gateway.store.valkey import SCRIPTS, Store
from gateway.telemetry.exposition import metrics_app
from gateway.telemetry.gathering import Gathering, Peers
from gateway.telemetry.labels import Labels
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.traffic import TrafficFile
from gateway.worker import Worker
from policies import destination
from policies.engine import RULES

_SILENCE = 10.0
"""Seconds between two log lines that say that starts are refused."""


class Draining:
    """Whether the process was told to stop: it is then not ready, and takes no new work."""

    def __init__(self) -> None:
        self.begun = False

    def __call__(self) -> bool:
        return self.begun


@dataclass(frozen=True, slots=True)
class Frame:
    """What a gateway keeps from its start to its end."""

    store: Store
    metrics: Metrics
    log: Any  # a structlog logger
    own_url: str  # where the API listens
    draining: Draining
    judge: Judge
    switches: Switches
    mail: MailHosts
    vigilance: Vigilance
    room: Room


@dataclass(frozen=True, slots=True)
class Wired:
    """What is made from one configuration, and made anew from the next."""

    settings: Settings
    carriers: Carriers
    record: TrafficFile | None
    setup: Setup
    engine: Engine  # the only one that there is: it outlives configurations
    app: Direct
    labels: Labels


class Gateway:
    """A gateway, wired and not yet listening. A request runs to its end under the configuration that it began under;
    the engine and the worker, which outlive requests, go on under the newest."""

    def __init__(self, frame: Frame, wired: Wired, metrics: ASGIApp, gathering: Gathering | None) -> None:
        pace = wired.settings.config.engine
        self.metrics = metrics
        self.gathering = gathering
        self.draining = frame.draining
        self.log = frame.log
        self.engine = wired.engine
        self.worker = Worker(wired.setup, self.engine, poll=pace.poll / 1000, batch=pace.batch, recovery=pace.recovery)
        self.prices = Prices(wired.setup, self.engine)
        self._frame = frame
        self._retiring: set[asyncio.Task[None]] = set()
        self._told = -_SILENCE  # when overload was last told of
        self._switch(wired)

    @property
    def settings(self) -> Settings:
        """The configuration in force."""
        return self._wired.settings

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The API, as an ASGI application."""
        await self._wired.app(scope, receive, send)

    @property
    def door(self) -> Door:
        """Where the calls come in that carry the load."""
        return Door(self._frame.room, self._turned_away, lambda: self._wired.app)

    async def adopt(self, settings: Settings) -> None:
        """Go on under other settings, whole or not at all. Raises carriers.Unbuildable and telemetry.traffic.Unwritable
        while nothing has changed yet."""
        before = self._wired
        after = await _wired(self._frame, settings, before)
        # From here on nothing waits and nothing can fail, so that nobody ever sees a half of it.
        self.engine.adopt(after.setup)
        self.worker.adopt(after.setup)
        self.prices.adopt(after.setup)
        self._frame.metrics.admit(after.labels)
        self._switch(after)
        task = asyncio.create_task(self._retire(before, after))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def watch(self) -> None:
        """Take over for ever what an operator switches off and on, and tell of the blocks that have ended."""
        await asyncio.gather(self._frame.switches.watch(self._wired.setup), self._sweep())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(PAUSE)
            await Blocks(self._wired.setup).try_sweep()

    @property
    def room(self) -> Room:
        """For the starts that are worked on at once."""
        return self._frame.room

    def _turned_away(self) -> None:
        """Count a start that was refused for want of room, before it became a request, and say so once in a while."""
        self._frame.metrics.http(START, 503, 0.0)
        now = time.monotonic()
        if now - self._told >= _SILENCE:
            self._told = now
            self.log.warning("gateway.overloaded", route=START, in_flight=self.engine.in_flight)

    def reloaded(self, result: str) -> None:
        """Count a reload: loaded, or refused."""
        self._frame.metrics.reloaded(result)

    async def drain(self, seconds: float) -> int:
        """Finish what is under way and give back the rest. Returns how many sends were given back."""
        deadline = time.monotonic() + seconds
        self.worker.stop()
        await self.worker.drain(seconds)
        return await self.engine.drain(max(0.0, deadline - time.monotonic()))

    async def close(self) -> None:
        """Call it after `drain`: no send is under way any more, so what was replaced by a reload closes as well."""
        await self.prices.close()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        await carriers.close(self._wired.carriers.values())
        if self._wired.record:
            await asyncio.to_thread(self._wired.record.close)
        await self._frame.store.close()

    def _switch(self, wired: Wired) -> None:
        self._wired = wired
        self._frame.room.most = wired.settings.config.server.starts
        policies = wired.settings.policies
        weak = {name for name, policy in policies.items() if policy.settings.code.allow_weak_codes}
        self._frame.metrics.policies({name: policy.revision for name, policy in policies.items()}, weak)
        self._frame.metrics.loaded(time.time())

    async def _retire(self, before: Wired, after: Wired) -> None:
        """Close what the new configuration has no use for, once no send can be using it any more: those that began
        after the switch have the new carriers."""
        await self.engine.ended()
        await self.prices.ended()
        await carriers.close(carriers.parted(before.carriers, after.carriers))
        if before.record and before.record is not after.record:
            await asyncio.to_thread(before.record.close)


async def compose(
    settings: Settings, store_url: str, own_url: str, peers: Peers | None = None, restarts: int = 0
) -> Gateway:
    """Wire a gateway. `store_url` is what the settings say, once an embedded store is known, and `own_url` where the
    API listens. One of several workers has `peers`, and `restarts` before it. Raises carriers.Unbuildable,
    telemetry.traffic.Unwritable and survey.Unfit."""
    destination.load()
    registry = CollectorRegistry()
    metrics = Metrics(registry, _labels(settings), version())
    metrics.restarted(restarts)
    log = structlog.get_logger().bind()  # a lazy logger is made anew for every line
    store = await open_store(settings, store_url, metrics, log)
    judge = Judge(_terms(settings.config.ordering), metrics, log)
    mail, room = MailHosts(metrics.mail_asked), Room(settings.config.server.starts)
    frame = Frame(store, metrics, log, own_url, Draining(), judge, Switches(), mail, Vigilance(), room)
    wired = await _wired(frame, settings, None)
    await frame.switches.try_refresh(wired.setup)
    gathering = Gathering(registry, peers) if peers else None
    return Gateway(frame, wired, metrics_app(registry, gathering), gathering)


async def _wired(frame: Frame, settings: Settings, before: Wired | None) -> Wired:
    """What one configuration asks for, with what is there already of it. Raises Unbuildable and Unwritable, and leaves
    nothing open then."""
    there: Carriers = before.carriers if before else {}
    made: Carriers = {}
    record = _record(settings, frame.metrics, before)
    try:
        made = await carriers.carriers(settings.providers, there, frame.metrics, frame.log)
        setup = _setup(frame, settings, {name: carried.guarded for name, carried in made.items()}, record)
        engine = before.engine if before else Engine(setup)
        app = _app(frame, settings, made, setup, engine)
        return Wired(settings, made, record, setup, engine, app, _labels(settings))
    except BaseException:
        await carriers.close(carriers.parted(made, there))
        if record and not (before and record is before.record):
            record.close()
        raise


def _record(settings: Settings, metrics: Metrics, before: Wired | None) -> TrafficFile | None:
    said = settings.config.record
    if before and before.settings.config.record == said:
        return before.record
    if said.file is None:
        return None
    return TrafficFile(said.file, max_bytes=said.max_bytes, keep=said.keep, lost=metrics.traffic_lost)


def _app(frame: Frame, settings: Settings, made: Carriers, setup: Setup, engine: Engine) -> Direct:
    return application(
        Surface(
            verifications=Verifications(setup, engine),
            reports=Reports(setup, engine),
            suppressions=Suppressions(setup),
            lists=Lists(setup),
            erasure=Erasure(setup, engine),
            blocks=Blocks(setup),
            metrics=frame.metrics,
            log=frame.log,
            api_keys={digest: owner.app for digest, owner in settings.api_keys.items()},
            public_url=setup.callback_base,
            trusted_proxies=settings.config.server.trusted_proxies,
            room=frame.room,
            max_body=settings.config.server.max_body,
            readiness=lambda: _problems(frame.store, made),
            draining=frame.draining,
            version=version(),
            min_useful=setup.pace.min_useful,
            simulator=None if settings.production else carriers.inbox(made),
        )
    )


def _setup(frame: Frame, settings: Settings, guarded: Mapping[str, Guarded], record: TrafficFile | None) -> Setup:
    engine = settings.config.engine
    return Setup(
        store=frame.store,
        keys=Keyring(settings.lookup, settings.sealing),
        metrics=frame.metrics,
        log=frame.log,
        apps={
            name: App(name, app.name, app.policies, app.locale, {**app.templates}, _failed_checks(app))
            for name, app in settings.config.apps.items()
        },
        policies=settings.policies,
        carriers=guarded,
        callback_base=settings.config.server.public_url or frame.own_url,
        segments=settings.segments,
        pace=Pace(lease=engine.lease, min_useful=engine.min_useful),
        times=Times(tombstone=engine.tombstone, idempotency=engine.idempotency),
        record=record,
        most_sends=engine.sends,
        judge=frame.judge,
        switches=frame.switches,
        mail=frame.mail,
        vigilance=frame.vigilance,
        test_codes=_test_codes(settings),
        tariff=settings.tariff,
    )


def _failed_checks(app: AppSettings) -> FailedChecks | None:
    said = app.failed_checks
    return FailedChecks(said.window, said.amount, said.minimum, said.ratio, said.action) if said else None


def _test_codes(settings: Settings) -> Mapping[str, str]:
    """The codes that are known. The loader refuses them in production; here they are once more left out."""
    return {} if settings.production else settings.config.test_destinations


def _terms(ordering: OrderingSettings) -> Terms:
    return Terms(
        window=ordering.window,
        minimum=ordering.minimum,
        delivery=Band(ordering.bad_delivery, ordering.good_delivery),
        conversion=Band(ordering.bad_conversion, ordering.good_conversion),
        cooldown=ordering.cooldown,
        exploration=ordering.exploration,
    )


def _labels(settings: Settings) -> Labels:
    policies = settings.policies
    channels: dict[str, list[str]] = {name: [] for name in settings.providers}
    for channel, names in settings.orders.items():
        for name in names:
            channels[name].append(channel)
    if _test_codes(settings):
        channels[trial.PROVIDER] = list(Channel)
    return Labels(
        apps={name: list(app.policies) for name, app in settings.config.apps.items()},
        carriers=channels,
        limits={name: [*policy.settings.limits, "cooldown", "guesses"] for name, policy in policies.items()},
        caps={name: list(policy.settings.spend.caps) for name, policy in policies.items()},
        countries=sorted({c for policy in policies.values() for c in policy.settings.countries.allow}),
        rules=[name for name, _ in RULES],
        operations=[*SCRIPTS, "scan", "ping", "release", "wait", "switches", "suppressions", "lists", "known", "terms"],
        fraud=sorted({name for policy in policies.values() for name in policy.settings.fraud.rules}),
    )


async def _problems(store: Store, those: Carriers) -> list[str]:
    """Why it can't serve; nothing when it can."""
    problems = [] if those else ["no provider is configured"]
    try:
        await store.ping()
    except Unavailable:
        problems.append("the store does not answer")
    return problems
