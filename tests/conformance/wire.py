"""The vendor's side of the suite over HTTP: it answers as the situation has it, and others sign in its name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from channels.contract import Callback
from tests.conformance.subject import RETRY_AFTER, Case, Meeting, Refused, Situation, Subject
from tests.vendors.mail import Certificate
from tests.vendors.server import Break, Received, Reply, Vendor

_REPLIES: Mapping[Situation, Reply] = {
    Situation.SERVER_ERROR: Reply(500, b"oops"),
    Situation.THROTTLED: Reply(429, b"slow down", {"Retry-After": str(RETRY_AFTER)}),
    Situation.MALFORMED: Reply(200, b"<html>\xff It works!</html>"),
    Situation.EMPTY: Reply(200, b""),
    Situation.SLOW: Reply(broken=Break.SILENCE),
    Situation.RESET: Reply(200, b"0123456789", broken=Break.MIDWAY),
}


@asynccontextmanager
async def over_http(
    subject: Subject, case: Case, situation: Situation | Refused, certificate: Certificate, changes: Mapping[str, Any]
) -> AsyncIterator[Meeting]:
    """Sends are answered as the situation has it, and whatever else is asked on the way as on a good day."""

    def answer(received: Received) -> Reply:
        assert case.accept is not None
        scripted = _scripted(case, situation) if case.sends(received) else None
        return scripted or case.accept(received)

    vendor = Vendor(answer, tls=certificate.server if situation is Situation.UNTRUSTED else None)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(vendor)
        if situation is Situation.NOBODY:
            await stack.aclose()
        provider = subject.build(case, **{**subject.address(vendor.base_url), **changes})
        stack.push_async_callback(provider.close)
        yield _meeting(case, vendor, provider)


def _scripted(case: Case, situation: Situation | Refused) -> Reply | None:
    if isinstance(situation, Refused):
        assert case.refuse is not None
        return case.refuse(situation.code)
    return _REPLIES.get(situation)


def _meeting(case: Case, vendor: Vendor, provider: Any) -> Meeting:
    words, lifetime = case.words, case.lifetime

    def sent() -> list[Received]:
        return [received for received in vendor.received if case.sends(received)]

    @asynccontextmanager
    async def hold() -> AsyncIterator[Callable[[], int]]:
        vendor.gate = asyncio.Event()
        try:
            yield lambda: vendor.most_under_way
        finally:
            vendor.gate.set()

    return Meeting(
        provider,
        case.message,
        lambda: len(sent()),
        (lambda: words(sent()[-1])) if words else None,
        (lambda: lifetime(sent()[-1])) if lifetime else None,
        hold,
    )


def tampered(*headers: str) -> Callable[[Callback], Mapping[str, Callback]]:
    """Forgeries for a vendor that signs the whole body and puts the signature into these headers."""

    def forge(genuine: Callback) -> dict[str, Callback]:
        bodies = {"an empty body": b"", "a byte more": genuine.body + b" "}
        for place in range(0, len(genuine.body), 11):
            bodies[f"byte {place} changed"] = _flipped(genuine.body, place)
        forgeries = {name: replace(genuine, body=body) for name, body in bodies.items() if body != genuine.body}
        for header in headers:
            forgeries |= {
                f"{header} {name}": replace(genuine, headers=changed)
                for name, changed in _without(genuine.headers, header).items()
            }
        return forgeries

    return forge


def _flipped(body: bytes, place: int) -> bytes:
    return body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]


def _without(headers: Mapping[str, str], name: str) -> dict[str, dict[str, str]]:
    value = headers[name]
    middle = len(value) // 2
    other = "A" if value[middle] != "A" else "B"
    return {
        "missing": {key: text for key, text in headers.items() if key != name},
        "empty": {**headers, name: ""},
        "changed": {**headers, name: value[:middle] + other + value[middle + 1 :]},
        "cut": {**headers, name: value[:-4]},
        "beyond ASCII": {**headers, name: "é" * len(value)},
    }
