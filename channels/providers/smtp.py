"""Email through any SMTP server: a submission service, a relay of your own, or a vendor's SMTP endpoint."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email import policy
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar, cast
from urllib.parse import urlsplit
from uuid import uuid4

import aiosmtplib
from pydantic import AfterValidator, Field, field_validator, model_validator

from channels import remedies
from channels.contract import (
    Answer,
    Callback,
    Channel,
    Context,
    ErrorClass,
    Message,
    Outcome,
    ProviderSettings,
    Receipt,
    SecretRef,
    SendError,
)
from channels.examination import Finding, ok, refused, unknown
from channels.providers._senders import form
from channels.providers._smtp_dkim import DkimSettings, Signer, look_up
from channels.providers._smtp_replies import Phase, classify

T = TypeVar("T")

CALLS_BACK = False
"""A mail server reports nothing later to an address of ours."""

_PORTS = {"tls": 465, "starttls": 587, "none": 25}  # RFC 8314 section 3.3, RFC 6409 section 3.1, RFC 5321

# Quoted local parts ("a b"@example.org), address literals (ana@[192.0.2.1]) and what looks like an encoded word (=?...)
# are legal, unused by people and loved by attackers: refused. What is left can't end an SMTP command or a header.
_PLAIN = r'[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff<>()\[\]\\,;:"@]'
_ADDRESS = re.compile(rf"(?!.*=\?){_PLAIN}{{1,64}}@{_PLAIN}{{1,255}}")

# EmailMessage refuses a line break within a header's value, but not one at its very end (cpython 3.11).
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _server(url: str) -> str:
    parsed = urlsplit(url)
    if parsed.scheme != "smtp" or not parsed.hostname or parsed.path or parsed.query or "@" in parsed.netloc:
        raise ValueError("write an address like smtp://mail.example.org:587, and nothing after it")
    return url


class Settings(ProviderSettings):
    """An SMTP account."""

    host: Annotated[
        str, form(r"[^\s:/]+|[0-9A-Fa-f:.]+", "write the server's name alone: its port has a key of its own")
    ] = Field(description="The mail server's name; its certificate must match.")
    port: int | None = Field(None, ge=1, le=65535, description="Left out: 465 for tls, 587 for starttls, 25 for none.")
    security: Literal["tls", "starttls", "none"] = Field(
        "starttls", description="tls from the first byte, starttls required before anything is said, or none."
    )
    allow_plaintext: bool = Field(
        False, description="Permits security none in production, or with a password: for a link that is private anyway."
    )
    ca_file: Path | None = Field(None, description="PEM certificates to trust instead of the system's.")
    username: str | None = Field(None, min_length=1, description="Left out: no login.")
    password: SecretRef | None = Field(None, description="The password that goes with the username.")
    from_address: str = Field(description='The sender that people see: "Shop <no-reply@shop.example>".')
    reply_to: str | None = Field(None, description="Where answers go, if anywhere.")
    dkim: DkimSettings | None = Field(
        None, description="Sign with the domain's key, where the server does not. Needs the extra dkim."
    )
    message_id_domain: Annotated[str, form(r"[A-Za-z0-9.-]+", "write a domain, such as shop.example")] | None = Field(
        None, description="Right-hand side of Message-ID. Left out: the sender's."
    )
    local_hostname: Annotated[str, form(r"[A-Za-z0-9.:\[\]-]+", "write this host's full name")] | None = Field(
        None, description="The name given in EHLO. Left out: this host's full name."
    )
    idle: float = Field(
        30.0, ge=0, le=600, description="Seconds that an unused connection is kept for the next message."
    )
    concurrency: int = Field(4, ge=1, le=100, description="Connections to the server at once, at the most.")

    base_url: Annotated[str, AfterValidator(_server)] | None = Field(
        None, description="Another address of the server, such as smtp://127.0.0.1:2525, in place of host and port."
    )

    @property
    def server(self) -> tuple[str, int]:
        """Where to connect to."""
        port = self.port or _PORTS[self.security]
        if self.base_url is None:
            return self.host, port
        parsed = urlsplit(self.base_url)
        return parsed.hostname or self.host, parsed.port or port

    @field_validator("from_address", "reply_to")
    @classmethod
    def _one_mailbox(cls, text: str | None) -> str | None:
        if text is not None:
            mailbox(text)
        return text

    @model_validator(mode="after")
    def _login_is_whole_and_private(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("write both username and password, or neither")
        if self.username and self.security == "none" and not self.allow_plaintext:
            raise ValueError(
                "security none would send the password in the clear: write security: starttls or tls, "
                "or allow_plaintext: true if the link is private"
            )
        return self


def mailbox(text: str) -> Address:
    """One sender, as "Shop <no-reply@shop.example>" or as a bare address. Raises ValueError with the remedy."""
    found: tuple[Address, ...] = policy.SMTP.header_factory("From", text).addresses if text.isprintable() else ()
    if len(found) != 1 or not _ADDRESS.fullmatch(found[0].addr_spec):
        raise ValueError('write one address, like "Shop <no-reply@shop.example>" or no-reply@shop.example')
    if not found[0].addr_spec.isascii():
        raise ValueError("write the sender's address in ASCII; the name before it may be in any script")
    return Address(found[0].display_name, found[0].username, found[0].domain)


@dataclass(frozen=True, slots=True, repr=False)
class Letter:
    """A message ready for the wire. Holds the code and the address: never log one."""

    message_id: str
    sender: str
    recipient: str
    international: bool  # needs SMTPUTF8 (RFC 6531)
    content: bytes


def compose(message: Message, settings: Settings) -> Letter:
    """One message as one email to one person. Raises SendError for what can't be put into headers."""
    if not _ADDRESS.fullmatch(message.to):
        raise SendError(ErrorClass.BAD_DESTINATION, "address")
    try:
        sender = mailbox(message.sender or settings.from_address)
    except ValueError:
        raise SendError(ErrorClass.SENDER, "from_address") from None
    message_id = f"<{uuid4().hex}@{settings.message_id_domain or sender.domain}>"
    return Letter(
        message_id=message_id,
        sender=sender.addr_spec,
        recipient=message.to,
        international=not message.to.isascii(),
        content=_content(message, sender, message_id, settings.reply_to),
    )


def _content(message: Message, sender: Address, message_id: str, reply_to: str | None) -> bytes:
    # cte_type 7bit: base64 or quoted-printable for every body, so that the server need not offer 8BITMIME.
    wire = (policy.SMTP if message.to.isascii() else policy.SMTPUTF8).clone(cte_type="7bit")
    local, _, domain = message.to.partition("@")
    email = EmailMessage(wire)
    _put(email, "From", sender)
    _put(email, "To", Address(username=local, domain=domain))
    if reply_to:
        _put(email, "Reply-To", mailbox(reply_to))
    _put(email, "Subject", message.wording.subject)
    _put(email, "Message-ID", message_id)
    _put(email, "Auto-Submitted", "auto-generated")  # RFC 3834 section 5: no holiday notice comes back
    email["Date"] = datetime.now(UTC)
    try:
        email.set_content(message.wording.text)
        if message.wording.html:
            email.add_alternative(message.wording.html, subtype="html")
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell
        raise SendError(ErrorClass.REQUEST_BUG, "text") from None
    _put(email, "Content-Language", message.wording.language)  # last, for set_content takes Content-* headers away
    return _sound(email)


def _sound(email: EmailMessage) -> bytes:
    """The email as bytes, whose header block holds the headers that were put there and nothing else.

    EmailMessage lets a line break through that hides in an encoded word ("=?utf-8?q?x=0ABcc:_eve?=", CVE-2024-6923).
    Pythons since then have a check of their own, which raises; the older ones have this one.
    """
    try:
        content = email.as_bytes()
    except MessageError:
        raise SendError(ErrorClass.REQUEST_BUG, "header") from None
    lines = content.partition(b"\r\n\r\n")[0].split(b"\r\n")
    names = [line.partition(b":")[0].decode("latin-1") for line in lines if line[:1] not in (b" ", b"\t")]
    if names != email.keys() or any(b"\n" in line or b"\r" in line for line in lines):
        raise SendError(ErrorClass.REQUEST_BUG, "header")
    return content


def _put(email: EmailMessage, name: str, value: str | Address) -> None:
    if _BREAKS.search(str(value)):
        raise SendError(ErrorClass.REQUEST_BUG, "header")
    email[name] = value


class Smtp:
    """One SMTP account, over a few connections that are kept open between messages.

    `concurrency` is the number of connections; more messages than that wait, inside their own deadline.
    """

    channels = frozenset({Channel.EMAIL})

    def __init__(
        self,
        settings: Settings,
        login: tuple[str, str] | None,
        tls: ssl.SSLContext | None,
        signer: Signer | None = None,
    ) -> None:
        self._settings = settings
        self._signer = signer
        self._login = login
        self._tls = tls
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._idle: list[tuple[float, aiosmtplib.SMTP]] = []  # last used last; never longer than the slots
        self._closed = False

    def __repr__(self) -> str:
        return f"Smtp({self._settings.host!r})"

    async def send(self, message: Message) -> Receipt:
        """Hand one message to the server. The deadline, `timeout`, spans the wait for a connection and all the rest."""
        letter = compose(message, self._settings)
        if self._signer:
            letter = replace(letter, content=await self._signer.signed(letter.content))
        expires = _now() + self._settings.timeout
        await self._step(Phase.QUEUE, self._slots.acquire, expires)
        try:
            client = await self._addressed(letter, expires)
            await self._guarded(client, Phase.DATA, lambda: client.data(letter.content), expires)
            self._keep(client)
        finally:
            self._slots.release()
        return Receipt(letter.message_id)

    def read(self, callback: Callback) -> Outcome:
        """SMTP reports nothing over HTTP: a bounce is an email to the sender's address."""
        return Outcome()

    def answer(self, message: Message | None) -> Answer:
        return Answer(status=404)

    async def examine(self, public_url: str) -> list[Finding]:
        """Everything that comes before a message, on a connection of its own: TLS, login, and the sender and
        a recipient named and taken back. The recipient is the sender's own address, since there is no other that is
        surely the operator's; a mailbox that doesn't exist there is no fault."""
        told = remedies.load("smtp")
        expires = _now() + self._settings.timeout
        try:
            client = await self._open(expires)
        except SendError as error:
            return [refused("connection and login", error, told), *await self._record()]
        login = "and logged in" if self._login else "without a login"
        return [
            ok("connection and login", f"reached by {self._settings.security}, {login}"),
            *await self._rehearsed(client, told, expires),
            *await self._record(),
        ]

    async def _record(self) -> list[Finding]:
        return [await self._signer.examine(look_up)] if self._signer else []

    async def _rehearsed(self, client: aiosmtplib.SMTP, told: remedies.Remedies, expires: float) -> list[Finding]:
        sender = mailbox(self._settings.from_address).addr_spec
        what = "sender"
        try:
            await self._step(Phase.MAIL, lambda: client.mail(sender), expires)
            what = "recipients"
            await self._step(Phase.RCPT, lambda: client.rcpt(sender), expires)
            await self._step(Phase.RCPT, client.rset, expires)
        except SendError as error:
            if what == "sender":
                return [refused(what, error, told)]
            if error.error in (ErrorClass.BAD_DESTINATION, ErrorClass.TEMPORARY):
                why = f"the server takes no mail for the sender's own address ({error.vendor_code})"
                return [ok("sender", "accepted"), unknown(what, why)]
            return [ok("sender", "accepted"), refused(what, error, told)]
        finally:
            await _goodbye(client)
        return [ok("sender", "accepted, and so was its own address as a recipient; nothing was sent")]

    async def close(self) -> None:
        """Say goodbye on every idle connection. A message still on its way ends first, and its connection with it."""
        self._closed = True
        clients = [client for _, client in self._idle]
        self._idle.clear()
        await asyncio.gather(*map(_goodbye, clients))

    async def _addressed(self, letter: Letter, expires: float) -> aiosmtplib.SMTP:
        """A connection on which the server has accepted sender and recipient.

        A kept connection may have died unseen. Nothing was handed over yet, so a fresh one is tried, once.
        """
        kept = self._reuse()
        if kept is not None:
            try:
                await self._envelope(kept, letter, expires)
                return kept
            except SendError as error:
                if error.vendor_code != "disconnected" and not error.vendor_code.startswith("421"):
                    raise
        fresh = await self._open(expires)
        await self._envelope(fresh, letter, expires)
        return fresh

    async def _open(self, expires: float) -> aiosmtplib.SMTP:
        settings = self._settings
        client = aiosmtplib.SMTP(
            hostname=settings.server[0],
            port=settings.server[1],
            use_tls=settings.security == "tls",
            start_tls=settings.security == "starttls",
            tls_context=self._tls,
            local_hostname=settings.local_hostname,
            timeout=None,  # the deadline of the whole send rules
        )
        await self._guarded(client, Phase.CONNECT, client.connect, expires)
        await self._guarded(client, Phase.CONNECT, client.ehlo, expires)
        if self._login is not None:
            username, password = self._login
            await self._guarded(client, Phase.AUTH, lambda: client.login(username, password), expires)
        return client

    async def _envelope(self, client: aiosmtplib.SMTP, letter: Letter, expires: float) -> None:
        options, encoding = (["SMTPUTF8", "BODY=8BITMIME"], "utf-8") if letter.international else ([], "ascii")
        if letter.international and not client.supports_extension("smtputf8"):
            self._keep(client)
            raise SendError(self._settings.errors.get("smtputf8", ErrorClass.NO_CHANNEL), "smtputf8")
        await self._guarded(
            client, Phase.MAIL, lambda: client.mail(letter.sender, options=options, encoding=encoding), expires
        )
        await self._guarded(client, Phase.RCPT, lambda: client.rcpt(letter.recipient, encoding=encoding), expires)

    async def _guarded(
        self, client: aiosmtplib.SMTP, phase: Phase, work: Callable[[], Awaitable[object]], expires: float
    ) -> None:
        """One step on one connection, which is dropped when the step fails in any way, cancellation included.

        A recipient that is refused is the exception: that is daily business, and the connection is reset and kept.
        """
        try:
            await self._step(phase, work, expires)
        except SendError as error:
            if phase is Phase.RCPT and error.vendor_code[0] in "45" and await self._reset(client, expires):
                self._keep(client)
            else:
                _drop(client)
            raise
        except BaseException:
            _drop(client)
            raise

    async def _reset(self, client: aiosmtplib.SMTP, expires: float) -> bool:
        try:
            await self._step(Phase.RCPT, client.rset, expires)
        except SendError:
            return False
        except BaseException:
            _drop(client)
            raise
        return True

    async def _step(self, phase: Phase, work: Callable[[], Awaitable[T]], expires: float) -> T:
        try:
            async with asyncio.timeout_at(expires):
                return await work()
        except (aiosmtplib.SMTPException, OSError) as error:
            failure = classify(error, phase, self._settings.errors)
        raise failure  # outside the handler: the foreign error holds the address and must not travel along as context

    def _reuse(self) -> aiosmtplib.SMTP | None:
        while self._idle:
            since, client = self._idle.pop()
            if client.is_connected and _now() - since <= self._settings.idle:
                return client
            _drop(client)
        return None

    def _keep(self, client: aiosmtplib.SMTP) -> None:
        if client.is_connected and not self._closed:
            self._idle.append((_now(), client))
        else:
            _drop(client)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _drop(client: aiosmtplib.SMTP) -> None:
    """Closes without a word. Aborts, since a graceful TLS goodbye waits for a server that may never answer."""
    if client.transport is not None:
        cast(asyncio.WriteTransport, client.transport).abort()  # uvloop's transports have it and are no subclass
    client.close()


async def _goodbye(client: aiosmtplib.SMTP) -> None:
    with suppress(aiosmtplib.SMTPException, OSError):
        async with asyncio.timeout(1.0):
            await client.quit()
    _drop(client)


def build(settings: Settings, context: Context) -> Smtp:
    """Raises ValueError when the settings can't be used here: plain text in production, a bad ca_file."""
    if context.production and settings.security == "none" and not settings.allow_plaintext:
        raise ValueError(
            f"providers.{context.name}: security none sends codes in the clear, which production refuses: "
            "write security: starttls or tls, or allow_plaintext: true if the link is private"
        )
    login = (settings.username, context.secrets["password"]) if settings.username else None
    return Smtp(settings, login, _tls(settings, context), _signer(settings, context))


def _signer(settings: Settings, context: Context) -> Signer | None:
    return Signer(settings.dkim, context.secrets["dkim.key"]) if settings.dkim else None


def _tls(settings: Settings, context: Context) -> ssl.SSLContext | None:
    if settings.security == "none":
        return None
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(
            f"providers.{context.name}: ca_file can't be read as PEM certificates: {error.strerror or error}"
        ) from None
