"""Policies that extend others, and the presets that ship."""

from __future__ import annotations

from typing import Any

import pytest

from policies.duration import milliseconds
from policies.inheritance import Unresolvable, presets, resolve
from policies.model import Counts, NumberType
from policies.schema import PolicySettings

SHIPPED: dict[str, Any] = {
    "default": {"code": {"length": 6, "checks": 5}, "limits": {"ip": {"amount": 3}}, "fallback": ["sms", "voice"]},
    "strict": {"extends": "default", "code": {"checks": 3}},
}


def test_maps_merge_by_key_and_lists_are_replaced() -> None:
    own = {"login": {"extends": "strict", "code": {"length": 8}, "fallback": ["email"]}}
    assert resolve("login", own, SHIPPED) == {
        "code": {"length": 8, "checks": 3},
        "limits": {"ip": {"amount": 3}},
        "fallback": ["email"],
    }


def test_null_removes_a_named_limit() -> None:
    assert resolve("login", {"login": {"limits": {"ip": None}}}, SHIPPED)["limits"] == {}


def test_a_policy_starts_from_default_unless_it_says_otherwise() -> None:
    assert resolve("login", {"login": {}}, SHIPPED) == SHIPPED["default"]
    assert resolve("login", {"login": {"extends": None, "code": {"length": 7}}}, SHIPPED) == {"code": {"length": 7}}


def test_a_policy_goes_before_the_preset_of_its_name_and_may_extend_it() -> None:
    own: dict[str, Any] = {
        "default": {"extends": "default", "code": {"length": 9}},
        "login": {},
        "short": {"extends": "strict"},
    }
    assert resolve("login", own, SHIPPED)["code"] == {"length": 9, "checks": 5}
    assert resolve("default", {"default": {}}, SHIPPED) == SHIPPED["default"]
    # what ships is not bent by a policy that took the name of its ancestor
    assert resolve("short", own, SHIPPED)["code"] == {"length": 6, "checks": 3}


def test_a_preset_can_be_used_without_a_policy() -> None:
    assert resolve("strict", {}, SHIPPED)["code"] == {"length": 6, "checks": 3}


def test_resolving_changes_none_of_what_it_reads() -> None:
    own = {"login": {"code": {"length": 8}, "limits": {"ip": None}}}
    resolve("login", own, SHIPPED)
    assert own == {"login": {"code": {"length": 8}, "limits": {"ip": None}}}
    assert SHIPPED["default"]["limits"] == {"ip": {"amount": 3}}


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"login": {"extends": "defautl"}},
        "policies.login.extends: there is no policy or preset 'defautl': did you mean 'default'?",
    ),
    (
        {"login": {"extends": "a"}, "a": {"extends": "b"}, "b": {"extends": "a"}},
        "policies.a.extends: goes in a circle: login -> a -> b -> a; let one of them extend a preset",
    ),
    (
        {"login": {"extends": "login"}},
        "policies.login.extends: goes in a circle: login -> login; let one of them extend a preset",
    ),
    ({"login": {"extends": ["default"]}}, "policies.login.extends: write the name of one policy or preset"),
    ({"login": "default"}, "policies.login: write a mapping, such as {extends: default}"),
    (
        {"login": {"limits": {"pi": None}}},
        "policies.login.limits.pi: null removes what is extended, where there is only ip",
    ),
    ({}, "there is no policy or preset 'login': these exist: default, strict"),
]


@pytest.mark.parametrize(("own", "message"), REFUSED)
def test_a_policy_that_cannot_be_put_together_is_refused_in_these_words(own: dict[str, Any], message: str) -> None:
    with pytest.raises(Unresolvable) as refused:
        resolve("login", own, SHIPPED)
    assert str(refused.value) == message


def preset(name: str) -> PolicySettings:
    return PolicySettings.model_validate(resolve(name, {}))


def test_every_preset_that_ships_is_valid() -> None:
    assert set(presets()) == {"default", "development", "nist-800-63b"}
    assert all(preset(name).fallback for name in presets())


def test_the_default_preset_sends_nowhere_until_countries_are_named() -> None:
    assert not preset("default").countries.allow
    assert preset("default").countries.default == "deny"


def test_the_default_preset_holds_a_destination_to_five_in_ten_minutes_twenty_a_day_and_ten_an_hour_over_all_apps() -> (
    None
):
    limits = preset("default").limits
    held = {(limit.amount, limit.window, limit.counts, limit.scope) for name, limit in limits.items() if "dest" in name}
    assert held == {
        (5, milliseconds("10m"), Counts.SENDS, "app"),
        (20, milliseconds("24h"), Counts.SENDS, "app"),
        (10, milliseconds("1h"), Counts.SENDS, "all"),
    }


def test_no_preset_for_production_sends_to_lines_that_cost_money_or_have_no_reader() -> None:
    risky = set(NumberType) - {
        NumberType.MOBILE,
        NumberType.FIXED_LINE,
        NumberType.FIXED_LINE_OR_MOBILE,
        NumberType.VOIP,
        NumberType.PERSONAL_NUMBER,
    }
    assert preset("default").number_types.deny == risky
    assert preset("nist-800-63b").number_types.deny == risky | {NumberType.VOIP, NumberType.PERSONAL_NUMBER}


def test_the_nist_preset_has_no_email_and_makes_a_new_code_for_a_resend() -> None:
    nist = preset("nist-800-63b")
    assert {step.channel for step in nist.fallback} == {"sms", "voice"}
    assert (nist.code.resend, nist.code.cooldown) == ("new", 60_000)
    assert nist.limits == preset("default").limits


def test_the_development_preset_sends_to_every_country_but_not_to_premium_numbers() -> None:
    development = preset("development")
    assert development.countries.default == "allow"
    assert NumberType.PREMIUM_RATE in development.number_types.deny
