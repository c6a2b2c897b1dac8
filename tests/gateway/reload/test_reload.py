"""A reload takes a configuration over whole or not at all, and disturbs nothing that is under way."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.core.keys import api_key_hash
from gateway.http import carriers
from gateway.http.app import Gateway
from gateway.service.unpriced import WAITS, Unpriced
from tests.gateway.reload.carrier import Carrier
from tests.gateway.reload.conftest import KEY, TYPE, Panel

OTHER = "otp_other-key-0123456789abcdefghi"
VOICE = [{"channel": "voice", "wait": "30s"}]
INDIA = "+919812345678"


def policy(panel: Panel, **changes: Any) -> dict[str, Any]:
    return {"default": panel.said["policies"]["default"] | changes}


async def test_a_changed_policy_decides_whatever_begins_after_it(panel: Panel) -> None:
    assert (await panel.start(INDIA)).json["code"] == "country_denied"
    assert await panel.reload(policies=policy(panel, countries={"allow": ["US", "IN"]}))
    assert (await panel.start(INDIA)).status == 201


async def test_a_pending_verification_keeps_the_steps_the_revision_and_the_checks_it_began_with(
    panel: Panel, built: list[Carrier]
) -> None:
    old = (await panel.start()).json
    await panel.settle()
    code = built[0].sent[0].code
    await panel.reload(policies=policy(panel, fallback=VOICE, code={"checks": 2, "length": 8, "cooldown": "0s"}))
    new = (await panel.start("+14155550124")).json
    assert (new["channel"], new["checks_left"]) == ("voice", 2)
    read = (await panel.call("GET", f"/v1/verifications/{old['id']}")).json
    assert (read["channel"], read["next"]["channel"], read["checks_left"]) == ("sms", "voice", 5)
    pages = [await panel.call("GET", f"/v1/verifications/{v['id']}/events") for v in (old, new)]
    revisions = {page.json["events"][0]["revision"] for page in pages}
    assert len(revisions) == 2
    assert panel.entry("verification.started")["revision"] in revisions
    answer = await panel.call("POST", f"/v1/verifications/{old['id']}/check", {"code": code})
    assert answer.json["verdict"] == "approved"


async def test_a_resend_of_a_pending_verification_makes_a_code_of_the_form_it_began_with(
    panel: Panel, built: list[Carrier]
) -> None:
    await panel.reload(policies=policy(panel, code={"resend": "new", "cooldown": "0s"}))
    old = (await panel.start()).json
    await panel.settle()
    await panel.reload(policies=policy(panel, code={"resend": "new", "length": 8, "cooldown": "0s"}))
    await panel.call("POST", f"/v1/verifications/{old['id']}/resend")
    await panel.settle()
    assert [len(message.code) for carrier in built for message in carrier.sent] == [6, 6]


async def test_limits_keep_their_counts(panel: Panel) -> None:
    for _ in range(3):
        assert (await panel.start()).status == 201
    await panel.reload(policies=policy(panel, limits={"destination-10m": {"amount": 3}}))
    refused = await panel.start()
    assert (refused.status, refused.json["limit"]) == (429, "destination-10m")
    await panel.reload(policies=policy(panel, limits={"destination-10m": {"amount": 4}}))
    assert (await panel.start()).status == 201
    assert (await panel.start()).status == 429


async def test_keys_and_apps_take_effect_at_once(panel: Panel) -> None:
    assert (await panel.call("GET", "/v1/verifications/x", key=OTHER)).status == 401
    apps = {"bank": {"name": "Bank", "keys": [{"id": "k1", "sha256": api_key_hash(OTHER)}]}}
    assert await panel.reload(apps=apps)
    assert (await panel.call("GET", "/v1/verifications/x", key=OTHER)).status == 404
    assert (await panel.call("GET", "/v1/verifications/x", key=KEY)).status == 401


async def test_a_price_that_is_being_asked_for_is_heard_before_its_provider_is_closed(
    panel: Panel, built: list[Carrier]
) -> None:
    prices = panel.gateway.prices
    providers = {"one": {"type": TYPE, "prices": True}, "two": {"type": TYPE}}
    await panel.reload(providers=providers)
    started = (await panel.start()).json["id"]
    await panel.settle()
    asking = next(carrier for carrier in built if carrier.prices)
    long_ago = panel.gateway._frame.store.now() - WAITS[0]
    panel.gateway.engine.unpriced.add(Unpriced(started, 1, "one", "m-1"), long_ago)
    round_ = asyncio.create_task(prices.tick())
    await asking.asked.wait()
    await panel.reload(providers={**providers, "one": {**providers["one"], "timeout": 5}})
    assert not asking.closed
    asking.tell.set()
    await round_
    await panel.settle()
    assert asking.closed
    assert panel.metric("otp_cost_micros_total", provider="one", channel="sms") == 7_500


async def test_a_request_ends_under_the_configuration_that_it_began_under(panel: Panel) -> None:
    gate = asyncio.Event()
    body = {"to": {"phone": INDIA}}
    slow = asyncio.create_task(panel.call("POST", "/v1/verifications", body, gate=gate))
    await asyncio.sleep(0)
    await panel.reload(policies=policy(panel, countries={"allow": ["IN"]}))
    gate.set()
    assert (await slow).json["code"] == "country_denied"
    assert (await panel.start(INDIA)).status == 201


async def test_a_faulty_configuration_changes_nothing_and_tells_every_fault(panel: Panel, built: list[Carrier]) -> None:
    before = panel.gateway.settings
    assert not await panel.reload(log={"level": "loud"}, policies={"default": {"code": {"length": 40}}})
    assert panel.gateway.settings is before
    assert panel.entry("configuration.refused")["faults"] == [
        f"{panel.file}:15: log.level: 'loud' is not a level. Write one of debug, info, warning, error.",
        f"{panel.file}:20: policies.default.code.length: is too large. Write 10 or less.",
    ]
    assert panel.metric("otp_config_reload_total", result="refused") == 1
    assert panel.metric("otp_config_reload_total", result="loaded") == 0
    assert (await panel.start()).status == 201
    assert len(built) == 2


async def test_what_took_effect_is_told_by_log_and_metrics(panel: Panel) -> None:
    panel.reloads.announce()
    assert panel.events == ["configuration.loaded", "policy.loaded"]
    old = panel.entry("policy.loaded")["revision"]
    assert panel.metric("otp_policy_info", revision=old) == 1
    await panel.reload(policies=policy(panel, fallback=VOICE))
    new = panel.entry("policy.loaded")["revision"]
    assert old != new
    assert (panel.metric("otp_policy_info", revision=old), panel.metric("otp_policy_info", revision=new)) == (0, 1)
    assert panel.metric("otp_config_reload_total", result="loaded") == 1
    assert panel.metric("otp_config_last_reload_success_timestamp_seconds") > 1_700_000_000
    await panel.reload()
    assert panel.events.count("policy.loaded") == 2  # the third one changed no policy
    panel.reloads.close()


async def test_a_provider_that_is_as_it_was_is_kept_and_a_changed_one_is_built_anew(
    panel: Panel, built: list[Carrier]
) -> None:
    await panel.reload(providers={"one": {"type": TYPE}, "two": {"type": TYPE, "timeout": 3}})
    await panel.settle()
    assert [(carrier.name, carrier.closed) for carrier in built] == [("one", False), ("two", True), ("two", False)]
    await panel.reload(
        providers={"one": {"type": TYPE}},
        channels={"sms": {"providers": ["one"]}},
        policies=policy(panel, fallback=[{"channel": "sms", "wait": "30s"}]),
    )
    await panel.settle()
    assert [carrier.closed for carrier in built] == [False, True, True]


async def test_a_secret_that_was_changed_builds_its_provider_anew(
    panel: Panel, built: list[Carrier], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    providers = {"one": {"type": TYPE, "token": {"file": str(token)}}, "two": {"type": TYPE}}
    await panel.reload(providers=providers)
    await panel.reload()
    assert [carrier.name for carrier in built] == ["one", "two", "one"]
    token.write_text("second")
    await panel.reload()
    assert [carrier.name for carrier in built] == ["one", "two", "one", "one"]


async def slow_send(panel: Panel, built: list[Carrier]) -> tuple[Carrier, str]:
    """A message that its provider is carrying while the provider is replaced."""
    await panel.reload(providers={"one": {"type": TYPE, "slow": True}, "two": {"type": TYPE}})
    carrier, started = built[-1], (await panel.start()).json
    await carrier.begun.wait()
    await panel.reload(providers={"one": {"type": TYPE}, "two": {"type": TYPE}})
    for _ in range(10):
        await asyncio.sleep(0)
    return carrier, started["id"]


async def test_a_replaced_provider_is_closed_when_its_sends_have_ended(panel: Panel, built: list[Carrier]) -> None:
    carrier, id_ = await slow_send(panel, built)
    assert not carrier.closed
    carrier.go.set()
    await panel.settle()
    assert carrier.closed
    attempts = (await panel.call("GET", f"/v1/verifications/{id_}")).json["attempts"]
    assert [(a["provider"], a["status"]) for a in attempts] == [("one", "sent")]


async def test_a_provider_that_were_closed_at_once_would_be_caught(
    panel: Panel, built: list[Carrier], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(self: Gateway, before: Any, after: Any) -> None:
        await carriers.close(carriers.parted(before.carriers, after.carriers))

    monkeypatch.setattr(Gateway, "_retire", at_once)
    carrier, id_ = await slow_send(panel, built)
    assert carrier.closed
    carrier.go.set()
    await panel.settle()
    attempts = (await panel.call("GET", f"/v1/verifications/{id_}")).json["attempts"]
    assert attempts[0]["status"] == "failed"


async def test_a_pending_step_whose_provider_is_gone_goes_on_to_the_next(panel: Panel, built: list[Carrier]) -> None:
    started = (await panel.start()).json
    await panel.settle()
    await panel.reload(
        providers={"one": {"type": TYPE}},
        channels={"sms": {"providers": ["one"]}},
        policies=policy(panel, fallback=[{"channel": "sms", "wait": "30s"}]),
    )
    await panel.call("POST", f"/v1/verifications/{started['id']}/resend", {"channel": "voice"})
    await panel.settle()
    attempts = (await panel.call("GET", f"/v1/verifications/{started['id']}")).json["attempts"]
    assert (attempts[1]["channel"], attempts[1]["status"], attempts[1]["reason"]) == (
        "voice",
        "failed",
        "provider_down",
    )


async def test_a_provider_that_cannot_be_built_refuses_the_whole(panel: Panel, built: list[Carrier]) -> None:
    providers = {"one": {"type": TYPE, "timeout": 3}, "two": {"type": TYPE, "broken": True}}
    assert not await panel.reload(providers=providers, policies=policy(panel, fallback=VOICE))
    assert panel.entry("configuration.refused")["faults"] == ["providers.two: the account has no sender"]
    assert [(carrier.name, carrier.closed) for carrier in built] == [("one", False), ("two", False), ("one", True)]
    assert (await panel.start()).json["channel"] == "sms"


async def test_whatever_a_reload_meets_the_gateway_serves_on(
    panel: Panel, built: list[Carrier], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = panel.gateway._wired.setup

    def explode(_: Any) -> None:
        raise RuntimeError("+14155550123")

    monkeypatch.setattr("gateway.http.app._labels", explode)
    providers = {"one": {"type": TYPE}, "two": {"type": TYPE, "timeout": 3}}
    assert not await panel.reload(policies=policy(panel, fallback=VOICE), providers=providers)
    fault = "the configuration can't be taken over (RuntimeError): this is a bug, please report it"
    assert panel.entry("configuration.refused")["faults"] == [fault]
    assert panel.gateway.engine._setup is panel.gateway._wired.setup is before  # no half of it took effect
    assert [carrier.closed for carrier in built] == [False, False, True]  # and what was built for it is closed
    assert (await panel.start()).json["channel"] == "sms"


async def test_what_takes_a_restart_is_warned_of_and_stays(panel: Panel) -> None:
    running = panel.gateway.settings
    panel.environ["LOOKUP"] = f"another {'fedcba9876543210' * 4}"
    assert await panel.reload(
        server={"port": 9000, "max_body": 2048},
        store={**panel.said["store"], "url": "redis://localhost", "timeout": "9s"},
        engine={"poll": "1s", "min_useful": "30s"},
        metrics={"enabled": False},
    )
    warned = [entry["warning"] for entry in panel.log.entries if entry["event"] == "configuration.warned"]
    names = ["server.port", "metrics.enabled", "store.url", "store.timeout", "engine.poll", "secrets.lookup"]
    assert warned == [f"{name}: takes a restart, and stays as it is until then." for name in names]
    now = panel.gateway.settings
    assert (now.config.server.port, now.config.store, now.lookup) == (8080, running.config.store, running.lookup)
    assert (now.config.server.max_body, now.config.engine.min_useful) == (2048, 30_000)


async def test_a_sealing_key_is_rotated_without_losing_what_the_old_one_sealed(
    panel: Panel, built: list[Carrier]
) -> None:
    started = (await panel.start()).json
    await panel.settle()
    keys = [{"id": "k2", "env": "K2"}, {"id": "k1", "env": "K1"}]
    assert await panel.reload(secrets={"lookup": {"env": "LOOKUP"}, "sealing": keys})
    await panel.call("POST", f"/v1/verifications/{started['id']}/resend")
    await panel.settle()
    assert built[0].sent[0].code == built[1].sent[0].code
    body = {"code": built[1].sent[0].code}
    assert (await panel.call("POST", f"/v1/verifications/{started['id']}/check", body)).json["approved"]


async def test_another_key_under_an_id_that_is_in_use_is_refused(panel: Panel) -> None:
    assert not await panel.reload(secrets={"lookup": {"env": "LOOKUP"}, "sealing": [{"id": "k1", "env": "K2"}]})
    assert panel.entry("configuration.refused")["faults"] == [
        (
            f"{panel.file}: secrets.sealing: another key runs under the id k1, and what it has sealed could no longer "
            "be opened. Give the new key an id of its own, and write it before the old one."
        )
    ]


async def test_the_mode_is_not_changed_while_it_runs(panel: Panel) -> None:
    assert not await panel.reload(mode="production", server={"public_url": "https://otp.example"})
    faults = panel.entry("configuration.refused")["faults"]
    assert faults == [f"{panel.file}: mode: it runs in development. Start it anew, or write the mode that it runs in."]


async def test_the_currency_of_caps_is_not_changed_while_it_runs(panel: Panel) -> None:
    assert not await panel.reload(spend={"currency": "INR", "rates": {"USD": 83}})
    assert panel.entry("configuration.refused")["faults"] == [
        (
            f"{panel.file}: spend.currency: it runs in USD, and what was spent is reckoned in it. Start it anew, and "
            "caps begin their running periods anew as well; or write USD."
        )
    ]
    assert await panel.reload(spend={"currency": "USD", "rates": {"INR": 0.012}})


async def test_the_record_is_switched_on_and_off(panel: Panel, tmp_path: Path) -> None:
    file = tmp_path / "traffic.jsonl"
    await panel.start()
    await panel.reload(record={"file": str(file)})
    await panel.start("+14155550124")
    await panel.reload(record={})
    await panel.start("+14155550125")
    await panel.settle()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["phone"]["masked"] for line in lines if line["event"] == "start"] == ["+1415*****24"]
    assert not await panel.reload(record={"file": str(tmp_path)})
    assert "can't be written: is a directory" in panel.entry("configuration.refused")["faults"][0]


async def test_however_often_it_is_asked_it_reloads_once_more_at_the_most(
    panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = asyncio.Semaphore(0)
    monkeypatch.setattr(panel.reloads, "_tell_loaded", lambda _: done.release())
    working = asyncio.create_task(panel.reloads.run())
    for _ in range(5):
        panel.reloads.ask()
    await asyncio.sleep(0)
    for _ in range(5):
        panel.reloads.ask()
    async with asyncio.timeout(5):
        await done.acquire()
        await done.acquire()
    await asyncio.sleep(0.02)
    assert done.locked()
    working.cancel()
