"""Plivo: a code by SMS and by phone call.

Its Python SDK is not used: it makes three calls of one when Plivo answers 500, and blocks while it waits (plivo-python
4.63.0). The words of a call are fetched by Plivo when somebody picks up, since its API takes none along.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp

from channels import errors, remedies
from channels.contract import (
    CALL_LIMIT,
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
    Receipt,
    ReportKind,
    SendError,
    vendor_code,
)
from channels.examination import Finding, Inquiry
from channels.providers._plivo_examination import Account
from channels.providers._plivo_settings import Settings, speech
from channels.providers._plivo_signature import genuine
from channels.providers._reading import form_fields, json_object, price
from channels.providers._senders import bare
from channels.transport import Reply, Transport, refused

__all__ = ["Plivo", "Settings", "build"]

API = "https://api.plivo.com"

EXPIRY = (5, 10_799)
"""Seconds that Plivo accepts as message_expiry (support.plivo.com, Message Expiry). Its default is three hours."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

_MESSAGE_STATUS: Mapping[str, ReportKind] = {
    "queued": ReportKind.PROGRESS,
    "sent": ReportKind.PROGRESS,
    "delivered": ReportKind.DELIVERED,
    "read": ReportKind.DELIVERED,
    "failed": ReportKind.FAILED,
    "undelivered": ReportKind.FAILED,
    "rejected": ReportKind.FAILED,
}
_INTENT = {"optout": "STOP", "optin": "START"}
_CALL_PROGRESS = frozenset({"queued", "initiated", "ringing", "in-progress"})

_SAID = frozenset({"4000", "4010"})
"""Hang-up codes of a call that ran its course: somebody hung up, or there was nothing left to say."""


class Plivo:
    """One Plivo account. Built by `build`."""

    def __init__(self, settings: Settings, context: Context, table: errors.Table) -> None:
        self._settings = settings
        self._table = table
        token = context.secrets["auth_token"]
        self._tokens = [one for one in (token, context.secrets.get("secondary_auth_token", "")) if one]
        self._authorization = aiohttp.encode_basic_auth(settings.auth_id, token)
        self._url = f"{settings.base_url or API}/v1/Account/{settings.auth_id}"
        self._transport = Transport.of(settings, context)
        self._senders: Mapping[Channel, Callable[[Message], Awaitable[Receipt]]] = {
            Channel.SMS: self._sms,
            Channel.VOICE: self._call,
        }

    def __repr__(self) -> str:
        return f"Plivo({', '.join(sorted(self.channels))})"

    @property
    def channels(self) -> frozenset[Channel]:
        return self._settings.channels

    async def send(self, message: Message) -> Receipt:
        if message.channel not in self.channels:
            raise SendError(ErrorClass.REQUEST_BUG, "channel_not_configured")
        return await self._senders[message.channel](message)

    def read(self, callback: Callback) -> Outcome:
        """Raises Forged. A signature of the second version, which covers no field, is enough for a message only."""
        try:
            fields = form_fields(callback.body)
        except ValueError:
            raise Forged from None
        version = genuine(self._tokens, callback.url, callback.headers, fields) if callback.method == "POST" else 0
        form = dict(fields)
        asked = ("answer", "1") in callback.query
        if version == 0 or (version == 2 and (asked or "MessageUUID" not in form)):
            raise Forged
        if asked and form.get("CallStatus") in _CALL_PROGRESS:
            return self._answering(form)
        report = self._message_report(form) if "MessageUUID" in form else self._call_report(form)
        return Outcome(reports=(report,) if report else ())

    def inbound(self, callback: Callback) -> Outcome:
        """A text to one of the account's numbers (Messaging, Handling incoming). MessageIntent is Plivo's own verdict:
        optout, optin, help, or nothing. Plivo documents a signature of the second version here, which covers no field;
        it proves that the request is Plivo's, and nobody else has seen it. Raises Forged."""
        try:
            fields = form_fields(callback.body)
        except ValueError:
            raise Forged from None
        if callback.method != "POST" or not genuine(self._tokens, callback.url, callback.headers, fields):
            raise Forged
        form = dict(fields)
        told = _INTENT.get(form.get("MessageIntent", "")) or form.get("Text") or form.get("Body", "")
        channel = Channel.WHATSAPP if form.get("Type") == "whatsapp" else Channel.SMS
        text = InboundText(channel, f"+{bare(form.get('From', ''))}", told, id=form.get("MessageUUID", ""))
        return Outcome(texts=(text,), answer=Answer(b"<Response/>", "text/xml"))

    def answer(self, message: Message | None) -> Answer:
        response = ET.Element("Response")
        if message is None:
            ET.SubElement(response, "Hangup")
        else:
            attributes = speech(message.wording.language, self._settings.voices)
            speak = ET.SubElement(response, "Speak", attributes)
            speak.text = message.wording.spoken or message.wording.text  # the wording says the code twice itself
        return Answer(ET.tostring(response, encoding="utf-8", xml_declaration=True), "text/xml")

    async def examine(self, public_url: str) -> list[Finding]:
        """Every message names its own callback address: there is none to look for in the account."""
        inquiry = Inquiry(self._refusal, remedies.load("plivo"))
        return await Account(self._settings, self._transport, inquiry, self._url, self._authorization).findings()

    async def close(self) -> None:
        await self._transport.close()

    async def _sms(self, message: Message) -> Receipt:
        lowest, highest = EXPIRY
        settings = self._settings
        content = {
            "dst": bare(message.to),
            "text": message.wording.text,
            "type": "sms",
            "log": "false",  # Plivo would keep the text, and the code in it
            "message_expiry": min(max(message.lifetime, lowest), highest),
            **self._sms_sender(message.sender),
            **_given(
                dlt_entity_id=settings.dlt_entity_id,
                dlt_template_id=settings.dlt_template_id,
                dlt_template_category=settings.dlt_template_category,
            ),
            **({"url": message.callback_url, "method": "POST"} if message.callback_url else {}),
        }
        answer = await self._post("/Message/", content)
        ids = answer.get("message_uuid")
        return _receipt(ids[0] if isinstance(ids, list) and ids else None)

    def _sms_sender(self, sender: str | None) -> dict[str, str]:
        chosen = sender or self._settings.powerpack_uuid or self._settings.from_sms or ""
        return {"powerpack_uuid": chosen} if _UUID.fullmatch(chosen) else {"src": bare(chosen)}

    async def _call(self, message: Message) -> Receipt:
        """Without machine_detection_url the detection is synchronous: Plivo asks for the words when it is over, and has
        hung up on a machine by then (unverified: Plivo's pages describe only the asynchronous mode at length)."""
        if not message.answer_url:
            raise SendError(ErrorClass.REQUEST_BUG, "no_answer_url")
        content = {
            "from": bare(message.sender or self._settings.from_voice or ""),
            "to": bare(message.to),
            "answer_url": message.answer_url,
            "answer_method": "POST",
            "ring_timeout": max(5, min(self._settings.ring_timeout, message.lifetime)),
            "time_limit": CALL_LIMIT,
            **({"machine_detection": "hangup"} if self._settings.machine_detection else {}),
            # else Plivo would report the end of the call to the answer address
            **({"hangup_url": message.callback_url, "hangup_method": "POST"} if message.callback_url else {}),
        }
        return _receipt((await self._post("/Call/", content)).get("request_uuid"))

    async def _post(self, path: str, content: dict[str, Any]) -> Mapping[str, Any]:
        headers = {"Content-Type": "application/json", "Authorization": self._authorization}
        body = json.dumps(content).encode()
        reply = await self._transport.request("POST", self._url + path, headers=headers, body=body)
        if not reply.ok:
            raise self._refusal(reply)
        return json_object(reply.body)

    def _refusal(self, reply: Reply) -> SendError:
        """Plivo's errors are a sentence, which may quote the number, so that the HTTP status is the code."""
        code = f"http.{reply.status}"
        return refused(reply, errors.classify(self._table, self._settings.errors, code, reply.status), code)

    def _message_report(self, form: Mapping[str, str]) -> DeliveryReport | None:
        status, message = form.get("Status", ""), _id(form["MessageUUID"])
        kind = _MESSAGE_STATUS.get(status)
        if kind is not ReportKind.FAILED:
            # Every report has the price. "sent" comes once, and a message that was never sent is not charged.
            cost = price(form.get("TotalAmount"), "USD") if status == "sent" else None
            return DeliveryReport(kind, vendor_code=status, message_id=message, cost=cost) if kind else None
        number = form.get("ErrorCode", "")
        code = f"sms.{int(number)}" if re.fullmatch(r"[0-9]{1,5}", number) and int(number) else status
        error = errors.classify(self._table, self._settings.errors, code, None)
        return DeliveryReport(kind, error, code, message)

    def _answering(self, form: Mapping[str, str]) -> Outcome:
        """Somebody picked up. Without detection nobody knows who, and the code is said."""
        if form.get("Machine", "").lower() != "true":
            return Outcome(wants_message=True)
        return Outcome(reports=(self._failed("call.9100", _id(form.get("CallUUID", ""))),))

    def _call_report(self, form: Mapping[str, str]) -> DeliveryReport | None:
        status, call = form.get("CallStatus", ""), _id(form.get("CallUUID", ""))
        cause = form.get("HangupCauseCode", "")
        if status in _CALL_PROGRESS:
            return DeliveryReport(ReportKind.PROGRESS, vendor_code=status, message_id=call)
        if not status:
            return None
        cost = price(form.get("TotalCost"), "USD")
        code = self._cause(cause, status)
        if code:
            return self._failed(code, call, cost)
        # Our own <Hangup> ends a call that had nothing to hear. Without detection a voicemail may have heard it all.
        said = cause in _SAID and form.get("HangupSource") != "Answer XML" and self._settings.machine_detection
        kind = ReportKind.DELIVERED if said else ReportKind.PROGRESS
        return DeliveryReport(
            kind, vendor_code=vendor_code(f"call.{cause}" if cause else status), cost=cost, message_id=call
        )

    def _cause(self, cause: str, status: str) -> str:
        """The code that a call failed with, or nothing for a call that ran its course.

        All causes from 7000 to 8999 are faults of the address or of the XML that we answered with.
        """
        if re.fullmatch(r"[0-9]{1,5}", cause):
            for code in (f"call.{cause}", f"call.{cause[0]}xxx" if len(cause) == 4 else ""):
                if code in self._settings.errors or code in self._table:
                    return code
        return "" if status == "completed" else vendor_code(status)

    def _failed(self, code: str, call: str, cost: Any = None) -> DeliveryReport:
        error = errors.classify(self._table, self._settings.errors, code, None)
        return DeliveryReport(ReportKind.FAILED, error, code, call, cost)


def build(settings: Settings, context: Context) -> Plivo:
    return Plivo(settings, context, errors.load("plivo"))


def _receipt(identifier: object) -> Receipt:
    if not isinstance(identifier, str) or not _UUID.fullmatch(identifier):
        # Plivo said 2xx and then nothing that can be read. It may well have sent the message.
        raise SendError(ErrorClass.PROVIDER_DOWN, "unreadable", ambiguous=True)
    return Receipt(identifier)


def _id(text: str) -> str:
    return text if _UUID.fullmatch(text) else ""


def _given(**fields: str | None) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value}
