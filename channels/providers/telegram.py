"""Telegram Gateway: a code as a message from Telegram's own verification account to whoever has that number.

Telegram words the message itself. The facts are from core.telegram.org/gateway/api, read on 22 November 2026.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field

from channels import errors, remedies
from channels.contract import (
    Answer,
    Callback,
    Channel,
    Context,
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
from channels.examination import Finding, Inquiry, ok, unknown
from channels.providers._reading import json_object, price
from channels.providers._senders import form
from channels.signing import fresh
from channels.transport import Reply, Transport, refused

API = "https://gatewayapi.telegram.org"

LIFETIME = (30, 3600)
"""Seconds that Telegram accepts as ttl. A message that nobody received by then is given up, and its fee refunded."""

_CODE = re.compile(r"[0-9]{4,8}")
_FLOOD = re.compile(r"FLOOD_WAIT_([0-9]{1,6})")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SENDER = r"[A-Za-z][A-Za-z0-9_]{3,31}"
_CALLBACK_BYTES = 256
_CURRENCY = "USD"  # Telegram states its price in dollars; that a credit of the balance is one is unverified

_STATUS: Mapping[str, ReportKind] = {
    "sent": ReportKind.PROGRESS,  # "to the recipient's device(s)": on its way, and not there
    "delivered": ReportKind.DELIVERED,
    "read": ReportKind.DELIVERED,
    "expired": ReportKind.FAILED,
    "revoked": ReportKind.FAILED,
}

_RECEIVED = Answer(status=200)
"""Telegram repeats a report that is answered by anything but 200, 204 included."""


class Settings(ProviderSettings):
    """A Telegram Gateway account."""

    access_token: SecretRef = Field(description="The token of the Gateway account; it also checks Telegram's reports.")
    secondary_access_token: SecretRef | None = Field(
        None, description="Another token whose reports are accepted as well, while the tokens are being rotated."
    )
    sender_username: Annotated[str, form(_SENDER, "write the channel's name without its @ and spaces")] | None = Field(
        None, description="A verified Telegram channel of the same account to send from, without its @."
    )


class Telegram:
    """One Telegram Gateway account. Built by `build`. `now` is in Unix seconds."""

    channels = frozenset({Channel.TELEGRAM})

    def __init__(
        self, settings: Settings, context: Context, table: errors.Table, now: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._table = table
        self._now = now
        self._token = context.secrets["access_token"]
        tokens = (self._token, context.secrets.get("secondary_access_token", ""))
        self._keys = [hashlib.sha256(token.encode()).digest() for token in tokens if token]
        self._transport = Transport.of(settings, context)

    async def send(self, message: Message) -> Receipt:
        """One request: checkSendAbility before it would be refused for the same reasons, and charges already."""
        if message.channel is not Channel.TELEGRAM:
            raise SendError(ErrorClass.REQUEST_BUG, "channel_not_configured")
        reply = await self._transport.request(
            "POST",
            f"{self._settings.base_url or API}/sendVerificationMessage",
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
            body=json.dumps(self._request(message)).encode(),
        )
        return self._receipt(reply)

    def read(self, callback: Callback) -> Outcome:
        self._check(callback)
        status = json_object(callback.body)
        if status.get("payload", "") not in ("", callback.url.rpartition("/")[2]):
            raise Forged  # made for another message: the signature covers the body, and not the address
        report = self._report(status)
        return Outcome(reports=(report,) if report else (), answer=_RECEIVED)

    def answer(self, message: Message | None) -> Answer:
        return _RECEIVED  # Telegram fetches nothing

    async def examine(self, public_url: str) -> list[Finding]:
        """Telegram has no call that only asks. The status of a request that does not exist costs nothing, and is
        refused otherwise to a wrong token than to a right one (unverified but for ACCESS_TOKEN_INVALID)."""
        inquiry = Inquiry(lambda reply: self._refusal(reply, ""), remedies.load("telegram"))
        found = await inquiry.findings({"access token": self._token_taken(inquiry)})
        address = (
            ok("callback address", "each message names its own")
            if _callback(f"{public_url}/callbacks/x/{'x' * 46}")
            else unknown("callback address", "Telegram takes https and 256 bytes at the most, so no reports come")
        )
        return [*found, address, unknown("balance", "Telegram tells it only in answer to a message")]

    async def _token_taken(self, inquiry: Inquiry) -> Finding:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        url = f"{self._settings.base_url or API}/checkVerificationStatus"
        reply = await self._transport.request("POST", url, headers=headers, body=b'{"request_id": "0"}')
        inquiry.note(reply)
        content = json_object(reply.body)
        error = content.get("error")
        if error == "REQUEST_ID_INVALID" or content.get("ok") is True:
            return ok("access token", "accepted (judged by the error for a request that does not exist)")
        raise self._refusal(reply, error)

    async def close(self) -> None:
        await self._transport.close()

    def _request(self, message: Message) -> dict[str, str | int]:
        if not _CODE.fullmatch(message.code):
            raise SendError(ErrorClass.CONTENT, "not_4_to_8_digits")  # the alphabet or the length of the policy
        sender = message.sender or self._settings.sender_username or ""
        if sender and not re.fullmatch(_SENDER, sender):
            raise SendError(ErrorClass.SENDER, "sender_username")
        lowest, highest = LIFETIME
        given: dict[str, str | int] = {
            "phone_number": message.to,
            "code": message.code,
            "ttl": min(max(message.lifetime, lowest), highest),
            "callback_url": _callback(message.callback_url),
            "sender_username": sender,
            "payload": message.token,
        }
        return {name: value for name, value in given.items() if value}

    def _receipt(self, reply: Reply) -> Receipt:
        content = json_object(reply.body)
        if reply.ok and content.get("ok") is True:
            status = content.get("result")
            status = status if isinstance(status, dict) else {}
            return Receipt(_id(status.get("request_id")), price(status.get("request_cost"), _CURRENCY))
        if reply.ok and content.get("ok") is not False:
            # 2xx and then nothing that can be read. Telegram may well have sent the message.
            raise SendError(ErrorClass.PROVIDER_DOWN, "unreadable", ambiguous=True)
        raise self._refusal(reply, content.get("error"))

    def _refusal(self, reply: Reply, error: Any) -> SendError:
        flood = _FLOOD.fullmatch(error) if isinstance(error, str) else None
        code = "FLOOD_WAIT" if flood else vendor_code(error)
        said = refused(reply, self._class(code, reply.status), code)
        if flood:
            said.retry_after = float(flood[1])
        return said

    def _class(self, code: str, status: int) -> ErrorClass:
        """Telegram doesn't say what it refuses by, so what neither table nor status knows is about the recipient."""
        by_status = ErrorClass.UNKNOWN if 200 <= status < 300 else errors.by_status(status)
        fallback = ErrorClass.NO_CHANNEL if code and by_status is ErrorClass.UNKNOWN else by_status
        return self._settings.errors.get(code) or self._table.get(code) or fallback

    def _check(self, callback: Callback) -> None:
        """Raises Forged unless Telegram signed this body, not long ago ("Checking report integrity")."""
        at = callback.headers.get("x-request-timestamp", "")
        given = callback.headers.get("x-request-signature", "").encode("utf-8", "replace")
        if not fresh(at, self._now()):
            raise Forged
        text = at.encode() + b"\n" + callback.body
        good = [hmac.compare_digest(hmac.digest(key, text, "sha256").hex().encode(), given) for key in self._keys]
        if not any(good):
            raise Forged

    def _report(self, status: Mapping[str, Any]) -> DeliveryReport | None:
        """Without its cost: the receipt had it, and each of several reports on one message repeats it."""
        delivery = status.get("delivery_status")
        word = delivery.get("status") if isinstance(delivery, dict) else None
        kind = _STATUS.get(word) if isinstance(word, str) else None
        if kind is None:
            return None
        error = None
        if kind is ReportKind.FAILED:
            error = errors.classify(self._table, self._settings.errors, str(word), None)
        return DeliveryReport(kind, error, str(word), _id(status.get("request_id")))


def build(settings: Settings, context: Context) -> Telegram:
    return Telegram(settings, context, errors.load("telegram"))


def _callback(url: str | None) -> str:
    """Telegram refuses the whole message for an address that is not https or over 256 bytes. So such a one is left
    out: in development no report comes, and the fallback goes on by its timer."""
    return url if url and url.startswith("https://") and len(url.encode()) <= _CALLBACK_BYTES else ""


def _id(value: Any) -> str:
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""
