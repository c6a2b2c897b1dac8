"""The schema of a policy: what it accepts, and the exact words of every refusal."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import yaml
from jsonschema import Draft202012Validator
from phonenumbers import SUPPORTED_REGIONS
from pydantic import ValidationError

from channels.contract import Channel
from policies.model import ChannelName
from policies.rules.code import ALPHABETS
from policies.schema import PolicySettings, revision

SMS = "fallback: [{channel: sms, wait: 30s}]\n"
EMAIL = "fallback: [{channel: email, wait: 30s}]\n"


def read(text: str) -> PolicySettings:
    return PolicySettings.model_validate(yaml.safe_load(text))


def faults(text: str) -> list[str]:
    with pytest.raises(ValidationError) as refused:
        read(text)
    return [f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in refused.value.errors()]


LENGTH = "not a length of time: write a whole number and a unit, such as 200ms, 30s, 10m or 24h"

REFUSED: dict[str, str] = {
    SMS + "cuontries: {}": "cuontries: Extra inputs are not permitted",
    SMS + "code: {lenght: 6}": "code.lenght: Extra inputs are not permitted",
    # code
    SMS + "code: {length: 5}": "code: Value error, length 5 is easily guessed: write 6 to 10, or set "
    "allow_weak_codes: true",
    SMS + "code: {length: 3, allow_weak_codes: true}": "code.length: Input should be greater than or equal to 4",
    SMS + "code: {length: 11}": "code.length: Input should be less than or equal to 10",
    SMS + "code: {alphabet: emoji}": "code.alphabet: Input should be 'digits', 'letters' or 'alphanumeric'",
    SMS + "code: {expiry: 10}": "code: Value error, cooldown: 30s outlasts the code, so that nobody could ask "
    "again: write less than 10s",
    SMS + "code: {expiry: soon}": f"code.expiry: Value error, {LENGTH}",
    SMS + "code: {expiry: 25h}": "code.expiry: Value error, 25h is out of range: write something from 1s to 24h",
    SMS + "code: {expiry: 601}": ": Value error, code.expiry: 601s is too long: at most 10m, or 24h by email only with "
    "code.address_confirmation: true",
    EMAIL + "code: {expiry: 601}": ": Value error, code.expiry: 601s is too long: at most 10m, or 24h by email only "
    "with code.address_confirmation: true",
    SMS + "code: {address_confirmation: true}": ": Value error, code.address_confirmation: is for a policy that sends "
    "by email only: take sms out of the fallback, or leave the flag out",
    "fallback: [{channel: whatsapp, wait: 30s}]\ncontext: {require: [amount, payee]}": ": Value error, "
    "context.require: whatsapp would show the code without amount and payee: take it out of the fallback",
    SMS + "code: {checks: 0}": "code.checks: Input should be greater than or equal to 1",
    SMS + "code: {checks: 11}": "code.checks: Input should be less than or equal to 10",
    SMS + "code: {resend: other}": "code.resend: Input should be 'same' or 'new'",
    SMS + "code: {cooldown: 2h}": "code.cooldown: Value error, 2h is out of range: write something from 0s to 1h",
    # guesses
    SMS + "guesses: {amount: 101}": "guesses.amount: Input should be less than or equal to 100",
    SMS + "guesses: {window: 1s}": "guesses.window: Value error, 1s is out of range: write something from 1m to 31d",
    # limits
    SMS + "limits: {Bad Name: {per: ip, amount: 1, window: 1h}}": "limits.Bad Name.[key]: Value error, not a usable "
    "name: write lower-case letters, digits and hyphens, a letter first, 63 at most",
    SMS + "limits: {a: {per: carrier, amount: 1, window: 1h}}": "limits.a.per.0: Input should be 'destination', 'ip', "
    "'device', 'network', 'app', 'country', 'prefix' or 'everything'",
    SMS
    + "limits: {a: {per: ip, amount: 0, window: 1h}}": "limits.a.amount: Input should be greater than or equal to 1",
    SMS + "limits: {a: {per: ip, window: 1h}}": "limits.a.amount: Field required",
    SMS
    + "limits: {a: {per: [], amount: 1, window: 1h}}": "limits.a.per: Value error, write at least one dimension, such "
    "as destination",
    SMS
    + "limits: {a: {per: [everything, ip], amount: 1, window: 1h}}": "limits.a: Value error, per: everything is one "
    "counter for all: write it alone, or leave it out of the list",
    SMS + "limits: {a: {per: ip, amount: 1, window: 1h, counts: sends}}": "limits.a: Value error, counts: sends needs "
    "per: destination, because the step that records a fallback can reserve only in its destination's own counters and "
    "the others are kept elsewhere: write counts: starts",
    SMS + "limits: {a: {per: app, amount: 1, window: 1h, missing: 5}}": "limits.a: Value error, missing is for a limit "
    "per ip, network or device: leave it out",
    SMS + "limits: {a: {per: ip, amount: 1, window: 32d}}": "limits.a.window: Value error, 32d is out of range: write "
    "something from 1s to 31d",
    # countries
    SMS
    + "countries: {allow: [US, NO]}": 'countries.allow.1: Value error, YAML reads an unquoted NO as false: write "NO"'
    " in quotes for Norway",
    SMS + "countries: {allow: [001]}": "countries.allow.0: Value error, not a country code: write its two letters and "
    'no calling code, or "001" in quotes',
    SMS + "countries: {allow: [us]}": "countries.allow.0: Value error, not a country code: write US",
    SMS + "countries: {allow: [UK]}": "countries.allow.0: Value error, not a country code: write GB",
    SMS + "countries: {rules: {NO: {}}}": "countries.rules.0.[key]: Value error, YAML reads an unquoted NO as false: "
    'write "NO" in quotes for Norway',
    SMS
    + "countries: {allow: [US], deny: [US]}": "countries: Value error, US in both allow and deny: take it out of one",
    SMS + "countries: {default: maybe}": "countries.default: Input should be 'deny' or 'allow'",
    SMS + "countries: {only: {email: [US]}}": "countries.only.email.[key]: Input should be 'sms', 'voice', "
    "'whatsapp' or 'telegram'",
    SMS
    + "countries: {rules: {IN: {channels: [voice]}}}": ": Value error, countries.rules.IN.channels: voice not in the "
    "fallback: add a step there, and hold it to its countries with countries.only",
    SMS + "countries: {rules: {IN: {providers: {sms: []}}}}": "countries.rules.IN.providers.sms: Tuple should have at "
    "least 1 item after validation, not 0",
    SMS
    + "countries: {rules: {IN: {wait: {sms: 2h}}}}": "countries.rules.IN.wait.sms: Value error, 2h is out of range: "
    "write something from 100ms to 1h",
    # number types
    SMS + "number_types: {deny: [landline]}": "number_types.deny.0: Input should be 'mobile', 'fixed_line', "
    "'fixed_line_or_mobile', 'voip', 'personal_number', 'toll_free', 'premium_rate', 'shared_cost', 'pager', 'uan', "
    "'voicemail', 'satellite' or 'unknown'",
    SMS + "number_types: {landline: sms}": "number_types.landline: Input should be 'voice', 'deny' or 'as_is'",
    # fallback
    "fallback: []": ": Value error, fallback: write at least one step, for example {channel: sms, wait: 30s}",
    "fallback: [{channel: pigeon, wait: 30s}]": "fallback.0.channel: Input should be 'sms', 'voice', 'whatsapp', "
    "'telegram' or 'email'",
    "fallback: [{channel: sms}]": "fallback.0.wait: Field required",
    "fallback: [{channel: sms, wait: 5m}, {channel: voice, wait: 5m}, {channel: email, wait: 1m}]": ": Value error, "
    "fallback: the last step would start after 10m, when the code (10m) is dead: shorten the waits",
    "fallback: [{channel: sms, wait: 30s}, {channel: voice, wait: 30s}]\n"
    "countries: {rules: {IN: {wait: {sms: 11m}}}}": ": Value error, countries.rules.IN.wait: the last step would start "
    "after 11m, when the code (10m) is dead: shorten the waits",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_policy_that_is_wrong_is_refused_in_these_words(text: str) -> None:
    assert faults(text) == [REFUSED[text]]


def test_all_faults_are_told_at_once() -> None:
    told = faults("fallback: [{channel: sms, wait: 20m}, {channel: voice, wait: 5s}]\ncode: {expiry: 11m}")
    both = (
        ": Value error, code.expiry: 11m is too long: at most 10m, or 24h by email only with "
        "code.address_confirmation: true; fallback: the last step would start after 20m, when the code (11m) is dead: "
        "shorten the waits"
    )
    assert told == [both]
    assert len(faults(SMS + "code: {length: 2}\nguesses: {amount: 0}\nx: 1")) == 3


@pytest.mark.parametrize("length", [6, 8, 10])
def test_a_code_of_six_to_ten_characters_is_accepted(length: int) -> None:
    assert read(SMS + f"code: {{length: {length}}}").code.length == length


@pytest.mark.parametrize("length", [4, 5])
def test_a_weak_code_is_accepted_only_when_asked_for(length: int) -> None:
    assert read(SMS + f"code: {{length: {length}, allow_weak_codes: true}}").code.length == length


def test_a_code_may_live_ten_minutes_and_a_day_when_it_confirms_an_address() -> None:
    assert read(SMS + "code: {expiry: 600}").code.expiry == 600_000
    assert read(EMAIL + "code: {expiry: 24h, address_confirmation: true}").code.expiry == 86_400_000


def test_norway_in_quotes_is_a_country() -> None:
    assert read(SMS + 'countries: {allow: ["NO", "001"]}').countries.allow == {"NO", "001"}


def test_the_dimensions_of_a_limit_have_one_order_and_no_repeats() -> None:
    one = read(SMS + "limits: {a: {per: [country, ip, ip], amount: 1, window: 1h}}").limits["a"].per
    assert one == read(SMS + "limits: {a: {per: [ip, country], amount: 1, window: 1h}}").limits["a"].per


def test_the_revision_follows_the_content_and_not_the_order_or_the_spelling() -> None:
    one = read(SMS + "countries: {allow: [US, CA, GB, DE]}\ncode: {expiry: 10m}")
    same = read("extends: other\ncode: {expiry: 600}\n" + SMS + "countries: {allow: [DE, CA, US, GB]}")
    other = read(SMS + "countries: {allow: [US]}")
    assert revision(one) == revision(same)
    assert revision(one) != revision(other)
    assert len(revision(one)) == 12
    assert int(revision(one), 16) >= 0


def test_a_policy_written_to_json_reads_back_the_same() -> None:
    policy = read(SMS + "countries: {allow: [US], rules: {US: {wait: {sms: 20s}}}}\ncode: {expiry: 90s}")
    assert PolicySettings.model_validate_json(policy.model_dump_json()) == policy


def test_the_json_schema_accepts_what_the_model_accepts_and_speaks_in_units() -> None:
    schema: dict[str, Any] = PolicySettings.model_json_schema()
    Draft202012Validator.check_schema(schema)
    text = SMS + "code: {expiry: 5m, cooldown: 20}\nlimits: {a: {per: ip, amount: 1, window: 1h}}"
    validator = Draft202012Validator(schema)
    assert not list(validator.iter_errors(yaml.safe_load(text)))
    assert [error.message for error in validator.iter_errors({"code": {"expiry": "soon"}})]
    assert schema["$defs"]["CodeRules"]["properties"]["expiry"]["default"] == "10m"


def test_no_alphabet_has_a_character_twice_or_one_that_people_confuse() -> None:
    assert all(len(set(alphabet)) == len(alphabet) for alphabet in ALPHABETS.values())
    assert not set(ALPHABETS["letters"]) & set("OIAEU")
    assert not set(ALPHABETS["alphanumeric"]) & set("0O1IL2Z5S8B")


def test_policies_and_channels_know_the_same_channels() -> None:
    assert set(get_args(ChannelName)) == set(Channel)


def test_every_country_that_has_numbers_can_be_written() -> None:
    countries = sorted(SUPPORTED_REGIONS)
    policy = PolicySettings.model_validate(
        {"fallback": [{"channel": "sms", "wait": 30}], "countries": {"allow": countries}}
    )
    assert policy.countries.allow == set(countries)
    # in one order, or every process would have a revision of its own
    assert policy.model_dump(mode="json")["countries"]["allow"] == countries
