"""The contract between the gateway and everything that can carry a code: messages in, receipts and reports out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Protocol, Self, runtime_checkable

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from channels.price import PriceList


class Channel(StrEnum):
    """A way to reach a person. Email goes to an address, all others to a phone number."""

    SMS = "sms"
    VOICE = "voice"
    WHATSAPP = "whatsapp"
    TELEGRAM = "telegram"
    EMAIL = "email"


class ErrorClass(StrEnum):
    """Why an attempt failed, classed by what to do about it and not by vendor."""

    BAD_DESTINATION = "bad_destination"  # no such number or mailbox
    NO_CHANNEL = "no_channel"  # the destination exists but this channel can't reach it (landline, not on WhatsApp)
    TEMPORARY = "temporary"  # may work by another route
    THROTTLED = "throttled"  # the provider's rate or queue limit
    PROVIDER_DOWN = "provider_down"  # the provider's fault: 5xx, timeout, refused connection
    PROVIDER_ACCOUNT = "provider_account"  # credentials, credit, suspension, trial limits
    SENDER = "sender"  # the sender id or number is not allowed
    GEOGRAPHY = "geography"  # the provider's account may not send to that country, or at that price
    CONTENT = "content"  # template or text refused
    OPTED_OUT = "opted_out"  # the person asked that sender to stop
    FRAUD = "fraud"  # blocked as pumping or abuse: trying elsewhere would defeat the protection
    REQUEST_BUG = "request_bug"  # our request was wrong
    UNKNOWN = "unknown"


class Remedy(StrEnum):
    """What the fallback does after an error."""

    NEXT_PROVIDER = "next_provider"  # the same channel through another provider, then the next channel
    NEXT_CHANNEL = "next_channel"  # this channel is hopeless for this destination
    NEXT_ADDRESS = "next_address"  # every channel to this address is hopeless
    STOP = "stop"  # end the cascade


REMEDIES: Mapping[ErrorClass, Remedy] = {
    ErrorClass.BAD_DESTINATION: Remedy.NEXT_ADDRESS,
    ErrorClass.NO_CHANNEL: Remedy.NEXT_CHANNEL,
    ErrorClass.TEMPORARY: Remedy.NEXT_PROVIDER,
    ErrorClass.THROTTLED: Remedy.NEXT_PROVIDER,
    ErrorClass.PROVIDER_DOWN: Remedy.NEXT_PROVIDER,
    ErrorClass.PROVIDER_ACCOUNT: Remedy.NEXT_PROVIDER,
    ErrorClass.SENDER: Remedy.NEXT_PROVIDER,
    ErrorClass.GEOGRAPHY: Remedy.NEXT_PROVIDER,
    ErrorClass.CONTENT: Remedy.NEXT_PROVIDER,
    ErrorClass.OPTED_OUT: Remedy.NEXT_CHANNEL,
    ErrorClass.FRAUD: Remedy.STOP,
    ErrorClass.REQUEST_BUG: Remedy.NEXT_PROVIDER,
    ErrorClass.UNKNOWN: Remedy.NEXT_PROVIDER,
}

PROVIDER_FAULTS = frozenset(
    {ErrorClass.PROVIDER_DOWN, ErrorClass.THROTTLED, ErrorClass.PROVIDER_ACCOUNT, ErrorClass.REQUEST_BUG}
)
"""The classes that say something about the provider's health, and nothing about the destination."""


@dataclass(frozen=True, slots=True)
class Wording:
    """One code put into words for one channel. `spoken` is for voice, `html` and `subject` for email."""

    text: str
    language: str  # BCP 47, the language actually used: "pt-BR", "en"
    subject: str = ""
    html: str = ""
    spoken: str = ""

    def __repr__(self) -> str:
        return f"Wording({self.language})"


@dataclass(frozen=True, slots=True)
class Message:
    """What a provider is asked to carry. Holds the code and the full destination: never log one."""

    channel: Channel
    to: str  # E.164 with its plus, or an email address exactly as the person gave it
    code: str
    wording: Wording
    reference: str  # unique to this attempt; the idempotency id where a vendor knows one
    lifetime: int  # seconds until the code is worthless; the vendor's message lifetime
    sender: str | None = None  # overrides the provider's own sender for this country
    callback_url: str | None = None  # where the vendor reports to; holds an unguessable token
    token: str = ""  # that token alone, for a vendor that echoes a field and has one address for all reports
    answer_url: str | None = None  # where a voice vendor fetches what to say
    country: str = ""  # ISO 3166-1 alpha-2 of a phone number, "" for email

    def __repr__(self) -> str:
        return f"Message({self.channel}, reference={self.reference!r})"


@dataclass(frozen=True, slots=True)
class Cost:
    """A price in millionths of one currency unit."""

    micros: int
    currency: str  # ISO 4217


@dataclass(frozen=True, slots=True)
class Receipt:
    """A provider accepted the message. It does not say that anybody got it."""

    message_id: str = ""  # the vendor's own id, for looking the message up in its console
    cost: Cost | None = None


class ReportKind(StrEnum):
    """What a delivery report says."""

    PROGRESS = "progress"  # queued, sending, sent, ringing: no news for the fallback
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """A vendor's later word on one attempt."""

    kind: ReportKind
    error: ErrorClass | None = None  # set when kind is FAILED
    vendor_code: str = ""  # the vendor's own code, for the decision log; from a closed vocabulary, never free text
    message_id: str = ""
    cost: Cost | None = None
    token: str = field(default="", repr=False)
    """Message.token as the vendor echoed it: who is meant, when the report came to the shared address."""


CALL_LIMIT = 120
"""Seconds after which a call is cut, where a vendor takes a limit. Saying a code twice takes a third of it. Their own
defaults are two hours (Vonage: Voice API, `length_timer`) and four (Twilio's TimeLimit, Plivo's time_limit), and a line
that a fraudster keeps open is paid by the minute."""

SHARED = "shared"
"""In place of a token in a callback address: {public_url}/callbacks/{provider name}/shared. For vendors whose reports
all go to one address that the operator enters once. It gives no right to anything: each report must bring its token."""


INBOUND = "inbound"
"""In place of a token in a callback address: {public_url}/callbacks/{provider name}/inbound. Where a vendor hands over
what people write back, once the operator has entered it there."""


@dataclass(frozen=True, slots=True)
class InboundText:
    """What a person wrote to one of the account's numbers, in a callback that the vendor signed; no other is believed.
    The gateway looks for STOP and START in it, keeps nothing else of it, and shows it nowhere."""

    channel: Channel
    sender: str = field(repr=False)  # in E.164, with its plus
    text: str = field(repr=False)  # the vendor's own verdict, STOP or START, where it gives one
    said_at: int | None = None  # when it was written, in ms since 1970; None where the vendor does not say
    id: str = field(default="", repr=False)  # the vendor's, the same when it is delivered again


@dataclass(frozen=True, slots=True)
class Callback:
    """A vendor's HTTP request, as it came."""

    method: str
    url: str  # the configured public URL with the path and query that were called; never from the Host header
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a provider read in a callback: its reports, and whether it now wants to be told what to say."""

    reports: tuple[DeliveryReport, ...] = ()
    wants_message: bool = False  # the vendor waits for the message of this attempt: see Provider.answer
    answer: Answer | None = None  # what to answer, where the vendor looks for more than 204: a handshake
    texts: tuple[InboundText, ...] = ()  # what people wrote, at the inbound address or among the reports


@dataclass(frozen=True, slots=True)
class Answer:
    """The HTTP answer to a callback."""

    body: bytes = b""
    media_type: str = "text/plain"
    status: int = 200


class SendError(Exception):
    """A message was not accepted. `ambiguous` is true when it may have been sent all the same (a timeout after
    the request was written): it then counts as sent, and the next attempt carries the same code."""

    def __init__(
        self,
        error: ErrorClass,
        vendor_code: str = "",
        *,
        ambiguous: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{error}{f' ({vendor_code})' if vendor_code else ''}")
        self.error = error
        self.vendor_code = vendor_code
        self.ambiguous = ambiguous
        self.retry_after = retry_after  # seconds


class Forged(Exception):
    """A callback whose signature is missing or wrong."""


class Unread(Exception):
    """A callback that can't be judged now, because something to judge it by could not be fetched. The vendor is told
    503 and repeats it."""


class Provider(Protocol):
    """One account with one vendor. Its requests keep their own deadline; the gateway adds a cap and a breaker.

    What not every vendor has is a protocol of its own: Shared, Receiving, Hearing, Pricing, and Examinable in
    channels.examination. A provider has one by having its members.
    """

    @property
    def channels(self) -> frozenset[Channel]: ...

    async def send(self, message: Message) -> Receipt:
        """Hand one message over. Raises SendError and nothing else that it can foresee."""
        ...

    def read(self, callback: Callback) -> Outcome:
        """Understand a callback. Raises Forged before looking at the content; an unknown content is no report."""
        ...

    def answer(self, message: Message | None) -> Answer:
        """What to say to the vendor that fetches a message: None means that there is nothing left to say."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class Shared(Protocol):
    """A provider whose reports may come to the shared address and bring their tokens."""

    @property
    def shared(self) -> bool: ...


@runtime_checkable
class Receiving(Protocol):
    """A provider whose vendor has to be asked something before a callback can be judged."""

    async def receive(self, callback: Callback) -> Outcome:
        """What `read` does, and is called instead of it. Raises Forged, and Unread."""
        ...


@runtime_checkable
class Hearing(Protocol):
    """A provider that understands what comes to the inbound address."""

    def inbound(self, callback: Callback) -> Outcome:
        """What people wrote. Raises Forged for whatever is not signed: anybody can guess that address."""
        ...


@runtime_checkable
class Pricing(Protocol):
    """A provider whose vendor tells the price of a message only when it is asked, some time after the delivery."""

    @property
    def prices(self) -> bool:
        """Whether it is to be asked."""
        ...

    async def price(self, message_id: str) -> Cost | None:
        """What that message cost; None while the vendor doesn't know it yet. Uses no connection that a message may
        need. Raises SendError."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a provider may know of its surroundings."""

    name: str  # its name in the configuration
    user_agent: str
    production: bool
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The values behind the settings' SecretRef fields, by field name; of a section within them, as `dkim.key`."""


def _base_url(url: str) -> str:
    from pydantic import AnyHttpUrl  # what pydantic knows of addresses is a megabyte, and few write one

    return str(AnyHttpUrl(url)).rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_base_url)]
"""An http or https address, without its trailing slash."""


class SecretRef(BaseModel):
    """Where a secret is kept: in the environment or in a file, never in the configuration itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    env: str | None = Field(None, description="The name of an environment variable.")
    file: Path | None = Field(None, description="The path of a file that holds the secret and nothing else.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("write exactly one of env and file")
        return self


_VENDOR_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def vendor_code(value: object) -> str:
    """A vendor's code made safe for logs and metrics: free text, which may hold a number, becomes 'other'."""
    text = str(value) if value is not None else ""
    if not text:
        return ""
    return text if _VENDOR_CODE.fullmatch(text) and not re.search(r"\d{7}", text) else "other"


class ProviderSettings(BaseModel):
    """The keys that every provider's section of the configuration has."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    type: str = Field(description="The provider module: a name under channels/providers, or package.module:build.")
    enabled: bool = Field(True, description="false takes it out of every order without touching the policies.")
    base_url: BaseUrl | None = Field(None, description="Another address of the vendor: a region, an edge, a test.")
    timeout: float = Field(
        10.0, gt=0, le=60, description="Seconds for a whole request; must stay under the engine's lease."
    )
    concurrency: int = Field(64, ge=1, le=10_000, description="Requests under way at once, at the most.")
    rate: float | None = Field(
        None, gt=0, le=10_000, description="Messages a second from each gateway process, at the most. Left out: no cap."
    )
    price: dict[Channel, PriceList] = Field(
        default_factory=dict,
        description="What a message costs, by channel, such as {sms: 0.0079 USD}, or by country as well: {sms: "
        "{default: 0.05 USD, US: 0.0079 USD}}. An SMS by the part, a call by the minute (it is cut after two). What "
        "caps reckon with until the vendor names its price.",
    )
    errors: dict[str, ErrorClass] = Field(
        default_factory=dict, description="Vendor codes classed otherwise than in the table that ships."
    )


Build = Any
"""`build(settings, context) -> Provider`, a function beside a `Settings` model, in every provider module."""
