"""The steps that the store takes, each whole or not at all: what is asked of it and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from gateway.core.model import End, Status
from gateway.store.document import Stored
from gateway.store.terms import Terms
from gateway.store.wants import Counter, Look, Mark, Spend, Wants
from policies.model import Word


class Unavailable(Exception):
    """The store did not answer, or refused: nothing may be assumed about what it did."""


class Lost(Unavailable):
    """The store has lost what a verification has in common with others: it can be checked, and not be read."""


class Unconfirmed(Unavailable):
    """It was done, and too few replicas are known to have it, so that a failover may take it back. To be repeated with
    the same Idempotency-Key."""


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A request that may be repeated. `busy` is how long, in ms, its first answer may take to be known."""

    name: str
    shard: int
    fingerprint: bytes
    ttl: int
    busy: int = 0


class Paid(NamedTuple):
    """What became of a Spend: what each purse now holds, and which came to 80% of their cap for the first time."""

    spent: tuple[int, ...] = ()
    near: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Capped:
    """Refused by a purse; `first` when it is the first time in its period."""

    now: int
    purse: int
    first: bool


HEARD = 7 * 86_400_000
"""ms that it is kept what a person wrote last. Meta tries to deliver a message for so long, others for a day."""

HEARD_IDS = 16
"""Messages of a person that are known again when they come again, at the most."""


@dataclass(frozen=True, slots=True)
class Reply:
    """STOP, or START (`lift`), from a person to a provider, on a channel. Times in ms; `said` None is now."""

    heard: str  # the key of what was heard from them
    records: Mapping[str, int]  # the keys of records, each with the life of an entry; 0 is for ever
    channel: str
    reason: str
    lift: bool
    said: int | None = None
    id: bytes = b""  # stands for the message; none when the vendor names none

    def packed(self) -> dict[str, object]:
        return {
            "channel": self.channel,
            "reason": self.reason,
            "lives": list(self.records.values()),
            "lift": self.lift,
            "said": self.said,
            "id": self.id or None,
            "most": HEARD_IDS,
            "kept": HEARD,
        }


@dataclass(frozen=True, slots=True)
class Suppression:
    """One entry of a record. Times in ms; `until` is None when it holds until it is lifted."""

    channel: str
    reason: str
    since: int
    until: int | None


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One entry of a list, by its place among those that were asked for. Times in ms; `until` None is for ever."""

    place: int
    word: Word
    reason: str
    since: int
    until: int | None


@dataclass(frozen=True, slots=True)
class Words:
    """Not created, since the lists say something else than was assumed: these words, in the order of the looks."""

    now: int
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Overlooked:
    """Not created, since there is a record that was taken not to be there: to be asked again with the entries."""

    now: int


class Full(Exception):
    """A record has no room for another entry."""


@dataclass(frozen=True, slots=True)
class Fired:
    """A watch, by its place, found something. `level` is 1 for a subject's first block, 0 while it is only held.
    `until` in ms."""

    watch: int
    level: int
    until: int


@dataclass(frozen=True, slots=True)
class Suspected:
    """Not created, because of a block that stands or that this very start has brought about: by this watch."""

    now: int
    watch: int
    fired: tuple[Fired, ...]


@dataclass(frozen=True, slots=True)
class Suppressed:
    """Not created, since the person has opted out of these channels."""

    now: int
    channels: tuple[str, ...]


class Created(NamedTuple):
    now: int
    shadows: tuple[tuple[int, int], ...]  # (counter, rule) of the shadow limits that would have refused
    again: int = 0  # when a person may ask again; ms
    held: int = 0  # until when the action holds that the app's failed checks led to last; ms
    paid: Paid = Paid()
    noted: tuple[int, ...] = ()  # the watches that only note, and whose block stands
    fired: tuple[Fired, ...] = ()


@dataclass(frozen=True, slots=True)
class Limited:
    """Refused by a counter; it would pass `wait` ms from `now` if nothing else came in between."""

    now: int
    counter: int
    rule: int
    wait: int
    shadows: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Guessed:
    """Too many wrong codes for this destination."""

    now: int
    wait: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """The same request was answered before: with this verification, and these bytes if they were kept."""

    now: int
    id: str
    answer: bytes


Started = Created | Limited | Guessed | Replayed | Suppressed | Words | Overlooked | Capped | Suspected
"""What becomes of a start."""


class Mismatch(Exception):
    """The idempotency key was used for another request."""


class Running(Exception):
    """The first request with this idempotency key is not answered yet."""


@dataclass(slots=True)  # frozen, each of its fields would be set by a call, and it is read at once and by one reader
class Creation:
    """Everything that a start writes."""

    id: str
    shard: int
    fields: Mapping[str, object]
    terms: Terms  # those that its body names
    guesses: str  # the name of the destination's counter of failed guesses
    life: int
    keep: int
    lease: int
    wants: Wants
    idempotency: Idempotency | None = None


class Watch(NamedTuple):
    """When an app's failed checks are too many: in absolute number, or as a share of at least `minimum` checks."""

    key: str
    window: int  # ms; looked at in twelfths
    amount: int
    minimum: int
    ratio: float
    block: bool  # no code is compared then, for the length of a window

    def packed(self) -> dict[str, object]:
        return {
            "window": self.window,
            "amount": self.amount,
            "minimum": self.minimum,
            "ratio": self.ratio,
            "block": int(self.block),
        }


class Try(NamedTuple):
    """One check of one code."""

    id: str
    app: str
    digests: Mapping[str, bytes]
    length: int
    letters: bool
    tombstone: int
    bound: Mapping[str, bytes] = MappingProxyType({})  # the context, phone and email that it has to agree with
    idempotency: Idempotency | None = None
    watch: Watch | None = None


class Tried(NamedTuple):
    """What a check found. `ended` is the verification when this very check ended it. A verdict that is not confirmed is
    not to be told."""

    verdict: str
    now: int
    left: int
    retry_at: int
    ended: End | None
    failing: tuple[int, int] | None = None  # failed and all checks of the app, when its action begins with this one
    replayed: bool = False  # the answer of an earlier check
    confirmed: bool = True  # False: approved, and too few replicas are known to have it


@dataclass(frozen=True, slots=True)
class Blocked(Exception):
    """No code of this app is compared, and none is sent, since too many were wrong."""

    now: int
    wait: int


class Unknown(Exception):
    """No such verification, or another app's: the two look alike."""


@dataclass(frozen=True, slots=True)
class Misshapen(Exception):
    """The code can't be this verification's for its form."""

    length: int
    letters: bool


class Change(NamedTuple):
    """A commit: from the version that was read to what the machine made of it."""

    id: str
    version: int
    fields: Mapping[str, object]
    status: Status | None  # an end, or None
    due: int
    journal: bytes
    tombstone: int
    counters: tuple[Counter, ...] = ()
    looks: tuple[Look, ...] = ()
    marks: tuple[Mark, ...] = ()
    spend: Spend | None = None


class Committed(NamedTuple):
    now: int
    shadows: tuple[tuple[int, int], ...] = ()
    suppressed: tuple[str, ...] = ()  # of the channels that were looked for
    again: int = 0  # when a person may ask again; ms
    paid: Paid = Paid()


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody was faster; this is what stands now."""

    now: int
    stored: Stored


@dataclass(frozen=True, slots=True)
class Due:
    """A claimed verification and the time its timer was set to."""

    stored: Stored
    score: int


@dataclass(frozen=True, slots=True)
class Swept:
    """A part of the store that was looked through: where to go on, 0 when that was the last part, and what is armed
    again."""

    cursor: int
    armed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Claimed:
    now: int
    next_due: int  # ms; 0 when no timer is set
    depth: int  # timers still due after this claim
    orphans: int  # timers without a live verification, removed
    due: tuple[Due, ...]
    unread: tuple[str, ...] = ()  # verifications that this version can't read; they come back when their lease ends
