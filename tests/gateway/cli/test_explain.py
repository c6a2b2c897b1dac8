"""`otp-gateway explain` says what would become of a start, rule by rule, and shows no destination in the clear."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from gateway.cli import main
from policies.engine import RULES

ROOT = Path(__file__).parents[3]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())


def explain(*arguments: str, config: Path = ROOT / "config.yaml", color: bool = False) -> Result:
    env = {name: None for name in os.environ if name.startswith("OTP_GATEWAY")}
    return CliRunner().invoke(main, ["explain", "--config", str(config), *arguments], env=env, color=color)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """With a sender of its own for one country, rules in shadow, and two apps; in production, its secrets elsewhere."""
    data: dict[str, Any] = json.loads(json.dumps(CONFIG))
    data["mode"] = "production"
    data["secrets"] = {"lookup": {"env": "NOT_HERE"}, "sealing": [{"id": "k1", "file": "/not/here"}]}
    data["server"]["public_url"] = "https://otp.example"
    data["providers"] = {
        "mail": {"type": "smtp", "host": "smtp.example.org", "from_address": "no-reply@shop.example"},
        "texts": {
            "type": "twilio",
            "account_sid": "AC" + "0" * 32,
            "auth_token": {"env": "NOT_HERE_EITHER"},
            "messaging_service_sid": "MG" + "0" * 32,
        },
    }
    data["channels"] = {"sms": {"providers": ["texts"]}, "email": {"providers": ["mail"]}}
    data["apps"] = {
        name: {"name": name, "keys": [{"id": "k1", "sha256": digit * 64}], "policies": {"*": "default"}}
        for name, digit in (("shop", "a"), ("bank", "b"))
    }
    data["policies"] = {
        "default": {
            "countries": {"allow": ["US"], "shadow": True, "rules": {"IN": {"sender": {"sms": "SHOPIN"}}}},
            "limits": {"app-hour": {"shadow": True}},
            "fallback": [
                {"channel": "sms", "wait": "15s", "order": "weighted", "weights": {"texts": 90}},
                {"channel": "email", "wait": "60s"},
            ],
        }
    }
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(data))
    return file


def test_a_start_that_would_be_sent_is_explained_whole_and_ends_with_0() -> None:
    result = explain("--to", "+919812345678", "--ip", "203.0.113.7", "--purpose", "payment")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    for line in (
        "  app demo, purpose payment",
        "  to +9198******78: IN, mobile",
        "rules",
        "  ok  address      to a number",
        "  ok  channels     no wish",
        "  ok  country      IN is allowed",
        "  ok  number_type  mobile is allowed",
        "  ok  route        for IN: sms, voice",
        "  ok  code         6 digits, lives 5m, 3 checks",
    ):
        assert line in lines
    assert [line.split()[1] for line in lines if line.startswith("  ok  ")] == [name for name, _ in RULES]
    assert lines[-16:] == [
        "code",
        "  6 digits, lives 5m, 3 checks",
        "  a resend after 30s sends a new code",
        "  20 wrong codes in 1d for this destination, over all its codes",
        "  from wrong code number 5 on the next check waits, 30s to 1h",
        "steps",
        "  1 sms       by simulator; waits 20s for a sign of delivery",
        "  2 voice     by simulator; is the last",
        "money",
        "  sms         simulator 0.00 USD",
        "  voice       simulator 0.00 USD",
        "  at most 0.00 USD without resends: a message with each provider of each step",
        "  country-day  100.00 USD a day     per app and country  then refuses",
        "  app-day      200.00 USD a day     per app              then refuses",
        "  whole-month  2000.00 USD a month  per everything       then refuses",
        "would be sent, if no limit and no cap above is used up",
    ]
    beside = "  for all starts together that name no client.device"
    assert f"  device-hour              1000 in 1h   per device       starts  demo{beside}" in lines
    assert "  ip-hour                  30 in 1h     per ip           starts  demo" in lines
    assert "  cooldown                 1 in 30s     per destination  starts  demo/payment" in lines


def test_what_a_start_must_be_bound_to_is_told(tmp_path: Path) -> None:
    data = json.loads(json.dumps(CONFIG))
    steps = [{"channel": "sms", "wait": "20s"}]
    data["policies"] = {**data["policies"], "login": {"context": {"require": ["amount", "payee"]}, "fallback": steps}}
    data["policies"]["login"]["countries"] = {"allow": ["IN"]}
    data["apps"] = {"demo": {"name": "Demo", "policies": {"*": "login"}}}
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(data))
    line = "  bound to amount and payee: a start whose context lacks them is answered with 422"
    assert line in explain("--to", "+919812345678", config=file).stdout.splitlines()


def test_a_start_that_would_be_refused_says_which_rule_refuses_and_ends_with_1() -> None:
    result = explain("--to", "+85251234567")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-2:] == [
        "  no  country      HK is not allowed",
        "refused: country_denied by country. This policy doesn't send to the number's country.",
    ]
    assert "limits that a start counts" not in result.stdout


def test_it_needs_no_secret_and_tells_shadows_senders_and_both_addresses(config: Path) -> None:
    both = ("--to", "+919812345678", "--to-email", "ana@example.org")
    result = explain(*both, "--app", "bank", "--channel", "sms", "--channel", "email", config=config)
    assert (result.exit_code, result.stderr) == (0, "")
    for line in (
        "  to +9198******78: IN, mobile",
        "  to a**@example.org",
        "  ok  country      IN is not allowed; leaves out sms (in shadow: only noted)",
        "  ok  channels     asked for 2 and offers sms, email of them",
        "  destination-10m          5 in 10m     per destination (phone)  sends   bank",
        "  destination-10m          5 in 10m     per destination (email)  sends   bank",
        "  app-hour                 10000 in 1h  per app                  starts  bank (shadow)",
        "  1 sms       by texts 90 (weighted), sender SHOPIN; waits 15s for a sign of delivery",
        "  2 email     by mail; is the last",
    ):
        assert line in result.stdout.splitlines()


def test_the_worst_that_a_verification_can_cost_is_every_provider_of_every_step(tmp_path: Path) -> None:
    data = json.loads(json.dumps(CONFIG))
    data["providers"]["simulator"]["price"] = {"sms": {"default": "0.05 EUR", "IN": "0.01 USD"}, "voice": "0.02 USD"}
    data["providers"]["spare"] = {"type": "simulator", "price": {"sms": "0.07 USD"}}
    data["channels"]["sms"] = {"providers": ["simulator", "spare"], "max_segments": 2}
    data["spend"] = {"currency": "USD", "rates": {"EUR": 1.1}}
    config = tmp_path / "priced.yaml"
    config.write_text(yaml.safe_dump(data))
    told = json.loads(explain("--to", "+14155550123", "--purpose", "payment", "--json", config=config).stdout)
    assert [step["prices"] for step in told["steps"]] == [
        {"simulator": "0.11 USD", "spare": "0.14 USD"},  # two parts each
        {"simulator": "0.04 USD"},  # two minutes
    ]
    assert told["worst_cost"] == "0.29 USD"
    told = json.loads(explain("--to", "+919812345678", "--purpose", "payment", "--json", config=config).stdout)
    assert told["steps"][0]["prices"] == {"simulator": "0.02 USD", "spare": "0.14 USD"}


def test_the_same_is_printed_for_programs() -> None:
    told = json.loads(explain("--to", "+919812345678", "--json").stdout)
    assert (told["policy"], told["refused"], told["code"]["length"]) == ("default", None, 6)
    assert [step["channel"] for step in told["steps"]] == ["sms", "whatsapp", "voice"]
    assert told["limits"][-1] == {
        "name": "cooldown",
        "per": "destination",
        "amount": 1,
        "window": "30s",
        "counts": "starts",
        "scope": "demo/default",
        "shadow": False,
        "unnamed": [],
    }
    shared = {limit["name"]: limit["unnamed"] for limit in told["limits"] if limit["unnamed"]}
    assert shared == {"ip-hour": ["client.ip"], "network-hour": ["client.ip"], "device-hour": ["client.device"]}
    refused = json.loads(explain("--to", "+85251234567", "--json").stdout)["refused"]
    assert (refused["problem"], refused["rule"]) == ("country_denied", "country")


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_no_destination_is_repeated_in_the_clear(form: tuple[str, ...]) -> None:
    result = explain("--to", "+919812345678", "--to-email", "ana@example.org", "--ip", "203.0.113.7", *form)
    for secret in ("9812345678", "ana@example.org", "203.0.113.7"):
        assert secret not in result.output


def test_colours_are_for_terminals_only() -> None:
    assert "\x1b" not in explain("--to", "+919812345678").stdout
    assert "\x1b[32m" in explain("--to", "+919812345678", color=True).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "Say whom the code is for, with --to, --to-email or both."),
        (("--to", "+919812345678", "--app", "shop"), 2, "there is no app 'shop': write one of demo"),
        (("--to", "+1415"), 1, "--to: The number is too short"),
        (("--to-email", "ana"), 1, "--to-email: Write exactly one at sign"),
    ],
)
def test_a_wrong_call_says_what_to_write(arguments: tuple[str, ...], code: int, said: str) -> None:
    result = explain(*arguments)
    assert result.exit_code == code
    assert said in result.stderr


def test_which_app_asks_must_be_said_where_there_are_several(config: Path) -> None:
    result = explain("--to", "+14155550123", config=config)
    assert result.exit_code == 2
    assert "Say which app asks, with --app: one of bank, shop." in result.stderr


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (("--ip", "203.0.113"), "--ip: not an IP address"),
        (("--locale", "portuguese of brazil"), "--locale: write a language tag"),
        (("--purpose", "Log In"), "--purpose: begin with a lower-case letter"),
        (("--channel", "pigeon"), "--channel: write one of sms"),
        (("--channel", "sms", "--channel", "sms"), "--channel: name each channel once"),
        (("--opted-out", "pigeon"), "--opted-out: write one of sms"),
        (("--device", "x" * 129), "--device: at most 128 characters"),
    ],
)
def test_what_the_api_would_refuse_is_refused_in_its_words_and_ends_with_2(said: tuple[str, ...], told: str) -> None:
    result = explain("--to", "+919812345678", *said)
    assert result.exit_code == 2
    assert f"Error: {told}" in result.stderr
