"""Meta's WhatsApp Cloud API: a code as an approved authentication template, with its status reports at one address.

The facts are from developers.facebook.com/documentation/business-messaging/whatsapp, read on 22 November 2026.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Annotated, Any

from pydantic import Field

from channels import errors, remedies
from channels.contract import (
    SHARED,
    Answer,
    Callback,
    Channel,
    Context,
    DeliveryReport,
    ErrorClass,
    Forged,
    InboundText,
    Message,
    Outcome,
    ProviderSettings,
    Receipt,
    ReportKind,
    SecretRef,
    SendError,
    vendor_code,
)
from channels.examination import Finding, Inquiry
from channels.providers._meta_examination import Sender
from channels.providers._reading import json_object, moment, vendor_id
from channels.providers._senders import form
from channels.transport import Reply, Transport, refused

API = "https://graph.facebook.com"

BATCH = 1000
"""Status reports, or messages of people, that are read from one request. Meta puts no more into one."""

_PHONE_ID = r"[0-9]{5,20}"
_NO_ID = "write the phone number ID, digits only: WhatsApp Manager, API Setup; not the number itself"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,512}")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{1,128}")

_STATUS: Mapping[str, ReportKind] = {
    "sent": ReportKind.PROGRESS,
    "delivered": ReportKind.DELIVERED,
    "read": ReportKind.DELIVERED,
    "failed": ReportKind.FAILED,
}

_CHINESE: Mapping[str, str] = {"zh": "zh_cn", "zh_hans": "zh_cn", "zh_hant": "zh_tw"}
"""Meta tells the scripts apart by country."""

_RECEIVED = Answer(status=200)
"""Meta repeats, for days, a report that is answered by anything but 200."""


class Settings(ProviderSettings):
    """A WhatsApp sender at Meta."""

    phone_number_id: Annotated[str, form(_PHONE_ID, _NO_ID)] = Field(
        description="The ID of the number that sends; not the number itself."
    )
    access_token: SecretRef = Field(
        description="A system user's token with the permission whatsapp_business_messaging."
    )
    app_secret: SecretRef = Field(description="The app's secret, with which Meta signs its reports.")
    secondary_app_secret: SecretRef | None = Field(
        None, description="Another app secret that is accepted as well, while the secret is being reset."
    )
    verify_token: SecretRef = Field(
        description="A word of your own, entered with the callback address in the app's webhook settings."
    )
    template: Annotated[
        str, form(r"[a-z0-9_]{1,512}", "write its name as Meta does: small letters, digits and underscores")
    ] = Field(description="The name of the approved authentication template.")
    languages: tuple[
        Annotated[str, form(r"[a-z]{2,3}(_[A-Z]{2,3})?", "write it with an underscore, such as en or pt_BR")], ...
    ] = Field(
        min_length=1,
        max_length=100,
        description="The languages that the template is approved in, as Meta writes them; the first is the default.",
    )
    api_version: Annotated[str, form(r"v[0-9]{1,3}\.[0-9]", "write it such as v23.0")] = Field(
        "v23.0", description="The version of the Graph API."
    )


class Meta:
    """One WhatsApp sender at Meta. Built by `build`."""

    channels = frozenset({Channel.WHATSAPP})
    shared = True

    def __init__(self, settings: Settings, context: Context, table: errors.Table) -> None:
        self._name = context.name
        self._settings = settings
        self._table = table
        self._authorization = f"Bearer {context.secrets['access_token']}"
        self._verify_token = context.secrets["verify_token"].encode()
        secrets = (context.secrets["app_secret"], context.secrets.get("secondary_app_secret", ""))
        self._app_secrets = [secret.encode() for secret in secrets if secret]
        self._transport = Transport.of(settings, context)

    async def send(self, message: Message) -> Receipt:
        """Without an id in the receipt: the one that Meta gives (wamid) spells out the number in base64. And without a
        price, which Meta's answers and reports don't have."""
        if message.channel is not Channel.WHATSAPP:
            raise SendError(ErrorClass.REQUEST_BUG, "channel_not_configured")
        sender = message.sender or self._settings.phone_number_id
        if not re.fullmatch(_PHONE_ID, sender):
            raise SendError(ErrorClass.SENDER, "phone_number_id")
        reply = await self._transport.request(
            "POST",
            f"{self._url(sender)}/messages",
            headers={"Authorization": self._authorization, "Content-Type": "application/json"},
            body=json.dumps(self._request(message)).encode(),
        )
        if not reply.ok:
            raise self._refusal(reply)
        if not _accepted(json_object(reply.body)):
            # 2xx and then nothing that can be read. Meta may well have sent the message.
            raise SendError(ErrorClass.PROVIDER_DOWN, "unreadable", ambiguous=True)
        return Receipt()

    def read(self, callback: Callback) -> Outcome:
        if callback.method == "GET":
            return Outcome(answer=self._handshake(dict(callback.query)))
        self._check(callback)
        content = json_object(callback.body)
        reports = (self._report(status) for status in islice(_entries(content, "statuses"), BATCH))
        texts = (_written(message) for message in islice(_entries(content, "messages"), BATCH))
        return Outcome(
            tuple(report for report in reports if report),
            answer=_RECEIVED,
            texts=tuple(text for text in texts if text),
        )

    def answer(self, message: Message | None) -> Answer:
        return _RECEIVED  # Meta fetches nothing

    async def examine(self, public_url: str) -> list[Finding]:
        inquiry = Inquiry(self._refusal, remedies.load("meta"))
        callback = f"{public_url}/callbacks/{self._name}/{SHARED}"
        url = self._url(self._settings.phone_number_id)
        return await Sender(self._transport, inquiry, url, self._authorization, callback).findings()

    async def close(self) -> None:
        await self._transport.close()

    def _url(self, sender: str) -> str:
        return f"{self._settings.base_url or API}/{self._settings.api_version}/{sender}"

    def _request(self, message: Message) -> dict[str, Any]:
        """The same for templates with a copy-code, a one-tap and a zero-tap button: the code in the body, and again in
        the button. Their lifetime is a setting of the template (message_send_ttl_seconds), not of the message."""
        code = [{"type": "text", "text": message.code}]
        components = [
            {"type": "body", "parameters": code},
            {"type": "button", "sub_type": "url", "index": "0", "parameters": code},
        ]
        language = _language(self._settings.languages, message.wording.language)
        return {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": message.to,
            "type": "template",
            "template": {"name": self._settings.template, "language": {"code": language}, "components": components},
            **({"biz_opaque_callback_data": message.token} if message.token else {}),
        }

    def _refusal(self, reply: Reply) -> SendError:
        error = json_object(reply.body).get("error")
        error = error if isinstance(error, dict) else {}
        code = vendor_code(error.get("code"))
        found = self._class(code, reply.status)
        if error.get("is_transient") is True and found in (ErrorClass.UNKNOWN, ErrorClass.REQUEST_BUG):
            found = ErrorClass.PROVIDER_DOWN
        return refused(reply, found, code)

    def _class(self, code: str, status: int | None) -> ErrorClass:
        known = "200" if re.fullmatch(r"2[0-9]{2}", code) and code not in self._settings.errors else code
        return errors.classify(self._table, self._settings.errors, known, status)

    def _handshake(self, query: Mapping[str, str]) -> Answer:
        """Meta asks once whether the address is ours ("Verification requests"): the challenge is the answer."""
        challenge = query.get("hub.challenge", "")
        given = query.get("hub.verify_token", "").encode("utf-8", "replace")
        ours = hmac.compare_digest(given, self._verify_token)
        if not ours or query.get("hub.mode") != "subscribe" or not _CHALLENGE.fullmatch(challenge):
            raise Forged
        return Answer(challenge.encode())

    def _check(self, callback: Callback) -> None:
        """Raises Forged unless Meta signed this body. It signs no time, so a report may be repeated; that changes
        nothing, since an attempt never moves backwards."""
        given = callback.headers.get("x-hub-signature-256", "").encode("utf-8", "replace")
        signed = [hmac.digest(secret, callback.body, "sha256").hex() for secret in self._app_secrets]
        good = [hmac.compare_digest(f"sha256={one}".encode(), given) for one in signed]
        if not any(good):
            raise Forged

    def _report(self, status: Mapping[str, Any]) -> DeliveryReport | None:
        token, word = status.get("biz_opaque_callback_data"), status.get("status")
        kind = _STATUS.get(word) if isinstance(word, str) else None
        if kind is None or not isinstance(token, str) or not _TOKEN.fullmatch(token):
            return None  # a message of somebody else's who uses the same app, or news that is none
        if kind is not ReportKind.FAILED:
            return DeliveryReport(kind, vendor_code=str(word), token=token)
        code = vendor_code(next((error.get("code") for error in _objects(status.get("errors"))), None))
        return DeliveryReport(kind, self._class(code, None), code or str(word), token=token)


def build(settings: Settings, context: Context) -> Meta:
    return Meta(settings, context, errors.load("meta"))


def _language(approved: Sequence[str], wanted: str) -> str:
    """The template's language nearest to a language tag: pt-BR takes pt_BR, then pt, then any pt_.., then the first."""
    tag = wanted.replace("-", "_").lower()
    primary = tag.partition("_")[0]
    ranked = {each.lower(): each for each in reversed(approved)}
    regional = next((each for each in approved if each.lower().startswith(f"{primary}_")), approved[0])
    return ranked.get(_CHINESE.get(tag, tag)) or ranked.get(primary) or regional


def _accepted(content: Mapping[str, Any]) -> bool:
    return any(isinstance(message.get("id"), str) for message in _objects(content.get("messages")))


def _entries(content: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    """The statuses, or the messages, of a request."""
    for entry in _objects(content.get("entry")):
        for change in _objects(entry.get("changes")):
            value = change.get("value")
            if isinstance(value, dict):
                yield from _objects(value.get(kind))


_WORDS: Mapping[str, str] = {"text": "body", "button": "text"}
"""The types of message that people write or tap, and where their words are ("Messages webhooks")."""


def _written(message: Mapping[str, Any]) -> InboundText | None:
    """What a person wrote. Meta names people by the digits of their number."""
    kind, sender = str(message.get("type")), message.get("from")
    content = message.get(kind)
    text = content.get(_WORDS.get(kind, "")) if isinstance(content, dict) else None
    if not isinstance(text, str) or not isinstance(sender, str) or not re.fullmatch(r"[0-9]{6,15}", sender):
        return None
    return InboundText(
        Channel.WHATSAPP, f"+{sender}", text, moment(message.get("timestamp")), vendor_id(message.get("id"))
    )


def _objects(values: Any) -> Iterator[Mapping[str, Any]]:
    return (value for value in values if isinstance(value, dict)) if isinstance(values, list) else iter(())
