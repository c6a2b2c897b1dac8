"""The steps that the store takes, each whole or not at all: what is asked of it and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from gateway.core.model import End, Purse, Status
from gateway.store.document import Stored
from gateway.store.terms import Terms
from policies import model
from policies.model import Word
from policies.watches import kept


class Unavailable(Exception):
    """The store did not answer, or refused: nothing may be assumed about what it did."""


class Unconfirmed(Unavailable):
    """It was done, and too few replicas are known to have it, so that a failover may take it back. To be repeated with
    the same Idempotency-Key."""


class Rule(NamedTuple):
    """At most `amount` in `window` ms; or, with `waits`, so long after each event in the window until the next one."""

    amount: int
    window: int
    shadow: bool = False
    waits: tuple[int, ...] = ()

    @property
    def reach(self) -> int:
        """How many events it looks back at."""
        return max(self.amount, len(self.waits))


class Counter(NamedTuple):
    """The times of what was counted, shared by all the limits on the same subject."""

    key: str
    rules: tuple[Rule, ...]
    most: int = 1  # times to remember, for whoever else counts here
    longest: int = 1  # ms to remember them
    ready: tuple[object, ...] | None = None  # as it is packed, where somebody has done so already

    @property
    def packed(self) -> tuple[object, ...]:
        return self.ready or _packed(self.rules, self.most, self.longest)


@lru_cache(maxsize=1024)
def _packed(rules: tuple[Rule, ...], most: int, longest: int) -> tuple[object, ...]:
    """Whose counter it is stands in the key: there are as many of these as there are limits in policies."""
    most = max(most, *(rule.reach for rule in rules))
    window = max(longest, *(rule.window for rule in rules))
    return most, window, tuple((rule.amount, rule.window, int(rule.shadow), rule.waits) for rule in rules)


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A request that may be repeated. `busy` is how long, in ms, its first answer may take to be known."""

    name: str
    shard: int
    fingerprint: bytes
    ttl: int
    busy: int = 0


class Look(NamedTuple):
    """Channels to look for in a record of opt-outs."""

    key: str
    channels: tuple[str, ...]


class ListLook(NamedTuple):
    """What a record of a list is taken to say of one destination, by the entries that cover it."""

    key: str
    entries: tuple[bytes, ...]  # hashes, of the most special entry first; () takes it that there is no such record
    word: Word

    def packed(self) -> dict[str, object]:
        return {"entries": self.entries, "word": self.word}


@dataclass(frozen=True, slots=True)
class Mark:
    """Channels that a person has opted out of. `life` in ms, 0 is for ever; `reason` is a word of our own."""

    key: str
    channels: tuple[str, ...]
    reason: str
    life: int

    def packed(self) -> list[object]:
        return [self.channels, self.reason, self.life]


class Spend(NamedTuple):
    """Money in every one of these purses: `reserve` is refused where it would exceed a cap; `change`, to what was
    reserved before, never is. In millionths; `now` is when, in ms."""

    purses: tuple[Purse, ...]
    now: int
    reserve: int = 0
    change: int = 0

    def packed(self) -> list[Any]:
        caps = [[purse.cap, max(1, purse.ends - self.now)] for purse in self.purses]
        return [self.reserve, self.change, caps]


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
class Watched:
    """A watch on one subject, whose state lies under this name among its app's."""

    name: str
    watch: model.Watch
    item: str | int  # as it is stored; "" for a conversion

    def packed(self) -> dict[str, object]:
        w = self.watch
        return {**_terms(w[_TERMS:]), "o": [w.rule, w.per, w.shown], "i": self.item}


_TERMS = model.Watch._fields.index("mode")
"""Where the fields of a watch begin that are its rule's own."""


@lru_cache(maxsize=256)
def _terms(terms: tuple[Any, ...]) -> Mapping[str, object]:
    """What all watches of one rule ask for: there are as many of these as there are rules in policies."""
    w = model.Watch("", "", "", "", "", "", *terms)
    return {
        "m": w.mode.rank,
        "n": w.minimum,
        "w": w.window,
        "r": w.ripe,
        "p": w.patience,
        "f": w.floor,
        "d": w.drop,
        "near": w.near,
        "e": w.each,
        "b": w.block.first,
        "g": w.block.growth,
        "l": w.block.longest,
        "k": kept(w),
    }


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
    counters: tuple[Counter, ...]
    idempotency: Idempotency | None = None
    looks: tuple[Look, ...] = ()  # it is created only if none of these channels stands in its record
    lists: tuple[ListLook, ...] = ()  # and only if these say what they are taken to say
    watch: str = ""  # the key of the app's failed checks, when they have a say
    block: bool = False  # not while the app's checks are blocked
    traces: tuple[str, ...] = ()  # one or two: of all that is known of a destination
    spend: Spend | None = None  # None: the first message is free
    watched: tuple[Watched, ...] = ()
    place: int = 0  # the shard of the watches
    index: str = ""  # the name of the index of their blocks


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
