"""How the engine hears a provider's reports: read as the gateway reads them, and turned by the real machine."""

from __future__ import annotations

from collections.abc import Iterable

from channels.contract import Callback, DeliveryReport, Outcome, Provider, Receiving
from gateway.core import machine
from gateway.core.machine import Pace
from gateway.core.model import Attempt, AttemptStatus, Status, Verification
from gateway.service.reports import _event
from policies.model import Step


async def read(provider: Provider, callback: Callback) -> Outcome:
    """By `receive` where a provider has it, as gateway.service.reports does. Raises Forged and Unread."""
    return await provider.receive(callback) if isinstance(provider, Receiving) else provider.read(callback)


def after(reports: Iterable[DeliveryReport], *, accepted: bool = True) -> list[AttemptStatus]:
    """What one attempt is after each of these reports. `accepted` false: they overtook the answer to the send."""
    v = Verification(
        id="ver_x",
        version=1,
        app="shop",
        purpose="login",
        policy="default",
        revision="r",
        status=Status.PENDING,
        steps=(Step("sms", ("main",), 30_000),),
        attempts=(Attempt(1, 0, "sms", "main", AttemptStatus.QUEUED, at=0, queued_at=0),),
        created_at=0,
        expires_at=600_000,
        resend_at=0,
        checks_used=0,
        checks_max=5,
    )
    events = [machine.Accepted(1)] if accepted else []
    turns = []
    for event in [*events, *(_event(1, report) for report in reports)]:
        if event is not None:
            v, _ = machine.apply(v, event, 1000, Pace())
        turns.append(v.attempts[0].status)
    return turns[len(events) :]
