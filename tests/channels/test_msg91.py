"""MSG91: what goes over the wire, what its answers mean, and what its reports say."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from channels.contract import (
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
    ReportKind,
    SendError,
    Wording,
)
from channels.providers.msg91 import BATCH, Msg91, Settings, build
from tests.vendors import msg91 as vendor_msg91
from tests.vendors.msg91 import REQUEST, TEMPLATE, TEMPLATE_HI, entry, refuse, version_2, version_3
from tests.vendors.server import Break, Reply, Vendor, json_reply

CODE = "482913"
TO = "+919812345678"
SECRETS = {"authkey": vendor_msg91.AUTHKEY, "webhook_secret": "the-webhooks-secret"}
SHIPPED = Path("channels/providers/errors/msg91.yaml")

SMS = Message(
    channel=Channel.SMS,
    to=TO,
    code=CODE,
    wording=Wording(f"{CODE} is your code", "en"),
    reference="att_1",
    lifetime=600,
    callback_url="https://otp.example/callbacks/main/tok3n",
    token="tok3n",
    country="IN",
)


def settings(**changes: Any) -> Settings:
    content = {"type": "msg91", "authkey": {"env": "MSG91_AUTHKEY"}, "template_id": TEMPLATE, "timeout": 2.0}
    return Settings.model_validate({**content, **changes})


def provider(vendor: Vendor | None = None, **changes: Any) -> Msg91:
    built = settings(base_url=vendor.base_url if vendor else "http://127.0.0.1:9", **changes)
    secrets = SECRETS if built.webhook_secret else {"authkey": SECRETS["authkey"]}
    return build(built, Context("main", "otp-gateway/test", production=False, secrets=secrets))


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with Vendor(vendor_msg91.accept) as vendor:
        yield vendor


async def sent(vendor: Vendor, message: Message, **changes: Any) -> dict[str, Any]:
    """The request that one message makes."""
    built = provider(vendor, **changes)
    assert (await built.send(message)).message_id == REQUEST
    await built.close()
    content: dict[str, Any] = vendor.received[-1].json
    return content


async def refusal(vendor: Vendor, reply: Reply, **changes: Any) -> SendError:
    vendor.replies.append(reply)
    built = provider(vendor, **changes)
    with pytest.raises(SendError) as caught:
        await built.send(SMS)
    await built.close()
    return caught.value


# --- what goes over the wire ---


async def test_an_sms_is_a_template_with_the_code_and_our_token(vendor: Vendor) -> None:
    content = await sent(vendor, SMS)
    request = vendor.received[0]
    assert content == {
        "template_id": TEMPLATE,
        "short_url": "0",
        "recipients": [{"mobiles": "919812345678", "VAR1": CODE, "CRQID": "tok3n"}],
    }
    assert (request.method, request.path) == ("POST", "/api/v5/flow/")
    assert request.headers["authkey"] == vendor_msg91.AUTHKEY
    assert request.headers["content-type"] == "application/json"


async def test_variables_senders_and_languages_are_the_templates(vendor: Vendor) -> None:
    names = {
        "code_variable": "otp",
        "minutes_variable": "mins",
        "sender": "ACMEIN",
        "template_ids": {"hi": TEMPLATE_HI},
    }
    hindi = replace(SMS, wording=replace(SMS.wording, language="hi-IN"))
    content = await sent(vendor, hindi, **names)
    assert content["template_id"] == TEMPLATE_HI
    assert content["recipients"] == [{"mobiles": "919812345678", "otp": CODE, "mins": "10", "CRQID": "tok3n"}]
    assert content["sender"] == "ACMEIN"
    assert (await sent(vendor, replace(hindi, sender="ACMEUS"), **names))["sender"] == "ACMEUS"


async def test_another_channel_is_our_mistake(vendor: Vendor) -> None:
    built = provider(vendor)
    with pytest.raises(SendError, match="channel_not_configured"):
        await built.send(replace(SMS, channel=Channel.VOICE))
    assert built.answer(None).status == 404
    assert vendor.received == []


# --- what its answers mean ---


def codes() -> list[tuple[str, str]]:
    table = yaml.safe_load(SHIPPED.read_text())
    return [(str(code), error) for error, meanings in table.items() for code in meanings]


@pytest.mark.parametrize("status", [200, 400])
async def test_every_code_of_the_table_is_classed_as_the_table_says(vendor: Vendor, status: int) -> None:
    built = provider(vendor)
    found = [(code, error) for code, error in codes() if len(code) == 3]
    assert len(found) > 40
    for code, error in found:
        vendor.replies.append(refuse(f"{TO} {CODE}", code, status))
        with pytest.raises(SendError) as caught:
            await built.send(SMS)
        assert (caught.value.error, caught.value.vendor_code, caught.value.ambiguous) == (error, code, False)
    await built.close()


@pytest.mark.parametrize(
    ("words", "error", "code"),
    [
        ("flow id missing", ErrorClass.CONTENT, "template"),
        ("Template ID Missing or Invalid Template", ErrorClass.CONTENT, "template"),
        ("Invalid authkey", ErrorClass.PROVIDER_ACCOUNT, "207"),
        ("IP not whitelisted", ErrorClass.PROVIDER_ACCOUNT, "418"),
        ("DND number", ErrorClass.SENDER, "9"),
        ("Sender ID not approved", ErrorClass.SENDER, "203"),
        ("Insufficient balance to send SMS", ErrorClass.PROVIDER_ACCOUNT, "301"),
        ("Invalid mobile number", ErrorClass.BAD_DESTINATION, "202"),
        ("Invalid sender ID", ErrorClass.SENDER, "203"),
        (f"who is {TO}?", ErrorClass.UNKNOWN, ""),
    ],
)
async def test_an_error_in_words_is_classed_by_them(vendor: Vendor, words: str, error: ErrorClass, code: str) -> None:
    refused = await refusal(vendor, refuse(words))
    assert (refused.error, refused.vendor_code, refused.ambiguous) == (error, code, False)


@pytest.mark.parametrize(
    "reply",
    [refuse("x", "311"), refuse("Request discarded because same request was generated twice within 10 seconds")],
)
async def test_a_request_that_was_dropped_as_a_repetition_counts_as_sent(vendor: Vendor, reply: Reply) -> None:
    vendor.replies.append(reply)
    built = provider(vendor)
    assert await built.send(SMS) == Receipt()
    await built.close()


@pytest.mark.parametrize(
    ("reply", "error", "code", "ambiguous"),
    [
        (Reply(200, b""), ErrorClass.PROVIDER_DOWN, "unreadable", True),
        (Reply(200, b"<html>"), ErrorClass.PROVIDER_DOWN, "unreadable", True),
        (json_reply(200, [1]), ErrorClass.PROVIDER_DOWN, "unreadable", True),
        (json_reply(200, {"type": 7, "message": 7, "code": [7]}), ErrorClass.UNKNOWN, "other", False),
        (json_reply(401, {"type": "success", "message": REQUEST}), ErrorClass.PROVIDER_ACCOUNT, "", False),
        (Reply(401, b""), ErrorClass.PROVIDER_ACCOUNT, "", False),
        (Reply(502, b"<html>"), ErrorClass.PROVIDER_DOWN, "", True),
        (Reply(200, broken=Break.RESET), ErrorClass.PROVIDER_DOWN, "reset", True),
    ],
)
async def test_what_is_no_answer_is_read_by_its_status(
    vendor: Vendor, reply: Reply, error: ErrorClass, code: str, ambiguous: bool
) -> None:
    refused = await refusal(vendor, reply)
    assert (refused.error, refused.vendor_code, refused.ambiguous) == (error, code, ambiguous)


async def test_too_many_requests_says_how_long_to_stay_away(vendor: Vendor) -> None:
    error = await refusal(vendor, Reply(429, b"", {"Retry-After": "7"}))
    assert (error.error, error.retry_after, error.ambiguous) == (ErrorClass.THROTTLED, 7.0, False)


async def test_the_operator_can_class_a_code_otherwise(vendor: Vendor) -> None:
    assert (await refusal(vendor, refuse("x", "202"), errors={"202": "content"})).error is ErrorClass.CONTENT


async def test_the_deadline_holds_when_msg91_is_silent(vendor: Vendor) -> None:
    async with asyncio.timeout(1):
        error = await refusal(vendor, Reply(broken=Break.SILENCE), timeout=0.2)
    assert (error.vendor_code, error.ambiguous) == ("timeout", True)


# --- reports ---


@pytest.mark.parametrize("version", [version_2, version_3])
def test_a_delivery_is_reported_with_its_token_and_its_price(version: Callable[..., Callback]) -> None:
    assert provider().read(version(entry("1"))).reports == (
        DeliveryReport(ReportKind.DELIVERED, None, "1", REQUEST, Cost(10_000, "INR"), "tok3n"),
    )


@pytest.mark.parametrize("version", [version_2, version_3])
def test_every_status_of_the_table_is_classed_as_the_table_says(version: Callable[..., Callback]) -> None:
    statuses = [(code, error) for code, error in codes() if len(code) < 3]
    assert len(statuses) == 5
    for status, error in statuses:
        (found,) = provider().read(version(entry(status))).reports
        assert (found.kind, found.error, found.vendor_code) == (ReportKind.FAILED, error, status)


def test_an_unknown_status_is_no_news() -> None:
    (found,) = provider().read(version_3({**entry("8"), "status": 8})).reports
    assert (found.kind, found.error) == (ReportKind.PROGRESS, None)


def test_one_request_reports_many_messages_each_with_its_token() -> None:
    found = provider().read(version_2(entry("1", "a"), entry("2", "b"), entry("1", "c"))).reports
    assert [(report.token, report.kind) for report in found] == [
        ("a", ReportKind.DELIVERED),
        ("b", ReportKind.FAILED),
        ("c", ReportKind.DELIVERED),
    ]


def test_no_more_than_a_thousand_are_read_from_one_request() -> None:
    assert len(provider().read(version_2(*[entry("1")] * (BATCH + 1))).reports) == BATCH


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"data=",
        b"data=7",
        b"data=" + b"[" * 60_000,
        b"data=[7]",
        b'data=[{"report": 7}]',
        b'data=[{"report": [7]}]',
        b"[1]",
        b"null",
        b"\xff\xfe",
        b"&".join([b"a=1"] * 500),
        b'{"status": "1"}',
        b'{"status": "1", "CRQID": 7}',
        b'{"status": {"a": 1}, "CRQID": "tok3n"}',
        b'{"status": "' + TO.encode() + b'", "CRQID": "tok3n"}',
    ],
)
def test_what_can_not_be_read_is_no_report(body: bytes) -> None:
    assert provider().read(Callback("POST", vendor_msg91.URL, {}, body)) == Outcome()


def test_odd_fields_do_no_harm() -> None:
    (found,) = provider().read(version_2(entry("1", amount="?", requestId="\n" * 30))).reports
    assert (found.cost, found.message_id, found.token) == (None, "", "tok3n")


WITH_SECRET = {"webhook_secret": {"env": "MSG91_WEBHOOK_SECRET"}}


def test_with_a_secret_only_a_request_that_has_it_is_read() -> None:
    strict = provider(**WITH_SECRET)
    assert strict.read(version_2(entry("1"), X_Webhook_Secret="the-webhooks-secret")).reports
    for guess in ("", "the-webhooks-secret2", "THE-WEBHOOKS-SECRET", "é" * 19):
        with pytest.raises(Forged):
            strict.read(version_2(entry("1"), X_Webhook_Secret=guess))
    with pytest.raises(Forged):
        strict.read(version_2(entry("1")))


def test_without_one_the_token_alone_decides_and_a_stranger_has_none() -> None:
    (found,) = provider().read(version_2(entry("2", token="0"))).reports
    assert found.token == "0", "the reports' service drops it, as it drops every token that it did not make"


# --- the configuration ---


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"template_id": "1107654321098765432"}, "write the template's id as MSG91's panel shows it"),
        ({"template_id": 1107654321098765432}, "put it in quotes: YAML reads it as a number"),
        ({"code_variable": "##VAR1##"}, "write the variable's name as the template has it, without ##"),
        ({"minutes_variable": "VAR1"}, "code_variable and minutes_variable are the same: the code would be lost"),
        ({"currency": "rupees"}, "write a currency's code, such as INR"),
        ({"sender": "A"}, "write the registered header, such as ACMEIN"),
    ],
)
def test_a_fault_in_the_configuration_says_what_to_write(changes: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError) as caught:
        settings(**changes)
    assert remedy in json.dumps([error["msg"] for error in caught.value.errors()])  # type: ignore[attr-defined]


# --- nothing leaks ---


async def everything_logged(vendor: Vendor, built: Msg91, caplog: pytest.LogCaptureFixture) -> str:
    """Every record and every error that sends of all kinds leave behind, at the most talkative level."""
    caplog.set_level(logging.DEBUG)
    said = [repr(built), repr(settings())]
    vendor.replies.extend([refuse(f"{TO} {CODE}", f"{TO}"), Reply(200, b"<html>")])
    for _ in range(3):
        try:
            said.append(repr(await built.send(SMS)))
        except SendError as error:
            said.append(f"{error!r} {error} {error.__cause__!r}")
    said.append(repr(built.read(version_2(entry("2", number=TO)))))
    return "\n".join([*said, *(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)])


def assert_silent(text: str) -> None:
    for secret in (CODE, TO, TO[1:], vendor_msg91.AUTHKEY, "tok3n"):
        assert secret not in text


async def test_no_code_number_or_key_is_logged_or_raised(vendor: Vendor, caplog: pytest.LogCaptureFixture) -> None:
    built = provider(vendor)
    assert_silent(await everything_logged(vendor, built, caplog))
    await built.close()


async def test_a_client_that_logs_its_requests_is_noticed(
    vendor: Vendor, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = provider(vendor)
    plain = built._transport.request

    async def talkative(method: str, url: str, **rest: Any) -> Any:
        logging.getLogger("msg91").debug("sending %s", rest["body"])
        return await plain(method, url, **rest)

    monkeypatch.setattr(built._transport, "request", talkative)
    text = await everything_logged(vendor, built, caplog)
    await built.close()
    with pytest.raises(AssertionError):
        assert_silent(text)
