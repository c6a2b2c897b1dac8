"""What the SMTP provider makes of a message, and what it never lets through."""

from __future__ import annotations

import logging
import time
from email import policy
from email.errors import MessageError
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from channels.contract import (
    Callback,
    Channel,
    ErrorClass,
    Message,
    Outcome,
    SendError,
)
from channels.providers import smtp
from tests.vendors.mail import (
    CODE,
    LOGIN,
    Mailbox,
    context,
    letter,
    message,
    provider,
    refusal,
    serving,
    settings,
    times,
)

# --- what is sent ----------------------------------------------------------------------------------------------------


async def test_a_message_arrives_as_one_email_to_one_person() -> None:
    box = Mailbox()
    async with serving(box) as port, provider(port, reply_to="help@shop.example") as mail:
        receipt = await mail.send(message(html=f"<p>Your code is <b>{CODE}</b></p>"))
    sent = letter(box)
    assert box.letters[0].rcpt_tos == ["ana@example.org"]
    assert box.letters[0].mail_from == "no-reply@shop.example"
    assert receipt.message_id == sent["Message-ID"]
    assert receipt.message_id.endswith("@shop.example>")
    assert {name: str(sent[name]) for name in ("From", "To", "Reply-To", "Subject", "Auto-Submitted")} == {
        "From": "Shop <no-reply@shop.example>",
        "To": "ana@example.org",
        "Reply-To": "help@shop.example",
        "Subject": "Your code for Shop",
        "Auto-Submitted": "auto-generated",
    }
    assert sent["Content-Language"] == "en"
    assert abs(sent["Date"].datetime.timestamp() - time.time()) < 60
    plain, html = sent.iter_parts()
    assert sent.get_content_type() == "multipart/alternative"
    assert cast(EmailMessage, plain).get_content().strip() == f"Your code is {CODE}"
    assert cast(EmailMessage, html).get_content().strip() == f"<p>Your code is <b>{CODE}</b></p>"


async def test_text_in_any_script_travels_over_a_seven_bit_server() -> None:
    box = Mailbox()
    text = "رمزك هو 048213\n.\nкод 🔑"
    async with serving(box, enable_SMTPUTF8=False) as port, provider(port) as mail:
        await mail.send(message(text=text, subject="あなたのコード" * 20, language="ar"))
    assert box.letters[0].content is not None
    assert box.letters[0].content.isascii()
    assert letter(box).get_content().replace("\r\n", "\n").strip() == text
    assert letter(box)["Subject"] == "あなたのコード" * 20


async def test_a_sender_for_the_country_overrides_the_settings() -> None:
    box = Mailbox()
    sent = message()
    async with serving(box) as port, provider(port) as mail:
        await mail.send(Message(**{**_fields(sent), "sender": "Tienda <hola@tienda.example>"}))
        bad = await refusal(mail, Message(**{**_fields(sent), "sender": "+34600000000"}))
    assert letter(box)["From"] == "Tienda <hola@tienda.example>"
    assert box.letters[0].mail_from == "hola@tienda.example"
    assert (bad.error, bad.vendor_code) == (ErrorClass.SENDER, "from_address")


def _fields(sent: Message) -> dict[str, Any]:
    return {name: getattr(sent, name) for name in Message.__dataclass_fields__}


async def test_a_non_ascii_address_goes_out_where_the_server_can_carry_it() -> None:
    box = Mailbox()
    async with serving(box) as port, provider(port) as mail:
        await mail.send(message("jörg@example.org"))
    assert box.letters[0].rcpt_tos == ["jörg@example.org"]
    assert "SMTPUTF8" in box.letters[0].mail_options
    assert letter(box)["To"] == "jörg@example.org"


async def test_a_non_ascii_address_is_no_channel_where_the_server_cannot_carry_it() -> None:
    box = Mailbox()
    async with serving(box, enable_SMTPUTF8=False) as port, provider(port) as mail:
        refused = await refusal(mail, message("jörg@example.org"))
        await mail.send(message())
    assert (refused.error, refused.vendor_code, refused.ambiguous) == (ErrorClass.NO_CHANNEL, "smtputf8", False)
    assert (len(box.letters), box.connections) == (1, 1)


# --- injection -------------------------------------------------------------------------------------------------------

HOSTILE = st.one_of(
    st.text(max_size=60),
    st.text(alphabet='\r\n\t\0 .,:;<>@"\\()[]\x0b\x0c\x1c\x85\u2028\u2029\ud800é=?B', max_size=40),
    st.sampled_from(["x\r\nBcc: eve@example.net", "x\nBcc: eve@example.net", "x\n", "x\r", "=?utf-8?q?x=0ABcc:_eve?="]),
    st.builds(
        "=?{}?{}?{}?=".format,
        st.sampled_from(["utf-8", "ascii", ""]),
        st.sampled_from("qQbB"),
        st.text("=0AaDd_?", max_size=12),
    ),
)
HEADERS = {"from", "to", "subject", "content-language", "message-id", "auto-submitted", "date"} | {
    "mime-version",
    "content-type",
    "content-transfer-encoding",
}


def compose_or_refuse(to: str, subject: str, language: str, text: str) -> bytes:
    try:
        return smtp.compose(message(to, subject=subject, language=language, text=text), settings()).content
    except SendError:
        return b""


def header_names(content: bytes) -> list[str]:
    """By a parser of our own: what stands before each colon, folded lines aside, up to the first empty line."""
    head = content.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in head)
    return [line.partition(b":")[0].decode().lower() for line in head if line[:1] not in (b" ", b"\t")]


def injected(content: bytes) -> bool:
    try:
        names = header_names(content)
    except AssertionError:
        return True
    return sorted(names) != sorted(HEADERS)


@given(to=HOSTILE, subject=HOSTILE, language=HOSTILE, text=HOSTILE)
@example(to="ana@example.org", subject="x\n", language="en", text="x")
@example(to="ana@example.org", subject="x", language="en\r", text="x")
@example(to="=??Q?=0A", subject="x", language="en", text="x")
@example(to="ana@example.org", subject="=?utf-8?q?x=0ABcc:_eve@example.net?=", language="en", text="x")
@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_value_adds_a_header_or_ends_the_headers(to: str, subject: str, language: str, text: str) -> None:
    for content in (
        compose_or_refuse(to, subject, language, text),
        compose_or_refuse("ana@example.org", subject, "en", text),
        compose_or_refuse(f"{to}@example.org", "Your code", "en", "text"),
    ):
        assert not content or not injected(content)


@pytest.mark.parametrize("subject", ["x\n", "=?utf-8?q?x=0A?="])
def test_without_our_checks_a_line_break_gets_past_an_older_standard_library(
    subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "_BREAKS", smtp.re.compile("(?!)"))
    monkeypatch.setattr(smtp, "_sound", EmailMessage.as_bytes)
    try:
        passed = injected(compose_or_refuse("ana@example.org", subject, "en", "x"))
    except MessageError:
        passed = False
    assert passed or hasattr(policy.SMTP, "verify_generated_headers")


@pytest.mark.parametrize(
    "to",
    [
        "",
        "ana",
        "ana@",
        "@example.org",
        "ana@example.org\r\nDATA",
        "ana@example.org\n",
        "ana@a@b",
        "ana@example.org>, <eve@example.net",
        "ana@example.org SIZE=1",
        '"a b"@example.org',
        "ana@[192.0.2.1]",
        "ana\u2028@example.org",
        "=?utf-8?q?=0A?=@example.org",
        "a,eve@example.org",
        f"{'a' * 65}@example.org",
    ],
)
def test_an_address_that_could_mean_two_people_is_refused(to: str) -> None:
    with pytest.raises(SendError) as caught:
        smtp.compose(message(to), settings())
    assert (caught.value.error, caught.value.vendor_code) == (ErrorClass.BAD_DESTINATION, "address")


# --- silence ---------------------------------------------------------------------------------------------------------


async def test_nothing_is_logged_and_no_error_tells_the_address_or_the_code(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    box = Mailbox(on={"RCPT": times(1, f"550 5.1.1 <ana@example.org> unknown {CODE}")})
    async with serving(box) as port, provider(port) as mail:
        refused = await refusal(mail, message())
        await mail.send(message())
        shown = [str(refused), repr(refused), repr(mail), repr(smtp.compose(message(), settings()))]
    assert refused.__context__ is None
    assert refused.__cause__ is None
    assert [record for record in caplog.records if not record.name.startswith("mail.")] == []  # that is the server
    assert not any("ana@" in text or CODE in text for text in shown)


async def test_mail_servers_call_nobody_back() -> None:
    async with provider(25) as mail:
        assert mail.read(Callback("POST", "https://otp.example/callbacks/mail/t", {}, b"x")) == Outcome()
        assert mail.answer(None).status == 404
        assert mail.channels == {Channel.EMAIL}


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"base_url": "http://127.0.0.1"}, "write an address like smtp://mail.example.org:587"),
        ({"username": "gateway"}, "write both username and password, or neither"),
        ({"password": {"env": "X"}}, "write both username and password, or neither"),
        (LOGIN, "security none would send the password in the clear"),
        ({"from_address": "a@x.example, b@x.example"}, "write one address, like"),
        ({"from_address": "Shop"}, "write one address, like"),
        ({"from_address": "a@x.example\n"}, "write one address, like"),
        ({"from_address": "jörg@x.example"}, "write the sender's address in ASCII"),
        ({"reply_to": "nobody"}, "write one address, like"),
        ({"message_id_domain": "a>b"}, "write a domain, such as shop.example"),
        ({"local_hostname": "a b"}, "write this host's full name"),
        ({"port": 0}, "greater than or equal to 1"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_the_remedy(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        settings(**keys)


def test_a_base_url_stands_in_for_host_and_port() -> None:
    assert settings(2525).server == ("127.0.0.1", 2525)
    assert settings(2525, base_url="smtp://mail.test:2526").server == ("mail.test", 2526)
    assert settings(base_url="smtp://mail.test", port=None).server == ("mail.test", 25)


def test_production_refuses_plain_text_unless_the_operator_says_so() -> None:
    with pytest.raises(ValueError, match=r"providers\.mail: security none sends codes in the clear"):
        smtp.build(settings(), context(production=True))
    assert smtp.build(settings(allow_plaintext=True), context(production=True)).channels == {Channel.EMAIL}


def test_a_ca_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")
    for name in ("absent.pem", "ca.pem"):
        with pytest.raises(ValueError, match=r"providers\.mail: ca_file can't be read as PEM certificates"):
            smtp.build(settings(security="tls", ca_file=tmp_path / name), context())


def test_the_docs_name_every_setting() -> None:
    page = (Path(__file__).parents[2] / "docs" / "providers" / "smtp.md").read_text(encoding="utf-8")
    missing = {name for name in smtp.Settings.model_fields if f"`{name}`" not in page}
    assert missing == {"type", "enabled"}  # every provider has those
