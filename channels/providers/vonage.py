"""Vonage: a code by SMS, by phone call and by WhatsApp, through its Messages, SMS and Voice APIs.

Its Python SDK is not used: it blocks while it waits, reads the private key again for every request, and at its most
talkative level logs the text of messages (vonage-python-sdk 4.9.1).
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

import aiohttp

from channels import errors, remedies
from channels.contract import (
    CALL_LIMIT,
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
    Receipt,
    SendError,
    vendor_code,
)
from channels.examination import Finding, Inquiry
from channels.providers._reading import json_object, price
from channels.providers._senders import bare, nearest
from channels.providers._vonage_examination import Account, refusal
from channels.providers._vonage_reports import Reader, known_id, problem_code, receipt_fields, written
from channels.providers._vonage_settings import Settings
from channels.providers._vonage_signing import Bearer, Clock, SignedReports, check_receipt, sms_signature
from channels.transport import Reply, Transport, refused
from channels.wording.gsm7 import is_gsm7

__all__ = ["Settings", "Vonage", "build"]

API = "https://api.nexmo.com"
SMS_API = "https://rest.nexmo.com"

TTL = (20, 604_800)
"""Seconds that Vonage accepts as a message's life (both APIs; the SMS API counts in milliseconds). Its default, up to
three days, would bring an SMS long after the code in it has died."""

# The languages of the talk action (Voice API, Text to speech), by the tags that differ from ours or are shorter.
_TALK = {
    **{tag[:2]: tag for tag in ("cs-CZ", "da-DK", "de-DE", "el-GR", "en-US", "es-ES", "fi-FI", "fr-FR", "he-IL")},
    **{tag[:2]: tag for tag in ("hi-IN", "hu-HU", "id-ID", "is-IS", "it-IT", "ja-JP", "ko-KR", "nb-NO", "nl-NL")},
    **{tag[:2]: tag for tag in ("pl-PL", "pt-PT", "ro-RO", "ru-RU", "sk-SK", "sv-SE", "th-TH", "tr-TR", "uk-UA")},
    **{tag: tag for tag in ("en-AU", "en-GB", "en-IN", "en-ZA", "es-MX", "es-US", "fr-CA", "pt-BR")},
    "ar": "ar",
    "ca": "ca-ES",
    "es-419": "es-MX",
    "fil": "fil-PH",
    "nn": "nb-NO",
    "no": "nb-NO",
    "vi": "vi-VN",
    "yue": "yue-CN",
    "zh": "cmn-CN",
    "zh-Hant": "cmn-TW",
    "zh-TW": "cmn-TW",
}


class Vonage:
    """One Vonage account. Built by `build`."""

    def __init__(self, settings: Settings, context: Context, table: errors.Table, clock: Clock) -> None:
        self._settings = settings
        self._table = table
        self._clock = clock
        self._secrets = context.secrets
        self._api = settings.base_url or API
        self._sms_api = settings.sms_base_url or settings.base_url or SMS_API
        self._transport = Transport.of(settings, context)
        self._bearer = (
            Bearer(settings.application_id, context.secrets["private_key"], clock) if settings.application_id else None
        )
        fields = ("signature_secret", "secondary_signature_secret")
        self._signatures = [context.secrets[field] for field in fields if context.secrets.get(field)]
        self._reports = SignedReports(self._signatures, clock)
        self._reader = Reader(table, settings.errors)
        self._senders: Mapping[Channel, Callable[[Message], Awaitable[Receipt]]] = {
            Channel.SMS: self._older_sms if settings.older_sms else self._sms,
            Channel.WHATSAPP: self._whatsapp,
            Channel.VOICE: self._call,
        }

    def __repr__(self) -> str:
        return f"Vonage({', '.join(sorted(self.channels))})"

    @property
    def channels(self) -> frozenset[Channel]:
        return self._settings.channels

    async def send(self, message: Message) -> Receipt:
        if message.channel not in self.channels:
            raise SendError(ErrorClass.REQUEST_BUG, "channel_not_configured")
        return await self._senders[message.channel](message)

    def read(self, callback: Callback) -> Outcome:
        """Raises Forged."""
        report = self._receipt(callback) if self._is_receipt(callback) else self._signed(callback)
        return Outcome(reports=(report,) if report else ())

    def inbound(self, callback: Callback) -> Outcome:
        """A text to one of the account's numbers. Without a signature nothing is believed: the address is no secret,
        and anybody could say STOP for anybody else. Raises Forged."""
        if "authorization" in callback.headers:
            self._reports.check(callback)
            text = written(json_object(callback.body))
        else:
            fields = receipt_fields(callback)
            check_receipt(fields, self._signatures, self._settings.signature_method, self._clock())
            text = written({**fields, "channel": "sms", "from": fields.get("msisdn")})
        return Outcome(texts=(text,) if text else ())

    def answer(self, message: Message | None) -> Answer:
        """Nothing is fetched: the words of a call go along with the request that starts it."""
        return Answer(status=404)

    async def examine(self, public_url: str) -> list[Finding]:
        """Every message names its own callback address: there is none to look for in the account."""
        refuse = partial(refusal, self._table, self._settings.errors)
        inquiry = Inquiry(refuse, remedies.load("vonage"), self._clock)
        basic = self._basic if self._settings.api_key and self._secrets.get("api_secret") else None
        bearer, key = (self._bearer.header, self._bearer.public_key) if self._bearer else (None, None)
        return await Account(self._settings, self._transport, inquiry, basic, bearer, key).findings()

    async def close(self) -> None:
        await self._transport.close()

    def _is_receipt(self, callback: Callback) -> bool:
        return self._settings.older_sms and "authorization" not in callback.headers

    def _receipt(self, callback: Callback) -> DeliveryReport | None:
        """Vonage signs the SMS API's receipts only for accounts that asked its support for that. For the others the
        token in the address is the protection, and nothing but a receipt is believed without a signature."""
        fields = receipt_fields(callback)
        if "messageId" not in fields:
            raise Forged
        if self._settings.sms_receipts_signed:
            check_receipt(fields, self._signatures, self._settings.signature_method, self._clock())
        return self._reader.receipt(fields)

    def _signed(self, callback: Callback) -> DeliveryReport | None:
        self._reports.check(callback)
        return self._reader.read(json_object(callback.body))

    async def _sms(self, message: Message) -> Receipt:
        lowest, highest = TTL
        settings = self._settings
        india = _given(entity_id=settings.dlt_entity_id, content_id=settings.dlt_template_id)
        content = {
            "channel": "sms",
            "message_type": "text",
            "from": bare(message.sender or settings.from_sms or ""),
            "text": message.wording.text,
            "ttl": min(max(message.lifetime, lowest), highest),
            **({"sms": india} if india else {}),
        }
        return await self._post("/v1/messages", self._message(message, content), "message_uuid")

    async def _whatsapp(self, message: Message) -> Receipt:
        """A code may only travel in an authentication template, which has it in the text and behind the button. Its
        life is the template's own: Meta takes it from there, and from no message."""
        parameters = [{"type": "text", "text": message.code}]
        settings = self._settings
        locale = nearest(settings.whatsapp_locales, message.wording.language) or settings.whatsapp_locale
        template = {
            "name": settings.whatsapp_template,
            "language": {"policy": "deterministic", "code": locale},
            "components": [
                {"type": "body", "parameters": parameters},
                {"type": "button", "sub_type": "url", "index": 0, "parameters": parameters},
            ],
        }
        content = {
            "channel": "whatsapp",
            "message_type": "custom",
            "from": bare(message.sender or settings.from_whatsapp or ""),
            "custom": {"type": "template", "template": template},
        }
        return await self._post("/v1/messages", self._message(message, content), "message_uuid")

    def _message(self, message: Message, content: dict[str, Any]) -> dict[str, Any]:
        callback = {"webhook_url": message.callback_url, "webhook_version": "v1"} if message.callback_url else {}
        return {"to": bare(message.to), "client_ref": message.reference[:100], **content, **callback}

    async def _call(self, message: Message) -> Receipt:
        """The detection runs in its synchronous mode, "detect": Vonage starts with the words only when it is over, and
        hangs up on a machine before the first of them (Voice API, Voicemail detection). So the words can go along."""
        settings = self._settings
        words = message.wording.spoken or message.wording.text
        talk = {"action": "talk", "text": words, "language": talk_language(message.wording.language)}
        content = {
            "to": [{"type": "phone", "number": bare(message.to)}],
            "from": {"type": "phone", "number": bare(message.sender or settings.from_voice or "")},
            "ncco": [talk],  # the wording says the code twice itself
            "ringing_timer": max(5, min(settings.ring_timeout, message.lifetime)),
            "length_timer": CALL_LIMIT,
        }
        if settings.machine_detection:
            content["advanced_machine_detection"] = {"behavior": "hangup", "mode": "detect"}
        if message.callback_url:
            content |= {"event_url": [message.callback_url], "event_method": "POST"}
        return await self._post("/v1/calls", content, "uuid")

    async def _post(self, path: str, content: dict[str, Any], id_field: str) -> Receipt:
        headers = {"Content-Type": "application/json", "Authorization": self._authorization()}
        body = json.dumps(content).encode()
        reply = await self._transport.request("POST", f"{self._api}{path}", headers=headers, body=body)
        answer = json_object(reply.body)
        if not reply.ok:
            code = problem_code(answer)
            raise refused(reply, errors.classify(self._table, self._settings.errors, code, reply.status), code)
        message_id = known_id(answer.get(id_field))
        if not message_id:
            # Vonage said 2xx and then nothing that can be read. It may well have sent the message.
            raise SendError(ErrorClass.PROVIDER_DOWN, "unreadable", ambiguous=True)
        return Receipt(message_id)

    def _authorization(self) -> str:
        return self._bearer.header() if self._bearer else self._basic()

    def _basic(self) -> str:
        return aiohttp.encode_basic_auth(self._settings.api_key or "", self._secrets["api_secret"])

    async def _older_sms(self, message: Message) -> Receipt:
        fields = self._older_fields(message)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self._settings.sign_sms:
            fields |= {"api_key": self._settings.api_key or "", "timestamp": str(int(self._clock()))}
            fields["sig"] = sms_signature(fields, self._signatures[0], self._settings.signature_method)
        else:
            headers["Authorization"] = self._basic()
        url = f"{self._sms_api}/sms/json"
        reply = await self._transport.request("POST", url, headers=headers, body=urlencode(fields).encode())
        if not reply.ok:
            raise refused(reply, errors.by_status(reply.status))
        return self._accepted(reply)

    def _older_fields(self, message: Message) -> dict[str, str]:
        lowest, highest = TTL
        settings = self._settings
        return {
            "from": bare(message.sender or settings.from_sms or ""),
            "to": bare(message.to),
            "text": message.wording.text,
            "type": "text" if is_gsm7(message.wording.text) else "unicode",
            "ttl": str(min(max(message.lifetime, lowest), highest) * 1000),
            "client-ref": message.reference[:100],
            **_given(**{"entity-id": settings.dlt_entity_id, "content-id": settings.dlt_template_id}),
            **_given(callback=message.callback_url),
        }

    def _accepted(self, reply: Reply) -> Receipt:
        """The SMS API says 200 to everything, and then how each part of the message fared."""
        parts = json_object(reply.body).get("messages")
        if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
            raise SendError(ErrorClass.PROVIDER_DOWN, "unreadable", ambiguous=True)
        refusals = [str(part.get("status")) for part in parts if str(part.get("status")) != "0"]
        if refusals:
            code = vendor_code(f"sms.{refusals[0]}")
            error = errors.classify(self._table, self._settings.errors, code, reply.status)
            some = len(refusals) < len(parts) or error is ErrorClass.PROVIDER_DOWN
            raise SendError(error, code, ambiguous=some)
        costs = [price(part.get("message-price"), "EUR") for part in parts]
        micros = sum(cost.micros for cost in costs if cost)
        return Receipt(known_id(parts[0].get("message-id")), Cost(micros, "EUR") if micros else None)


def build(settings: Settings, context: Context, clock: Clock = time.time) -> Vonage:
    """Raises ValueError when the private key is none."""
    return Vonage(settings, context, errors.load("vonage"), clock)


def talk_language(language: str) -> str:
    """Vonage's tag for a language tag of ours, and English for a language that it doesn't speak."""
    return nearest(_TALK, language) or "en-US"


def _given(**fields: str | None) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value}
