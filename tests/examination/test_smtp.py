"""What the doctor sees of a mail server: everything that comes before a letter, and never a letter."""

from __future__ import annotations

from typing import Any

import pytest

from channels.examination import Finding, Verdict
from tests.examination.looking import build, told, verdicts
from tests.vendors.mail import Mailbox, hangs, says, serving

SETTINGS: dict[str, Any] = {
    "host": "127.0.0.1",
    "security": "none",
    "from_address": "Shop <no-reply@shop.example>",
    "local_hostname": "gateway.test",
}
SECRETS = {"password": "correct horse"}


async def look(box: Mailbox, **settings: Any) -> dict[str, Finding]:
    async with serving(box) as port:
        return await told("smtp", build("smtp", {**SETTINGS, "port": port, **settings}, SECRETS), SECRETS)


async def test_a_server_that_takes_sender_and_recipient_is_ok_and_gets_no_letter() -> None:
    box = Mailbox()
    found = await look(box)
    assert verdicts(found) == {"connection and login": Verdict.OK, "sender": Verdict.OK}
    assert box.letters == []
    assert box.commands == ["MAIL", "RCPT", "RSET", "QUIT"]


@pytest.mark.parametrize(
    ("command", "reply", "expected"),
    [
        ("MAIL", "553 5.7.1 not yours", {"sender": Verdict.FAULT}),
        ("MAIL", "451 later", {"sender": Verdict.FAULT}),
        ("RCPT", "550 5.1.1 no such mailbox", {"sender": Verdict.OK, "recipients": Verdict.UNKNOWN}),
        ("RCPT", "450 greylisted", {"sender": Verdict.OK, "recipients": Verdict.UNKNOWN}),
        ("RCPT", "554 5.7.1 relay access denied", {"sender": Verdict.OK, "recipients": Verdict.FAULT}),
        ("RCPT", "530 5.7.0 authentication required", {"sender": Verdict.OK, "recipients": Verdict.FAULT}),
    ],
)
async def test_a_refusal_is_told_by_what_it_is_about(command: str, reply: str, expected: dict[str, Verdict]) -> None:
    box = Mailbox(on={command: says(reply)})
    assert verdicts(await look(box)) == {"connection and login": Verdict.OK, **expected}
    assert box.commands[-1] == "QUIT"


async def test_a_server_without_a_login_that_we_know_is_at_fault() -> None:
    login = {"username": "gateway", "password": {"env": "P"}, "allow_plaintext": True}
    found = (await look(Mailbox(), **login))["connection and login"]
    assert found.verdict is Verdict.FAULT
    assert found.remedy.startswith("Compare `username` and `password`.")


async def test_a_silent_server_is_given_no_more_than_the_deadline() -> None:
    found = await look(Mailbox(on={"MAIL": hangs}), timeout=0.1)
    assert found["sender"].seen == "provider_down (timeout)"


async def test_where_nothing_listens_is_told() -> None:
    async with serving(Mailbox()) as port:
        pass
    provider = build("smtp", {**SETTINGS, "port": port}, SECRETS)
    found = (await told("smtp", provider, SECRETS))["connection and login"]
    assert found.seen == "provider_down (connect)"
    assert found.remedy.startswith("Nothing answers there")
