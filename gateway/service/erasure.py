"""Erasing all that is kept of a destination for one app, when the person asks for it (GDPR article 17).

Verifications go, pending ones after they were ended, with their sealed parts, their tombstones and the answers that
were kept for repeated requests. Three things stay, under keyed hashes that tell nobody whose they are: opt-outs, or
else later messages would go out against the person's will; counters, which protect that very person and end by
themselves; and lines of the record of decisions, if there is one.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core import machine
from gateway.service.addresses import kept
from gateway.service.engine import Engine
from gateway.service.requests import Destinations
from gateway.service.setup import Setup
from gateway.store.known import verification_of
from gateway.store.steps import Lost, Unknown


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased: the masked destination, and how many verifications, of which so many were pending."""

    phone: str
    email: str
    verifications: int
    ended: int


class Erasure:
    """The use-case."""

    def __init__(self, setup: Setup, engine: Engine) -> None:
        self._setup = setup
        self._engine = engine

    async def erase(self, app: str, to: Destinations) -> Erased:
        """Erase all that this app's verifications know of these addresses; of a verification with two, both. What is
        started meanwhile is another matter. Raises store.steps.Unavailable, and engine.Contended: ask again then."""
        setup = self._setup
        found = tuple(kept(setup, app, address).trace for address in to.given)
        ended = removed = 0
        for key in await setup.store.known.read(found):
            verification = verification_of(key)
            ended += bool(verification and await self._ended(verification))
            removed += await setup.store.known.forget(key, found) and verification is not None
        erased = Erased(to.phone.masked if to.phone else "", to.email.masked if to.email else "", removed, ended)
        setup.log.warning(
            "destination.erased",
            app=app,
            phone=erased.phone or None,
            email=erased.email or None,
            verifications=removed,
            ended=ended,
        )
        return erased

    async def _ended(self, verification: str) -> bool:
        """End it if it is pending, as a cancellation does, so that nothing more is sent and its timer is disarmed. Of
        what can't be read any more nothing can be sent."""
        try:
            stored, _ = await self._setup.store.read(verification)
            if not stored.verification.pending:
                return False
            turned = await self._engine.turn(stored, machine.Canceled())
        except (Unknown, Lost):
            return False
        return turned.stored.verification.status == "canceled"
