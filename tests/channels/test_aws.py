"""AWS End User Messaging: what goes over the wire, and what its answers mean."""

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

from channels.contract import Channel, Context, ErrorClass, Message, SendError, Wording
from channels.providers.aws import Aws, Settings, build
from tests.vendors import aws as vendor_aws
from tests.vendors.server import Break, Reply, Vendor, json_reply

CODE = "482913"
TO = "+14155550123"
SECRETS = {"access_key_id": vendor_aws.KEY_ID, "secret_access_key": vendor_aws.SECRET}
SHIPPED = Path("channels/providers/errors/aws.yaml")
ENTITY, TEMPLATE = "1101234567890123456", "1107654321098765432"

SMS = Message(
    channel=Channel.SMS,
    to=TO,
    code=CODE,
    wording=Wording(f"{CODE} is your code – é", "en", spoken="Your code is 4, 8, 2, 9, 1, 3."),
    reference="att_1",
    lifetime=600,
    callback_url="https://otp.example/callbacks/main/tok3n",
    token="tok3n",
    answer_url="https://otp.example/callbacks/main/tok3n?answer=1",
    country="US",
)
VOICE = replace(SMS, channel=Channel.VOICE)


def settings(**changes: Any) -> Settings:
    content = {
        "type": "aws",
        "region": vendor_aws.REGION,
        "access_key_id": {"env": "AWS_ACCESS_KEY_ID"},
        "secret_access_key": {"env": "AWS_SECRET_ACCESS_KEY"},
        "from_sms": "pool-1",
        "from_voice": "+14155550101",
        "configuration_set": "otp",
        "topic_arn": vendor_aws.TOPIC,
        "timeout": 2.0,
    }
    return Settings.model_validate({**content, **changes})


def provider(vendor: Vendor, secrets: dict[str, str] | None = None, **changes: Any) -> Aws:
    context = Context("main", "otp-gateway/test", production=False, secrets=secrets or SECRETS)
    return build(settings(base_url=vendor.base_url, **changes), context)


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with Vendor(vendor_aws.accept) as vendor:
        yield vendor


async def sent(vendor: Vendor, message: Message, **changes: Any) -> dict[str, Any]:
    """The request that one message makes."""
    built = provider(vendor, **changes)
    assert (await built.send(message)).message_id == vendor_aws.MESSAGE
    await built.close()
    content: dict[str, Any] = vendor.received[-1].json
    return content


async def refusal(vendor: Vendor, reply: Reply, message: Message = SMS, **changes: Any) -> SendError:
    vendor.replies.append(reply)
    built = provider(vendor, **changes)
    with pytest.raises(SendError) as caught:
        await built.send(message)
    await built.close()
    return caught.value


# --- what goes over the wire ---


async def test_an_sms_is_sent_signed_with_exactly_these_fields(vendor: Vendor) -> None:
    content = await sent(vendor, SMS)
    request = vendor.received[0]
    assert content == {
        "DestinationPhoneNumber": TO,
        "TimeToLive": 600,
        "ConfigurationSetName": "otp",
        "Context": {"token": "tok3n"},
        "MessageBody": f"{CODE} is your code – é",
        "MessageType": "TRANSACTIONAL",
        "OriginationIdentity": "pool-1",
    }
    assert (request.method, request.path) == ("POST", "/")
    assert request.headers["x-amz-target"] == "PinpointSMSVoiceV2.SendTextMessage"
    assert request.headers["content-type"] == "application/x-amz-json-1.0"
    assert request.headers["user-agent"] == "otp-gateway/test"
    assert f"/{vendor_aws.REGION}/sms-voice/aws4_request" in request.headers["authorization"]


async def test_a_call_takes_its_words_along_and_speaks_their_language(vendor: Vendor) -> None:
    content = await sent(vendor, VOICE)
    assert vendor.received[0].headers["x-amz-target"] == "PinpointSMSVoiceV2.SendVoiceMessage"
    assert content == {
        "DestinationPhoneNumber": TO,
        "TimeToLive": 600,
        "ConfigurationSetName": "otp",
        "Context": {"token": "tok3n"},
        "MessageBody": "Your code is 4, 8, 2, 9, 1, 3.",
        "MessageBodyTextType": "TEXT",
        "OriginationIdentity": "+14155550101",
        "VoiceId": "JOANNA",
    }


async def test_a_wrong_secret_is_refused_by_the_vendor(vendor: Vendor) -> None:
    built = provider(vendor, {**SECRETS, "secret_access_key": "another"})
    with pytest.raises(SendError) as caught:
        await built.send(SMS)
    assert (caught.value.error, caught.value.vendor_code) == (ErrorClass.PROVIDER_ACCOUNT, "InvalidSignatureException")
    await built.close()


async def test_a_temporary_key_brings_its_session_token(vendor: Vendor) -> None:
    built = provider(vendor, {**SECRETS, "session_token": "the-session"}, session_token={"env": "AWS_SESSION_TOKEN"})
    await built.send(SMS)
    await built.close()
    assert vendor.received[0].headers["x-amz-security-token"] == "the-session"
    assert "x-amz-security-token" in vendor.received[0].headers["authorization"]


@pytest.mark.parametrize(("lifetime", "ttl"), [(0, 5), (30, 30), (259_200, 259_200), (1_000_000, 259_200)])
async def test_a_message_lives_as_long_as_its_code_within_awss_range(vendor: Vendor, lifetime: int, ttl: int) -> None:
    for message in (SMS, VOICE):
        assert (await sent(vendor, replace(message, lifetime=lifetime)))["TimeToLive"] == ttl


async def test_a_countrys_own_sender_replaces_the_accounts(vendor: Vendor) -> None:
    for message in (SMS, VOICE):
        assert (await sent(vendor, replace(message, sender="ACME")))["OriginationIdentity"] == "ACME"


async def test_without_a_sender_aws_picks_one(vendor: Vendor) -> None:
    assert "OriginationIdentity" not in await sent(vendor, SMS, from_sms=None)


async def test_the_dlt_ids_go_to_india_only(vendor: Vendor) -> None:
    dlt = {"dlt_entity_id": ENTITY, "dlt_template_id": TEMPLATE}
    content = await sent(vendor, replace(SMS, country="IN", to="+919812345678"), **dlt)
    assert content["DestinationCountryParameters"] == {"IN_ENTITY_ID": ENTITY, "IN_TEMPLATE_ID": TEMPLATE}
    assert "DestinationCountryParameters" not in await sent(vendor, SMS, **dlt)


async def test_prices_and_protection_go_along(vendor: Vendor) -> None:
    limits = {"max_price": "0.10", "max_price_per_minute": "0.50", "protect_configuration": "protect-1"}
    sms, call = await sent(vendor, SMS, **limits), await sent(vendor, VOICE, **limits)
    assert (sms["MaxPrice"], call["MaxPricePerMinute"]) == ("0.10", "0.50")
    assert sms["ProtectConfigurationId"] == call["ProtectConfigurationId"] == "protect-1"


async def test_without_a_topic_no_token_is_given_away(vendor: Vendor) -> None:
    assert "Context" not in await sent(vendor, SMS, topic_arn=None)
    assert not provider(vendor, topic_arn=None).shared
    assert provider(vendor).shared


@pytest.mark.parametrize(
    ("language", "said"),
    [("pt-BR", "CAMILA"), ("pt-PT", "INES"), ("es-419", "MIA"), ("en-GB", "AMY"), ("fi", "JOANNA"), ("de-AT", "HANS")],
)
async def test_a_language_is_spoken_by_the_nearest_voice(vendor: Vendor, language: str, said: str) -> None:
    message = replace(VOICE, wording=replace(VOICE.wording, language=language))
    assert (await sent(vendor, message, voices={"de": "HANS"}))["VoiceId"] == said


async def test_a_call_without_a_number_to_come_from_is_our_mistake(vendor: Vendor) -> None:
    built = provider(vendor, from_voice=None)
    assert built.channels == {Channel.SMS}
    with pytest.raises(SendError) as caught:
        await built.send(VOICE)
    assert (caught.value.error, caught.value.vendor_code) == (ErrorClass.REQUEST_BUG, "channel_not_configured")
    assert built.answer(VOICE).status == 404


def test_the_endpoint_is_the_regions() -> None:
    def url(region: str) -> str:
        context = Context("main", "ua", production=True, secrets=SECRETS)
        return build(settings(region=region), context)._endpoint._url

    assert url("eu-west-1") == "https://sms-voice.eu-west-1.amazonaws.com/"
    assert url("cn-north-1") == "https://sms-voice.cn-north-1.amazonaws.com.cn/"


# --- what its answers mean ---


def codes() -> list[tuple[str, str]]:
    table = yaml.safe_load(SHIPPED.read_text())
    return [(str(code), error) for error, meanings in table.items() for code in meanings]


async def test_every_code_of_the_table_is_classed_as_the_table_says(vendor: Vendor) -> None:
    built = provider(vendor)
    assert len(codes()) > 50
    for code, error in codes():
        kind, _, field = code.partition(":")
        fields = {"Fields": [{"Name": field, "Message": f"{TO} {CODE}"}]} if field else {}
        exception = kind.endswith(("Exception", "Signature", "Required", "Unavailable"))
        reply = vendor_aws.refuse(kind, **fields) if exception else vendor_aws.refuse("AnyException", kind)
        vendor.replies.append(reply)
        with pytest.raises(SendError) as caught:
            await built.send(SMS)
        assert (caught.value.error, caught.value.vendor_code, caught.value.ambiguous) == (error, code, False)
    await built.close()


@pytest.mark.parametrize(
    ("reply", "error", "code", "ambiguous"),
    [
        (vendor_aws.refuse("ConflictException", "KEYWORD_MISMATCH"), ErrorClass.REQUEST_BUG, "KEYWORD_MISMATCH", False),
        (vendor_aws.refuse("NewException", "NEW_REASON"), ErrorClass.UNKNOWN, "NEW_REASON", False),
        (vendor_aws.refuse("NewException", status=429), ErrorClass.THROTTLED, "NewException", False),
        (
            vendor_aws.refuse("InternalServerException", status=500),
            ErrorClass.PROVIDER_DOWN,
            "InternalServerException",
            True,
        ),
        (
            Reply(400, b"", {"x-amzn-ErrorType": "ThrottlingException:http://x/"}),
            ErrorClass.THROTTLED,
            "ThrottlingException",
            False,
        ),
        (vendor_aws.refuse("AnyException", f"about {TO}"), ErrorClass.UNKNOWN, "other", False),
        (Reply(503, b"<html>"), ErrorClass.PROVIDER_DOWN, "", True),
        (Reply(403, b""), ErrorClass.PROVIDER_ACCOUNT, "", False),
        (json_reply(400, [1]), ErrorClass.UNKNOWN, "", False),
        (json_reply(400, {"__type": 7, "Reason": {"a": 1}, "Fields": 3}), ErrorClass.UNKNOWN, "other", False),
    ],
)
async def test_a_refusal_is_read_by_its_reason_its_exception_and_its_status(
    vendor: Vendor, reply: Reply, error: ErrorClass, code: str, ambiguous: bool
) -> None:
    refused = await refusal(vendor, reply)
    assert (refused.error, refused.vendor_code, refused.ambiguous) == (error, code, ambiguous)


async def test_the_operator_can_class_a_code_otherwise(vendor: Vendor) -> None:
    reply = vendor_aws.refuse("ConflictException", "DESTINATION_PHONE_NUMBER_OPTED_OUT")
    error = await refusal(vendor, reply, errors={"DESTINATION_PHONE_NUMBER_OPTED_OUT": "content"})
    assert error.error is ErrorClass.CONTENT


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"null", b"[]", b"not json", b'{"MessageId": 7}', b'{"MessageId": "a b"}']
)
async def test_an_acceptance_that_cannot_be_read_may_have_been_one(vendor: Vendor, body: bytes) -> None:
    error = await refusal(vendor, Reply(200, body))
    assert (error.error, error.vendor_code, error.ambiguous) == (ErrorClass.PROVIDER_DOWN, "unreadable", True)


async def test_the_deadline_holds_when_aws_is_silent(vendor: Vendor) -> None:
    async with asyncio.timeout(1):
        error = await refusal(vendor, Reply(broken=Break.SILENCE), timeout=0.2)
    assert (error.vendor_code, error.ambiguous) == ("timeout", True)


async def test_nobody_listening_means_that_nothing_was_sent() -> None:
    async with Vendor(vendor_aws.accept) as gone:
        pass
    built = provider(gone)
    with pytest.raises(SendError) as caught:
        await built.send(SMS)
    assert (caught.value.error, caught.value.ambiguous) == (ErrorClass.PROVIDER_DOWN, False)
    await built.close()


# --- the configuration ---


def fault(**changes: Any) -> str:
    with pytest.raises(ValueError) as caught:
        settings(**changes)
    return json.dumps([error["msg"] for error in caught.value.errors()])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"region": "Ireland"}, "write a region, such as eu-west-1"),
        ({"secret_access_key": None}, "write both access_key_id and secret_access_key, or neither"),
        (
            {"access_key_id": None, "secret_access_key": None},
            "the role's credentials need botocore: install it, or write",
        ),
        (
            {"access_key_id": None, "secret_access_key": None, "session_token": {"env": "X"}},
            "session_token needs access_key_id and secret_access_key",
        ),
        ({"configuration_set": None}, "topic_arn needs configuration_set: only messages that name one have events"),
        ({"topic_arn": "otp-events"}, "write the ARN of the SNS topic"),
        ({"dlt_entity_id": ENTITY}, "write both dlt_entity_id and dlt_template_id, or neither"),
        ({"dlt_entity_id": 1101234567890123456}, "put it in quotes: YAML reads it as a number"),
        ({"max_price": "ten cents"}, "write a price in US dollars with a point"),
        ({"voices": {"fi": "Aino"}}, "Aino: write a voice of SendVoiceMessage, in capitals, such as JOANNA"),
        ({"from_sms": 14155550100}, "put it in quotes: YAML reads it as a number"),
    ],
)
def test_a_fault_in_the_configuration_says_what_to_write(
    changes: dict[str, Any], remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.providers._aws.find_spec", lambda _name: None)
    assert remedy in fault(**changes)


# --- nothing leaks ---


async def everything_logged(vendor: Vendor, built: Aws, caplog: pytest.LogCaptureFixture) -> str:
    """Every record and every error that sends of all kinds leave behind, at the most talkative level."""
    caplog.set_level(logging.DEBUG)
    said = [repr(built), repr(settings())]
    vendor.replies.extend([vendor_aws.refuse("ValidationException", message=f"{TO} {CODE}"), Reply(200, b"<html>")])
    for message in (SMS, SMS, SMS, VOICE):
        try:
            said.append(repr(await built.send(message)))
        except SendError as error:
            said.append(f"{error!r} {error} {error.__cause__!r}")
    assert len(said) == 6
    return "\n".join([*said, *(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)])


def assert_silent(text: str) -> None:
    for secret in (CODE, TO, TO[1:], vendor_aws.SECRET, "tok3n"):
        assert secret not in text


async def test_no_code_number_or_key_is_logged_or_raised(vendor: Vendor, caplog: pytest.LogCaptureFixture) -> None:
    built = provider(vendor)
    assert_silent(await everything_logged(vendor, built, caplog))
    await built.close()


async def test_a_client_that_logs_its_requests_is_noticed(
    vendor: Vendor, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = provider(vendor)
    plain = built._endpoint._transport.request

    async def talkative(method: str, url: str, **rest: Any) -> Any:
        logging.getLogger("aws").debug("sending %s", rest["body"])
        return await plain(method, url, **rest)

    monkeypatch.setattr(built._endpoint._transport, "request", talkative)
    text = await everything_logged(vendor, built, caplog)
    await built.close()
    with pytest.raises(AssertionError):
        assert_silent(text)
