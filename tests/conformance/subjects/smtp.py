"""SMTP in the conformance suite: a mail server that fails as mail servers fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from email.message import EmailMessage
from typing import Any

from channels.contract import Channel
from channels.providers._smtp_replies import TABLES, Phase
from tests.conformance.subject import Case, Meeting, Refused, Sentence, Situation, Subject, message
from tests.vendors.mail import Certificate, Mailbox, Server, hangs, hangs_up, letter, raw, says, serving

_COMMANDS = {Phase.MAIL: "MAIL", Phase.RCPT: "RCPT", Phase.DATA: "DATA"}
_TABLE = {f"{phase}:{key}": error for phase in _COMMANDS for key, error in TABLES[phase].items()}
"""Of the phases in which the message is on its way. Greetings and logins have tests of their own."""


def _reply(code: str) -> str:
    """What a server says so that this key of the table is the one that fits, and none before it."""
    key = code.partition(":")[2]
    if "-" in key:
        return key.replace("-", " ")
    reply, dot, _ = key.partition(".")
    if dot:
        status = key if key.count(".") == 2 else f"{key}.99"
        return f"{reply}99 {status}"
    return key if len(key) == 3 else f"{key}98"


def _shown(code: str) -> str:
    return _reply(code).replace(" ", "-")


_HOOKS: Mapping[Situation, Callable[[Server], Awaitable[str | None]]] = {
    Situation.MALFORMED: says("It works!"),
    Situation.SLOW: hangs,
    Situation.RESET: hangs_up,
}


@asynccontextmanager
async def _arrange(
    subject: Subject, case: Case, situation: Situation | Refused, certificate: Certificate, changes: Mapping[str, Any]
) -> AsyncIterator[Meeting]:
    box = Mailbox()
    if isinstance(situation, Refused):
        box.on[_COMMANDS[Phase(situation.code.partition(":")[0])]] = says(f"{_reply(situation.code)} no")
    elif situation in _HOOKS:
        box.on["DATA"] = _HOOKS[situation]
    tls = certificate.server if situation is Situation.UNTRUSTED else None
    async with AsyncExitStack() as stack:
        if situation is Situation.NOBODY:
            async with raw() as port:
                pass
        else:
            port = await stack.enter_async_context(serving(box, tls))
        provider = subject.build(case, port=port, security="tls" if tls else "none", **changes)
        stack.push_async_callback(provider.close)
        yield Meeting(
            provider,
            case.message,
            lambda: len(box.letters),
            lambda: _plain(box),
            hold=lambda: _hold(box),
        )


def _plain(box: Mailbox) -> str:
    part = letter(box, -1).get_body(("plain",))
    assert isinstance(part, EmailMessage)
    return str(part.get_content()).replace("\r\n", "\n").removesuffix("\n")


@asynccontextmanager
async def _hold(box: Mailbox) -> AsyncIterator[Callable[[], int]]:
    gate = asyncio.Event()

    async def wait(server: Server) -> str | None:
        await gate.wait()
        return None

    box.on["DATA"] = wait
    yield lambda: box.most_open
    gate.set()


_NO_REPORTS = "a mail server reports nothing over HTTP: a bounce is an email to the sender"

SUBJECT = Subject(
    provider="smtp",
    arrange=_arrange,
    address=lambda url: {},
    settings={"host": "127.0.0.1", "from_address": "Shop <no-reply@shop.example>", "local_hostname": "gateway.test"},
    table=_TABLE,
    shown=_shown,
    cases={"email": Case(message(Channel.EMAIL), refusals=_TABLE, unknown="rcpt:599", words=lambda received: "")},
    exempt={
        Sentence.SERVER_ERROR: "SMTP is not HTTP: a server's own trouble is one of the replies of its table",
        Sentence.THROTTLED: "SMTP has no Retry-After: too many messages is one of the replies of its table",
        Sentence.EMPTY: "SMTP has no empty answer: a server that says nothing is slow, or hangs up",
        Sentence.LIFETIME: "hardly a server offers DELIVERBY (RFC 2852), and no person waits for an email's end",
        Sentence.PRICE: "a mail server names no price",
        Sentence.REPORTS: _NO_REPORTS,
        Sentence.PROGRESS: _NO_REPORTS,
        Sentence.FORGED: _NO_REPORTS,
        Sentence.REPLAYED: _NO_REPORTS,
        Sentence.BOUND: _NO_REPORTS,
    },
)
