"""What a verification is: frozen values that the machine turns and the store keeps. Times are milliseconds, UTC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from channels.contract import Channel, Cost
from policies.model import Step


class Status(StrEnum):
    """Where a verification stands. All but PENDING are ends, and an end is for ever."""

    PENDING = "pending"
    APPROVED = "approved"
    LOCKED = "locked"
    EXPIRED = "expired"
    CANCELED = "canceled"


class AttemptStatus(StrEnum):
    """Where one message stands."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    SILENT = "silent"
    FAILED = "failed"


class Verdict(StrEnum):
    """The answer to one check. It is about that check, and never read off the state."""

    APPROVED = "approved"
    WRONG = "wrong"
    LOCKED = "locked"
    EXPIRED = "expired"
    SPENT = "spent"
    CANCELED = "canceled"


class Attempt(NamedTuple):
    """One message through one provider."""

    number: int  # from 1
    step: int  # index into the verification's steps
    channel: str
    provider: str
    status: AttemptStatus
    at: int  # when it took this status
    queued_at: int
    reason: str | None = None  # an error class, when failed
    vendor_code: str = ""
    message_id: str = ""
    cost: Cost | None = None  # the first price that the vendor named
    held: int = 0  # what its purses hold for it, in millionths of the caps' currency


class SendLimit(NamedTuple):
    """A limit on one destination, carried along so that a later message reserves under the same rules."""

    key: str  # the counter's key in the store, which holds a keyed hash
    name: str
    amount: int
    window: int
    shadow: bool
    starts: bool  # counts only what a person asks for, and not the automatic fallback
    most: int = 1  # how far back the counter remembers, for whoever else counts there
    longest: int = 1
    waits: tuple[int, ...] = ()  # in place of the amount: see policies/waits.py
    only: str = ""  # phone or email: counts no messages but those to that address; "" is the first message's

    def counts(self, channel: str) -> bool:
        """Whether a message by this channel is one of those that it counts."""
        return self.only in ("", "email" if channel == Channel.EMAIL else "phone")


class Purse(NamedTuple):
    """What is spent in one period under one cap. A verification's messages all belong to the period that it began in,
    so that what is settled later is settled where it was reserved."""

    key: str  # of the store; holds a keyed hash and the period
    name: str  # the cap's
    cap: int  # millionths
    ends: int  # ms; nobody asks for it after that
    free: bool  # once it is used up, what costs nothing goes on


class OptOuts(NamedTuple):
    """Where the opt-outs of a verification's person are kept, and what one of them leads to."""

    phone: str = ""  # keys of the store, which hold keyed hashes; "" for an address that was not given
    email: str = ""
    stops: bool = False  # nothing more is sent then; else the next channel is taken

    def key(self, channel: str) -> str:
        """The record that says whether the person opted out of this channel."""
        return self.email if channel == Channel.EMAIL else self.phone


class Verification(NamedTuple):
    """Everything that is known of a verification but its code and its destination, which are sealed."""

    id: str
    version: int
    app: str
    purpose: str
    policy: str
    revision: str
    status: Status
    steps: tuple[Step, ...]
    attempts: tuple[Attempt, ...]
    created_at: int
    expires_at: int
    resend_at: int  # a person may ask again from then on; the store's counters decide it
    checks_used: int
    checks_max: int
    phone: str = ""  # masked
    email: str = ""  # masked
    country: str = ""
    resend_new: bool = False  # a person's resend makes a new code
    exhausted: bool = False
    first_resend_at: int = 0  # what resend_at was when it was started
    ended_at: int | None = None
    limits: tuple[SendLimit, ...] = ()
    opt_outs: OptOuts = OptOuts()
    metadata: Mapping[str, str] = MappingProxyType({})
    purses: tuple[Purse, ...] = ()
    shadow: bool = False  # nothing is sent, and nobody is told

    def but(self, **fields: object) -> Verification:
        """The same with these fields in place of its own: `_replace`, which takes three times as long for so many."""
        values: list[Any] = list(self)
        for name, value in fields.items():
            values[_PLACES[name]] = value
        return tuple.__new__(Verification, values)  # without `_make`, which counts them

    def by(self, may: Callable[[str], bool]) -> Verification:
        """The same with none but the ways by channels that may be gone. The steps keep their places."""
        return self._replace(steps=tuple(s if may(s.channel) else s._replace(providers=()) for s in self.steps))

    @property
    def current(self) -> Attempt:
        """The newest attempt: the only one that moves the fallback."""
        return self.attempts[-1]

    @property
    def pending(self) -> bool:
        return self.status is Status.PENDING

    @property
    def zone(self) -> str:
        """The first digit of the number's calling code: one of the nine world zones of E.164."""
        return self.phone[1:2]

    @property
    def checks_left(self) -> int:
        return max(0, self.checks_max - self.checks_used) if self.pending else 0


_PLACES = {name: place for place, name in enumerate(Verification._fields)}


class End(NamedTuple):
    """A verification that a check has ended, as far as its end is told of: what a Verification says by these names."""

    id: str
    app: str
    status: Status
    purpose: str
    policy: str
    zone: str
    country: str
    attempts: tuple[Attempt, ...]
    created_at: int
    ended_at: int
    shadow: bool
    watched: tuple[tuple[str, str | int], ...] = ()  # what its approval is told to: names of watches, and items


def went_to_both(attempts: tuple[Attempt, ...]) -> bool:
    """Whether messages went to the number and to the mailbox, so that nobody knows where the code was read. What no
    vendor took went nowhere."""
    if len(attempts) < 2:
        return False
    went = [a.channel for a in attempts if a.status is not AttemptStatus.FAILED or a.message_id]
    return Channel.EMAIL in went and any(channel != Channel.EMAIL for channel in went)
