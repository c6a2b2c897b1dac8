"""Test destinations: the whole path with a known code and nothing sent, and no trace of it in production."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config import Invalid, Settings, load
from gateway.http import app as composition
from gateway.service import trial
from gateway.service.requests import Denied, Limited
from policies.money import Tariff
from tests.service.conftest import Worlds
from tests.support.world import EMAIL, PHONE, POLICY, World

CONFIG = Path(__file__).parents[2] / "config.yaml"
CODES = {PHONE: "271828", EMAIL: "000000"}


@pytest.fixture
def world(worlds: Worlds) -> World:
    return on_trial(worlds())


def on_trial(world: World) -> World:
    world.wire(replace(world.setup, test_codes=CODES))
    return world


@pytest.mark.parametrize(("to", "code"), [({"phone": PHONE}, "271828"), ({"email": "Ana+tests@example.org"}, "000000")])
async def test_the_known_code_approves_and_nothing_is_sent(world: World, to: dict[str, str], code: str) -> None:
    v = await world.start(**to)
    assert [(a.provider, a.status) for a in v.attempts] == [("test", "delivered")]
    assert (await world.check(v, "999999")).verdict == "wrong"
    assert (await world.check(v, code)).verdict == "approved"
    assert (await world.check(v, code)).verdict == "spent"
    assert world.sent == []


async def test_other_destinations_get_a_code_of_their_own_by_a_provider(world: World) -> None:
    v = await world.start(phone="+14155550124")
    assert [a.provider for a in v.attempts] == ["one"]
    assert world.code(v) == world.sent[0].code
    if world.code(v) != "271828":
        assert (await world.check(v, "271828")).verdict == "wrong"


async def test_with_a_test_number_nothing_goes_to_the_other_address_either(world: World) -> None:
    v = await world.start(phone=PHONE, email="bob@example.org")
    await world.after(300)
    assert {step.providers for step in v.steps} == {("test",)}
    assert world.sent == []


async def test_nothing_falls_back_and_a_resend_sends_nothing_and_keeps_the_code(worlds: Worlds) -> None:
    new = {**POLICY, "code": {"cooldown": "0s", "resend": "new"}}
    world = on_trial(worlds(policies={"default": new}))
    v = await world.start()
    await world.after(60)
    assert len((await world.verifications.read("shop", v.id)).attempts) == 1
    await world.verifications.resend("shop", v.id, "voice")
    await world.settle()
    again = await world.verifications.read("shop", v.id)
    assert [(a.channel, a.status) for a in again.attempts] == [("sms", "delivered"), ("voice", "delivered")]
    assert (await world.check(v, "271828")).verdict == "approved"
    assert world.sent == []


async def test_an_apps_own_code_is_the_code(world: World) -> None:
    v = await world.start(code="778899")
    assert (await world.check(v, "271828")).verdict == "wrong"
    assert (await world.check(v, "778899")).verdict == "approved"


async def test_policy_and_limits_hold_as_for_anybody(worlds: Worlds) -> None:
    strict = {**POLICY, "limits": {"destination-10m": {"amount": 1}}}
    world = on_trial(worlds(policies={"default": strict, "login": {**POLICY, "countries": {"allow": ["GB"]}}}))
    await world.start()
    with pytest.raises(Limited):
        await world.start()
    with pytest.raises(Denied, match="country"):
        await world.start(purpose="login")


async def test_nothing_is_spent(worlds: Worlds) -> None:
    capped = {**POLICY, "spend": {"caps": {"app-day": {"per": "app", "amount": "0.10 USD", "window": "day"}}}}
    tariff = Tariff("USD", {}, {("one", "sms"): {"": 60_000}})
    world = on_trial(worlds(policies={"default": capped}, tariff=tariff))
    for _ in range(3):
        v = await world.start()
        assert [a.held for a in v.attempts] == [0]
    assert [key async for key in world.client.scan_iter(f"{world.prefix}:*:p:*")] == []
    await world.start(phone="+14155550124")
    with pytest.raises(Denied, match="spend"):  # the cap that the tests left alone
        await world.start(phone="+14155550125")


async def test_the_journal_says_that_nothing_was_sent(world: World) -> None:
    v = await world.start()
    (started,) = [line for line in world.logged if line["event"] == "verification.started"]
    assert "test: a test destination: nothing is sent" in started["notes"]
    assert "271828" not in str(world.logged) + repr(world.setup) + repr(v)


async def test_after_a_restart_without_test_destinations_none_is_left(world: World) -> None:
    """As in production: nothing is taken to be delivered, and the destination's code is made by chance."""
    v = await world.start()
    world.wire(replace(world.setup, test_codes={}))
    await world.verifications.resend("shop", v.id, None)
    await world.settle()
    newest = (await world.verifications.read("shop", v.id)).current
    assert (newest.provider, newest.status, newest.vendor_code) == ("test", "failed", "not-configured")
    assert [a.provider for a in (await world.start()).attempts] == ["one"]


# --- production ---


def settings(folder: Path, mode: str) -> Settings:
    file = folder / "config.yaml"
    text = CONFIG.read_text().replace("test_destinations: {}", 'test_destinations: {"+14155550199": "123456"}')
    file.write_text(text.replace("mode: development", f"mode: {mode}"))
    return load(file, {}, make_keys=False)


def test_the_loader_refuses_them_in_production(tmp_path: Path) -> None:
    assert settings(tmp_path, "development").config.test_destinations == {"+14155550199": "123456"}
    with pytest.raises(Invalid) as invalid:
        settings(tmp_path, "production")
    assert "test_destinations" in {fault.path for fault in invalid.value.faults}


def smuggled(folder: Path) -> Settings:
    """Production with test destinations, as if the loader had let them pass."""
    found = settings(folder, "development")
    return replace(found, config=found.config.model_copy(update={"mode": "production"}))


def test_the_composition_leaves_them_out_in_production_whatever_the_loader_let_pass(tmp_path: Path) -> None:
    assert composition._test_codes(settings(tmp_path, "development")) == {"+14155550199": "123456"}
    assert composition._test_codes(smuggled(tmp_path)) == {}
    assert trial.PROVIDER not in composition._labels(smuggled(tmp_path)).carriers


def test_the_test_above_would_notice_a_composition_that_trusts_the_loader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composition, "_test_codes", lambda settings: settings.config.test_destinations)
    with pytest.raises(AssertionError):
        test_the_composition_leaves_them_out_in_production_whatever_the_loader_let_pass(tmp_path)
