"""Meta's WhatsApp Cloud API: what goes over the wire, and what its answers mean."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from channels.contract import Channel, Context, ErrorClass, Message, Receipt, SendError, Wording
from channels.providers.meta import Meta, Settings, build
from tests.vendors import meta as vendor_meta
from tests.vendors.server import Break, Reply, Vendor, json_reply

CODE = "482913"
TO = f"+{vendor_meta.NUMBER}"
SHIPPED = Path("channels/providers/errors/meta.yaml")
SECRETS = {
    "access_token": vendor_meta.ACCESS_TOKEN,
    "app_secret": vendor_meta.APP_SECRET,
    "verify_token": vendor_meta.VERIFY_TOKEN,
}

MESSAGE = Message(
    channel=Channel.WHATSAPP,
    to=TO,
    code=CODE,
    wording=Wording(f"{CODE} is your code", "en"),
    reference="ver_1.1",
    lifetime=600,
    callback_url="https://otp.example/callbacks/wa/tok3n",
    token="tok3n",
    country="US",
)


def settings(**changes: Any) -> Settings:
    content = {
        "type": "meta",
        "phone_number_id": vendor_meta.PHONE_ID,
        "access_token": {"env": "A"},
        "app_secret": {"env": "B"},
        "verify_token": {"env": "C"},
        "template": "login_code",
        "languages": ["en_US", "pt_BR", "es", "en_GB", "zh_CN", "zh_TW"],
        "timeout": 2.0,
    }
    return Settings.model_validate({**content, **changes})


def provider(vendor: Vendor, **changes: Any) -> Meta:
    context = Context("wa", "otp-gateway/test", production=True, secrets=SECRETS)
    return build(settings(base_url=vendor.base_url, **changes), context)


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with Vendor(vendor_meta.accept) as vendor:
        yield vendor


@pytest.fixture
async def meta(vendor: Vendor) -> AsyncIterator[Meta]:
    built = provider(vendor)
    yield built
    await built.close()


async def refusal(meta: Meta, vendor: Vendor, reply: Reply, message: Message = MESSAGE) -> SendError:
    vendor.replies.append(reply)
    with pytest.raises(SendError) as caught:
        await meta.send(message)
    return caught.value


# --- what goes over the wire ---


async def test_a_code_is_sent_as_a_template_with_the_code_in_its_body_and_in_its_button(
    vendor: Vendor, meta: Meta
) -> None:
    await meta.send(MESSAGE)
    request = vendor.received[0]
    assert (request.method, request.path) == ("POST", f"/v23.0/{vendor_meta.PHONE_ID}/messages")
    assert request.headers["authorization"] == f"Bearer {vendor_meta.ACCESS_TOKEN}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == "otp-gateway/test"
    code = [{"type": "text", "text": CODE}]
    assert request.json == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": TO,
        "type": "template",
        "template": {
            "name": "login_code",
            "language": {"code": "en_US"},
            "components": [
                {"type": "body", "parameters": code},
                {"type": "button", "sub_type": "url", "index": "0", "parameters": code},
            ],
        },
        "biz_opaque_callback_data": "tok3n",
    }


async def test_the_id_that_spells_out_the_number_goes_no_further(meta: Meta) -> None:
    wamid = vendor_meta.wamid().removeprefix("wamid.")
    assert vendor_meta.NUMBER.encode() in base64.b64decode(wamid)
    assert await meta.send(MESSAGE) == Receipt()


@pytest.mark.parametrize(
    ("language", "sent"),
    [
        ("en", "en_US"),
        ("en-GB", "en_GB"),
        ("en-AU", "en_US"),
        ("pt", "pt_BR"),
        ("pt-BR", "pt_BR"),
        ("es-MX", "es"),
        ("zh", "zh_CN"),
        ("zh-Hant", "zh_TW"),
        ("fr", "en_US"),
        ("", "en_US"),
    ],
)
async def test_the_language_is_the_nearest_that_the_template_is_approved_in(
    vendor: Vendor, meta: Meta, language: str, sent: str
) -> None:
    await meta.send(replace(MESSAGE, wording=replace(MESSAGE.wording, language=language)))
    assert vendor.received[0].json["template"]["language"] == {"code": sent}


async def test_a_countrys_own_sender_is_another_phone_number_id(vendor: Vendor, meta: Meta) -> None:
    await meta.send(replace(MESSAGE, sender="205540352242999"))
    assert vendor.received[0].path == "/v23.0/205540352242999/messages"


@pytest.mark.parametrize("sender", ["+14155550100", "1/../../me", "１２３４５６", "123456\n"])
async def test_a_sender_that_is_no_id_never_becomes_part_of_an_address(vendor: Vendor, meta: Meta, sender: str) -> None:
    with pytest.raises(SendError) as caught:
        await meta.send(replace(MESSAGE, sender=sender))
    assert (caught.value.error, caught.value.vendor_code) == (ErrorClass.SENDER, "phone_number_id")
    assert vendor.received == []


async def test_another_channel_is_our_mistake(vendor: Vendor, meta: Meta) -> None:
    with pytest.raises(SendError) as caught:
        await meta.send(replace(MESSAGE, channel=Channel.SMS))
    assert caught.value.error is ErrorClass.REQUEST_BUG
    assert vendor.received == []


# --- what its answers mean ---


def codes() -> list[tuple[str, str]]:
    table = yaml.safe_load(SHIPPED.read_text())
    return [(str(code), error) for error, meanings in table.items() for code in meanings]


async def test_every_code_of_the_table_is_classed_as_the_table_says(vendor: Vendor, meta: Meta) -> None:
    assert len(codes()) > 35
    for code, error in codes():
        said = await refusal(meta, vendor, vendor_meta.refuse(400, int(code), f"{TO} {CODE}"))
        assert (said.error, said.vendor_code, said.ambiguous) == (error, code, False)


def test_every_code_of_the_table_means_the_same_in_a_report(meta: Meta) -> None:
    for code, error in codes():
        raw = vendor_meta.body(vendor_meta.status("failed", code=int(code)))
        (report,) = meta.read(vendor_meta.callback(raw)).reports
        assert (report.error, report.vendor_code) == (error, code)


def test_each_code_stands_in_the_file_once() -> None:
    lines = [line.split(":")[0].strip() for line in SHIPPED.read_text().splitlines() if line.startswith("  ")]
    found = [line for line in lines if line.isdigit()]
    assert len(found) == len(set(found)) == len(codes())


@pytest.mark.parametrize("code", [200, 210, 299])
async def test_all_permissions_from_200_to_299_are_one(vendor: Vendor, meta: Meta, code: int) -> None:
    said = await refusal(meta, vendor, vendor_meta.refuse(400, code))
    assert (said.error, said.vendor_code) == (ErrorClass.PROVIDER_ACCOUNT, str(code))


async def test_the_operator_can_class_a_code_otherwise(vendor: Vendor) -> None:
    own = provider(vendor, errors={"131026": "temporary", "210": "content"})
    assert (await refusal(own, vendor, vendor_meta.refuse(400, 131026))).error is ErrorClass.TEMPORARY
    assert (await refusal(own, vendor, vendor_meta.refuse(400, 210))).error is ErrorClass.CONTENT
    await own.close()


@pytest.mark.parametrize(
    ("reply", "error", "code", "ambiguous"),
    [
        (vendor_meta.refuse(400, 999999), ErrorClass.UNKNOWN, "999999", False),
        (vendor_meta.refuse(400, 999999, is_transient=True), ErrorClass.PROVIDER_DOWN, "999999", False),
        (vendor_meta.refuse(400, 100, is_transient=True), ErrorClass.PROVIDER_DOWN, "100", False),
        (vendor_meta.refuse(400, 131026, is_transient=True), ErrorClass.NO_CHANNEL, "131026", False),
        (vendor_meta.refuse(401, None), ErrorClass.PROVIDER_ACCOUNT, "", False),
        (vendor_meta.refuse(500, 131000), ErrorClass.PROVIDER_DOWN, "131000", True),
        (vendor_meta.refuse(400, f"bad {TO}"), ErrorClass.UNKNOWN, "other", False),
        (vendor_meta.refuse(400, {"a": 1}), ErrorClass.UNKNOWN, "other", False),
        (json_reply(400, {"error": "no"}), ErrorClass.UNKNOWN, "", False),
        (Reply(502, b"<html>Bad gateway</html>"), ErrorClass.PROVIDER_DOWN, "", True),
        (Reply(301, b"", {"Location": "/x"}), ErrorClass.REQUEST_BUG, "", False),
        (Reply(400, b"[" * 60_000), ErrorClass.UNKNOWN, "", False),
        (Reply(200, b""), ErrorClass.PROVIDER_DOWN, "unreadable", True),
        (json_reply(200, {"messages": []}), ErrorClass.PROVIDER_DOWN, "unreadable", True),
        (json_reply(200, {"messages": [{"id": 7}, None]}), ErrorClass.PROVIDER_DOWN, "unreadable", True),
        (Reply(200, b"0123456789", broken=Break.MIDWAY), ErrorClass.PROVIDER_DOWN, "cut_off", True),
    ],
)
async def test_an_answer_that_is_no_acceptance_is_read_for_what_it_is(
    vendor: Vendor, meta: Meta, reply: Reply, error: ErrorClass, code: str, ambiguous: bool
) -> None:
    said = await refusal(meta, vendor, reply)
    assert (said.error, said.vendor_code, said.ambiguous) == (error, code, ambiguous)


async def test_the_deadline_holds_when_meta_is_silent(vendor: Vendor) -> None:
    hasty = provider(vendor, timeout=0.2)
    async with asyncio.timeout(1):
        said = await refusal(hasty, vendor, Reply(broken=Break.SILENCE))
    assert (said.vendor_code, said.ambiguous) == ("timeout", True)
    await hasty.close()


# --- nothing leaks ---


async def everything_logged(vendor: Vendor, meta: Meta, caplog: pytest.LogCaptureFixture) -> str:
    caplog.set_level(logging.DEBUG)
    said = []
    vendor.replies.extend([vendor_meta.refuse(400, 131026, f"{TO} {CODE}"), Reply(200, b"<html>")])
    for _ in range(3):
        try:
            said.append(repr(await meta.send(MESSAGE)))
        except SendError as error:
            said.append(f"{error!r} {error} {error.__cause__!r}")
    raw = vendor_meta.body(vendor_meta.status("failed", code=131026))
    said.append(repr(meta.read(vendor_meta.callback(raw))))
    assert len(said) == 4
    return "\n".join([*said, *(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)])


def assert_silent(text: str) -> None:
    for secret in (CODE, vendor_meta.NUMBER, vendor_meta.wamid(), "tok3n", *SECRETS.values()):
        assert secret not in text


async def test_no_code_number_token_or_key_is_logged_or_raised(
    vendor: Vendor, meta: Meta, caplog: pytest.LogCaptureFixture
) -> None:
    assert_silent(await everything_logged(vendor, meta, caplog))


async def test_a_client_that_logs_its_requests_is_noticed(
    vendor: Vendor, meta: Meta, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = meta._transport.request

    async def talkative(method: str, url: str, **rest: Any) -> Any:
        logging.getLogger("meta").debug("sending %s", rest["body"])
        return await plain(method, url, **rest)

    monkeypatch.setattr(meta._transport, "request", talkative)
    text = await everything_logged(vendor, meta, caplog)
    with pytest.raises(AssertionError):
        assert_silent(text)


def test_neither_the_provider_nor_its_settings_show_a_secret(meta: Meta) -> None:
    assert_silent(f"{meta!r} {settings()!r} {MESSAGE!r}")


# --- the configuration ---


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"phone_number_id": 106540352242922}, "put it in quotes: YAML reads it as a number"),
        (
            {"phone_number_id": "+14155550100"},
            "write the phone number ID, digits only: WhatsApp Manager, API Setup; not the number itself",
        ),
        ({"languages": []}, "at least 1 item"),
        ({"languages": ["pt-BR"]}, "write it with an underscore, such as en or pt_BR"),
        ({"template": "Login code"}, "write its name as Meta does: small letters, digits and underscores"),
        ({"access_token": "in the clear"}, "SecretRef"),
    ],
)
def test_a_fault_in_the_configuration_says_what_to_write(changes: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy.replace("+", r"\+")):
        settings(**changes)


def test_the_page_in_the_documentation_names_every_setting() -> None:
    page = Path("docs/providers/meta.md").read_text(encoding="utf-8")
    missing = {name for name in Settings.model_fields if f"`{name}`" not in page}
    assert missing <= {"type", "enabled"}  # every provider has those
