"""Twilio: a code by SMS, by phone call and by WhatsApp, through Twilio's SDK over the gateway's own HTTP client.

The SDK builds the requests, checks the signatures and writes the TwiML. It doesn't do the sending: its own
asynchronous client ignores its timeout (twilio-python issue 925) and writes request data to its log.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from multidict import MultiDict
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # the SDK ships no types
from twilio.twiml.voice_response import VoiceResponse  # type: ignore[import-untyped]

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
    InboundText,
    Message,
    Outcome,
    Receipt,
    ReportKind,
    SendError,
    vendor_code,
)
from channels.examination import Finding, Inquiry
from channels.providers._reading import price
from channels.providers._senders import nearest
from channels.providers._twilio_examination import Account
from channels.providers._twilio_settings import Settings, say_language
from channels.providers._twilio_wire import SID, Wire, account, content
from channels.transport import Reply, Transport, refused

__all__ = ["Settings", "Twilio", "build"]

VALIDITY = (1, 36_000)
"""Seconds that Twilio accepts as a message's ValidityPeriod (Message resource). Its default, ten hours, would bring an
SMS long after the code in it has died."""

_FORM_LIMIT = 200  # fields; Twilio sends about thirty

_MESSAGE_STATUS: Mapping[str, ReportKind] = {
    "accepted": ReportKind.PROGRESS,
    "scheduled": ReportKind.PROGRESS,
    "queued": ReportKind.PROGRESS,
    "sending": ReportKind.PROGRESS,
    "sent": ReportKind.PROGRESS,
    "partially_delivered": ReportKind.PROGRESS,  # the part with the code may be the one that is missing
    "delivered": ReportKind.DELIVERED,
    "read": ReportKind.DELIVERED,
    "undelivered": ReportKind.FAILED,
    "failed": ReportKind.FAILED,
    "canceled": ReportKind.FAILED,
}
_CALL_PROGRESS = frozenset({"queued", "initiated", "ringing", "in-progress"})

# A busy or unanswered phone is not worth a second call through another provider a moment later: the next channel is.
_CALL_FAILED: Mapping[str, ErrorClass] = {
    "busy": ErrorClass.NO_CHANNEL,
    "no-answer": ErrorClass.NO_CHANNEL,
    "failed": ErrorClass.TEMPORARY,
    "canceled": ErrorClass.TEMPORARY,
}
_NO_SUCH_LINE = frozenset({"404", "410", "484", "604"})  # SIP: not found, gone, address incomplete, exists nowhere


class Twilio:
    """One Twilio account. Built by `build`."""

    def __init__(self, settings: Settings, context: Context, table: errors.Table) -> None:
        self._settings = settings
        self._context = context
        self._table = table
        self._transport = Transport.of(settings, context)
        self._account = account(settings, context, Wire(self._transport, self._refusal))
        self._lookups = Transport.of(  # a pool of its own: no message ever waits for a price
            settings, context, concurrency=max(1, settings.concurrency // 8)
        )
        self._prices = account(settings, context, Wire(self._lookups, self._refusal))
        tokens = (context.secrets["auth_token"], context.secrets.get("secondary_auth_token", ""))
        self._validators = [RequestValidator(token) for token in tokens if token]
        self._senders: Mapping[Channel, Callable[[Message], Awaitable[Any]]] = {
            Channel.SMS: self._sms,
            Channel.WHATSAPP: self._whatsapp,
            Channel.VOICE: self._call,
        }

    @property
    def channels(self) -> frozenset[Channel]:
        return self._settings.channels

    async def send(self, message: Message) -> Receipt:
        if message.channel not in self.channels:
            raise SendError(ErrorClass.REQUEST_BUG, "channel_not_configured")
        created = await self._senders[message.channel](message)
        return Receipt(message_id=created.sid)  # without a price: it is null in this answer, and no report has it

    @property
    def prices(self) -> bool:
        return self._settings.fetch_prices

    async def price(self, message_id: str) -> Cost | None:
        """Of the Message or the Call resource, which has it some time after the message was sent or the call ended. It
        is what leaves the account, hence negative. Not in it: carriers' fees, and a call's machine detection."""
        resource = self._prices.calls if message_id.startswith("CA") else self._prices.messages
        found = await resource(message_id).fetch_async()
        return price(str(found.price).removeprefix("-"), found.price_unit)

    def read(self, callback: Callback) -> Outcome:
        form = self._genuine(callback)
        if ("answer", "1") in callback.query:
            return _answering(form)
        report = self._message_report(form) if "MessageStatus" in form else self._call_report(form)
        return Outcome(reports=(report,)) if report else Outcome()

    def answer(self, message: Message | None) -> Answer:
        return Answer(self._twiml(message).encode(), "text/xml")

    def inbound(self, callback: Callback) -> Outcome:
        """A text to one of the account's numbers (Messaging, Twilio's request to your webhook). Advanced Opt-Out, which
        may know other words than ours, adds its verdict as OptOutType: STOP, START or HELP. The answer is an empty
        TwiML: whatever the person is told is said by Twilio."""
        form = self._genuine(callback)
        address, told = form.get("From", ""), form.get("OptOutType", "") or form.get("Body", "")
        channel = Channel.WHATSAPP if address.startswith("whatsapp:") else Channel.SMS
        message = form.get("MessageSid", form.get("SmsMessageSid", ""))
        text = InboundText(channel, address.removeprefix("whatsapp:"), told, id=message)
        return Outcome(texts=(text,), answer=Answer(str(VoiceResponse()).encode(), "text/xml"))

    async def examine(self, public_url: str) -> list[Finding]:
        """Every message names its own callback address: there is none to look for in the account."""
        inquiry = Inquiry(self._refusal, remedies.load("twilio"))
        return await Account(self._settings, self._context, self._transport, inquiry).findings()

    async def close(self) -> None:
        await self._transport.close()
        await self._lookups.close()

    async def _sms(self, message: Message) -> Any:
        lowest, highest = VALIDITY
        return await self._account.messages.create_async(
            to=message.to,
            body=message.wording.text,
            validity_period=min(max(message.lifetime, lowest), highest),
            smart_encoded=False,  # registered templates (India's DLT) must arrive to the letter, and the wording counts
            **self._sms_sender(message.sender),
            **_given(status_callback=message.callback_url),
        )

    def _sms_sender(self, sender: str | None) -> dict[str, str]:
        if sender is None:
            return _given(from_=self._settings.from_sms, messaging_service_sid=self._settings.messaging_service_sid)
        return {"messaging_service_sid": sender} if SID.fullmatch(sender) else {"from_": sender}

    async def _whatsapp(self, message: Message) -> Any:
        sender = message.sender or self._settings.from_whatsapp
        templates = self._settings.whatsapp_content_sids
        return await self._account.messages.create_async(
            to=f"whatsapp:{message.to}",
            from_=f"whatsapp:{sender}",  # the settings and the policy hold the bare number
            content_sid=nearest(templates, message.wording.language) or self._settings.whatsapp_content_sid,
            content_variables=json.dumps({"1": message.code}),
            **_given(status_callback=message.callback_url),
        )

    async def _call(self, message: Message) -> Any:
        return await self._account.calls.create_async(
            to=message.to,
            from_=message.sender or self._settings.from_voice,
            timeout=max(5, min(self._settings.ring_timeout, message.lifetime)),
            time_limit=CALL_LIMIT,
            **self._call_script(message),
            **_call_status(message.callback_url),
        )

    def _call_script(self, message: Message) -> dict[str, str]:
        """Only a script that is fetched can depend on who picked up, so that no code is left on a voicemail."""
        detection = {"machine_detection": "Enable"} if self._settings.machine_detection else {}
        if message.answer_url:
            return {"url": message.answer_url, **detection}
        if detection:
            raise SendError(ErrorClass.REQUEST_BUG, "no_answer_url")
        return {"twiml": self._twiml(message)}

    def _twiml(self, message: Message | None) -> str:
        response = VoiceResponse()
        if message is None:
            response.hangup()
            return str(response)
        language = message.wording.language
        voice = nearest(self._settings.voices, language)
        say = {"voice": voice} if voice else {"language": say_language(language)}
        response.say(message.wording.spoken or message.wording.text, **say)  # the wording says the code twice itself
        return str(response)

    def _refusal(self, reply: Reply) -> SendError:
        code = vendor_code(content(reply.text).get("code"))
        return refused(reply, errors.classify(self._table, self._settings.errors, code, reply.status), code)

    def _genuine(self, callback: Callback) -> MultiDict[str]:
        """The form of a callback that Twilio signed. Raises Forged for any other.

        Two tokens are accepted while the secondary one is being promoted. The URL is the configured one: Twilio signs
        what it was told to call, and a Host header is anybody's to write.
        """
        signature = callback.headers.get("x-twilio-signature", "")
        try:
            form = MultiDict(parse_qsl(callback.body.decode(), keep_blank_values=True, max_num_fields=_FORM_LIMIT))
            good = [validator.validate(callback.url, form, signature) for validator in self._validators]
        except ValueError:
            raise Forged from None
        if not any(good):
            raise Forged
        return form

    def _message_report(self, form: Mapping[str, str]) -> DeliveryReport | None:
        status, sid = form["MessageStatus"], _sid(form.get("MessageSid", ""))
        kind = _MESSAGE_STATUS.get(status)
        if kind is not ReportKind.FAILED:
            return DeliveryReport(kind, vendor_code=status, message_id=sid) if kind else None
        code = vendor_code(form.get("ErrorCode"))
        error = errors.classify(self._table, self._settings.errors, code, None)
        return DeliveryReport(kind, error, code or status, sid)

    def _call_report(self, form: Mapping[str, str]) -> DeliveryReport | None:
        status, sid = form.get("CallStatus", ""), _sid(form.get("CallSid", ""))
        if status in _CALL_PROGRESS:
            return DeliveryReport(ReportKind.PROGRESS, vendor_code=status, message_id=sid)
        if status == "completed":
            return _completed(form.get("AnsweredBy", ""), sid)
        if status not in _CALL_FAILED:
            return None
        code = vendor_code(form.get("ErrorCode")) or status
        error = _CALL_FAILED[status]
        if status == "failed" and form.get("SipResponseCode") in _NO_SUCH_LINE:
            error = ErrorClass.NO_CHANNEL
        error = self._settings.errors.get(code) or self._table.get(code) or error
        return DeliveryReport(ReportKind.FAILED, error, code, sid)


def build(settings: Settings, context: Context) -> Twilio:
    return Twilio(settings, context, errors.load("twilio"))


def _given(**fields: str | None) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value}


def _call_status(url: str | None) -> dict[str, Any]:
    if not url:
        return {}
    return {"status_callback": url, "status_callback_event": ["initiated", "ringing", "answered", "completed"]}


def _answering(form: Mapping[str, str]) -> Outcome:
    """Who picked up, as Twilio's detection has it. Without detection nobody knows, and the code is said.

    A machine is classed NO_CHANNEL and not TEMPORARY: another provider's call would end in the same voicemail.
    """
    answered_by = form.get("AnsweredBy", "")
    if _is_machine(answered_by):
        return Outcome(reports=(_machine(answered_by, _sid(form.get("CallSid", ""))),))
    return Outcome(wants_message=True)


def _completed(answered_by: str, sid: str) -> DeliveryReport:
    """A call is "completed" on a voicemail too: it counts as delivered only when Twilio heard a person.

    Twilio's call resource reference doesn't list AnsweredBy among the callback's fields; recorded callbacks of calls
    with detection have it. Without it the report is only progress, and the fallback goes on by its timer.
    """
    if _is_machine(answered_by):
        return _machine(answered_by, sid)
    kind = ReportKind.DELIVERED if answered_by == "human" else ReportKind.PROGRESS
    return DeliveryReport(kind, vendor_code="completed", message_id=sid)


def _machine(answered_by: str, sid: str) -> DeliveryReport:
    return DeliveryReport(ReportKind.FAILED, ErrorClass.NO_CHANNEL, vendor_code(answered_by), sid)


def _is_machine(answered_by: str) -> bool:
    """human, fax, unknown, machine_start, and machine_end_beep, _silence and _other (Answering Machine Detection)."""
    return answered_by == "fax" or answered_by.startswith("machine")


def _sid(text: str) -> str:
    return text if SID.fullmatch(text) else ""
