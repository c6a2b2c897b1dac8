"""A webhook of the operator's own: any channel over a sender that speaks this provider's small HTTP contract.

Both ways are signed as Standard Webhooks 1.0.0 has it. docs/providers/webhook.md says what the bodies hold.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import AnyHttpUrl, Field, TypeAdapter, ValidationError, field_validator
from pydantic_core import to_json

from channels import errors, remedies, signing
from channels.contract import (
    Answer,
    Callback,
    Channel,
    Context,
    Cost,
    DeliveryReport,
    ErrorClass,
    Forged,
    Message,
    Outcome,
    ProviderSettings,
    Receipt,
    ReportKind,
    SecretRef,
    SendError,
    vendor_code,
)
from channels.examination import Finding, Inquiry, ok, unknown, warning
from channels.providers._reading import json_object, price
from channels.transport import Reply, Transport, refused

SENT = "message.send"
REPORTED = "message.report"

_URL: TypeAdapter[AnyHttpUrl] = TypeAdapter(AnyHttpUrl)
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_KINDS = {str(kind): kind for kind in ReportKind}
_NUMBER = re.compile(r"[0-9]{7,15}")  # E.164 without its plus


class Settings(ProviderSettings):
    """A sender of the operator's own."""

    url: str = Field(description="Where every message is posted to. Redirects are not followed.")
    channels: frozenset[Channel] = Field(min_length=1, description="What the sender carries.")
    secret: SecretRef = Field(description="Signs what is sent and checks what comes back: whsec_ and base64.")
    secondary_secret: SecretRef | None = Field(
        None, description="Signs and is accepted as well, while the secrets are being rotated."
    )
    allow_plaintext: bool = Field(
        False, description="Permits an http:// url in production: for a link that is private anyway."
    )

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        try:
            parsed = _URL.validate_python(url)
        except ValidationError:
            raise ValueError("write an address that begins with https:// or http://") from None
        if parsed.username or parsed.password or parsed.fragment:
            raise ValueError("leave the user, the password and the fragment out: requests are signed instead")
        return str(parsed)

    @property
    def address(self) -> str:
        """The url, at the base_url's host when there is one."""
        if self.base_url is None:
            return self.url
        parsed = urlsplit(self.url)
        return self.base_url + urlunsplit(("", "", parsed.path, parsed.query, ""))


class Webhook:
    """One sender of the operator's own. Built by `build`. `now` is in Unix seconds."""

    def __init__(
        self, settings: Settings, context: Context, keys: tuple[bytes, ...], now: Callable[[], float] = time.time
    ) -> None:
        self.channels = settings.channels
        self._settings = settings
        self._keys = keys
        self._now = now
        self._transport = Transport.of(settings, context)

    async def send(self, message: Message) -> Receipt:
        if message.channel not in self.channels:
            raise SendError(ErrorClass.REQUEST_BUG, "channel_not_configured")
        at = int(self._now())
        body = _encode(message, at)
        signed = signing.headers(self._keys, message.reference.replace(".", "-"), at, body)
        reply = await self._transport.request(
            "POST", self._settings.address, headers={"Content-Type": "application/json", **signed}, body=body
        )
        if not reply.ok:
            raise self._refusal(reply)
        content = json_object(reply.body)
        return Receipt(_id(content.get("message_id")), _cost(content.get("cost")))

    def read(self, callback: Callback) -> Outcome:
        signing.check(self._keys, callback.headers, callback.body, self._now())
        content = json_object(callback.body)
        data = content.get("data")
        if content.get("type") != REPORTED or not isinstance(data, dict):
            return Outcome()
        if data.get("callback_url") != callback.url:
            raise Forged  # made for another message: the signature covers the body, and not the address
        report = self._report(data)
        return Outcome(reports=(report,)) if report else Outcome()

    def answer(self, message: Message | None) -> Answer:
        return Answer(status=204)  # a message for a call carries its words; nothing is fetched

    async def examine(self, public_url: str) -> list[Finding]:
        """The sender's contract has no request but the one that sends, and a new one would be a surprise to it. So it
        is asked HEAD, unsigned: any answer shows that name, port and certificate are right."""
        inquiry = Inquiry(self._refusal, remedies.load("webhook"))
        found = await inquiry.findings({"url": self._reached(inquiry)})
        return [*found, unknown("secret", "only a message shows whether the sender accepts it; --send-to sends one")]

    async def _reached(self, inquiry: Inquiry) -> Finding:
        reply = await self._transport.request("HEAD", self._settings.address)
        inquiry.note(reply)
        if reply.status >= 500 or 300 <= reply.status < 400:
            remedy = inquiry.remedies.by_finding["answer"]
            return warning("url", f"it answers {reply.status}", remedy, "what-your-service-answers")
        return ok("url", f"it answers ({reply.status})")

    async def close(self) -> None:
        await self._transport.close()

    def _refusal(self, reply: Reply) -> SendError:
        """The sender's own word goes before the HTTP status, and the operator's classes before both."""
        content = json_object(reply.body)
        code = vendor_code(content.get("code"))
        return refused(reply, self._class(code, content.get("error"), reply.status), code)

    def _report(self, data: Mapping[str, Any]) -> DeliveryReport | None:
        kind, code = _kind(data.get("status")), vendor_code(data.get("code"))
        if kind is None:
            return None
        error = self._class(code, data.get("error"), None) if kind is ReportKind.FAILED else None
        return DeliveryReport(kind, error, code, _id(data.get("message_id")), _cost(data.get("cost")))

    def _class(self, code: str, word: Any, status: int | None) -> ErrorClass:
        named = {code: ErrorClass(word)} if word in list(ErrorClass) else {}
        return errors.classify(named, self._settings.errors, code, status)


def build(settings: Settings, context: Context) -> Webhook:
    """Raises ValueError when the settings can't be used here: an http:// url in production, a bad secret."""
    if context.production and settings.url.startswith("http:") and not settings.allow_plaintext:
        raise ValueError(
            f"providers.{context.name}: an http:// url sends codes in the clear, which production refuses: "
            "write https://, or allow_plaintext: true if the link is private"
        )
    names = ("secret", "secondary_secret")
    keys = tuple(_key(context, name) for name in names if context.secrets.get(name))
    return Webhook(settings, context, keys)


def _key(context: Context, name: str) -> bytes:
    try:
        return signing.key(context.secrets[name])
    except ValueError as error:
        raise ValueError(f"providers.{context.name}: {name} is no Standard Webhooks secret: {error}") from None


def _encode(message: Message, at: int) -> bytes:
    wording = message.wording
    data = {
        "reference": message.reference,
        "channel": message.channel,
        "to": message.to,
        "country": message.country or None,
        "sender": message.sender,
        "code": message.code,
        "text": wording.text,
        "language": wording.language,
        "subject": wording.subject or None,
        "html": wording.html or None,
        "spoken": wording.spoken or None,
        "expires_in": message.lifetime,
        "callback_url": message.callback_url,
    }
    given = {name: value for name, value in data.items() if value is not None}
    return to_json({"type": SENT, "timestamp": _written(at), "data": given})


@lru_cache(maxsize=2)
def _written(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def _kind(word: Any) -> ReportKind | None:
    return _KINDS.get(word) if isinstance(word, str) else None


def _id(given: Any) -> str:
    """A message id for the decision log, or nothing. A bare number may be somebody's, and goes no further."""
    return given if isinstance(given, str) and _ID.fullmatch(given) and not _NUMBER.fullmatch(given) else ""


def _cost(given: Any) -> Cost | None:
    """{"amount": "0.0042", "currency": "EUR"}. What is no price must not cost the message."""
    return price(given.get("amount"), given.get("currency")) if isinstance(given, dict) else None
