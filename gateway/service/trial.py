"""Test destinations: nothing is sent to them, and their code is known. They exist outside production only."""

from __future__ import annotations

from gateway.service.setup import Setup
from policies import destination
from policies.model import Decision, Note

PROVIDER = "test"
"""What carries messages to test destinations: nobody."""


def code(setup: Setup, number: str, address: str) -> str:
    """The code of a test destination, by its number or its address; "" for all others."""
    if not setup.test_codes:
        return ""
    mailbox = destination.email(address).key if address else ""
    return setup.test_codes.get(number) or setup.test_codes.get(mailbox, "")


def aimed(decision: Decision) -> Decision:
    """The decision for a test destination: as it is, and nobody carries it or is paid for it."""
    steps = tuple(step._replace(providers=(PROVIDER,), prices=()) for step in decision.steps)
    note = Note(PROVIDER, "a test destination: nothing is sent")
    return decision._replace(steps=steps, caps=(), notes=(*decision.notes, note))


def carried(setup: Setup, provider: str) -> bool:
    """Whether a message has arrived by being queued. A verification that began elsewhere, before a restart in
    production or without the destination, is no exception: there its provider is one that is not configured."""
    return provider == PROVIDER and bool(setup.test_codes)
