"""AWS End User Messaging: a code by SMS and by phone call, with its events through an SNS topic.

The API is PinpointSMSVoiceV2 (`sms-voice`), JSON 1.0, as botocore's model has it. The simpler SNS Publish is in
`aws_sns`: it says nothing of what becomes of a message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from channels import errors, remedies
from channels.contract import (
    Answer,
    Callback,
    Channel,
    Context,
    Cost,
    DeliveryReport,
    Forged,
    InboundText,
    Message,
    Outcome,
    Receipt,
    ReportKind,
    SendError,
    vendor_code,
)
from channels.contract import ErrorClass as Class
from channels.examination import Finding, Inquiry
from channels.providers._aws import Clock, Endpoint, Keys, utc
from channels.providers._aws_events import CONFIRMATION, NOTIFICATION, TOPIC, Envelope, Fetch, Topic
from channels.providers._aws_examination import Messaging
from channels.providers._aws_voices import VOICES, voice
from channels.providers._reading import json_object, moment, price, vendor_id
from channels.providers._senders import form
from channels.transport import Reply, Transport, refused

LIFETIME = (5, 259_200)
"""Seconds that AWS accepts as TimeToLive."""

_ORIGIN = form(
    r"[A-Za-z0-9_:/+-]{1,256}", "write a number in E.164, a sender id, or the id or ARN of a number, sender id or pool"
)
_NAME = form(r"[A-Za-z0-9_:/-]{1,256}", "write the name or the ARN as AWS shows it")
_PRICE = form(r"[0-9]{0,2}\.[0-9]{1,5}", 'write a price in US dollars with a point, such as "0.10"')
_MESSAGE_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_FINAL_SUCCESS = "TEXT_SUCCESSFUL"


class Settings(Keys):
    """An account in one region. It carries SMS, and calls when they have a number to come from."""

    from_sms: Annotated[str, _ORIGIN] | None = Field(
        None, description="The sender of SMS: a number, sender id or pool. Without it AWS picks one of the account's."
    )
    from_voice: Annotated[str, _ORIGIN] | None = Field(None, description="The number that calls come from.")
    configuration_set: Annotated[str, _NAME] | None = Field(
        None, description="The configuration set whose event destination the events go to."
    )
    topic_arn: Annotated[str, form(TOPIC, "write the ARN of the SNS topic")] | None = Field(
        None, description="The SNS topic of that event destination: messages of any other topic are refused."
    )
    protect_configuration: Annotated[str, _NAME] | None = Field(
        None, description="A protect configuration other than the account's default."
    )
    max_price: Annotated[str, _PRICE] | None = Field(None, description="The most to pay for one SMS, in US dollars.")
    max_price_per_minute: Annotated[str, _PRICE] | None = Field(
        None, description="The most to pay for a minute of a call, in US dollars."
    )
    dlt_entity_id: Annotated[str, form(r"[0-9]{1,50}", "write the entity's id from the DLT portal")] | None = Field(
        None, description="India: the principal entity id of the DLT registration."
    )
    dlt_template_id: Annotated[str, form(r"[0-9]{1,50}", "write the template's id from the DLT portal")] | None = Field(
        None, description="India: the id of the registered template that the wording follows."
    )
    voices: dict[str, str] = Field(
        default_factory=dict,
        description="Amazon Polly's voices by language tag, where the default won't do: {de: HANS}.",
    )

    @property
    def channels(self) -> frozenset[Channel]:
        return frozenset((Channel.SMS, Channel.VOICE) if self.from_voice else (Channel.SMS,))

    @field_validator("voices")
    @classmethod
    def _known(cls, voices: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(set(voices.values()) - VOICES):
            raise ValueError(f"{', '.join(unknown)}: write a voice of SendVoiceMessage, in capitals, such as JOANNA")
        return voices

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.topic_arn and not self.configuration_set:
            raise ValueError("topic_arn needs configuration_set: only messages that name one have events")
        if (self.dlt_entity_id is None) != (self.dlt_template_id is None):
            raise ValueError("write both dlt_entity_id and dlt_template_id, or neither")
        return self


class Aws:
    """One account in one region. Built by `build`. `fetch` gets Amazon's certificates."""

    def __init__(
        self,
        settings: Settings,
        context: Context,
        table: errors.Table,
        *,
        fetch: Fetch | None = None,
        clock: Clock = utc,
    ) -> None:
        self._settings = settings
        self._table = table
        self._clock = clock
        self._endpoint = Endpoint("sms-voice", settings, context, clock)
        self._web = Transport.of(settings, context, concurrency=2)
        self._topic = Topic(settings.topic_arn, fetch or self._get, clock) if settings.topic_arn else None

    @property
    def channels(self) -> frozenset[Channel]:
        return self._settings.channels

    @property
    def shared(self) -> bool:
        """The topic posts the events of all messages to one address."""
        return self._topic is not None

    async def send(self, message: Message) -> Receipt:
        if message.channel not in self.channels:
            raise SendError(Class.REQUEST_BUG, "channel_not_configured")
        call = message.channel is Channel.VOICE
        operation, fields = (
            ("SendVoiceMessage", self._call(message)) if call else ("SendTextMessage", self._sms(message))
        )
        reply = await self._ask(operation, fields)
        if not reply.ok:
            raise self._refusal(reply)
        message_id = _message_id(json_object(reply.body).get("MessageId"))
        if not message_id:
            raise SendError(Class.PROVIDER_DOWN, "unreadable", ambiguous=True)
        return Receipt(message_id)  # what it costs is in the events

    async def receive(self, callback: Callback) -> Outcome:
        """As `read`, but gets a certificate that is not known yet, and confirms the topic's subscription."""
        topic, envelope = self._opened(callback)
        await topic.learn(envelope)
        topic.check(envelope)
        if envelope["Type"] == CONFIRMATION:
            await topic.confirm(envelope)
        return self._outcome(envelope)

    def read(self, callback: Callback) -> Outcome:
        topic, envelope = self._opened(callback)
        topic.check(envelope)
        return self._outcome(envelope)

    def answer(self, _message: Message | None) -> Answer:
        """A call's words go along with the request that starts it: nothing is ever fetched."""
        return Answer(status=404)

    async def examine(self, public_url: str) -> list[Finding]:
        """Whether the topic's subscription leads to the gateway is SNS's to know, and not looked at."""
        settings = self._settings
        inquiry = Inquiry(self._refusal, remedies.load("aws"), lambda: self._clock().timestamp())

        async def describe(operation: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
            return json_object((await inquiry.heard(self._ask(operation, fields))).body)

        senders = _given(SMS=settings.from_sms, VOICE=settings.from_voice)
        return await Messaging(describe, inquiry, senders, settings.configuration_set, settings.topic_arn).findings()

    async def close(self) -> None:
        await self._endpoint.close()
        await self._web.close()

    async def _ask(self, operation: str, fields: Mapping[str, Any]) -> Reply:
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"PinpointSMSVoiceV2.{operation}"}
        return await self._endpoint.post(headers, json.dumps(fields).encode())

    def _sms(self, message: Message) -> dict[str, Any]:
        settings = self._settings
        india = message.country == "IN" and settings.dlt_entity_id
        dlt = {"IN_ENTITY_ID": settings.dlt_entity_id, "IN_TEMPLATE_ID": settings.dlt_template_id} if india else None
        return _given(
            **self._common(message),
            MessageBody=message.wording.text,
            MessageType="TRANSACTIONAL",
            OriginationIdentity=message.sender or settings.from_sms,
            MaxPrice=settings.max_price,
            DestinationCountryParameters=dlt,
        )

    def _call(self, message: Message) -> dict[str, Any]:
        return _given(
            **self._common(message),
            MessageBody=message.wording.spoken or message.wording.text,  # the wording says the code twice itself
            MessageBodyTextType="TEXT",
            VoiceId=voice(self._settings.voices, message.wording.language),
            OriginationIdentity=message.sender or self._settings.from_voice,
            MaxPricePerMinute=self._settings.max_price_per_minute,
        )

    def _common(self, message: Message) -> dict[str, Any]:
        shortest, longest = LIFETIME
        return {
            "DestinationPhoneNumber": message.to,
            "TimeToLive": min(max(message.lifetime, shortest), longest),
            "ConfigurationSetName": self._settings.configuration_set,
            "ProtectConfigurationId": self._settings.protect_configuration,
            "Context": {"token": message.token} if message.token and self._topic else None,
        }

    def _refusal(self, reply: Reply) -> SendError:
        """Classed by the first of its names that has a class, and told by the most telling one."""
        names = _names(reply) or [""]
        known = next((n for n in names if n in self._settings.errors or n in self._table), names[0])
        return refused(reply, errors.classify(self._table, self._settings.errors, known, reply.status), names[0])

    def _opened(self, callback: Callback) -> tuple[Topic, Envelope]:
        if self._topic is None:
            raise Forged  # without a topic nobody has a reason to call
        return self._topic, self._topic.open(callback.body)

    def _outcome(self, envelope: Envelope) -> Outcome:
        """What a genuine message says. Numbers in it are never looked at: the context tells whose event it is."""
        content = json_object(envelope["Message"]) if envelope["Type"] == NOTIFICATION else {}
        report, text = self._report(content), _written(content, envelope)
        return Outcome((report,) if report else (), texts=(text,) if text else ())

    def _report(self, event: Mapping[str, Any]) -> DeliveryReport | None:
        name, context = event.get("eventType"), event.get("context")
        token = context.get("token") if isinstance(context, dict) else None
        if not isinstance(name, str) or not isinstance(token, str):
            return None
        final = event.get("isFinal") is not False
        kind, error = self._meaning(name, final)
        cost = _cost(event) if final else None  # earlier events of the message repeat the price
        return DeliveryReport(kind, error, vendor_code(name), _message_id(event.get("messageId")), cost, token)

    def _meaning(self, name: str, final: bool) -> tuple[ReportKind, Class | None]:
        """TEXT_SUCCESSFUL is a carrier's acceptance; in some countries it stands for TEXT_DELIVERED (User Guide, "Event
        types"): it counts as delivery when AWS calls it final. VOICE_COMPLETED does not: AWS says of it that
        a voicemail may have listened. What is not final may yet turn out well."""
        if name == "TEXT_DELIVERED" or (name == _FINAL_SUCCESS and final):
            return ReportKind.DELIVERED, None
        error = self._settings.errors.get(name) or self._table.get(name)
        return (ReportKind.FAILED, error) if error and final else (ReportKind.PROGRESS, None)

    async def _get(self, url: str) -> Reply:
        return await self._web.request("GET", url)


def build(settings: Settings, context: Context) -> Aws:
    return Aws(settings, context, errors.load("aws"))


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _names(reply: Reply) -> list[str]:
    """What names an error, the most telling first: the reason, the field that was wrong, the exception."""
    content = json_object(reply.body)
    kind = re.split("[#:]", str(content.get("__type") or reply.headers.get("x-amzn-ErrorType") or ""))
    name = vendor_code(next((part for part in reversed(kind) if part.endswith("Exception")), kind[-1]))
    fields = content.get("Fields")
    wrong = [str(f.get("Name", "")).lower() for f in fields if isinstance(f, dict)] if isinstance(fields, list) else []
    destination = f"{name}:DestinationPhoneNumber" if "destinationphonenumber" in wrong else ""
    return [one for one in (destination, vendor_code(content.get("Reason")), name) if one]


def _written(content: Mapping[str, Any], envelope: Envelope) -> InboundText | None:
    """A text to a number that has two-way SMS (User Guide, "Example of a two-way SMS message payload")."""
    sender, text = content.get("originationNumber"), content.get("messageBody")
    if "inboundMessageId" not in content or not isinstance(sender, str) or not isinstance(text, str):
        return None
    name = vendor_id(content["inboundMessageId"])
    return InboundText(Channel.SMS, sender, text, moment(envelope["Timestamp"]), name)


def _message_id(value: object) -> str:
    return value if isinstance(value, str) and _MESSAGE_ID.fullmatch(value) else ""


def _cost(event: Mapping[str, Any]) -> Cost | None:
    """The message and the carrier's fee, which AWS lists apart. In US dollars."""
    amounts = [event.get("totalMessagePrice"), event.get("totalCarrierFee")]
    numbers = [Decimal(str(a)) for a in amounts if isinstance(a, int | float) and not isinstance(a, bool)]
    return price(sum(numbers), "USD") if numbers else None
