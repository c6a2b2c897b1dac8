"""What the doctor sees of a Twilio account: the account, the senders and the templates, by reading alone."""

from __future__ import annotations

from functools import partial
from typing import Any

import aiohttp
import pytest

from channels.contract import Context, ErrorClass
from channels.examination import Finding, Inquiry, Verdict
from channels.providers._twilio_examination import Account
from channels.providers.twilio import Settings
from channels.remedies import load
from channels.transport import Transport, refused
from tests.examination.looking import looked, verdicts
from tests.vendors import twilio
from tests.vendors.server import Received, Reply

SETTINGS: dict[str, Any] = {
    "account_sid": twilio.ACCOUNT,
    "auth_token": {"env": "T"},
    "from_sms": twilio.NUMBER,
    "messaging_service_sid": twilio.SERVICE,
    "from_voice": twilio.NUMBER,
    "from_whatsapp": twilio.NUMBER,
    "whatsapp_content_sid": twilio.TEMPLATE,
}
KEY = {"api_key_sid": "SK" + "0e" * 16, "api_key_secret": {"env": "K"}}
SECRETS = {"auth_token": twilio.TOKEN, "api_key_secret": "the-key-secret-of-the-tests"}


async def look(settings: dict[str, Any] | None = None, **changes: object) -> dict[str, Finding]:
    return await looked("twilio", partial(twilio.look, **changes), {**SETTINGS, **(settings or {})}, SECRETS)


async def test_a_good_account_is_ok_throughout() -> None:
    found = await look(KEY)
    assert set(verdicts(found).values()) == {Verdict.OK}
    assert list(found) == [
        "account",
        "balance",
        "API key",
        "SMS from +1415*****00",
        "Messaging Service",
        "voice from +1415*****00",
        "WhatsApp from +1415*****00",
        f"template {twilio.TEMPLATE}",
        "clock",
    ]


async def test_wrong_credentials_are_one_finding_with_the_remedy_of_the_page() -> None:
    found = await looked("twilio", lambda _: twilio.refuse(401, 20003), SETTINGS, SECRETS)
    refusals = [finding for finding in found.values() if finding.verdict is Verdict.FAULT]
    assert len(refusals) == 1
    assert refusals[0].seen == "provider_account (20003)"
    assert refusals[0].remedy.startswith("Wrong credentials: compare the Account SID and the token")


@pytest.mark.parametrize(
    ("changes", "what", "verdict", "seen"),
    [
        ({f"{twilio.ACCOUNT}.json": {"status": "suspended"}}, "account", "fault", "it is suspended"),
        ({f"{twilio.ACCOUNT}.json": {"status": "active", "type": "Trial"}}, "account", "warning", "active, on trial"),
        ({"Balance.json": {"balance": "-0.02", "currency": "USD"}}, "balance", "fault", "-0.02 USD"),
        ({"Balance.json": {"account_sid": "AC0"}}, "balance", "unknown", "could not be checked: a subaccount has none"),
        ({"Balance.json": twilio.refuse(404, 20404)}, "balance", "unknown", "could not be checked: Twilio names none"),
        ({"PhoneNumbers": {"phone_numbers": []}}, "Messaging Service", "fault", "it has no sender"),
        ({"Senders": {"senders": []}}, "WhatsApp from +1415*****00", "fault", "not a WhatsApp sender of the account"),
        (
            {"Senders": {"senders": [{"status": "OFFLINE", "sender_id": f"whatsapp:{twilio.NUMBER}"}]}},
            "WhatsApp from +1415*****00",
            "fault",
            "its status is OFFLINE",
        ),
        (
            {"Senders": {"senders": [{"sender_id": "whatsapp:+1"}] * 20}},
            "WhatsApp from +1415*****00",
            "unknown",
            "could not be checked: the account has more",
        ),
        (
            {"ApprovalRequests": {"whatsapp": {"status": "rejected"}}},
            f"template {twilio.TEMPLATE}",
            "fault",
            "WhatsApp's approval: rejected",
        ),
        (
            {"ApprovalRequests": {"whatsapp": {"status": "approved", "category": "MARKETING"}}},
            f"template {twilio.TEMPLATE}",
            "fault",
            "approved as MARKETING",
        ),
    ],
)
async def test_what_is_wrong_is_told_and_hides_nothing_else(
    changes: dict[str, Any], what: str, verdict: str, seen: str
) -> None:
    found = await look(**changes)
    assert (found[what].verdict, found[what].seen[: len(seen)]) == (verdict, seen)
    assert {one for other, one in verdicts(found).items() if other != what} == {Verdict.OK}


async def test_a_number_that_is_not_in_the_account_or_can_t_do_it_is_at_fault_by_channel() -> None:
    absent = await look(**{"IncomingPhoneNumbers.json": {"incoming_phone_numbers": []}})
    both = absent["SMS from +1415*****00, voice from +1415*****00"]
    assert (both.verdict, both.seen) == (Verdict.FAULT, "not in the account")
    unable = {"incoming_phone_numbers": [{"capabilities": {"sms": False, "voice": True}}]}
    found = await look(**{"IncomingPhoneNumbers.json": unable})
    assert found["SMS from +1415*****00"].seen == "a number of the account that can't do sms"
    assert found["voice from +1415*****00"].verdict is Verdict.OK


async def test_a_caller_id_that_was_verified_may_call_without_being_in_the_account() -> None:
    changes: dict[str, Any] = {
        "IncomingPhoneNumbers.json": {"incoming_phone_numbers": []},
        "OutgoingCallerIds.json": {"outgoing_caller_ids": [{"phone_number": twilio.NUMBER}]},
    }
    found = await look(**changes)
    assert found["voice from +1415*****00"].seen == "a verified caller id"


async def test_a_short_code_is_looked_up_and_a_name_can_t_be() -> None:
    assert (await look({"from_sms": "89203"}))["SMS from 89203"].verdict is Verdict.OK
    assert (await look({"from_sms": "ACME"}))["SMS from ACME"].verdict is Verdict.UNKNOWN


async def test_a_key_that_may_not_look_is_no_fault_since_twilio_answers_it_like_a_wrong_one() -> None:
    def answer(received: Received) -> Reply:
        by_key = received.headers["authorization"] == key
        return twilio.refuse(401, 20003) if by_key else twilio.look(received)

    key = aiohttp.encode_basic_auth(KEY["api_key_sid"], SECRETS["api_key_secret"])  # type: ignore[arg-type]  # a SID
    found = await looked("twilio", answer, {**SETTINGS, **KEY}, SECRETS)
    assert found["API key"].verdict is Verdict.WARNING
    assert found["account"].verdict is Verdict.OK


async def test_an_answer_that_is_not_twilio_s_is_at_fault() -> None:
    found = await looked("twilio", lambda _: Reply(200, b"<html>"), SETTINGS, SECRETS)
    assert [one.seen for one in found.values() if one.verdict is Verdict.FAULT] == ["provider_down (unreadable)"]


async def test_products_are_asked_at_their_own_hosts_beside_the_api_s() -> None:
    def account(**more: str) -> Account:
        settings = Settings.model_validate({"type": "twilio", **SETTINGS, **more})
        context = Context("main", "test", production=False, secrets=SECRETS)
        inquiry = Inquiry(lambda reply: refused(reply, ErrorClass.UNKNOWN), load("twilio"))
        return Account(settings, context, Transport(user_agent="test", timeout=1, concurrency=1), inquiry)

    assert account()._host("messaging") == "https://messaging.twilio.com"
    region = account(base_url="https://api.dublin.ie1.twilio.com")
    assert region._host("content") == "https://content.dublin.ie1.twilio.com"
