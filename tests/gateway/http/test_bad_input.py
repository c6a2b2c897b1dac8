"""Bad input is a client's mistake: named, never a 5xx, and it costs neither an attempt nor a message."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_core import from_json

from channels.wording.brief import Brief
from gateway.http import body
from gateway.http.models import StartRequest
from gateway.http.problems import MOST_ERRORS, Problem
from tests.gateway.http.conftest import Api, listening
from tests.support.world import PHONE, World

TO: dict[str, Any] = {"phone": PHONE}
LINK = "it looks like a domain name or an address: leave it out, or put a space after the dot"
HOST = "write the bare host name in ASCII, such as shop.example: no scheme, port or path"
OBJECT, STRING, UNKNOWN = "write a JSON object", "write a string", "there is no field of that name"
NUMBER = "write it as a string: leading zeros are lost in a number"
CHANNEL = "write one of sms, voice, whatsapp, telegram, email"
IP = "not an IP address: write one such as 203.0.113.7 or 2001:db8::1, without a port"

STARTS: list[tuple[object, str, str]] = [
    ([], "", OBJECT),
    ("x", "", OBJECT),
    (b"null", "", OBJECT),
    (7, "", OBJECT),
    ({}, "/to", "it is missing"),
    ({"to": None}, "/to", OBJECT),
    ({"to": PHONE}, "/to", OBJECT),
    ({"to": {}}, "/to", "write a phone, an email, or both"),
    ({"to": {"phone": None, "email": None}}, "/to", "write a phone, an email, or both"),
    ({"to": {"phone": 14155550123}}, "/to/phone", NUMBER),
    ({"to": {"phone": True}}, "/to/phone", STRING),
    ({"to": {"phone": [PHONE]}}, "/to/phone", STRING),
    ({"to": {"phone": "+1" * 40}}, "/to/phone", "at most 64 characters"),
    ({"to": {"email": "a" * 400}}, "/to/email", "at most 320 characters"),
    ({"to": {**TO, "fax": "1"}}, "/to/fax", UNKNOWN),
    ({"to": TO, "channel": "sms"}, "/channel", UNKNOWN),
    ({"to": TO, PHONE: "x"}, "", UNKNOWN),
    ({"to": TO, "x14155550123": "x"}, "", UNKNOWN),
    ({"to": TO, "purpose": "Login"}, "/purpose", "begin with a lower-case letter; then up to 63 of a-z, 0-9, _ and -"),
    (
        {"to": TO, "purpose": "login\n"},
        "/purpose",
        "begin with a lower-case letter; then up to 63 of a-z, 0-9, _ and -",
    ),
    ({"to": TO, "purpose": None}, "/purpose", STRING),
    ({"to": TO, "channels": "sms"}, "/channels", "write an array"),
    ({"to": TO, "channels": []}, "/channels", "at least 1 entries"),
    ({"to": TO, "channels": ["sms", "sms"]}, "/channels", "name each channel once"),
    ({"to": TO, "channels": ["fax"]}, "/channels/0", CHANNEL),
    ({"to": TO, "channels": ["SMS"]}, "/channels/0", CHANNEL),
    (
        {"to": TO, "locale": "pt BR"},
        "/locale",
        "write a language tag of at most 35 characters, such as en or pt-BR",
    ),
    ({"to": TO, "locale": "en-" + "abcdefgh-" * 4 + "a"}, "/locale", "at most 35 characters"),
    ({"to": TO, "code": 123456}, "/code", NUMBER),
    ({"to": TO, "code": "123"}, "/code", "write 4 to 10 ASCII digits or letters"),
    ({"to": TO, "code": "12345678901"}, "/code", "write 4 to 10 ASCII digits or letters"),
    ({"to": TO, "code": "1234 56"}, "/code", "write 4 to 10 ASCII digits or letters"),
    ({"to": TO, "code": "123456\n"}, "/code", "write 4 to 10 ASCII digits or letters"),
    ({"to": TO, "code": "١٢٣٤٥٦"}, "/code", "write 4 to 10 ASCII digits or letters"),
    ({"to": TO, "code": "１２３４５６"}, "/code", "write 4 to 10 ASCII digits or letters"),
    ({"to": TO, "context": {"payee": "see evil.tk"}}, "/context/payee", LINK),
    ({"to": TO, "context": {"payee": "http://a"}}, "/context/payee", "it looks like a link: leave the address out"),
    ({"to": TO, "context": {"payee": "x" * 41}}, "/context/payee", "it has 41 characters: at most 40 are shown"),
    ({"to": TO, "context": {"payee": ""}}, "/context/payee", "it is empty: write something to show"),
    ({"to": TO, "context": {"payee": 12}}, "/context/payee", NUMBER),
    (
        {"to": TO, "context": {"payee": "a\u202eb"}},
        "/context/payee",
        "it has the invisible or control character U+202E: take it out",
    ),
    (
        {"to": TO, "context": {"payee": "a\nb"}},
        "/context/payee",
        "it has the invisible or control character U+000A: take it out",
    ),
    ({"to": TO, "context": {"evil.tk": "x"}}, "/context/evil.tk", f"its name: {LINK}"),
    ({"to": TO, "context": {f"k{n}": "x" for n in range(9)}}, "/context", "at most 8 entries"),
    ({"to": TO, "client": {"ip": "203.0.113.7:80"}}, "/client/ip", IP),
    ({"to": TO, "client": {"ip": "fe80::1%eth0"}}, "/client/ip", IP),
    ({"to": TO, "client": {"ip": "203.0.113.07"}}, "/client/ip", IP),
    ({"to": TO, "client": {"device": "d" * 129}}, "/client/device", "at most 128 characters"),
    ({"to": TO, "client": {"user_agent": "d" * 513}}, "/client/user_agent", "at most 512 characters"),
    ({"to": TO, "app_hash": "FA+9qCX9VS"}, "/app_hash", "write the 11 characters that Android computes for the app"),
    ({"to": TO, "domain": "https://shop.example"}, "/domain", HOST),
    ({"to": TO, "domain": "shop.example:443"}, "/domain", HOST),
    ({"to": TO, "domain": "shop.example/x"}, "/domain", HOST),
    ({"to": TO, "domain": "localhost"}, "/domain", HOST),
    ({"to": TO, "domain": "shöp.example"}, "/domain", HOST),
    ({"to": TO, "metadata": {f"k{n}": "x" for n in range(17)}}, "/metadata", "at most 16 entries"),
    ({"to": TO, "metadata": {"order": "x" * 129}}, "/metadata/order", "at most 128 characters"),
    ({"to": TO, "metadata": {"x" * 129: "x"}}, "/metadata", "its name: at most 128 characters"),
    ({"to": TO, "metadata": {"order": {"deep": "x"}}}, "/metadata/order", STRING),
]


async def test_every_bad_field_of_a_start_is_named_with_what_to_write_instead(api: Api) -> None:
    for request, pointer, reason in STARTS:
        reply = await api.post("/v1/verifications", request)
        assert (reply.status, reply.code) == (422, "invalid_request"), request
        assert reply.faults == {pointer: reason}, request
    assert api.world.sent == []


DESTINATIONS = [
    ("phone", "4155550123", "Begin with a plus sign and the country calling code, as E.164 does."),
    ("phone", "0014155550123", "Write a plus sign instead of the international prefix 00."),
    (
        "phone",
        "+1 (415) 555-0123",
        "Leave out spaces, brackets, dots, hyphens and all else but the plus sign and the digits.",
    ),
    ("phone", "+1415555FLOW", "Leave out letters: write the digits that they stand for."),
    ("phone", "+14155550123x5", "Leave out the extension: a code can't reach one."),
    ("phone", "+14155550123;ext=5", "Leave out the extension: a code can't reach one."),
    ("phone", "+١٤١٥٥٥٥٠١٢٣", "Use the ASCII digits 0 to 9 and the plus sign, and no other characters."),
    (
        "phone",
        "+14155550123\n",
        "Leave out spaces, brackets, dots, hyphens and all else but the plus sign and the digits.",
    ),
    (
        "phone",
        "+1\u0000415",
        "Leave out spaces, brackets, dots, hyphens and all else but the plus sign and the digits.",
    ),
    ("phone", "tel:+14155550123", "Leave out tel: and write the number alone, beginning with its plus sign."),
    ("phone", "+1415", "The number is too short: E.164 needs the country calling code and the whole number."),
    ("phone", "+999123456789", "No country has this calling code."),
    ("email", "ana", "Write exactly one at sign, between the local part and the domain."),
    ("email", "ana@localhost", "The domain needs a dot: write it whole."),
    ("email", "ana@[127.0.0.1]", "Addresses at an IP address are not accepted: write a domain name."),
    ("email", '"a b"@example.org', "Quoted local parts are not accepted."),
    ("email", "ana@example.org\r\nBcc: x@example.org", "Leave out control characters and line breaks."),
]


async def test_every_bad_destination_is_named(api: Api) -> None:
    for field, value, reason in DESTINATIONS:
        reply = await api.post("/v1/verifications", {"to": {field: value}})
        assert (reply.status, reply.code) == (422, "invalid_destination"), value
        assert reply.faults == {f"/to/{field}": reason}, value
    assert api.world.sent == []


CODES: list[tuple[object, str]] = [
    ({}, "/code"),
    ({"code": None}, "/code"),
    ({"code": 123456}, "/code"),
    ({"code": 123456.0}, "/code"),
    ({"code": ["123456"]}, "/code"),
    ({"code": {"a": 1}}, "/code"),
    ({"code": ""}, "/code"),
    ({"code": "123"}, "/code"),
    ({"code": "12345678901"}, "/code"),
    ({"code": "1234567"}, "/code"),
    ({"code": "12345a"}, "/code"),
    ({"code": "123456\n"}, "/code"),
    ({"code": "12_34_56"}, "/code"),
    ({"code": "½½½½½½"}, "/code"),
    ({"code": "一二三四五六"}, "/code"),
    ({"code": "\u0000" * 6}, "/code"),
    ({"code": "1" * 10_000}, "/code"),
    ({"code": "123456", "x": 1}, "/x"),
    ({"code": "123456", "to": {}}, "/to"),
    ({"code": "123456", "to": {"phone": "123"}}, "/to/phone"),
    ({"code": "123456", "context": {"a": "x" * 41}}, "/context/a"),
]


async def test_a_malformed_check_is_named_and_costs_no_attempt(api: Api) -> None:
    where = await api.begin()
    for request, pointer in CODES:
        reply = await api.post(f"{where}/check", request)
        assert reply.status == 422, request
        assert list(reply.faults) == [pointer], request
    assert (await api.get(where)).json["checks_left"] == 5
    assert (await api.post(f"{where}/check", {"code": api.code(where)})).json["approved"] is True


async def test_a_well_formed_wrong_code_does_cost_an_attempt(api: Api) -> None:
    """The twin of the test above: its last lines would notice an attempt."""
    where = await api.begin()
    await api.post(f"{where}/check", {"code": api.wrong(where)})
    assert (await api.get(where)).json["checks_left"] == 4


async def test_the_code_of_another_length_is_refused_in_words(api: Api) -> None:
    where = await api.begin()
    reply = await api.post(f"{where}/check", {"code": "1234567"})
    assert reply.faults == {"/code": "this verification's code has 6 digits"}


DEEP = b'{"to":' + b"[" * 17 + b"]" * 17 + b"}"
TEXTS = [
    (b"", "", "the body is empty: send a JSON object"),
    (b" \n", "", "the body is empty: send a JSON object"),
    (b"\xff\xfe", "", "the body is not UTF-8"),
    (
        b'\xef\xbb\xbf{"to":{}}',
        "",
        "the body is not JSON: Unexpected UTF-8 BOM (decode using utf-8-sig) at line 1, column 1",
    ),
    (b'{"to":', "", "the body is not JSON: Expecting value at line 1, column 7"),
    (b"{'to':1}", "", "the body is not JSON: Expecting property name enclosed in double quotes at line 1, column 2"),
    (b"{} x", "", "the body is not JSON: Extra data at line 1, column 4"),
    (b'{"to":{}}{"to":{}}', "", "the body is not JSON: Extra data at line 1, column 10"),
    (b'{"a":1,"a":1}', "/a", "the same name twice in one object"),
    (b'{"to":{"phone":"x","phone":"y"}}', "/to/phone", "the same name twice in one object"),
    (b'{"a":NaN}', "/a", "a number that is out of bounds or not finite"),
    (b'{"a":[1,-Infinity]}', "/a/1", "a number that is out of bounds or not finite"),
    (b'{"a":1e999}', "/a", "a number that is out of bounds or not finite"),
    (b'{"a":' + b"9" * 5000 + b"}", "/a", "a number that is out of bounds or not finite"),
    (b'{"a":"\\ud800"}', "/a", "text with half of a surrogate pair"),
    (b'{"\\udc00":"a"}', "", "a name with half of a surrogate pair"),
    (b'{"a":"\x01"}', "", "the body is not JSON: Invalid control character at at line 1, column 7"),
    (DEEP, "/to" + "/0" * 15, "nested more than 16 levels deep"),
    (b"[" * 60_000, "", "nested more than 16 levels deep"),
    (b'{"a":' * 10_000, "", "nested more than 16 levels deep"),
]


async def test_json_that_two_readers_could_read_differently_is_refused(api: Api) -> None:
    for text, pointer, reason in TEXTS:
        reply = await api.post("/v1/verifications", text)
        assert (reply.status, reply.code) == (422, "invalid_request"), text[:40]
        assert reply.faults == {pointer: reason}, text[:40]


def test_the_standard_parser_alone_would_take_them() -> None:
    """The twin: what body.parse adds is what refuses these."""
    for text in (b'{"a":1,"a":1}', b'{"a":NaN}', b'{"a":1e999}', b'{"a":"\\ud800"}', DEEP):
        json.loads(text)
        with pytest.raises(Problem):
            body.parse(text)


TWICE = b'{"to":{"phone":"+14155550123","phone":"+14155550199"}}'


async def test_a_sound_start_with_a_name_twice_is_refused(api: Api) -> None:
    for text in (TWICE, TWICE.replace(b'":', b'" :'), TWICE.replace(b'"phone":', b'"phone":"",\n"phone"\t:', 1)):
        reply = await api.post("/v1/verifications", text)
        assert reply.faults == {"/to/phone": "the same name twice in one object"}, text


def test_the_models_alone_would_take_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin of the test above."""
    assert StartRequest.model_validate_json(TWICE).to.phone == "+14155550199"
    monkeypatch.setattr(body, "_unambiguous", lambda _: True)
    assert body.understood(StartRequest, TWICE).to.phone == "+14155550199"


@given(
    st.lists(
        st.sampled_from([*'{}[]":, \n', '"a"', '"b":', '"a":', '"a" :', '"x"', "null", "1", "e5", "NaN"]), max_size=9
    )
)
@settings(max_examples=300, deadline=None)
def test_what_is_taken_for_unambiguous_is_what_the_thorough_reader_reads(parts: list[str]) -> None:
    text = "".join(["{", *parts, "}"]).encode()
    with suppress(ValueError):  # no JSON: the models take none either
        assert not body._unambiguous(text) or from_json(text) == body.parse(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=12,
    )
)
@settings(max_examples=60, deadline=None)
def test_every_sound_json_is_read_as_the_standard_parser_reads_it(value: object) -> None:
    assert body.parse(json.dumps(value).encode()) == value


async def test_only_so_many_faults_are_told(api: Api) -> None:
    reply = await api.post("/v1/verifications", {f"a{n}": n for n in range(900)})
    assert len(reply.json["errors"]) == MOST_ERRORS


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "", "application/json; charset=utf-16", "application/jsonx"],
)
async def test_other_media_types_are_refused(api: Api, content_type: str) -> None:
    reply = await api.post("/v1/verifications", {"to": TO}, Content_Type=content_type)
    assert (reply.status, reply.code) == (415, "unsupported_media_type")


async def test_a_compressed_body_is_refused(api: Api) -> None:
    reply = await api.post("/v1/verifications", b"x", Content_Encoding="gzip")
    assert (reply.status, reply.code) == (415, "unsupported_media_type")


async def test_json_in_utf_8_may_say_so(api: Api) -> None:
    reply = await api.post("/v1/verifications", {"to": TO}, Content_Type='Application/JSON; charset="UTF-8"')
    assert reply.status == 201


async def test_a_body_over_the_limit_is_refused_before_it_is_whole(world: World) -> None:
    async with listening(world, max_body=1024) as api:
        assert (await api.post("/v1/verifications", b" " * 1025)).code == "too_large"
        exactly = await api.post("/v1/verifications", json.dumps({"to": TO}).encode().ljust(1024))
        assert exactly.status == 201

        with pytest.raises(ConnectionError):
            await _pour(api.port)


async def _pour(port: int) -> None:
    """A hundred megabytes in pieces that nobody announced."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_head("/callbacks/one/x", "Transfer-Encoding: chunked"))
    try:
        for _ in range(100_000):
            writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
            await writer.drain()
    finally:
        writer.close()


async def test_a_body_that_trickles_in_is_refused_in_time(world: World) -> None:
    async with listening(world, body_seconds=0.02) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(_head("/callbacks/one/x", "Content-Length: 100") + b"x")
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in answer
    assert b"connection: close" in answer.lower()


async def test_a_caller_that_goes_away_in_the_middle_harms_nothing(api: Api) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(_head("/callbacks/one/x", "Content-Length: 100") + b"x")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await api.get("/livez")).status == 200
    assert not [line for line in api.world.logged if line["event"] == "request.failed"]


def _head(path: str, framing: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode()


BAD_KEYS = ["", '"', '"a', '"a"b', '"a\\x"', "a" * 256, "ä", "a\tb"]


async def test_a_bad_idempotency_key_is_refused(api: Api) -> None:
    for key in BAD_KEYS:
        reply = await api.post("/v1/verifications", {"to": TO}, Idempotency_Key=key)
        assert (reply.status, reply.code) == (422, "invalid_request"), key
        assert reply.faults == {"": "Idempotency-Key: send one, of 1 to 255 printable ASCII characters"}
    assert api.world.sent == []


@given(
    st.from_regex(r"[A-Za-z0-9.-]{1,30}", fullmatch=True) | st.text(max_size=12),
    st.from_regex(r"[A-Za-z0-9+/=]{10,12}", fullmatch=True),
    st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=3),
)
@settings(max_examples=150, deadline=None)
def test_what_the_api_lets_in_can_be_worded(domain: str, app_hash: str, context: dict[str, str]) -> None:
    """A message that can't be worded would fail long after the start was answered with 201."""
    for field, value in (("domain", domain), ("app_hash", app_hash), ("context", context)):
        try:
            StartRequest.model_validate({"to": TO, field: value})
        except ValidationError:
            continue
        assert Brief(brand="Shop", locale="en", expires_in=60, **{field: value})  # type: ignore[arg-type] # one of three
