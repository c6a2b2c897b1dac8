"""What the doctor sees of a Plivo account: its credit, its numbers and its Powerpack."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from channels.examination import Finding, Verdict
from tests.examination.looking import looked, verdicts
from tests.vendors import plivo
from tests.vendors.server import Received

SETTINGS: dict[str, Any] = {
    "auth_id": plivo.ACCOUNT,
    "auth_token": {"env": "T"},
    "from_sms": "+14155550100",
    "from_voice": "+14155550100",
}
SECRETS = {"auth_token": plivo.TOKEN}


def _answer(received: Received, **changes: Any) -> Any:
    named = {"Account": changes.pop("Account")} if "Account" in changes else {}
    return plivo.look(received, **named, **changes)


async def look(settings: dict[str, Any] | None = None, **changes: Any) -> dict[str, Finding]:
    return await looked("plivo", partial(_answer, **changes), settings or SETTINGS, SECRETS)


async def test_a_good_account_is_ok_throughout() -> None:
    found = await look()
    assert verdicts(found) == dict.fromkeys(
        ["account", "SMS from +1415*****00", "voice from +1415*****00", "clock"], Verdict.OK
    )
    assert found["account"].seen == "the Auth Token is right; 1.81 US dollars left"


@pytest.mark.parametrize(
    ("account", "verdict", "seen"),
    [
        ({"account_type": "developer"}, "warning", "on trial"),
        ({"cash_credits": "0.00000", "billing_mode": "prepaid"}, "fault", "0.00 US dollars left"),
        ({"cash_credits": "-3.2", "billing_mode": "postpaid"}, "ok", "the Auth Token is right; -3.20 US dollars left"),
        ({"auth_id": "MA0"}, "ok", "the Auth Token is right"),
    ],
)
async def test_the_account_says_trial_and_credit(account: dict[str, Any], verdict: str, seen: str) -> None:
    found = (await look(Account=account))["account"]
    assert (found.verdict, found.seen) == (verdict, seen)


async def test_a_number_that_is_not_there_or_can_t_do_it_is_at_fault() -> None:
    absent = await look(Number=plivo.refuse(404))
    assert absent["SMS from +1415*****00"].remedy.startswith("The number is not in this account")
    assert absent["voice from +1415*****00"].remedy.startswith("Call from a Plivo number")
    unable = await look(Number={"sms_enabled": False, "voice_enabled": True})
    assert unable["SMS from +1415*****00"].seen == "a number of the account that can't do SMS"


async def test_a_powerpack_is_looked_up_and_a_name_can_t_be() -> None:
    powerpack = {**SETTINGS, "from_sms": None, "powerpack_uuid": plivo.MESSAGE}
    assert (await look(powerpack))["Powerpack"].verdict is Verdict.OK
    assert (await look(powerpack, Powerpack=plivo.refuse(404)))["Powerpack"].verdict is Verdict.FAULT
    assert (await look({**SETTINGS, "from_sms": "ACME"}))["SMS from ACME"].verdict is Verdict.UNKNOWN


async def test_a_wrong_token_is_one_finding_with_the_remedy_of_the_page() -> None:
    found = await looked("plivo", lambda _: plivo.refuse(401), SETTINGS, SECRETS)
    refusal = next(iter(found.values()))
    assert refusal.seen == "provider_account (http.401)"
    assert refusal.remedy.startswith("Compare the Auth ID and the Auth Token")
