"""Looking at a vendor's account without sending anything: what was looked at, how it is, and what to do about it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from channels.contract import ErrorClass, SendError
from channels.providers._reading import json_object
from channels.remedies import Remedies

if TYPE_CHECKING:  # an HTTP client is a tenth of the memory, and only some providers have one
    from channels.transport import Reply

TABLE = "what-goes-wrong-and-what-to-do"
"""The heading of every provider's page under which the remedies stand."""

SKEW = 60
"""Seconds that this machine's clock may be away from the vendor's without a word."""

WINDOW = 300
"""Seconds beyond which signatures fail, ours and the vendor's: AWS, Vonage, Telegram and Standard Webhooks agree."""


class Verdict(StrEnum):
    """How something is."""

    OK = "ok"
    UNKNOWN = "unknown"  # it could not be looked at: no news, good or bad
    WARNING = "warning"  # it works, or some of it does
    FAULT = "fault"  # messages or their reports will fail


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. Shown to people and kept in logs: no secret, no full number, no full address."""

    what: str
    verdict: Verdict
    seen: str
    remedy: str = ""
    anchor: str = ""  # of the provider's docs page, where more is said


@runtime_checkable
class Examinable(Protocol):
    """A provider that can look at its own account. It sends nothing and changes nothing, and each of its requests
    keeps the provider's deadline; they run at the same time, so that the whole keeps it as well."""

    async def examine(self, public_url: str) -> list[Finding]:
        """`public_url` is where the gateway is reached, without a trailing slash."""
        ...


def ok(what: str, seen: str) -> Finding:
    return Finding(what, Verdict.OK, seen)


def unknown(what: str, why: str, remedy: str = "") -> Finding:
    return Finding(what, Verdict.UNKNOWN, f"could not be checked: {why}", remedy, TABLE if remedy else "")


def warning(what: str, seen: str, remedy: str, anchor: str = TABLE) -> Finding:
    return Finding(what, Verdict.WARNING, seen, remedy, anchor)


def fault(what: str, seen: str, remedy: str, anchor: str = TABLE) -> Finding:
    return Finding(what, Verdict.FAULT, seen, remedy, anchor)


def refused(what: str, error: SendError, remedies: Remedies) -> Finding:
    """A refusal as a finding. What the vendor wrote is not repeated: it may quote a number."""
    code = f" ({error.vendor_code})" if error.vendor_code else ""
    return fault(what, f"{error.error}{code}", remedies.of(error), TABLE if remedies.by_code else "")


def masked(sender: str) -> str:
    """A sender that can be shown: of a number the head and the last two digits, a name or an id as it is."""
    digits = sender.lstrip("+")
    if not digits.isdigit() or len(digits) < 7:
        return sender
    head = max(2, min(5, len(sender) - 7))
    return f"{sender[:head]}{'*' * (len(sender) - head - 2)}{sender[-2:]}"


def clock(date: str, now: float) -> Finding | None:
    """Compares this machine's clock with the Date of an answer (RFC 9110, section 6.6.1), whose unit is a second and
    which may be some seconds old. None without a readable one."""
    theirs = _instant(date)
    if theirs is None:
        return None
    skew = now - theirs
    seen = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the vendor's"
    if abs(skew) <= SKEW:
        return ok("clock", "agrees with the vendor's")
    remedy = "Set the machine's clock, and keep it by NTP: signatures more than five minutes off are refused."
    return (fault if abs(skew) > WINDOW else warning)("clock", seen, remedy)


def _instant(date: str) -> float | None:
    try:
        found: datetime = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    return found.timestamp() if found.tzinfo else None


class Inquiry:
    """Questions to one vendor, asked at the same time. Every answer also tells the vendor's time.

    `refuse` turns a refusal into a SendError with the vendor's own code.
    """

    def __init__(
        self, refuse: Callable[[Reply], SendError], remedies: Remedies, now: Callable[[], float] = time.time
    ) -> None:
        self.remedies = remedies
        self._refuse = refuse
        self._now = now
        self._clock: Finding | None = None

    async def heard(self, asked: Awaitable[Reply]) -> Reply:
        """The answer. Raises SendError when it is a refusal or none came."""
        reply = await asked
        self.note(reply)
        if not reply.ok:
            raise self._refuse(reply)
        return reply

    def note(self, reply: Reply) -> None:
        """Take the vendor's time from an answer, whatever it says."""
        self._clock = self._clock or clock(reply.headers.get("Date", ""), self._now())

    async def read(self, asked: Awaitable[Reply]) -> Mapping[str, Any]:
        """The JSON object in the answer. Raises SendError."""
        content = json_object((await self.heard(asked)).body)
        if not content:
            raise SendError(ErrorClass.PROVIDER_DOWN, "unreadable")
        return content

    async def findings(self, checks: Mapping[str, Awaitable[Finding]]) -> list[Finding]:
        """All of them, in order, and the clock's. One that is refused is a finding like the others; several that are
        refused alike, as everything is with a wrong password, are one."""
        answers = await asyncio.gather(*checks.values(), return_exceptions=True)
        found: list[Finding] = []
        for what, answer in zip(checks, answers, strict=True):
            if isinstance(answer, BaseException) and not isinstance(answer, SendError):
                raise answer
            finding = refused(what, answer, self.remedies) if isinstance(answer, SendError) else answer
            same = next((n for n, one in enumerate(found) if _alike(one, finding)), None)
            if same is None:
                found.append(finding)
            else:
                found[same] = replace(finding, what=f"{found[same].what}, {what}")
        return [*found, self._clock] if self._clock else found


def _alike(one: Finding, other: Finding) -> bool:
    return one.verdict is Verdict.FAULT and replace(one, what="") == replace(other, what="")
