"""Sends one real test message: marked as a test, with a code that opens nothing and is shown nowhere."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field
from typing import Self

from channels import remedies
from channels.contract import Channel, Message, Provider, SendError
from channels.examination import Finding, fault, ok, refused
from channels.wording import Brief, word
from gateway.config import ProviderSection
from gateway.core import codes
from policies import destination

LIFETIME = 300  # seconds, after which a vendor need not deliver it any more

_TEXT = "This is a test by {brand}, nothing was asked of you. {code} is no code for anything."
_TEXTS = dict.fromkeys(Channel, _TEXT) | {"subject": "A test by {brand}"}

_ORDER = (Channel.SMS, Channel.WHATSAPP, Channel.TELEGRAM, Channel.VOICE, Channel.EMAIL)


class Unusable(Exception):
    """A test message that can't be sent to anybody. The text says what to write."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Whom the test message is for."""

    address: str = field(repr=False)
    masked: str
    country: str
    channel: Channel | None  # None: the first that the provider has
    brand: str

    @classmethod
    def to(cls, text: str, channel: str | None, brand: str) -> Self:
        """Raises Unusable, which doesn't repeat the number."""
        chosen = _channel(channel)
        try:
            if "@" in text:
                email = destination.email(text)
                return cls(email.address, email.masked, "", chosen, brand)
            phone = destination.phone(text)
        except destination.Invalid as fault:
            raise Unusable(f"--send-to: {fault.reason}") from None
        return cls(phone.e164, phone.masked, phone.country, chosen, brand)

    async def sent_by(self, provider: Provider, section: ProviderSection) -> Finding:
        """Whether the vendor accepted it. That it arrives, only the person sees."""
        what = f"test message to {self.masked}"
        channel = self._fit(provider)
        if channel is None:
            carried = ", ".join(sorted(provider.channels))
            return fault(what, f"it carries {carried}", "Name a provider that reaches such an address.", "")
        try:
            receipt = await provider.send(self._message(channel))
        except SendError as error:
            return refused(f"{what} by {channel}", error, remedies.load(section.settings.type))
        except Exception as error:  # noqa: BLE001 - a provider's bug must not hide what the others found
            seen = f"the provider's module raised {type(error).__name__}"
            return fault(what, seen, "It is a bug of that module: report it to whoever wrote it.", "")
        named = f" as {receipt.message_id}" if receipt.message_id else ""
        return ok(f"{what} by {channel}", f"accepted{named}; whether it arrives, the phone or the mailbox shows")

    def _fit(self, provider: Provider) -> Channel | None:
        able = [channel for channel in _ORDER if channel in provider.channels]
        able = [channel for channel in able if (channel is Channel.EMAIL) == ("@" in self.address)]
        return next((channel for channel in able if self.channel in (None, channel)), None)

    def _message(self, channel: Channel) -> Message:
        code = codes.make(6, string.digits)
        brief = Brief(self.brand, "en", LIFETIME, templates=_TEXTS)
        return Message(
            channel=channel,
            to=self.address,
            code=code,
            wording=word(channel, code, brief),
            reference=f"doctor-{secrets.token_hex(8)}",
            lifetime=LIFETIME,
            country=self.country,
        )


def _channel(name: str | None) -> Channel | None:
    if name is None:
        return None
    if name not in list(Channel):
        raise Unusable(f"--channel: write one of {', '.join(Channel)}")
    return Channel(name)
