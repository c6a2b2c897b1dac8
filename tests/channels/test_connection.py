"""Connections to vendors: whose answer is whose, when an answer is over, and when a connection is used again."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from channels import connection, transport
from channels.connection import RESPONSE_LIMIT, Connection
from channels.contract import ErrorClass, SendError
from channels.transport import Reply, Transport
from tests.vendors.server import Reply as Told
from tests.vendors.server import Vendor

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"
OTHER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CLOSED = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfine"


class Server:
    """Says what it is told to, piece by piece, to each request in turn. `None` among the pieces hangs up."""

    def __init__(self, *answers: tuple[bytes | None, ...]) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.requests: list[bytes] = []
        self.asked = asyncio.Event()
        self.tasks: list[asyncio.Task[Any] | None] = []
        self.pause = 0.0  # seconds between two pieces
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.tasks.append(asyncio.current_task())
        try:
            while self.answers:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                self.asked.set()
                for piece in self.answers.pop(0):
                    if piece is None:
                        return
                    writer.write(piece)
                    await asyncio.sleep(self.pause)
            await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*answers: tuple[bytes | None, ...]) -> AsyncIterator[tuple[Server, Transport]]:
    server = Server(*answers)
    asking = Transport(user_agent="otp-gateway/test", timeout=2.0, concurrency=4)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/send"
        try:
            yield server, asking
        finally:
            await asking.close()
            await asyncio.gather(*filter(None, server.tasks))


async def asked(*pieces: bytes | None, method: str = "GET") -> Reply:
    """What is read of one answer."""
    async with serving(pieces) as (server, asking):
        return await asking.request(method, server.url)


async def word_of(*pieces: bytes | None) -> tuple[str, bool]:
    with pytest.raises(SendError) as caught:
        await asked(*pieces)
    return caught.value.vendor_code, caught.value.ambiguous


def bits(text: bytes) -> Iterator[bytes]:
    return (text[i : i + 1] for i in range(len(text)))


@pytest.mark.parametrize(
    ("pieces", "status", "body"),
    [
        ((FINE,), 200, b"fine"),
        (tuple(bits(FINE)), 200, b"fine"),
        ((CHUNKED, *bits(b"2\r\nfi\r\n2;x=y\r\nne\r\n0\r\n\r\n")), 200, b"fine"),
        ((b"HTTP/1.0 200 OK\r\n\r\nfi", b"ne", None), 200, b"fine"),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), 204, b""),
        ((b"HTTP/1.1 100 Continue\r\n\r\n", FINE), 200, b"fine"),
        ((b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + FINE,), 200, b"fine"),
    ],
    ids=["whole", "byte by byte", "in chunks", "until it ends", "nothing", "after a hint", "after a hint, at once"],
)
async def test_an_answer_is_read_to_its_end(pieces: tuple[bytes | None, ...], status: int, body: bytes) -> None:
    reply = await asked(*pieces)
    assert (reply.status, reply.body) == (status, body)


async def test_the_answer_to_a_head_has_the_length_of_a_body_that_never_comes() -> None:
    reply = await asked(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", method="HEAD")
    assert (reply.status, reply.body, reply.headers["content-LENGTH"]) == (200, b"", "4")


async def test_a_body_that_is_compressed_although_nobody_asked_is_read() -> None:
    for wbits, coding in ((31, b"gzip"), (15, b"deflate")):
        squeeze = zlib.compressobj(wbits=wbits)
        body = squeeze.compress(b"fine") + squeeze.flush()
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (coding, len(body))
        assert (await asked(head + body)).body == b"fine"


async def test_a_small_body_that_swells_is_left() -> None:
    body = zlib.compress(b"0" * (RESPONSE_LIMIT + 1))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert await word_of(head + body) == ("oversized", True)


@pytest.mark.parametrize(
    ("pieces", "word"),
    [
        ((b"HTTP/1.1 200 OK\r\nX: " + b"x" * RESPONSE_LIMIT,), "oversized"),
        ((CHUNKED + b"0\r\n" + b"X: y\r\n" * 90_000,), "oversized"),
        ((CHUNKED + b"4\r\nfine\r\n", None), "cut_off"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfine", None), "cut_off"),
        ((b"HTTP/1.1 200 OK\r\nContent-Le", None), "reset"),
        ((b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",), "not_http"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nfine",), "not_http"),
        ((b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x09",), "cut_off"),
    ],
    ids=[
        *("an endless head", "an endless end", "no last chunk", "too short", "half a head", "another protocol"),
        *("two lengths", "half of what was compressed"),
    ],
)
async def test_an_answer_without_an_end_is_none(pieces: tuple[bytes | None, ...], word: str) -> None:
    assert await word_of(*pieces) == (word, True)


async def test_a_connection_is_used_again() -> None:
    async with serving((FINE,), (FINE,)) as (server, asking):
        for _ in range(2):
            assert (await asking.request("POST", server.url, body=b"x")).body == b"fine"
        assert server.connections == 1


async def test_a_connection_is_not_used_again_when_the_server_says_so_or_it_rested_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving((CLOSED,), (FINE,), (FINE,)) as (server, asking):
        await asking.request("GET", server.url)
        await asking.request("GET", server.url)
        assert server.connections == 2
        monkeypatch.setattr(transport, "_RESTED", 0.0)
        await asking.request("GET", server.url)
        assert server.connections == 3


async def twice(*first: bytes) -> list[bytes]:
    """What is read of two requests, of which the first is answered with this."""
    async with serving(first, (FINE,)) as (server, asking):
        server.pause = 0.002
        got = [(await asking.request("GET", server.url)).body]
        await asyncio.sleep(0.01)
        return [*got, (await asking.request("GET", server.url)).body]


@pytest.mark.parametrize("first", [(FINE + OTHER,), (FINE, OTHER), (FINE + OTHER[:20],)])
async def test_an_answer_that_nobody_asked_for_is_nobodys(first: tuple[bytes, ...]) -> None:
    assert await twice(*first) == [b"fine", b"fine"]


async def test_a_connection_that_kept_such_an_answer_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: one that hangs up on nobody, and reads what is left when the next asks."""
    read, kept = Connection.data_received, bytearray()

    def careless(self: Connection, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            kept.extend(data)
        else:
            read(self, bytes(kept) + data)

    monkeypatch.setattr(Connection, "data_received", careless)
    assert await twice(FINE, OTHER) == [b"fine", b"other"]


async def test_who_gives_up_leaves_no_answer_behind() -> None:
    async with serving((), (FINE,)) as (server, asking):
        task = asyncio.create_task(asking.request("GET", server.url))
        await server.asked.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await asking.request("GET", server.url)).body == b"fine"
        assert server.connections == 2


async def test_who_gives_up_as_the_answer_comes_leaves_no_connection_open() -> None:
    ended = []
    wire: Any = SimpleNamespace(write=lambda _: None, abort=lambda: ended.append(True))
    one = Connection(lambda _: None)
    one.connection_made(wire)
    task = asyncio.create_task(one.ask(b"a request", 1))
    await asyncio.sleep(0)
    one.data_received(FINE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (ended, one.usable) == ([True], False)


async def test_closing_ends_what_is_under_way() -> None:
    async with serving(()) as (server, asking):
        task = asyncio.create_task(asking.request("GET", server.url))
        await server.asked.wait()
        await asking.close()
        with pytest.raises(SendError, match="reset"):
            await task


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nX-Other: b", "a\rb"])
async def test_a_header_can_bring_in_no_other(value: str) -> None:
    async with serving((FINE,)) as (server, asking):
        with pytest.raises(SendError) as caught:
            await asking.request("POST", server.url, headers={"X-Key": value})
        assert (caught.value.error, caught.value.vendor_code) == (ErrorClass.REQUEST_BUG, "bad_header")
        assert server.requests == []


async def test_a_request_says_what_it_must_and_no_more() -> None:
    async with serving((FINE,)) as (server, asking):
        await asking.request("POST", server.url + "?a=b", headers={"X-Key": "k"}, body=b"x=1")
        host = server.url.split("/")[2].encode()
    lines = [b"POST /send?a=b HTTP/1.1", b"Host: " + host, b"User-Agent: otp-gateway/test"]
    lines += [b"Accept-Encoding: identity", b"X-Key: k", b"Content-Length: 3", b"", b""]
    assert server.requests == [b"\r\n".join(lines)]


async def test_a_burst_asks_for_the_address_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, asked_for = asyncio.get_running_loop(), []
    real = loop.getaddrinfo

    async def counted(host: Any, port: Any, **more: Any) -> Any:
        asked_for.append(host)
        await asyncio.sleep(0)
        return await real(host, port, **more)

    monkeypatch.setattr(loop, "getaddrinfo", counted)
    async with serving((FINE,), (FINE,), (FINE,)) as (server, asking):
        await asyncio.gather(*(asking.request("GET", server.url) for _ in range(3)))
    assert (asked_for.count("127.0.0.1"), server.connections) == (1, 3)


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes a server's certificate, for these names or addresses, that the system vouches for."""

    def made(*names: x509.GeneralName) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vendor")])
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now.replace(year=2099))
        signed = builder.add_extension(x509.SubjectAlternativeName(names), False).sign(key, hashes.SHA256())
        plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (tmp_path / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        (tmp_path / "key.pem").write_bytes(key.private_bytes(*plain))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
        return context

    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    connection.tls.cache_clear()
    yield made
    connection.tls.cache_clear()


async def over_tls(tls: ssl.SSLContext) -> list[Reply]:
    asking = Transport(user_agent="t", timeout=2, concurrency=1)
    async with Vendor(lambda _: Told(200, b"fine"), tls=tls) as vendor:
        try:
            return [await asking.request("GET", vendor.base_url) for _ in range(2)]
        finally:
            await asking.close()


async def test_a_server_with_a_good_certificate_is_asked_over_tls(trusted: Any) -> None:
    replies = await over_tls(trusted(x509.IPAddress(ipaddress.ip_address("127.0.0.1"))))
    assert [reply.body for reply in replies] == [b"fine", b"fine"]


async def test_a_good_certificate_of_somebody_else_is_refused(trusted: Any) -> None:
    with pytest.raises(SendError) as caught:
        await over_tls(trusted(x509.DNSName("elsewhere.example")))
    assert (caught.value.vendor_code, caught.value.ambiguous) == ("tls", False)
