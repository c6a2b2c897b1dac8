"""The transport: what it says of every way in which a request can go wrong."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from multidict import CIMultiDict

from channels.contract import ErrorClass, SendError
from channels.errors import by_status, classify, load, parse
from channels.transport import RESPONSE_LIMIT, Transport, fault, refused, retry_after
from channels.transport import Reply as Answered
from tests.vendors.server import Break, Reply, Vendor

CANARY = "482913"


def fine(_: object) -> Reply:
    return Reply(201, b'{"fine": true}')


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with Vendor(fine) as vendor:
        yield vendor


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    transport = Transport(user_agent="otp-gateway/test", timeout=2.0, concurrency=4)
    yield transport
    await transport.close()


async def failure(transport: Transport, url: str) -> SendError:
    with pytest.raises(SendError) as caught:
        await transport.request("POST", url, body=b"Body=" + CANARY.encode())
    return caught.value


async def test_a_request_arrives_as_given_and_its_answer_comes_back_whole(vendor: Vendor, transport: Transport) -> None:
    reply = await transport.request("POST", f"{vendor.base_url}/a?b=c", headers={"X-Key": "k"}, body=b"x=1")
    received = vendor.received[0]
    assert (received.method, received.path, received.body) == ("POST", "/a?b=c", b"x=1")
    assert received.headers["x-key"] == "k"
    assert received.headers["user-agent"] == "otp-gateway/test"
    assert (reply.status, reply.ok, reply.text) == (201, True, '{"fine": true}')


async def test_a_redirect_is_an_answer_and_is_not_followed(vendor: Vendor, transport: Transport) -> None:
    vendor.replies.append(Reply(302, headers={"Location": f"{vendor.base_url}/elsewhere"}))
    reply = await transport.request("POST", vendor.base_url)
    assert (reply.status, len(vendor.received)) == (302, 1)
    assert by_status(302) is ErrorClass.REQUEST_BUG


async def test_a_vendor_can_set_no_cookie(vendor: Vendor, transport: Transport) -> None:
    vendor.replies.append(Reply(200, headers={"Set-Cookie": "a=b"}))
    await transport.request("GET", vendor.base_url)
    await transport.request("GET", vendor.base_url)
    assert "cookie" not in vendor.received[1].headers


async def test_a_refused_connection_sent_nothing(transport: Transport) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    error = await failure(transport, url)
    assert (error.error, error.vendor_code, error.ambiguous) == (ErrorClass.PROVIDER_DOWN, "refused", False)


def self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now.replace(year=2099)
    )
    (folder / "cert.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


async def test_a_certificate_that_nobody_vouches_for_ends_the_request_before_anything_is_sent(
    transport: Transport, tmp_path: Path
) -> None:
    async with Vendor(fine, tls=self_signed(tmp_path)) as vendor:
        error = await failure(transport, vendor.base_url)
    assert (error.error, error.vendor_code, error.ambiguous) == (ErrorClass.PROVIDER_DOWN, "tls", False)
    assert vendor.received == []


async def test_plain_http_where_tls_was_expected_sends_nothing(vendor: Vendor, transport: Transport) -> None:
    error = await failure(transport, vendor.base_url.replace("http:", "https:"))
    assert (error.error, error.ambiguous) == (ErrorClass.PROVIDER_DOWN, False)
    assert vendor.received == []


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (Reply(broken=Break.RESET), "reset"),
        (Reply(201, b"0123456789", broken=Break.MIDWAY), "cut_off"),
        (Reply(broken=Break.NOT_HTTP), "not_http"),
        (Reply(201, b"x" * (RESPONSE_LIMIT + 1)), "oversized"),
    ],
)
async def test_a_break_after_the_request_was_read_is_ambiguous(
    vendor: Vendor, transport: Transport, reply: Reply, word: str
) -> None:
    vendor.replies.append(reply)
    error = await failure(transport, vendor.base_url)
    assert (error.error, error.vendor_code, error.ambiguous) == (ErrorClass.PROVIDER_DOWN, word, True)


async def test_an_answer_of_the_full_size_is_read(vendor: Vendor, transport: Transport) -> None:
    vendor.replies.append(Reply(200, b"x" * RESPONSE_LIMIT))
    assert len((await transport.request("GET", vendor.base_url)).body) == RESPONSE_LIMIT


async def test_a_silent_vendor_is_left_at_the_deadline_and_may_have_sent(vendor: Vendor) -> None:
    transport = Transport(user_agent="t", timeout=0.2, concurrency=1)
    vendor.replies.append(Reply(broken=Break.SILENCE))
    async with asyncio.timeout(1):
        error = await failure(transport, vendor.base_url)
    assert (error.vendor_code, error.ambiguous) == ("timeout", True)
    await transport.close()


async def test_waiting_for_a_free_connection_ends_in_time_and_sent_nothing(vendor: Vendor) -> None:
    transport = Transport(user_agent="t", timeout=0.2, concurrency=1)
    vendor.gate = asyncio.Event()
    errors = await asyncio.gather(*(failure(transport, vendor.base_url) for _ in range(2)))
    assert sorted((error.vendor_code, error.ambiguous) for error in errors) == [
        ("connect_timeout", False),
        ("timeout", True),
    ]
    assert len(vendor.received) == 1
    await transport.close()


async def most_at_once(transport: Transport, vendor: Vendor, expected: int) -> int:
    """Twelve requests at once, held until as many as expected have arrived, and a moment longer: the most seen."""
    vendor.gate = asyncio.Event()
    requests = [asyncio.create_task(transport.request("POST", vendor.base_url)) for _ in range(12)]
    await vendor.reached(expected)
    await asyncio.sleep(0.01)
    vendor.gate.set()
    replies = await asyncio.gather(*requests)
    assert all(reply.status == 201 for reply in replies)
    await transport.close()
    return vendor.most_under_way


async def test_the_pool_holds_no_more_connections_than_it_may(vendor: Vendor, transport: Transport) -> None:
    assert await most_at_once(transport, vendor, 4) == 4


async def test_a_pool_without_a_bound_is_noticed(vendor: Vendor) -> None:
    assert await most_at_once(Transport(user_agent="t", timeout=2, concurrency=0), vendor, 12) == 12


async def test_a_cancelled_request_gives_its_connection_back(vendor: Vendor) -> None:
    transport = Transport(user_agent="t", timeout=2, concurrency=1)
    vendor.gate = asyncio.Event()
    task = asyncio.create_task(transport.request("POST", vendor.base_url))
    await vendor.reached(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    vendor.gate.set()
    assert (await transport.request("POST", vendor.base_url)).ok
    await transport.close()


async def test_closing_twice_or_before_any_use_is_no_error(transport: Transport) -> None:
    await transport.close()
    await transport.close()


KEY = SimpleNamespace(host="api.example", port=443, ssl=True, is_ssl=True)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "unknown")), ("provider_down", "dns", False)),
        (aiohttp.ClientConnectorError(KEY, OSError(111, "refused")), ("provider_down", "refused", False)),
        (aiohttp.ClientConnectorSSLError(KEY, OSError()), ("provider_down", "tls", False)),
        (aiohttp.ConnectionTimeoutError(), ("provider_down", "connect_timeout", False)),
        (aiohttp.SocketTimeoutError(), ("provider_down", "timeout", True)),
        (TimeoutError(), ("provider_down", "timeout", True)),
        (aiohttp.ClientOSError(32, "broken pipe"), ("provider_down", "reset", True)),
        (aiohttp.ServerDisconnectedError(), ("provider_down", "reset", True)),
        (aiohttp.ClientPayloadError(), ("provider_down", "cut_off", True)),
        (aiohttp.InvalidURL("nonsense"), ("request_bug", "bad_url", False)),
        (ConnectionResetError(), ("provider_down", "reset", True)),
    ],
)
def test_every_network_fault_has_its_class_and_its_word(error: Exception, expected: tuple[str, str, bool]) -> None:
    read = fault(error)
    assert (read.error, read.vendor_code, read.ambiguous) == expected


@pytest.mark.parametrize(
    ("status", "error", "ambiguous"),
    [
        (400, "unknown", False),
        (401, "provider_account", False),
        (403, "provider_account", False),
        (404, "request_bug", False),
        (408, "provider_down", True),
        (422, "unknown", False),
        (429, "throttled", False),
        (500, "provider_down", True),
        (503, "provider_down", True),
    ],
)
def test_a_status_alone_says_this_much(status: int, error: str, ambiguous: bool) -> None:
    read = refused(Answered(status, {}, b""), by_status(status))
    assert (read.error, read.ambiguous) == (error, ambiguous)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30.0),
        (" 0 ", 0.0),
        ("Mon, 05 Jan 2026 10:00:30 GMT", 30.0),
        ("Mon, 05 Jan 2026 09:00:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("9" * 400, None),
        ("\u0663\u0660", None),
        ("Mon, 99 Jan 2026 10:00:30 GMT", None),
        ("Mon, 05 Jan 99999999999 10:00:30 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_nonsense_is_nothing(value: str, seconds: float | None) -> None:
    headers = CIMultiDict({"retry-after": value, "date": "Mon, 05 Jan 2026 10:00:00 GMT"})
    assert retry_after(headers) == seconds


def test_a_date_to_retry_at_means_nothing_without_the_vendors_own_date() -> None:
    assert retry_after({"Retry-After": "Mon, 05 Jan 2026 10:00:30 GMT"}) is None


def test_a_reply_never_shows_its_body() -> None:
    assert CANARY not in repr(Answered(201, {"X-Code": CANARY}, CANARY.encode()))


def test_the_operators_word_goes_before_the_tables_and_the_tables_before_the_status() -> None:
    table = {"21610": ErrorClass.OPTED_OUT}
    assert classify(table, {"21610": ErrorClass.CONTENT}, "21610", 400) is ErrorClass.CONTENT
    assert classify(table, {}, "21610", 400) is ErrorClass.OPTED_OUT
    assert classify(table, {}, "99999", 429) is ErrorClass.THROTTLED
    assert classify(table, {}, "99999", None) is ErrorClass.TEMPORARY


def test_a_code_under_two_classes_is_refused() -> None:
    with pytest.raises(ValueError) as caught:
        parse("content: {1: a}\nsender: {1: b}")
    assert str(caught.value) == "code 1 is listed under content and under sender: keep one"


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(ValueError, match="'contents' is not a valid ErrorClass"):
        parse("contents: {1: a}")


def test_the_table_of_twilio_loads() -> None:
    assert load("twilio")["21610"] is ErrorClass.OPTED_OUT
