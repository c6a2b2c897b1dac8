"""What an app may ask, and every way in which the answer can be no."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from channels.contract import Channel
from policies import destination
from policies.model import Email, Phone

T = TypeVar("T", Phone, Email)


class Start(NamedTuple):
    """Start a verification. Sizes and forms are already checked; destinations are not yet understood."""

    app: str
    phone: str | None = None
    email: str | None = None
    purpose: str = "default"
    channels: tuple[str, ...] = ()
    locale: str = ""
    code: str | None = None
    context: Mapping[str, str] = MappingProxyType({})
    ip: str = ""
    device: str = ""
    app_hash: str = ""
    domain: str = ""
    metadata: Mapping[str, str] = MappingProxyType({})
    idempotency_key: str | None = None
    body: bytes = b""  # as it came: what the idempotency key is bound to
    wait: int = 0  # ms that the caller will wait for a provider's acceptance

    def __repr__(self) -> str:
        return f"Start(app={self.app!r}, purpose={self.purpose!r})"


class Check(NamedTuple):
    """Try a code."""

    app: str
    id: str
    code: str
    context: Mapping[str, str] = MappingProxyType({})
    phone: str | None = None
    email: str | None = None
    idempotency_key: str | None = None
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Check(app={self.app!r}, id={self.id!r})"


class Checked(NamedTuple):
    """A verdict about one check. `retry_at` in ms, when there is a point in trying again later."""

    id: str
    verdict: str
    checks_left: int
    retry_at: int | None


class Refused(Exception):
    """The answer is no."""


class NotFound(Refused):
    """No such verification, or not this app's."""


class NotPending(Refused):
    """It has ended."""


class InvalidField(Refused):
    """A field that only the gateway can judge is wrong. `pointer` is a JSON pointer into the request."""

    def __init__(self, pointer: str, reason: str, *, destination: bool = False) -> None:
        super().__init__(f"{pointer}: {reason}")
        self.pointer = pointer
        self.reason = reason
        self.destination = destination


class Denied(Refused):
    """A rule of the policy refused. `code` is the API's stable problem code."""

    def __init__(self, code: str, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {code}")
        self.code = code
        self.rule = rule
        self.detail = detail


class Limited(Refused):
    """A limit refused. The same request passes `wait` ms later if nothing else comes in between. `unnamed`: the fields
    that it counts by and that the start left out, so that all such starts are counted together."""

    def __init__(self, limit: str, amount: int, window: int, wait: int, unnamed: tuple[str, ...] = ()) -> None:
        super().__init__(f"limit {limit}, {wait} ms")
        self.limit = limit
        self.amount = amount
        self.window = window  # ms
        self.wait = wait  # ms
        self.unnamed = unnamed


class Overloaded(Refused):
    """Too many messages are under way in this process."""


class InProgress(Refused):
    """The first request with this idempotency key has no answer yet."""


class Mismatched(Refused):
    """The idempotency key belongs to another request."""


class Destinations(NamedTuple):
    """Whom it is about, understood. `target` is what guesses and later messages are counted by: the address that the
    first message goes to, so that nobody hides one address behind another."""

    phone: Phone | None
    email: Email | None
    by_email: bool = False  # the first message goes to the email address

    def aimed(self, channel: str) -> Destinations:
        """The same, for a verification that begins with this channel."""
        return self._replace(by_email=True) if channel == Channel.EMAIL else self

    @property
    def target(self) -> str:
        if self.phone and not self.by_email:
            return self.phone.e164
        return self.email.key if self.email else ""

    @property
    def given(self) -> list[Phone | Email]:
        """The addresses that were given, the number first."""
        return [address for address in (self.phone, self.email) if address is not None]

    @property
    def number(self) -> str:
        return self.phone.e164 if self.phone else ""

    @property
    def country(self) -> str:
        return self.phone.country if self.phone else ""

    @property
    def address(self) -> str:
        return self.email.address if self.email else ""


_NOBODY = Destinations(None, None)


def understood(phone: str | None, email: str | None) -> Destinations:
    """The destinations of a request. Raises InvalidField."""
    if phone is None and email is None:
        return _NOBODY
    return Destinations(
        _understood(destination.phone, phone, "/to/phone"), _understood(destination.email, email, "/to/email")
    )


def _understood(read: Callable[[str], T], given: str | None, pointer: str) -> T | None:
    try:
        return read(given) if given is not None else None
    except destination.Invalid as fault:
        raise InvalidField(pointer, fault.reason, destination=True) from None
