"""The SMTP provider against a mail server that fails in every way: TLS, login, refusals, silence, lost connections."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import aiosmtplib
import pytest
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from channels.contract import (
    REMEDIES,
    Context,
    ErrorClass,
    Remedy,
)
from channels.providers import smtp
from channels.providers._smtp_replies import TABLES, Phase, classify
from tests.vendors.mail import (
    LOGIN,
    PASSWORD,
    Certificate,
    Mailbox,
    Server,
    certify,
    hangs,
    hangs_up,
    letter,
    message,
    provider,
    raw,
    refusal,
    says,
    serving,
    settings,
    times,
)

# --- TLS and login ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certify(tmp_path_factory.mktemp("tls"))


def authenticator(server: Server, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    assert isinstance(data, LoginPassword)
    right = (data.login, data.password) == (b"gateway", PASSWORD.encode())
    return AuthResult(success=right, handled=False)


async def test_starttls_and_login_come_before_the_message(certificate: Certificate) -> None:
    box = Mailbox()
    server_keys = {"tls_context": certificate.server, "require_starttls": True, "authenticator": authenticator}
    async with (
        serving(box, **server_keys, auth_required=True) as port,
        provider(port, security="starttls", ca_file=certificate.ca_file, **LOGIN) as mail,
    ):
        await mail.send(message())
        await mail.send(message())
    assert (len(box.letters), box.connections) == (2, 1)


async def test_tls_from_the_first_byte_carries_the_message(certificate: Certificate) -> None:
    box = Mailbox()
    async with (
        serving(box, certificate.server) as port,
        provider(port, security="tls", ca_file=certificate.ca_file) as mail,
    ):
        await mail.send(message())
    assert len(box.letters) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_nobody_vouches_for_ends_the_talk(certificate: Certificate, security: str) -> None:
    box = Mailbox()
    tls = certificate.server if security == "tls" else None
    async with (
        serving(box, tls, tls_context=None if tls else certificate.server) as port,
        provider(port, security=security) as mail,
    ):
        refused = await refusal(mail, message())
    assert (refused.error, refused.vendor_code, refused.ambiguous) == (ErrorClass.PROVIDER_DOWN, "tls", False)
    assert box.commands == []


async def test_a_certificate_for_another_name_ends_the_talk(certificate: Certificate) -> None:
    box = Mailbox()
    async with (
        serving(box, certificate.server) as port,
        provider(port, security="tls", ca_file=certificate.ca_file, host="localhost") as mail,
    ):
        refused = await refusal(mail, message())
    assert (refused.error, refused.vendor_code) == (ErrorClass.PROVIDER_DOWN, "tls")
    assert box.commands == []


async def test_a_client_that_does_not_verify_would_have_sent_the_code(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    monkeypatch.setattr(smtp, "_tls", lambda settings, context: unverified)
    box = Mailbox()
    async with serving(box, certificate.server) as port, provider(port, security="tls") as mail:
        await mail.send(message())
    assert len(box.letters) == 1


async def test_a_server_without_starttls_never_sees_the_message() -> None:
    box = Mailbox()
    async with serving(box) as port, provider(port, security="starttls") as mail:
        refused = await refusal(mail, message())
    assert (refused.error, refused.vendor_code) == (ErrorClass.PROVIDER_DOWN, "starttls")
    assert box.commands == []


async def test_a_wrong_password_is_the_accounts_fault(certificate: Certificate) -> None:
    box = Mailbox()
    wrong = Context("mail", "otp-gateway/test", production=True, secrets={"password": "guess"})
    async with serving(box, tls_context=certificate.server, authenticator=authenticator) as port:
        mail = smtp.build(settings(port, security="starttls", ca_file=certificate.ca_file, **LOGIN), wrong)
        refused = await refusal(mail, message())
        await mail.close()
    assert (refused.error, refused.vendor_code) == (ErrorClass.PROVIDER_ACCOUNT, "535-5.7.8")


async def test_a_server_that_offers_no_login_is_the_accounts_fault() -> None:
    box = Mailbox()
    async with (
        serving(box, auth_exclude_mechanism=["LOGIN", "PLAIN"]) as port,
        provider(port, allow_plaintext=True, **LOGIN) as mail,
    ):
        refused = await refusal(mail, message())
    assert (refused.error, refused.vendor_code) == (ErrorClass.PROVIDER_ACCOUNT, "auth")


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "reply", "error", "code"),
    [
        ("RCPT", "550 5.1.1 no such user", ErrorClass.BAD_DESTINATION, "550-5.1.1"),
        ("RCPT", "550 no such user", ErrorClass.BAD_DESTINATION, "550"),
        ("RCPT", "552 5.2.2 mailbox full", ErrorClass.TEMPORARY, "552-5.2.2"),
        ("RCPT", "452 4.2.2 mailbox full", ErrorClass.TEMPORARY, "452-4.2.2"),
        ("RCPT", "451 4.7.1 greylisted, come back", ErrorClass.TEMPORARY, "451-4.7.1"),
        ("RCPT", "450 mailbox busy", ErrorClass.TEMPORARY, "450"),
        ("RCPT", "554 5.7.1 relay access denied", ErrorClass.SENDER, "554-5.7.1"),
        ("MAIL", "550 5.7.1 not your domain", ErrorClass.SENDER, "550-5.7.1"),
        ("MAIL", "530 5.7.0 authentication required", ErrorClass.PROVIDER_ACCOUNT, "530-5.7.0"),
        ("DATA", "550 5.7.1 looks like spam", ErrorClass.CONTENT, "550-5.7.1"),
        ("DATA", "550 5.7.26 unauthenticated sender", ErrorClass.SENDER, "550-5.7.26"),
        ("DATA", "454 Throttling failure: Maximum sending rate exceeded.", ErrorClass.THROTTLED, "454"),
        ("DATA", "421 4.3.2 shutting down", ErrorClass.TEMPORARY, "421-4.3.2"),
        ("DATA", "554 ana@example.org 5.1.1 in the wrong place", ErrorClass.CONTENT, "554"),
        ("DATA", "599 what", ErrorClass.UNKNOWN, "599"),
    ],
)
async def test_a_refusal_is_classed_by_code_and_phase(command: str, reply: str, error: ErrorClass, code: str) -> None:
    box = Mailbox(on={command: says(reply)})
    async with serving(box) as port, provider(port) as mail:
        refused = await refusal(mail, message())
    assert (refused.error, refused.vendor_code, refused.ambiguous) == (error, code, False)


async def test_the_operator_can_class_a_code_otherwise() -> None:
    box = Mailbox(on={"RCPT": says("550 5.1.1 who knows")})
    async with serving(box) as port:
        for key in ("550-5.1.1", "5.1.1", "5.1", "550", "5"):
            async with provider(port, errors={key: "temporary"}) as mail:
                assert (await refusal(mail, message())).error is ErrorClass.TEMPORARY


async def test_a_421_greeting_is_temporary_and_a_554_greeting_is_the_accounts() -> None:
    async with raw(b"421 4.3.2 too busy\r\n") as port, provider(port) as mail:
        busy = await refusal(mail, message())
    async with raw(b"554 5.7.1 you are on a list\r\n") as port, provider(port) as mail:
        shunned = await refusal(mail, message())
    assert (busy.error, busy.vendor_code) == (ErrorClass.TEMPORARY, "421-4.3.2")
    assert (shunned.error, shunned.vendor_code) == (ErrorClass.PROVIDER_ACCOUNT, "554-5.7.1")


async def test_a_server_that_speaks_no_smtp_is_down() -> None:
    async with raw(b"HTTP/1.1 400 Bad Request\r\n") as port, provider(port) as mail:
        refused = await refusal(mail, message())
    assert (refused.error, refused.vendor_code) == (ErrorClass.PROVIDER_DOWN, "malformed")


async def test_a_server_that_nobody_runs_is_down() -> None:
    async with raw() as port:
        pass
    async with provider(port) as mail:
        refused = await refusal(mail, message())
    assert (refused.error, refused.vendor_code, refused.ambiguous) == (ErrorClass.PROVIDER_DOWN, "connect", False)


async def test_a_lost_connection_is_ambiguous_only_once_the_text_was_handed_over() -> None:
    for command, ambiguous in {"MAIL": False, "RCPT": False, "DATA": True}.items():
        box = Mailbox(on={command: hangs_up})
        async with serving(box) as port, provider(port) as mail:
            refused = await refusal(mail, message())
        assert (refused.error, refused.vendor_code) == (ErrorClass.PROVIDER_DOWN, "disconnected")
        assert refused.ambiguous is ambiguous


def test_a_fault_is_told_by_the_same_words_in_every_phase() -> None:
    faults = (
        aiosmtplib.SMTPServerDisconnected("x"),
        TimeoutError(),
        ssl.SSLError("x"),
        aiosmtplib.SMTPException("x"),
        aiosmtplib.SMTPResponseException(-1, "x"),
        aiosmtplib.SMTPResponseException(251, "x"),
    )
    seen = {classify(fault, phase, {}).vendor_code for fault in faults for phase in Phase}
    assert seen == {"busy", "malformed", "timeout", "tls", "connect", "disconnected", "auth", "starttls"}
    assert all(classify(fault, Phase.DATA, {}).ambiguous for fault in faults)


def test_no_mail_refusal_stops_the_cascade_or_blames_the_phone() -> None:
    classes = {error for table in TABLES.values() for error in table.values()}
    assert Remedy.STOP not in {REMEDIES[error] for error in classes}


# --- deadlines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "ambiguous"), [("MAIL", False), ("RCPT", False), ("DATA", True)])
async def test_the_deadline_holds_in_every_phase(command: str, ambiguous: bool) -> None:
    box = Mailbox(on={command: hangs})
    async with serving(box) as port, provider(port, timeout=0.05) as mail:
        started = time.monotonic()
        refused = await refusal(mail, message())
        assert time.monotonic() - started < 1
    assert (refused.error, refused.vendor_code) == (ErrorClass.PROVIDER_DOWN, "timeout")
    assert refused.ambiguous is ambiguous


async def test_a_server_that_accepts_and_says_nothing_does_not_hold_a_message() -> None:
    async with raw(b"") as port, provider(port, timeout=0.05) as mail:
        refused = await refusal(mail, message())
    assert (refused.error, refused.vendor_code, refused.ambiguous) == (ErrorClass.PROVIDER_DOWN, "timeout", False)


async def test_a_message_that_never_gets_a_connection_was_surely_not_sent() -> None:
    async with provider(25, timeout=0.02, concurrency=1) as mail:
        await mail._slots.acquire()  # a message that outlasts the other's deadline
        refused = await refusal(mail, message())
    assert (refused.error, refused.vendor_code, refused.ambiguous) == (ErrorClass.THROTTLED, "busy", False)


async def test_a_canceled_send_gives_its_slot_back_and_leaves_no_connection_behind() -> None:
    reached = asyncio.Event()

    async def hangs_once(server: Server) -> str | None:
        if not reached.is_set():
            reached.set()
            await asyncio.Event().wait()
        return None

    box = Mailbox(on={"DATA": hangs_once})
    async with serving(box) as port, provider(port, concurrency=1) as mail:
        sending = asyncio.create_task(mail.send(message()))
        await reached.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await mail.send(message())
    assert (len(box.letters), box.connections, box.most_open) == (1, 2, box.most_open)


# --- connections -----------------------------------------------------------------------------------------------------


async def test_connections_are_reused_and_said_goodbye_to() -> None:
    box = Mailbox()
    async with serving(box) as port:
        async with provider(port) as mail:
            for _ in range(5):
                await mail.send(message())
        assert (len(box.letters), box.connections) == (5, 1)
        assert box.commands[-1] == "QUIT"
    assert len({letter(box, index)["Message-ID"] for index in range(5)}) == 5


async def test_fifty_messages_at_once_share_a_few_connections() -> None:
    box = Mailbox()
    async with serving(box) as port, provider(port, concurrency=3) as mail:
        await asyncio.gather(*(mail.send(message()) for _ in range(50)))
    assert (len(box.letters), box.connections, box.most_open) == (50, 3, 3)


async def test_without_slots_fifty_messages_open_fifty_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    box = Mailbox()
    async with serving(box) as port, provider(port, concurrency=3) as mail:
        monkeypatch.setattr(mail, "_slots", asyncio.Semaphore(1000))
        await asyncio.gather(*(mail.send(message()) for _ in range(50)))
    assert box.most_open > 3


async def test_a_refused_recipient_costs_no_connection_and_does_not_stain_the_next_message() -> None:
    box = Mailbox(on={"RCPT": times(3, "550 5.1.1 no such user")})
    async with serving(box) as port, provider(port) as mail:
        for _ in range(3):
            await refusal(mail, message("nobody@example.org"))
        await mail.send(message())
    assert (box.connections, box.letters[0].rcpt_tos) == (1, ["ana@example.org"])


async def test_a_connection_that_died_while_idle_is_replaced_without_a_word() -> None:
    box = Mailbox()
    async with serving(box) as port, provider(port) as mail:
        await mail.send(message())
        box.transports[-1].abort()
        await mail.send(message())
    assert (len(box.letters), box.connections) == (2, 2)


@pytest.mark.parametrize("dying", [says("421 4.4.2 idle for too long"), hangs_up])
async def test_a_connection_that_dies_on_reuse_is_reopened_once(
    dying: Callable[[Server], Awaitable[str | None]],
) -> None:
    box = Mailbox()
    async with serving(box) as port, provider(port) as mail:
        await mail.send(message())
        box.on["MAIL"] = dying
        refused = await refusal(mail, message())
        assert (refused.ambiguous, box.connections) == (False, 2)
        box.on.clear()
        await mail.send(message())
    assert (len(box.letters), box.connections) == (2, 3)


async def test_a_message_that_may_have_been_delivered_is_never_sent_again() -> None:
    box = Mailbox()
    async with serving(box) as port, provider(port) as mail:
        await mail.send(message())
        box.on["DATA"] = hangs_up
        refused = await refusal(mail, message())
    assert (refused.ambiguous, box.commands.count("DATA")) == (True, 2)


async def test_a_connection_idle_for_too_long_is_not_used_again() -> None:
    box = Mailbox()
    async with serving(box) as port, provider(port, idle=0) as mail:
        await mail.send(message())
        await asyncio.sleep(0.001)
        await mail.send(message())
    assert box.connections == 2


class ForeignTransport:
    """Like uvloop's: it can do what asyncio's can, and is none of asyncio's classes."""

    aborted = False

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted


def test_a_dropped_connection_is_aborted_whatever_the_event_loop() -> None:
    client, transport = aiosmtplib.SMTP(), ForeignTransport()
    client.transport = cast(asyncio.BaseTransport, transport)
    smtp._drop(client)
    assert transport.aborted
    assert client.transport is None


async def test_a_send_canceled_while_it_tidies_up_leaves_no_connection_behind() -> None:
    reached = asyncio.Event()

    async def hangs_and_tells(server: Server) -> str | None:
        reached.set()
        return await hangs(server)

    box = Mailbox(on={"RCPT": says("550 5.1.1 no such user"), "RSET": hangs_and_tells})
    async with serving(box) as port, provider(port) as mail:
        sending = asyncio.create_task(mail.send(message()))
        await reached.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await asyncio.sleep(0.005)
        assert box.open == 0
