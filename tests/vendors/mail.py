"""A mail server on loopback that does what it is told and counts what it sees, and the messages to send to it."""

from __future__ import annotations

import asyncio
import datetime
import email
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

import pytest
from aiosmtpd import smtp as aiosmtpd
from aiosmtpd.smtp import Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from channels.contract import Channel, Context, Message, SendError, Wording
from channels.providers import smtp

Server = aiosmtpd.SMTP
CODE = "048213"
PASSWORD = "correct horse"
LOGIN: dict[str, Any] = {"username": "gateway", "password": {"env": "SMTP_PASSWORD"}}


def message(to: str = "ana@example.org", **wording: str) -> Message:
    words = {"text": f"Your code is {CODE}", "language": "en", "subject": "Your code for Shop"} | wording
    return Message(Channel.EMAIL, to, CODE, Wording(**words), reference="ref-1", lifetime=600)


def settings(port: int = 25, **keys: Any) -> smtp.Settings:
    defaults = {
        "type": "smtp",
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "from_address": "Shop <no-reply@shop.example>",
        "local_hostname": "gateway.test",
        "timeout": 5,
    }
    return smtp.Settings(**(defaults | keys))


def context(production: bool = False) -> Context:
    return Context("mail", "otp-gateway/test", production, {"password": PASSWORD})


@asynccontextmanager
async def provider(port: int, **keys: Any) -> AsyncIterator[smtp.Smtp]:
    built = smtp.build(settings(port, **keys), context())
    try:
        yield built
    finally:
        await built.close()


async def refusal(provider: smtp.Smtp, sent: Message) -> SendError:
    with pytest.raises(SendError) as caught:
        await provider.send(sent)
    return caught.value


@dataclass
class Mailbox:
    """What the server does and saw. A hook answers in place of the server; None lets the server go on."""

    on: dict[str, Callable[[Server], Awaitable[str | None]]] = field(default_factory=dict)
    letters: list[Envelope] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    most_open: int = 0
    transports: list[asyncio.Transport] = field(default_factory=list)

    async def _hook(self, server: Server, command: str) -> str | None:
        self.commands.append(command)
        hook = self.on.get(command)
        return await hook(server) if hook else None

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: Server, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = await self._hook(server, "MAIL")
        if answer is None:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return answer or "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Server, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = await self._hook(server, "RCPT")
        if answer is None:
            envelope.rcpt_tos.append(address)
        return answer or "250 OK"

    async def handle_RSET(self, server: Server, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        return await self._hook(server, "RSET") or "250 OK"

    async def handle_QUIT(self, server: Server, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        await self._hook(server, "QUIT")
        return "221 Bye"

    async def handle_DATA(self, server: Server, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        answer = await self._hook(server, "DATA")
        if answer is None:
            self.letters.append(envelope)
        return answer or "250 OK"


class CountedServer(Server):
    """aiosmtpd, with its connections counted."""

    def __init__(self, box: Mailbox, **keys: Any) -> None:
        super().__init__(box, hostname="mail.test", **keys)
        self.box = box
        self.counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self.counted:  # STARTTLS makes the connection a second time
            self.counted = True
            self.box.connections += 1
            self.box.open += 1
            self.box.most_open = max(self.box.most_open, self.box.open)
        self.box.transports.append(cast(asyncio.Transport, transport))
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.box.open -= 1
        super().connection_lost(error)


@asynccontextmanager
async def serving(box: Mailbox, tls: ssl.SSLContext | None = None, **keys: Any) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    keys = {"enable_SMTPUTF8": True, "timeout": 5} | keys
    server = await loop.create_server(lambda: CountedServer(box, loop=loop, **keys), "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for transport in box.transports:
            transport.abort()
        await server.wait_closed()
        await asyncio.sleep(0)


@asynccontextmanager
async def raw(*lines: bytes) -> AsyncIterator[int]:
    """A server that says these lines, one at once and then one for each line that it hears, and hangs up at the end."""

    over = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            for line in lines:
                writer.write(line)
                await writer.drain()
                if not await reader.readline():
                    break
        writer.transport.abort()
        over.set()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    if lines:
        await over.wait()
        await asyncio.sleep(0)


def says(reply: str) -> Callable[[Server], Awaitable[str | None]]:
    async def hook(server: Server) -> str:
        return reply

    return hook


def times(count: int, reply: str) -> Callable[[Server], Awaitable[str | None]]:
    """The reply, so many times; then as if nothing were wrong."""
    left = [reply] * count

    async def hook(server: Server) -> str | None:
        return left.pop() if left else None

    return hook


async def hangs_up(server: Server) -> str | None:
    cast(asyncio.Transport, server.transport).abort()
    return "250 never heard"


async def hangs(server: Server) -> str | None:
    await asyncio.Event().wait()
    return None


def letter(box: Mailbox, index: int = 0) -> EmailMessage:
    content = box.letters[index].content
    assert isinstance(content, bytes)
    return cast(EmailMessage, email.message_from_bytes(content, policy=policy.SMTPUTF8))


@dataclass(frozen=True)
class Certificate:
    server: ssl.SSLContext
    ca_file: Path


def certify(folder: Path) -> Certificate:
    """A certificate for 127.0.0.1, good for an hour, that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return Certificate(served, folder / "ca.pem")
