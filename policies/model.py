"""The question that a policy is asked, and the answer that it gives. Every value is frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from policies.money import PeriodName

ChannelName = Literal["sms", "voice", "whatsapp", "telegram", "email"]
"""The channels that a policy can name. Email goes to an address, the others to a phone number."""

OrderName = Literal["fixed", "weighted", "adaptive"]
"""How the providers of a step are ordered. A policy names the way; the gateway, which knows how they do, goes it."""


class NumberType(StrEnum):
    """What kind of line a phone number is, in the terms of libphonenumber."""

    MOBILE = "mobile"
    FIXED_LINE = "fixed_line"
    FIXED_LINE_OR_MOBILE = "fixed_line_or_mobile"
    VOIP = "voip"
    PERSONAL_NUMBER = "personal_number"
    TOLL_FREE = "toll_free"
    PREMIUM_RATE = "premium_rate"
    SHARED_COST = "shared_cost"
    PAGER = "pager"
    UAN = "uan"
    VOICEMAIL = "voicemail"
    SATELLITE = "satellite"  # +870, +881 and other global networks, whatever libphonenumber calls them
    UNKNOWN = "unknown"

    __hash__ = str.__hash__  # an enum's own is written in Python, and circumstances are looked up by this all the time


@dataclass(frozen=True, slots=True)  # no named tuple: the log writes out what is in one, where this is text, masked
class Phone:
    """A phone number, understood."""

    e164: str
    country: str  # ISO 3166-1 alpha-2; "001" for the global networks, "ZZ" when it can't be told
    type: NumberType
    prefix: str  # the E.164 form less its last four digits
    valid: bool  # libphonenumber knows the range; a new range may be possible and not yet valid
    range: str = ""  # the E.164 form less its last six digits
    place: int = 0  # its last four digits: where it stands among the ten thousand of its prefix

    @property
    def masked(self) -> str:
        """As shown in answers and logs: +1415*****23. A short number shows less of its head: five digits stay hidden
        where there are enough, four in the shortest numbers that exist."""
        head = max(2, min(5, len(self.e164) - 7))
        return f"{self.e164[:head]}{'*' * (len(self.e164) - head - 2)}{self.e164[-2:]}"

    def __repr__(self) -> str:
        return f"Phone({self.masked})"


@dataclass(frozen=True, slots=True)
class Email:
    """An email address: where to deliver, and what to count."""

    address: str  # local part as given, domain in its ASCII form and lower case
    key: str  # lossy, for limits only: lower case, without a +tag, at Gmail without dots
    domain: str

    @property
    def masked(self) -> str:
        """As shown in answers and logs: a**@example.org."""
        return f"{self.address[0]}**@{self.domain}"

    def __repr__(self) -> str:
        return f"Email({self.masked})"


Word = Literal["", "deny", "allow"]
"""What a list says of a destination; "" when it is on none."""

MailWord = Literal["unknown", "takes", "refuses"]
"""Whether the domain of an address takes mail, as far as the DNS was asked and answered in time."""


class Listed(NamedTuple):
    """What lists say of the two destinations of a question."""

    phone: Word = ""
    email: Word = ""


UNLISTED = Listed()


class Mode(StrEnum):
    """What becomes of traffic that looks like abuse, the mildest first."""

    MONITOR = "monitor"  # only noted
    CHALLENGE = "challenge"  # sent by channels that cost nothing to pump
    SHADOW = "shadow"  # answered as ever, and nothing is sent
    ENFORCE = "enforce"  # refused

    __hash__ = str.__hash__  # as of a NumberType

    @property
    def rank(self) -> int:
        """0 to 3: how much it takes away."""
        return _RANKS[self]


_RANKS = {mode: rank for rank, mode in enumerate(Mode)}


class Question(NamedTuple):
    """Everything that a policy may look at. Strings from the caller are already checked for size and form."""

    app: str
    purpose: str
    phone: Phone | None = None
    email: Email | None = None
    channels: tuple[str, ...] = ()  # what the caller narrowed the order to; empty: no wish
    locale: str = ""
    ip: str = ""
    device: str = ""
    suppressed: tuple[str, ...] = ()  # channels that the person opted out of, as far as the store has been asked
    listed: Listed = UNLISTED  # what the app's own entries in the store say, as far as it has been asked
    mail: MailWord = "unknown"
    now: int = 0  # ms since 1970; 0 when nobody said what time it is, and then it is never night
    only_free: bool = False  # a cap is used up, as far as the store has been asked, and what is free may go on
    own_code: bool = False  # the app brings the code, and may never ask whether it was right
    suspected: Mode = Mode.MONITOR  # how a block in the store wants it treated, as far as the store has been asked
    suspected_by: str = ""  # the rule whose block that is
    stretch: int = 1  # as how many messages its SMS is paid for: a long context takes more parts than lists reckon with

    def target(self, channel: str) -> str:
        """Whom a verification that begins with this channel is about. The cooldown is counted by it, and whatever a
        later message of the same verification reserves."""
        if self.phone and channel != "email":
            return self.phone.e164
        return self.email.key if self.email else ""


Night = Literal["", "day", "soon", "night", "long"]
"""Whether it is quiet where a number is: not as long as a code lives, later in its life, now, or all its life; "" where
nobody asks."""


class Circumstances(NamedTuple):
    """All of a question that the rules look at, which is everything but whom it is about. What they find holds for all
    questions whose circumstances are these, so it is worked out once; see policies/engine.py."""

    app: str
    country: str = ""  # of the number
    kind: NumberType | None = None  # of line; None without a number
    mailbox: bool = False  # an email address was given
    channels: tuple[str, ...] = ()
    ip: bool = False  # the client's address can be read
    device: bool = False  # its device was named
    ranged: bool = False  # the number's range is known
    suppressed: tuple[str, ...] = ()
    listed: Listed = UNLISTED  # what the policy's lists and the app's own say together
    flaws: tuple[str, ...] = ()  # what is suspicious of the email address
    ranges: tuple[str, ...] = ()  # the rules about ranges that the number meets
    night: Night = ""
    only_free: bool = False
    own_code: bool = False
    suspected: Mode = Mode.MONITOR
    suspected_by: str = ""
    stretch: int = 1


class Step(NamedTuple):
    """One step of the fallback order: a channel, the providers to try, and how long to wait for a sign of delivery."""

    channel: str
    providers: tuple[str, ...]
    wait: int  # milliseconds
    sender: str = ""  # overrides the providers' own sender
    order: OrderName = "fixed"
    weights: tuple[tuple[str, int], ...] = ()  # of every provider, where order is weighted
    quiet: tuple[tuple[int, int], ...] = ()  # when it is silent: from, until; ms since 1970
    strict: bool = False  # silent then even for a person who names its channel
    prices: tuple[tuple[str, int], ...] = ()  # of one message with each provider, in millionths; none yet: ()

    def silent(self, now: int) -> bool:
        return any(since <= now < until for since, until in self.quiet)

    def price(self, provider: str) -> int:
        """What a message with this provider is reckoned at, in millionths of the caps' currency."""
        return dict(self.prices).get(provider, 0)


class CodeSettings(NamedTuple):
    """How a code is made, how long it lives and how often it may be tried."""

    length: int
    alphabet: str  # the characters themselves: "0123456789"
    expiry: int  # milliseconds
    checks: int
    resend: str  # "same" or "new"
    cooldown: int  # milliseconds before a person may ask again
    waits: tuple[int, ...] = ()  # how that grows with each ask in a window; see policies/waits.py
    waits_window: int = 0  # milliseconds that an ask is remembered for it


class Counts(StrEnum):
    """What one limit counts."""

    STARTS = "starts"  # what a person asks for: starts, and resends where the destination is counted
    SENDS = "sends"  # every message that goes out, the automatic fallback included

    __hash__ = str.__hash__  # an enum's own is written in Python, and limits are looked up by this all the time


class Limit(NamedTuple):
    """At most `amount` in any `window`, for one subject. The store counts; the policy only says what."""

    name: str
    scope: str  # what the counter is shared within, already resolved: "", an app's name, or "app/policy"
    per: str  # the dimensions, joined: "destination", "ip", "ip+country"
    subject: str  # the value of those dimensions, numbers in the clear: seal before storing
    amount: int
    window: int  # milliseconds
    counts: Counts = Counts.STARTS
    shadow: bool = False  # count and report, never refuse
    waits: tuple[int, ...] = ()  # not empty: in place of the amount, how long the next one waits after each before

    def __repr__(self) -> str:
        return f"Limit({self.name}, {self.scope!r}, {self.per})"  # without its subject


@dataclass(frozen=True, slots=True, eq=False)
class Counter:
    """One list of times for each subject, and all the limits that look at it. They leave their subject out."""

    scope: str
    per: str
    counts: Counts
    of: tuple[str, ...]  # what its subject is made of: phone, email, ip, country ...; see policies/rules/subjects.py
    limits: tuple[Limit, ...]
    longest: int = field(init=False)  # ms that any of them looks back

    def __post_init__(self) -> None:
        object.__setattr__(self, "longest", max(limit.window for limit in self.limits))

    def subject(self, subjects: Mapping[str, str]) -> str:
        """Whom it counts for. Several parts are kept apart by their lengths: a device is the caller's free text, and
        ("a+b", "c") is not ("a", "b+c")."""
        if len(self.of) == 1:
            return subjects[self.of[0]]
        return "".join(f"{len(part)}:{part}" for part in [subjects[name] for name in self.of])

    def about(self, subjects: Mapping[str, str]) -> tuple[Limit, ...]:
        """Its limits, with their subject."""
        subject = self.subject(subjects)
        return tuple(limit._replace(subject=subject) for limit in self.limits)


class Cap(NamedTuple):
    """At most `amount` millionths spent in one period, by all that share the purse. The store reckons; the policy only
    says what."""

    name: str
    per: str  # what the purse belongs to: "app", "app+country", "everything"
    subject: str  # the value of that: "shop", "shop/IN", ""
    amount: int
    period: PeriodName
    then: Literal["refuse", "free"] = "refuse"


class Blocking(NamedTuple):
    """How long a block holds, in ms: the first, each further one so many times longer, and the longest. After as long
    as the longest without a new one, the next is a first one again."""

    first: int = 43_200_000
    growth: int = 2
    longest: int = 604_800_000


class Watch(NamedTuple):
    """One thing to keep an eye on, for one subject. The store counts and judges; the policy only says what.

    With `ripe` above zero it is a conversion: of the messages older than that, the share whose code was typed. Else it
    counts items, such as neighbouring numbers, that had a message in the window and no code typed: each item once, or
    with `each` each of its messages. A code that is typed takes all of its item's messages out.
    """

    rule: str
    app: str
    per: str
    subject: str  # numbers and addresses in the clear: seal before storing
    item: str | int  # what is counted; "" for a conversion
    shown: str  # the subject as an operator may see it
    mode: Mode
    minimum: int  # messages that say something; or items that are too many
    window: int  # milliseconds, as all times
    ripe: int = 0
    patience: int = 0  # of a conversion with no code typed at all, how old the first message must be; of items, each
    floor: float = 0.0  # the share that is too low
    drop: float = 0.0  # the share of its own usual conversion that is too low, where it has one
    near: int = 0  # items no further apart than this count twice
    block: Blocking = Blocking()
    each: bool = False

    def __repr__(self) -> str:
        return f"Watch({self.rule}, {self.per} {self.shown})"


class Eye(NamedTuple):
    """A watch without its subject: `terms` are the last fields of the watch."""

    name: str
    measure: str
    per: str
    terms: tuple[Any, ...]


class GuessBudget(NamedTuple):
    """Failed checks that one destination may have, over all its codes, before checks are refused."""

    amount: int
    window: int  # milliseconds
    delays: tuple[int, ...] = ()  # how long after each of them the next check waits; see policies/waits.py


class Refusal(NamedTuple):
    """No, and why. `code` is the API's stable problem code, `rule` the name of the rule that refused."""

    code: str
    rule: str
    detail: str  # for the caller: says nothing that an attacker could use


class Note(NamedTuple):
    """What one rule said, for the decision log and for `explain`. Holds no full number or address."""

    rule: str
    says: str
    refused: bool = False
    shadow: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """The answer to all questions of the same circumstances, as far as it is the same for all of them."""

    refusal: Refusal | None
    steps: tuple[Step, ...]
    silent: frozenset[str]  # the channels that are silent at night
    counters: tuple[Counter, ...]
    caps: tuple[Cap, ...]
    eyes: tuple[Eye, ...]
    treatment: Mode
    suspicions: tuple[str, ...]
    notes: tuple[Note, ...]


class Decision(NamedTuple):
    """The whole answer. When `refusal` is set, nothing else but the notes means anything."""

    policy: str  # the policy's name
    revision: str  # a hash of its content
    refusal: Refusal | None
    code: CodeSettings
    steps: tuple[Step, ...] = ()
    counters: tuple[Counter, ...] = ()
    subjects: Mapping[str, str] = MappingProxyType({})  # what the counters' subjects are made of, in the clear
    caps: tuple[Cap, ...] = ()
    guesses: GuessBudget = GuessBudget(100, 86_400_000)
    watches: tuple[Watch, ...] = ()
    treatment: Mode = Mode.MONITOR  # what of this decision is owed to a suspicion
    suspicions: tuple[str, ...] = ()  # the rules that it is owed to, or that only note it
    notes: tuple[Note, ...] = ()
    outline: Outline | None = None  # what it has in common with all others of the same circumstances

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Every limit with its subject."""
        return tuple(limit for counter in self.counters for limit in counter.about(self.subjects))

    def __repr__(self) -> str:
        return f"Decision({self.policy}, {[step.channel for step in self.steps]}, {self.refusal})"  # without subjects
