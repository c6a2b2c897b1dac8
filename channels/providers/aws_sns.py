"""SNS Publish: a code by SMS through Amazon's oldest call for it, which reports nothing back.

What becomes of a message is written to CloudWatch Logs and nowhere else, so the fallback goes by its timer. Opt-outs,
spam blocks and a spent budget aren't errors here either: SNS accepts the message and drops it. `aws` tells all that.
"""

from __future__ import annotations

import re
from typing import Annotated, Self
from urllib.parse import urlencode

from pydantic import Field, model_validator

from channels import errors, remedies
from channels.contract import (
    Answer,
    Callback,
    Channel,
    Context,
    ErrorClass,
    Forged,
    Message,
    Outcome,
    Receipt,
    SendError,
    vendor_code,
)
from channels.examination import Finding, Inquiry
from channels.providers._aws import Clock, Endpoint, Keys, utc
from channels.providers._aws_examination import publishing
from channels.providers._senders import Phone, form
from channels.transport import Reply, refused

CALLS_BACK = False

VERSION = "2010-03-31"

_NAME = form(r"(?=.*[A-Za-z])[A-Za-z0-9-]{1,11}", "write a name of at most 11 letters, digits and hyphens")
_PRICE = form(r"[0-9]{1,3}(\.[0-9]{1,5})?", 'write a price in US dollars, such as "0.10"')
_DIGITS = form(r"[0-9]{1,50}", "write the id from the DLT portal, in digits")
_ID = re.compile(r"<MessageId>([0-9A-Za-z-]{1,64})</MessageId>")
_CODE = re.compile(r"<Code>([^<]{1,64})</Code>")
_ABOUT_NUMBER = re.compile(r"phone ?number|E\.?164", re.IGNORECASE)


class Settings(Keys):
    """An account in one region."""

    sender_id: Annotated[str, _NAME] | None = Field(None, description="The sender's name, where a country allows one.")
    origination_number: Phone | None = Field(None, description="The number that SMS come from.")
    max_price: Annotated[str, _PRICE] | None = Field(None, description="The most to pay for one SMS, in US dollars.")
    dlt_entity_id: Annotated[str, _DIGITS] | None = Field(
        None, description="India: the principal entity id of the DLT registration."
    )
    dlt_template_id: Annotated[str, _DIGITS] | None = Field(
        None, description="India: the id of the registered template that the wording follows."
    )

    @property
    def channels(self) -> frozenset[Channel]:
        return frozenset({Channel.SMS})

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.dlt_entity_id is None) != (self.dlt_template_id is None):
            raise ValueError("write both dlt_entity_id and dlt_template_id, or neither")
        return self


class AwsSns:
    """One account in one region. Built by `build`."""

    def __init__(self, settings: Settings, context: Context, table: errors.Table, *, clock: Clock = utc) -> None:
        self._settings = settings
        self._table = table
        self._clock = clock
        self._endpoint = Endpoint("sns", settings, context, clock)

    @property
    def channels(self) -> frozenset[Channel]:
        return self._settings.channels

    async def send(self, message: Message) -> Receipt:
        if message.channel is not Channel.SMS:
            raise SendError(ErrorClass.REQUEST_BUG, "channel_not_configured")
        form = {
            "Action": "Publish",
            "Version": VERSION,
            "PhoneNumber": message.to,
            "Message": message.wording.text,
            **_entries(self._attributes(message)),
        }
        reply = await self._ask(form)
        if not reply.ok:
            raise self._refusal(reply)
        found = _ID.search(reply.text)
        if found is None:
            raise SendError(ErrorClass.PROVIDER_DOWN, "unreadable", ambiguous=True)
        return Receipt(found[1])

    def read(self, _callback: Callback) -> Outcome:
        """SNS reports to CloudWatch Logs, so whoever calls is not SNS."""
        raise Forged

    def answer(self, _message: Message | None) -> Answer:
        return Answer(status=404)

    async def examine(self, public_url: str) -> list[Finding]:
        """SNS reports nothing back: there is no callback address to look at."""
        inquiry = Inquiry(self._refusal, remedies.load("aws_sns"), lambda: self._clock().timestamp())

        async def get(action: str) -> str:
            return (await inquiry.heard(self._ask({"Action": action, "Version": VERSION}))).text

        return await publishing(get, inquiry, self._settings.sender_id)

    async def close(self) -> None:
        await self._endpoint.close()

    async def _ask(self, form: dict[str, str]) -> Reply:
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        return await self._endpoint.post(headers, urlencode(form).encode())

    def _attributes(self, message: Message) -> dict[str, tuple[str, str]]:
        """Name to type and value (Developer Guide, "Publishing to a mobile phone"). There is none for a lifetime."""
        settings, sender = self._settings, message.sender
        by_number = sender is not None and sender.startswith("+")
        india = message.country == "IN"
        wanted = {
            "AWS.SNS.SMS.SMSType": ("String", "Transactional"),
            "AWS.SNS.SMS.SenderID": ("String", None if by_number else sender or settings.sender_id),
            "AWS.MM.SMS.OriginationNumber": ("String", sender if by_number else settings.origination_number),
            "AWS.SNS.SMS.MaxPrice": ("Number", settings.max_price),
            "AWS.MM.SMS.EntityId": ("String", settings.dlt_entity_id if india else None),
            "AWS.MM.SMS.TemplateId": ("String", settings.dlt_template_id if india else None),
        }
        return {name: (kind, value) for name, (kind, value) in wanted.items() if value is not None}

    def _refusal(self, reply: Reply) -> SendError:
        found = _CODE.search(reply.text)
        code = vendor_code(found[1] if found else "")
        about = f"{code}:PhoneNumber"
        if about in {*self._table, *self._settings.errors} and _ABOUT_NUMBER.search(reply.text):
            code = about
        return refused(reply, errors.classify(self._table, self._settings.errors, code, reply.status), code)


def build(settings: Settings, context: Context) -> AwsSns:
    return AwsSns(settings, context, errors.load("aws_sns"))


def _entries(attributes: dict[str, tuple[str, str]]) -> dict[str, str]:
    """The query protocol's way of writing a map, numbered from 1."""
    fields: dict[str, str] = {}
    for number, (name, (kind, value)) in enumerate(attributes.items(), 1):
        entry = f"MessageAttributes.entry.{number}"
        fields |= {f"{entry}.Name": name, f"{entry}.Value.DataType": kind, f"{entry}.Value.StringValue": value}
    return fields
