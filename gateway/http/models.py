"""The API's requests and answers: what is accepted, what is told, and the source of the OpenAPI document."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from channels.contract import ErrorClass
from channels.wording.templates import LONGEST_VARIABLE, check_variable
from gateway.core.codes import MAX_INPUT
from gateway.core.model import AttemptStatus, Status, Verdict
from policies.model import ChannelName

PHONE, EMAIL = "+14155550123", "ana@example.org"
ID = "ver_DwcMkq4Oc2tRr3vN2mYx0Fw"
"""Examples, as are those in the fields: a test sends and checks every one."""


class _Request(BaseModel):
    """Strict: an unknown field is a mistake that would otherwise be found in production."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


def _distinct(channels: list[str]) -> list[str]:
    if len(set(channels)) < len(channels):
        raise ValueError("name each channel once")
    return channels


_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}")


def _address(text: str) -> str:
    if _IPV4.fullmatch(text):  # the most common by far, at a fifth of the price
        return text
    try:
        if "%" in text:  # a zone means something on one machine only
            raise ValueError
        ip_address(text)
    except ValueError:
        raise ValueError("not an IP address: write one such as 203.0.113.7 or 2001:db8::1, without a port") from None
    return text


_LABEL = r"([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)"
_HOST = rf"^{_LABEL}+[A-Za-z]([A-Za-z0-9-]{{0,61}}[A-Za-z0-9])?$"

Phone = Annotated[str, Field(min_length=1, max_length=64, examples=[PHONE], description="In E.164, with its plus.")]
Email = Annotated[str, Field(min_length=1, max_length=320, examples=[EMAIL])]
Purpose = Annotated[str, Field(pattern="^[a-z][a-z0-9_-]{0,63}$", examples=["login"])]
Locale = Annotated[str, Field(max_length=35, pattern="^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$", examples=["pt-BR"])]
Channels = Annotated[
    list[ChannelName], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(_distinct)
]
Shown = Annotated[
    str,
    AfterValidator(check_variable),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": LONGEST_VARIABLE}),
]
Context = Annotated[dict[Shown, Shown], Field(max_length=8, examples=[{"amount": "12.50 EUR", "payee": "ACME"}])]
Noted = Annotated[str, Field(max_length=128)]
Metadata = Annotated[dict[Annotated[str, Field(min_length=1, max_length=128)], Noted], Field(max_length=16)]
Ip = Annotated[
    str,
    AfterValidator(_address),
    WithJsonSchema({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}], "examples": ["203.0.113.7"]}),
]


class To(_Request):
    """Where a code goes: a phone number, an email address, or both. The policy decides which it uses, and when."""

    phone: Phone | None = None
    email: Email | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.phone is None and self.email is None:
            raise ValueError("write a phone, an email, or both")
        return self


class Client(_Request):
    """The app's end user, as the app sees them: limits count by these."""

    ip: Ip | None = None
    device: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    user_agent: Annotated[str, Field(max_length=512, description="Checked, and kept nowhere.")] | None = None


class StartRequest(_Request):
    """Start a verification."""

    to: To
    purpose: Purpose = Field("default", description="Selects the policy.")
    channels: Channels | None = Field(None, description="Narrows and orders what the policy allows; never widens it.")
    locale: Locale | None = Field(None, description="The language of the message, as BCP 47 writes it.")
    code: Annotated[str, Field(pattern="^[0-9A-Za-z]{4,10}$")] | None = Field(
        None, description="Only for apps that make their own codes: 4 to 10 ASCII digits or letters."
    )
    context: Context | None = Field(
        None, description="Shown in the message and bound to the code: the check must repeat it. No links."
    )
    client: Client | None = None
    app_hash: Annotated[str, Field(pattern="^[A-Za-z0-9+/]{11}$", examples=["FA+9qCX9VSu"])] | None = Field(
        None, description="Lets the SMS fill itself in on Android."
    )
    domain: Annotated[str, Field(min_length=4, max_length=253, pattern=_HOST, examples=["shop.example"])] | None = (
        Field(None, description="Lets the SMS fill itself in on this site: the bare host name.")
    )
    metadata: Metadata | None = Field(None, description="Comes back as given.", examples=[{"order": "A-17"}])


class CheckRequest(_Request):
    """Try a code."""

    code: Annotated[str, Field(min_length=1, max_length=MAX_INPUT, examples=["482913"])] = Field(
        description="As the person typed it: spaces and hyphens fall away, digits of any script count."
    )
    context: Context | None = Field(None, description="What the code was bound to at the start, if it was.")
    to: To | None = Field(None, description="The destination that must have been proven, to be sure of it.")


class ResendRequest(_Request):
    """Ask for the next step now."""

    channel: ChannelName | None = Field(None, description="This channel instead of whatever comes next.")


class CancelRequest(_Request):
    """Nothing needs to be said."""


class SearchRequest(_Request):
    """Ask what a destination has opted out of."""

    to: To


class EraseRequest(_Request):
    """Erase what is kept of a destination."""

    to: To


class SuppressRequest(_Request):
    """Send a destination nothing more."""

    to: To
    channels: Channels | None = Field(None, description="Only these; left out: all that reach the destination.")
    reason: Annotated[str, Field(pattern="^[a-z][a-z_]{0,31}$", examples=["complaint"])] = Field(
        "app", description="A word of your own, for whoever asks later. The gateway's own are vendor and reply."
    )


class LiftRequest(_Request):
    """Send to a destination again, because the person asked for it."""

    to: To
    channels: Channels | None = Field(None, description="Only these; left out: all that reach the destination.")


Entry = Annotated[
    str,
    Field(
        min_length=1,
        max_length=320,
        examples=["+4479*"],
        description="A number in E.164, the beginning of numbers and a star, an email address, or a domain, which "
        "covers its subdomains.",
    ),
]
Word = Literal["deny", "allow"]


class ListRequest(_Request):
    """Deny or allow a destination, or many."""

    entry: Entry
    list: Word = Field("deny", description="deny: nothing is sent. allow: none of this app's wider denials holds.")
    expires_in: int | None = Field(
        None,
        ge=1,
        le=315_360_000,
        examples=[86400],
        description="Seconds that it holds; left out: until it is removed.",
    )
    reason: Annotated[str, Field(pattern="^[a-z][a-z_]{0,31}$", examples=["pumping"])] = Field(
        "app", description="A word of your own, for whoever asks later."
    )


class EntryRequest(_Request):
    """Name an entry."""

    entry: Entry


Time = Annotated[
    str, WithJsonSchema({"type": "string", "format": "date-time", "pattern": r"^.{19}Z$"}), Field(description="UTC.")
]
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time", "pattern": r"^.{23}Z$"})]
Id = Annotated[str, Field(pattern="^ver_[A-Za-z0-9_-]{23}$", examples=[ID])]


class _Answer(BaseModel):
    """Made whole when somebody first needs it, which for most is who reads the description: answers are plain data."""

    model_config = ConfigDict(defer_build=True)


class Attempt(_Answer):
    """One message through one provider."""

    number: int = Field(ge=1)
    channel: ChannelName
    provider: str = Field(description="Its name in the gateway's configuration.")
    status: AttemptStatus
    reason: ErrorClass | None = Field(description="Why it failed, classed by what to do about it.")
    at: Time = Field(description="When it took this status.")


class Next(_Answer):
    """Where silence leads."""

    channel: ChannelName
    at: Time | None = Field(description="null until a provider has accepted the present message: its wait begins then.")


class Masked(_Answer):
    """The destination, with its middle hidden; what was not given is null."""

    phone: str | None = Field(examples=["+1415*****23"])
    email: str | None = Field(examples=["a**@example.org"])


class Verification(_Answer):
    """A verification, without its code and without its full destination."""

    id: Id
    status: Status
    purpose: str
    to: Masked
    channel: ChannelName = Field(description="The channel of the newest attempt.")
    exhausted: bool = Field(description="No step is left. The code stays good: a late message may still arrive.")
    attempts: list[Attempt]
    next: Next | None = Field(description="null when silence leads to no other message.")
    checks_left: int = Field(ge=0)
    resend_at: Time | None = Field(description="A resend is refused before this; null once the verification has ended.")
    created_at: Time
    expires_at: Time
    metadata: dict[str, str]


class Checked(_Answer):
    """A verdict about one check. It is never read off the state: after the right code, a wrong one is still wrong."""

    id: Id
    verdict: Verdict
    approved: bool = Field(description="True for exactly one check of a verification.")
    checks_left: int = Field(ge=0)
    retry_at: Time | None = Field(description="When the next code is compared, if it has to wait.")


class Happening(_Answer):
    """One event, with the facts that belong to it."""

    at: Moment
    event: str
    policy: str | None = None
    revision: str | None = None
    attempt: int | None = None
    channel: ChannelName | None = None
    provider: str | None = None
    reason: str | None = None
    vendor_code: str | None = None
    message_id: str | None = None
    from_attempt: int | None = None
    to_attempt: int | None = None


class Events(_Answer):
    """Why each thing happened, oldest first."""

    id: Id
    events: list[Happening]


class Suppression(_Answer):
    """One channel that is not used for a destination."""

    channel: ChannelName
    reason: str = Field(description="vendor: one refused a message for it; reply: the person wrote STOP; or your word.")
    since: Time
    expires_at: Time | None = Field(description="null when it holds until it is lifted.")


class Suppressions(_Answer):
    """What this app does not send to a destination."""

    to: Masked
    suppressions: list[Suppression]


class ListEntry(_Answer):
    """One entry that covers what was asked about."""

    entry: str = Field(description="Masked where it would be a whole number or address.", examples=["+4479*"])
    list: Word
    reason: str
    since: Time
    expires_at: Time | None = Field(description="null when it holds until it is removed.")


class Listed(_Answer):
    """What this app's list says. What the policy's own lists say is not part of it."""

    entry: str = Field(examples=["+4479*"])
    list: Word | None = Field(description="What counts: the word of the longest entry. null when none covers it.")
    entries: tuple[ListEntry, ...] = Field(description="All that cover it, the longest first.")


class Erased(_Answer):
    """What was erased. Opt-outs and counters stay: keyed hashes, which say of nobody who they are."""

    to: Masked
    verifications: int = Field(ge=0, description="How many, with all that they knew of it.")
    ended: int = Field(ge=0, description="How many of these were pending: their codes are worthless now.")


class FeedbackRequest(_Request):
    """What became of a code that the app checked by itself."""

    converted: bool = Field(description="Whether the person typed it.")


class Feedback(_Answer):
    """What was said."""

    id: Id
    converted: bool


BlockId = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{16}$", examples=["dGhlIGJsb2NrJ3Mg"])]


class LiftBlockRequest(_Request):
    """Which block."""

    id: BlockId


class Block(_Answer):
    """Traffic that is held back because it looks like abuse."""

    id: BlockId
    rule: str = Field(description="The rule of the policy that found it.")
    per: str = Field(description="What is blocked: a prefix, a range, a country, the app, a client.")
    subject: str = Field(description="Which one, as far as it may be shown.", examples=["+9198765*****"])
    repeated: int = Field(
        ge=0,
        description="Blocks in a row, this one included: each is longer than the last. 0: a subject that is only held "
        "for minutes, until its messages are old enough to tell.",
    )
    since: Time
    expires_at: Time


class Blocks(_Answer):
    """The blocks of this app, those that end first at the beginning."""

    blocks: list[Block]


class Fault(_Answer):
    """What is wrong with one part of the request."""

    pointer: str = Field(description="A JSON pointer (RFC 6901) into the request; empty for the whole of it.")
    reason: str


class Alive(_Answer):
    """The process answers."""

    status: Literal["alive"]


class Readiness(_Answer):
    """Whether the gateway can serve, and if not, why."""

    status: Literal["ready", "unready"]
    problems: list[str]


class Index(_Answer):
    """What is where."""

    name: Literal["otp-gateway"]
    version: str
    links: dict[str, str]


class Problem(_Answer):
    """RFC 9457, with a stable code. Decide by the code: the title and the detail are for people and may change."""

    type: str
    title: str
    status: int
    detail: str
    instance: str = Field(description="The request, as in the Request-Id header and in the gateway's log.")
    code: str
    rule: str | None = Field(None, description="The policy's rule that refused.")
    limit: str | None = Field(None, description="The limit that refused.")
    errors: list[Fault] | None = Field(None, description="What to mend.")
