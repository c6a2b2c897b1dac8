"""What the simulated carrier does for each number and address: a table, so that the docs and the page can show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from channels.contract import Channel, ErrorClass, ReportKind

NUMBER = "+141555501"
"""Numbers that begin so choose their outcome by their last two digits. The North American plan sets 555-0100 to
555-0199 aside for fiction (NANPA, "555 Line Numbers"): no person can own one, and libphonenumber calls them valid."""

DOMAIN = "simulator.example"
"""For the docs only: the local part alone chooses. Nobody can own a domain under .example (RFC 2606)."""


class When(StrEnum):
    """When a report comes."""

    EARLY = "early"  # before the answer to the send
    SOON = "soon"  # the setting `report_after` later than what came before
    LATE = "late"  # the setting `late_after` later than what came before


@dataclass(frozen=True, slots=True)
class Word:
    """One report that the carrier makes."""

    kind: ReportKind
    error: ErrorClass | None = None
    code: str = ""
    when: When = When.SOON


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one message."""

    refusal: ErrorClass | None = None  # refused at once, so that there is nothing to report
    code: str = ""  # the refusal's vendor code
    hangs: bool = False  # no answer until the deadline
    reports: tuple[Word, ...] = ()

    @property
    def answered(self) -> bool:
        """Of a call: somebody picks up and listens, before the reports that are not early."""
        return any(word.kind is ReportKind.DELIVERED for word in self.reports)


_REACHED = Word(ReportKind.DELIVERED)


def _refused(error: ErrorClass, code: str) -> Fate:
    return Fate(refusal=error, code=code)


def _failed(error: ErrorClass, code: str) -> Fate:
    return Fate(reports=(Word(ReportKind.FAILED, error, code),))


DELIVERED = Fate(reports=(_REACHED,))


@dataclass(frozen=True, slots=True)
class Scenario:
    """One number, the email address that means the same, and what happens there."""

    digits: str  # the last two of the number
    name: str  # the local part of the address
    says: str  # one sentence for people
    fate: Fate = DELIVERED
    channels: Mapping[Channel, Fate] = field(default_factory=dict)  # where a channel differs

    @property
    def number(self) -> str:
        return f"{NUMBER}{self.digits}"

    @property
    def address(self) -> str:
        return f"{self.name}@{DOMAIN}"

    def on(self, channel: Channel) -> Fate:
        return self.channels.get(channel, self.fate)


_E = ErrorClass
_CHANNELS_TO_A_PHONE = (Channel.SMS, Channel.VOICE, Channel.WHATSAPP, Channel.TELEGRAM)

OUTCOMES: tuple[Scenario, ...] = (
    Scenario("00", "delivered", "Delivered after a moment. A call is answered."),
    Scenario(
        "01",
        "late",
        "Delivered, but only after the wait of most policies.",
        Fate(reports=(Word(ReportKind.DELIVERED, when=When.LATE),)),
    ),
    Scenario("02", "refused", "Refused at once; another route may work.", _refused(_E.TEMPORARY, "refused")),
    Scenario("03", "failed", "Accepted, then reported as failed.", _failed(_E.TEMPORARY, "undelivered")),
    Scenario("04", "silent", "Accepted, and never heard of again.", Fate()),
    Scenario("05", "down", "The provider is down.", _refused(_E.PROVIDER_DOWN, "down")),
    Scenario("06", "throttled", "The provider asks to slow down.", _refused(_E.THROTTLED, "throttled")),
    Scenario(
        "07",
        "timeout",
        "The provider doesn't answer before the deadline; the message may have been sent.",
        Fate(hangs=True),
    ),
    Scenario("08", "opted-out", "The person asked that sender to stop.", _refused(_E.OPTED_OUT, "opted-out")),
    Scenario("09", "fraud", "Blocked as pumping: the cascade ends.", _refused(_E.FRAUD, "fraud")),
    Scenario(
        "10",
        "landline",
        "A landline: calls are answered, and nothing else reaches it.",
        channels={
            Channel.SMS: _refused(_E.NO_CHANNEL, "landline"),
            Channel.WHATSAPP: _refused(_E.NO_CHANNEL, "landline"),
            Channel.TELEGRAM: _refused(_E.NO_CHANNEL, "landline"),
        },
    ),
    Scenario(
        "11",
        "not-on-whatsapp",
        "Not on WhatsApp; all else is delivered.",
        channels={Channel.WHATSAPP: _refused(_E.NO_CHANNEL, "not-on-whatsapp")},
    ),
    Scenario(
        "12",
        "bad-destination",
        "No such number or mailbox, refused at once.",
        _refused(_E.BAD_DESTINATION, "no-such-destination"),
    ),
    Scenario(
        "13",
        "sms-fails",
        "SMS is reported as failed; all else is delivered.",
        channels={Channel.SMS: _failed(_E.TEMPORARY, "undelivered")},
    ),
    Scenario(
        "14",
        "phone-fails",
        "The phone is off, on every channel; email is delivered.",
        channels={channel: _failed(_E.NO_CHANNEL, "phone-off") for channel in _CHANNELS_TO_A_PHONE},
    ),
    Scenario(
        "15",
        "busy",
        "A call meets a busy line; all else is delivered.",
        channels={Channel.VOICE: _failed(_E.NO_CHANNEL, "busy")},
    ),
    Scenario(
        "16",
        "no-answer",
        "A call rings out; all else is delivered.",
        channels={Channel.VOICE: _failed(_E.NO_CHANNEL, "no-answer")},
    ),
    Scenario(
        "17",
        "voicemail",
        "A call meets a machine; all else is delivered.",
        channels={Channel.VOICE: _failed(_E.NO_CHANNEL, "voicemail")},
    ),
    Scenario(
        "18", "bounced", "Accepted, then reported: no such number or mailbox.", _failed(_E.BAD_DESTINATION, "bounced")
    ),
    Scenario("19", "account", "The provider refuses the gateway's account.", _refused(_E.PROVIDER_ACCOUNT, "account")),
    Scenario("20", "sender", "The sender is not allowed.", _refused(_E.SENDER, "sender")),
    Scenario("21", "geography", "The account may not send to that country.", _refused(_E.GEOGRAPHY, "geography")),
    Scenario("22", "content", "The text is refused.", _refused(_E.CONTENT, "content")),
    Scenario("24", "unknown", "Refused with a code that is in no table.", _refused(_E.UNKNOWN, "418")),
    Scenario(
        "25",
        "early",
        "The report overtakes the answer to the send.",
        Fate(reports=(Word(ReportKind.DELIVERED, when=When.EARLY),)),
    ),
    Scenario("26", "twice", "The report comes twice.", Fate(reports=(_REACHED, _REACHED))),
    Scenario(
        "27",
        "failed-then-delivered",
        "Reported as failed, and delivered all the same.",
        Fate(reports=(Word(ReportKind.FAILED, _E.TEMPORARY, "undelivered"), _REACHED)),
    ),
    Scenario(
        "28", "queued", "Reported as on its way, then delivered.", Fate(reports=(Word(ReportKind.PROGRESS), _REACHED))
    ),
    Scenario("29", "request-bug", "The provider can't make sense of the request.", _refused(_E.REQUEST_BUG, "request")),
)
"""Every number and address that does something of its own. Any other is delivered."""


def fate(channel: Channel, to: str) -> Fate:
    """What becomes of a message to this number or address. A +tag in an address is ignored, and so is its domain."""
    if channel is Channel.EMAIL:
        name = to.partition("@")[0].partition("+")[0].lower()
        found = (scenario for scenario in OUTCOMES if scenario.name == name)
    else:
        found = (scenario for scenario in OUTCOMES if scenario.number == to)
    scenario = next(found, None)
    return scenario.on(channel) if scenario else DELIVERED
