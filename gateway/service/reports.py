"""What vendors say afterwards: delivery reports, and voice calls that ask what to speak."""

from __future__ import annotations

from channels.contract import Answer, Callback, DeliveryReport, ErrorClass, Forged, ReportKind
from gateway.core import machine
from gateway.core.keys import Callee, Unopenable
from gateway.service.engine import Contended, Engine
from gateway.service.requests import NotFound, Refused
from gateway.service.setup import Carrier, Setup
from gateway.store.document import Stored
from gateway.store.steps import Unknown

ANSWER = ("answer", "1")
"""The query of the address that a voice vendor fetches its words from."""


class Unsigned(Refused):
    """The vendor's signature is missing or wrong."""


class Reports:
    """Takes a vendor's callback. The token in its address says which attempt it speaks of; nothing in it can widen
    that, so a report can't be made up, nor used for another message."""

    def __init__(self, setup: Setup, engine: Engine) -> None:
        self._setup = setup
        self._engine = engine

    async def take(self, provider: str, token: str, callback: Callback) -> Answer:
        """Read a callback and act on it. Raises NotFound for an address that was never given out, Unsigned, and
        store.steps.Unavailable (the vendor then repeats)."""
        carrier, callee = self._setup.carriers.get(provider), self._setup.keys.callee(token, provider)
        if carrier is None or callee is None:
            self._setup.metrics.callback(provider, "unknown")
            raise NotFound
        try:
            outcome = carrier.read(callback)
        except Forged:
            self._setup.metrics.callback(provider, "forged")
            self._setup.log.warning("callback.forged", provider=provider, verification=callee.verification)
            raise Unsigned from None
        for report in outcome.reports:
            await self._report(provider, callee, report)
        if ANSWER in callback.query:
            return await self._answer(carrier, callee, wanted=outcome.wants_message)
        return Answer(status=204)

    async def _report(self, provider: str, callee: Callee, report: DeliveryReport) -> None:
        event = _event(callee.attempt, report)
        if event is None and report.cost is None:
            self._setup.metrics.callback(provider, "accepted")
            return
        stored = await self._of(provider, callee)
        if stored is None:
            self._setup.metrics.callback(provider, "late")  # its tombstone is gone: there is nothing to change
            return
        attempt = stored.verification.attempts[callee.attempt - 1]
        if report.cost:
            self._setup.metrics.cost(attempt.channel, provider, report.cost.micros, report.cost.currency)
        if event is not None:
            await self._apply(provider, stored, event)

    async def _apply(self, provider: str, stored: Stored, event: machine.Event) -> None:
        try:
            turned = await self._engine.turn(stored, event)
        except Unknown:
            self._setup.metrics.callback(provider, "late")
            return
        except Contended:
            self._setup.log.error("callback.contended", provider=provider, verification=stored.verification.id)
            raise
        same = turned.stored is stored
        self._setup.metrics.callback(provider, "duplicate" if same else "accepted")
        if turned.send:
            self._engine.carry(turned.stored, turned.send)

    async def _answer(self, carrier: Carrier, callee: Callee, *, wanted: bool) -> Answer:
        """What to speak. Nothing once the verification has ended: the call then hangs up."""
        stored = await self._of("", callee) if wanted else None
        if stored is None:
            return carrier.answer(None)
        attempt = stored.verification.attempts[callee.attempt - 1]
        try:
            return carrier.answer(self._engine.message(stored, attempt, self._engine.secrets(stored)))
        except Unopenable:
            return carrier.answer(None)

    async def _of(self, provider: str, callee: Callee) -> Stored | None:
        try:
            stored, _ = await self._setup.store.read(callee.verification)
        except Unknown:
            return None
        return stored if callee.attempt <= len(stored.verification.attempts) else None


def _event(attempt: int, report: DeliveryReport) -> machine.Event | None:
    match report.kind:
        case ReportKind.DELIVERED:
            return machine.Delivered(attempt)
        case ReportKind.FAILED:
            return machine.Failed(attempt, report.error or ErrorClass.UNKNOWN, report.vendor_code)
        case _:
            return None
