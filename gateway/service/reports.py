"""What vendors say afterwards: delivery reports, and voice calls that ask what to speak.

A report belongs to an attempt by a token that only the gateway can make. Most vendors take an address with each
message, and the token is its last part: {public_url}/callbacks/{provider}/{token}. Some have one address for all their
reports, entered once in their console. For those there is {public_url}/callbacks/{provider}/shared, and the token
travels through the vendor:

    send     the provider puts Message.token into a field that the vendor echoes (AWS: Context, Meta:
             biz_opaque_callback_data)
    report   the provider checks the vendor's signature over the request, reads the field, and returns it as
             DeliveryReport.token; each report in the request has its own
    here     each token is checked as one in an address would be; a report without a good one is counted and dropped

Only a provider that says `shared = True` has such an address. Knowing the address is no right: neither a number nor a
vendor's message id ever says which attempt is meant. A handshake that the vendor wants answered is Outcome.answer.

What people write back comes to {public_url}/callbacks/{provider}/inbound, or among the reports where a vendor has one
address for both. Either way the vendor has signed it.
"""

from __future__ import annotations

from channels.contract import (
    INBOUND,
    SHARED,
    Answer,
    Callback,
    DeliveryReport,
    ErrorClass,
    Forged,
    Outcome,
    ReportKind,
    Unread,
)
from gateway.core import machine
from gateway.core.keys import Callee, Unopenable
from gateway.service import messages
from gateway.service.engine import Contended, Engine
from gateway.service.requests import NotFound, Overloaded, Refused
from gateway.service.setup import Carrier, Setup
from gateway.service.suppressions import Suppressions
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
        self._suppressions = Suppressions(setup)

    async def take(self, provider: str, token: str, callback: Callback) -> Answer:
        """Read a callback and act on it. Raises NotFound for an address that was never given out, Unsigned, and
        Overloaded or store.steps.Unavailable (the vendor then repeats)."""
        if token == INBOUND:
            return await self._inbound(provider, callback)
        carrier, callee = self._setup.carriers.get(provider), self._setup.keys.callee(token, provider)
        if carrier is None or (callee is None and not (token == SHARED and carrier.shared)):
            self._setup.metrics.callback(provider, "unknown")
            raise NotFound
        outcome = await self._read(provider, carrier, callee, callback)
        if outcome.texts:
            await self._hear(provider, outcome)
        for report in outcome.reports:
            await self._report(provider, callee or self._setup.keys.callee(report.token, provider), report)
        if callee and ANSWER in callback.query:
            return await self._answer(carrier, callee, wanted=outcome.wants_message)
        return outcome.answer or Answer(status=204)

    async def _inbound(self, provider: str, callback: Callback) -> Answer:
        """What people write back. The address is anybody's to guess, so nothing is believed but the signature."""
        carrier = self._setup.carriers.get(provider)
        try:
            outcome = carrier.inbound(callback) if carrier else None
        except Forged:
            raise self._forged({"provider": provider}) from None
        if outcome is None:
            self._setup.metrics.callback(provider, "unknown")
            raise NotFound
        await self._hear(provider, outcome)
        if not outcome.texts:
            self._setup.metrics.callback(provider, "accepted")
        return outcome.answer or Answer(status=204)

    async def _hear(self, provider: str, outcome: Outcome) -> None:
        for text in outcome.texts:
            await self._suppressions.heard(provider, text)
            self._setup.metrics.callback(provider, "accepted")

    def _forged(self, facts: dict[str, str]) -> Unsigned:
        self._setup.metrics.callback(facts["provider"], "forged")
        self._setup.log.warning("callback.forged", **facts)
        return Unsigned()

    async def _read(self, provider: str, carrier: Carrier, callee: Callee | None, callback: Callback) -> Outcome:
        try:
            return await carrier.receive(callback)
        except Forged:
            raise self._forged(_facts(provider, callee)) from None
        except Unread:
            self._setup.log.warning("callback.unread", **_facts(provider, callee))
            raise Overloaded from None

    async def _report(self, provider: str, callee: Callee | None, report: DeliveryReport) -> None:
        if callee is None:
            self._setup.metrics.callback(provider, "unknown")  # another gateway's message, or no token came back
            return
        event = _event(callee.attempt, report)
        if event is None:
            self._setup.metrics.callback(provider, "accepted")
            return
        stored = self._recent(callee, event) or await self._of(callee)
        if stored is None:
            self._setup.metrics.callback(provider, "late")  # its tombstone is gone: there is nothing to change
            return
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
            self._engine.carry(turned.stored, turned.send, turned.since)

    async def _answer(self, carrier: Carrier, callee: Callee, *, wanted: bool) -> Answer:
        """What to speak. Nothing once the verification has ended: the call then hangs up."""
        stored = await self._of(callee) if wanted else None
        if stored is None:
            return carrier.answer(None)
        attempt = stored.verification.attempts[callee.attempt - 1]
        try:
            return carrier.answer(messages.worded(self._setup, stored, attempt, messages.opened(self._setup, stored)))
        except Unopenable:
            return carrier.answer(None)

    def _recent(self, callee: Callee, event: machine.Event) -> Stored | None:
        """What need not be read. Only for what leads to no message: that needs what is sealed."""
        stored = self._engine.recent(callee.verification) if isinstance(event, machine.Delivered) else None
        return stored if stored and callee.attempt <= len(stored.verification.attempts) else None

    async def _of(self, callee: Callee) -> Stored | None:
        try:
            stored, _ = await self._setup.store.read(callee.verification)
        except Unknown:
            return None
        return stored if callee.attempt <= len(stored.verification.attempts) else None


def _facts(provider: str, callee: Callee | None) -> dict[str, str]:
    return {"provider": provider, **({"verification": callee.verification} if callee else {})}


def _event(attempt: int, report: DeliveryReport) -> machine.Event | None:
    match report.kind:
        case ReportKind.DELIVERED:
            return machine.Delivered(attempt, report.cost)
        case ReportKind.FAILED:
            return machine.Failed(attempt, report.error or ErrorClass.UNKNOWN, report.vendor_code, report.cost)
        case _:
            return machine.Priced(attempt, report.cost) if report.cost else None
