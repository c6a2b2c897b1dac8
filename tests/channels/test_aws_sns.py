"""SNS Publish: what goes over the wire, and what its answers mean."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from channels.contract import Channel, Context, ErrorClass, Forged, Message, SendError, Wording
from channels.providers import aws_sns
from channels.providers.aws_sns import AwsSns, Settings, build
from tests.vendors import aws as vendor_aws
from tests.vendors.server import Break, Reply, Vendor

CODE = "482913"
TO = "+14155550123"
SECRETS = {"access_key_id": vendor_aws.KEY_ID, "secret_access_key": vendor_aws.SECRET}
SHIPPED = Path("channels/providers/errors/aws_sns.yaml")
ENTITY, TEMPLATE = "1101234567890123456", "1107654321098765432"

SMS = Message(
    channel=Channel.SMS,
    to=TO,
    code=CODE,
    wording=Wording(f"{CODE} is your code & more – é", "en"),
    reference="att_1",
    lifetime=600,
    callback_url="https://otp.example/callbacks/main/tok3n",
    token="tok3n",
    country="US",
)


def settings(**changes: Any) -> Settings:
    content = {
        "type": "aws_sns",
        "region": vendor_aws.REGION,
        "access_key_id": {"env": "AWS_ACCESS_KEY_ID"},
        "secret_access_key": {"env": "AWS_SECRET_ACCESS_KEY"},
        "timeout": 2.0,
    }
    return Settings.model_validate({**content, **changes})


def provider(vendor: Vendor, **changes: Any) -> AwsSns:
    context = Context("main", "otp-gateway/test", production=False, secrets=SECRETS)
    return build(settings(base_url=vendor.base_url, **changes), context)


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with Vendor(vendor_aws.accept) as vendor:
        yield vendor


async def attributes(vendor: Vendor, message: Message, **changes: Any) -> dict[str, tuple[str, str]]:
    """The attributes of the request that one message makes, by name."""
    built = provider(vendor, **changes)
    await built.send(message)
    await built.close()
    form = dict(vendor.received[-1].form)
    entries = [f"MessageAttributes.entry.{number}" for number in range(1, 9)]
    return {
        form[f"{entry}.Name"]: (form[f"{entry}.Value.DataType"], form[f"{entry}.Value.StringValue"])
        for entry in entries
        if f"{entry}.Name" in form
    }


async def refusal(vendor: Vendor, reply: Reply, **changes: Any) -> SendError:
    vendor.replies.append(reply)
    built = provider(vendor, **changes)
    with pytest.raises(SendError) as caught:
        await built.send(SMS)
    await built.close()
    return caught.value


async def test_an_sms_is_published_signed_with_exactly_these_fields(vendor: Vendor) -> None:
    built = provider(vendor)
    receipt = await built.send(SMS)
    await built.close()
    request = vendor.received[0]
    assert receipt.message_id == vendor_aws.MESSAGE
    assert (request.method, request.path) == ("POST", "/")
    assert request.form == [
        ("Action", "Publish"),
        ("Version", "2010-03-31"),
        ("PhoneNumber", TO),
        ("Message", f"{CODE} is your code & more – é"),
        ("MessageAttributes.entry.1.Name", "AWS.SNS.SMS.SMSType"),
        ("MessageAttributes.entry.1.Value.DataType", "String"),
        ("MessageAttributes.entry.1.Value.StringValue", "Transactional"),
    ]
    assert f"/{vendor_aws.REGION}/sns/aws4_request" in request.headers["authorization"]


async def test_senders_prices_and_dlt_ids_are_attributes(vendor: Vendor) -> None:
    dlt = {"dlt_entity_id": ENTITY, "dlt_template_id": TEMPLATE}
    found = await attributes(
        vendor,
        replace(SMS, country="IN"),
        sender_id="ACME",
        origination_number="+14155550100",
        max_price="0.10",
        **dlt,
    )
    assert found == {
        "AWS.SNS.SMS.SMSType": ("String", "Transactional"),
        "AWS.SNS.SMS.SenderID": ("String", "ACME"),
        "AWS.MM.SMS.OriginationNumber": ("String", "+14155550100"),
        "AWS.SNS.SMS.MaxPrice": ("Number", "0.10"),
        "AWS.MM.SMS.EntityId": ("String", ENTITY),
        "AWS.MM.SMS.TemplateId": ("String", TEMPLATE),
    }
    assert not {"AWS.MM.SMS.EntityId", "AWS.MM.SMS.TemplateId"} & (await attributes(vendor, SMS, **dlt)).keys()


@pytest.mark.parametrize(
    ("sender", "name"), [("OTHER", "AWS.SNS.SMS.SenderID"), ("+442079460000", "AWS.MM.SMS.OriginationNumber")]
)
async def test_a_countrys_own_sender_is_a_name_or_a_number(vendor: Vendor, sender: str, name: str) -> None:
    assert (await attributes(vendor, replace(SMS, sender=sender), sender_id="ACME"))[name] == ("String", sender)


async def test_nobody_may_call_back(vendor: Vendor) -> None:
    built = provider(vendor)
    assert not aws_sns.CALLS_BACK
    with pytest.raises(Forged):
        built.read(vendor_aws.callback(vendor_aws.signed(vendor_aws.notification("x"))))
    assert built.answer(None).status == 404
    with pytest.raises(SendError, match="channel_not_configured"):
        await built.send(replace(SMS, channel=Channel.VOICE))


def codes() -> list[tuple[str, str]]:
    table = yaml.safe_load(SHIPPED.read_text())
    return [(code, error) for error, meanings in table.items() for code in meanings]


async def test_every_code_of_the_table_is_classed_as_the_table_says(vendor: Vendor) -> None:
    assert len(codes()) > 20
    for code, error in codes():
        name, _, about = code.partition(":")
        text = f"Invalid parameter: {about} Reason: {TO} is not valid to publish to" if about else "No."
        refused = await refusal(vendor, vendor_aws.refuse_publish(name, text))
        assert (refused.error, refused.vendor_code, refused.ambiguous) == (error, code, False)


@pytest.mark.parametrize(
    ("reply", "error", "code", "ambiguous"),
    [
        (vendor_aws.refuse_publish("NewError"), ErrorClass.UNKNOWN, "NewError", False),
        (vendor_aws.refuse_publish("InternalError", status=500), ErrorClass.PROVIDER_DOWN, "InternalError", True),
        (vendor_aws.refuse_publish(f"about {TO}"), ErrorClass.UNKNOWN, "other", False),
        (Reply(403, b"<html>"), ErrorClass.PROVIDER_ACCOUNT, "", False),
        (Reply(503, b""), ErrorClass.PROVIDER_DOWN, "", True),
        (Reply(200, b""), ErrorClass.PROVIDER_DOWN, "unreadable", True),
        (Reply(200, b"<MessageId>\xff</MessageId>"), ErrorClass.PROVIDER_DOWN, "unreadable", True),
        (Reply(200, broken=Break.RESET), ErrorClass.PROVIDER_DOWN, "reset", True),
    ],
)
async def test_a_refusal_is_read_by_its_code_and_its_status(
    vendor: Vendor, reply: Reply, error: ErrorClass, code: str, ambiguous: bool
) -> None:
    refused = await refusal(vendor, reply)
    assert (refused.error, refused.vendor_code, refused.ambiguous) == (error, code, ambiguous)


async def test_the_operator_can_class_a_code_otherwise(vendor: Vendor) -> None:
    error = await refusal(vendor, vendor_aws.refuse_publish("NotFound"), errors={"NotFound": "sender"})
    assert error.error is ErrorClass.SENDER


async def test_the_deadline_holds_when_sns_is_silent(vendor: Vendor) -> None:
    async with asyncio.timeout(1):
        error = await refusal(vendor, Reply(broken=Break.SILENCE), timeout=0.2)
    assert (error.vendor_code, error.ambiguous) == ("timeout", True)


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"sender_id": "A name far too long"}, "write a name of at most 11 letters, digits and hyphens"),
        ({"origination_number": 14155550100}, "put it in quotes: YAML reads it as a number"),
        ({"max_price": "ten"}, "write a price in US dollars"),
        ({"dlt_template_id": TEMPLATE}, "write both dlt_entity_id and dlt_template_id, or neither"),
        ({"region": "nowhere"}, "write a region, such as eu-west-1"),
    ],
)
def test_a_fault_in_the_configuration_says_what_to_write(changes: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError) as caught:
        settings(**changes)
    assert remedy in json.dumps([error["msg"] for error in caught.value.errors()])  # type: ignore[attr-defined]


async def test_no_code_number_or_key_is_logged_or_raised(vendor: Vendor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    built = provider(vendor)
    said = [repr(await built.send(SMS)), repr(built)]
    refused = await refusal(vendor, vendor_aws.refuse_publish("InvalidParameter", f"PhoneNumber {TO} with {CODE}"))
    said.append(f"{refused!r} {refused} {refused.__cause__!r}")
    await built.close()
    text = "\n".join([*said, *(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)])
    assert "InvalidParameter:PhoneNumber" in text
    for secret in (CODE, TO, TO[1:], vendor_aws.SECRET, "tok3n"):
        assert secret not in text
