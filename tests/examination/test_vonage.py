"""What the doctor sees of a Vonage account: with the API key nearly all, with an application alone little."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from channels.examination import Finding, Verdict
from tests.examination.looking import looked, verdicts
from tests.vendors import vonage
from tests.vendors.server import Received, Reply, json_reply

APPLICATION: dict[str, Any] = {
    "application_id": vonage.APPLICATION,
    "private_key": {"env": "P"},
    "signature_secret": {"env": "S"},
    "from_sms": "+14155550100",
    "from_voice": "+14155550100",
}
KEY = {"api_key": vonage.KEY, "api_secret": {"env": "A"}}
SECRETS = {
    "private_key": vonage.private_pem(),
    "api_secret": vonage.SECRET,
    "signature_secret": vonage.SIGNATURE_SECRET,
}


async def look(settings: dict[str, Any] | None = None, **changes: object) -> dict[str, Finding]:
    given = {**APPLICATION, **KEY} if settings is None else settings
    secrets = {name: SECRETS[name] for name in SECRETS if name in given}
    return await looked("vonage", partial(vonage.look, **changes), given, secrets)


async def test_a_good_account_is_ok_but_for_the_secret_that_nobody_tells() -> None:
    found = await look()
    assert verdicts(found) == {
        "balance": Verdict.OK,
        "application": Verdict.OK,
        "SMS from +1415*****00": Verdict.OK,
        "voice from +1415*****00": Verdict.OK,
        "clock": Verdict.OK,
        "signature secret": Verdict.UNKNOWN,
    }
    assert found["balance"].seen == "10.28 EUR"


async def test_wrong_credentials_get_the_remedy_of_the_page() -> None:
    wrong = json_reply(401, {"error-code": "401", "error-code-label": "authentication failed"})
    found = await looked("vonage", lambda _: wrong, {**APPLICATION, **KEY}, SECRETS)
    refusal = next(one for one in found.values() if one.verdict is Verdict.FAULT)
    assert refusal.seen == "provider_account (unauthorized)"
    assert refusal.remedy.startswith("Wrong key, secret or application.")


async def test_no_credit_is_at_fault() -> None:
    assert (await look(**{"get-balance": {"value": 0, "autoReload": False}}))["balance"].verdict is Verdict.FAULT


async def test_a_private_key_of_another_application_is_found_out() -> None:
    other = rsa.generate_private_key(65537, 2048).public_key()
    pem = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    answer = {"keys": {"public_key": pem}, "capabilities": {"voice": {}, "messages": {}}}
    found = (await look(**{vonage.APPLICATION: answer}))["application"]
    assert (found.verdict, found.seen) == (Verdict.FAULT, "its public key is not that of private_key")


async def test_an_application_without_a_capability_that_is_needed_is_at_fault() -> None:
    answer = {"keys": {"public_key": vonage.public_pem()}, "capabilities": {"voice": {}}}
    found = (await look(**{vonage.APPLICATION: answer}))["application"]
    assert (found.verdict, found.seen) == (Verdict.FAULT, "it lacks the capability messages")


async def test_an_absent_number_is_a_warning_for_sms_and_a_fault_for_calls() -> None:
    found = await look(numbers={"count": 0})
    assert found["SMS from +1415*****00"].verdict is Verdict.WARNING
    assert found["voice from +1415*****00"].verdict is Verdict.FAULT
    found = await look(numbers={"numbers": [{"msisdn": "14155550100", "features": ["SMS"]}]})
    assert found["voice from +1415*****00"].seen == "a number of the account that can't do VOICE"


async def test_an_application_alone_shows_whether_its_key_is_accepted() -> None:
    found = await look(APPLICATION)
    assert verdicts(found) == {
        "application": Verdict.OK,
        "SMS from +1415*****00": Verdict.UNKNOWN,
        "voice from +1415*****00": Verdict.UNKNOWN,
        "clock": Verdict.OK,
        "signature secret": Verdict.UNKNOWN,
    }
    assert (await look(APPLICATION, calls=vonage.problem(403, "forbidden")))["application"].verdict is Verdict.UNKNOWN
    assert (await look(APPLICATION, calls=vonage.problem(401, "jwt-expired")))["application"].verdict is Verdict.FAULT


async def test_no_secret_is_in_an_address() -> None:
    asked: list[str] = []

    def answer(received: Received) -> Reply:
        asked.append(received.path)
        return vonage.look(received)

    await looked("vonage", answer, {**APPLICATION, **KEY}, SECRETS)
    assert len(asked) == 4
    assert not [path for path in asked if vonage.SECRET in path or vonage.KEY in path]


@pytest.mark.parametrize(("sender", "template"), [("+14155550100", "code")])
async def test_whatsapp_can_t_be_looked_up(sender: str, template: str) -> None:
    settings = {**KEY, "signature_secret": {"env": "S"}, "from_whatsapp": sender, "whatsapp_template": template}
    assert (await look(settings))["WhatsApp sender and template"].verdict is Verdict.UNKNOWN
