"""Environment variables that overrule keys of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import Invalid, Settings, load

TEXT = """\
mode: development
apps:
  demo: {name: Demo}
  my-shop: {name: Shop}
providers:
  sim: {type: simulator}
channels: {sms: {providers: [sim]}, voice: {providers: [sim]}, whatsapp: {providers: [sim]}, email: {providers: [sim]}}
policies:
  default: {countries: {allow: [US]}}
"""


def loaded(folder: Path, **environ: str) -> Settings:
    file = folder / "config.yaml"
    file.write_text(TEXT)
    return load(file, environ, make_keys=False)


def complaints(folder: Path, **environ: str) -> list[str]:
    with pytest.raises(Invalid) as invalid:
        loaded(folder, **environ)
    return [fault.text("config.yaml") for fault in invalid.value.faults]


def test_a_variable_overrules_a_key_whether_or_not_the_file_has_it(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        OTP_GATEWAY__SERVER__PORT="8081",
        OTP_GATEWAY__MODE="development",
        OTP_GATEWAY__STORE__TIMEOUT="500ms",
        OTP_GATEWAY__METRICS__ENABLED="false",
        OTP_GATEWAY__APPS__DEMO__NAME="Other",
    )
    config = settings.config
    assert config.server.port == 8081
    assert config.store.timeout == 500
    assert config.metrics.enabled is False
    assert config.apps["demo"].name == "Other"


def test_case_does_not_matter_and_a_hyphen_is_written_as_an_underscore(tmp_path: Path) -> None:
    settings = loaded(tmp_path, otp_gateway__apps__MY_SHOP__Name="The Shop")
    assert settings.config.apps["my-shop"].name == "The Shop"


def test_a_providers_and_a_policys_keys_can_be_overruled_by_their_own_schemas(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        OTP_GATEWAY__PROVIDERS__SIM__TIMEOUT="3.5",
        OTP_GATEWAY__POLICIES__DEFAULT__CODE__LENGTH="8",
        OTP_GATEWAY__POLICIES__DEFAULT__COUNTRIES__ALLOW='[US, "NO"]',
    )
    assert settings.providers["sim"].settings.timeout == 3.5
    assert settings.policies["default"].code.length == 8
    assert settings.policies["default"].settings.countries.allow == {"US", "NO"}


def test_a_secret_can_be_referred_to_by_a_variable(tmp_path: Path) -> None:
    key = "0123456789abcdef" * 4
    settings = loaded(tmp_path, OTP_GATEWAY__SECRETS__LOOKUP__ENV="LOOKUP", LOOKUP=key)
    assert settings.lookup == bytes.fromhex(key)


def test_a_value_is_one_scalar_whatever_characters_it_has(tmp_path: Path) -> None:
    settings = loaded(tmp_path, OTP_GATEWAY__APPS__DEMO__NAME="A: b #c, & more")
    assert settings.config.apps["demo"].name == "A: b #c, & more"
    assert loaded(tmp_path, OTP_GATEWAY__APPS__DEMO__NAME='"8080"').config.apps["demo"].name == "8080"


def test_an_empty_value_is_null(tmp_path: Path) -> None:
    assert loaded(tmp_path, OTP_GATEWAY__SERVER__PUBLIC_URL="").config.server.public_url is None


COMMAS = "put a comma between its entries, and a text that has a colon in quotes"


@pytest.mark.parametrize(
    ("name", "value", "answer"),
    [
        ("SERVER__PORT", "70000", "server.port: is too large. Write 65535 or less."),
        ("SERVER__PORT", "http", "server.port: must be a whole number. Write digits, without quotes."),
        ("SERVER__PROT", "1", "server has no key that is written PROT. Did you mean 'PORT'?"),
        ("SERVRE__PORT", "1", "there is no section that is written SERVRE. Did you mean 'SERVER'?"),
        ("SERVER", "1", "server is a section. Name one of its keys, after two more underscores."),
        ("APPS__NOBODY__NAME", "x", "apps has no key that is written NOBODY. Write one of DEMO, MY_SHOP."),
        ("SERVER__PORT__X", "1", "server.port has no key that is written X. Take it out."),
        (
            "METRICS__ENABLED",
            "yes",
            'metrics.enabled: YAML reads an unquoted yes as true. Write "yes" in quotes for the word, or true.',
        ),
        ("LOG__LEVEL", "loud", "log.level: 'loud' is not a level. Write one of debug, info, warning, error."),
        (
            "SERVER__TRUSTED_PROXIES",
            "[10.0.0.0/8",
            f"the bracket that is opened here is not closed. Close it with ], {COMMAS}.",
        ),
        (
            "PROVIDERS__SIM__HISTORI",
            "1",
            "providers.sim has no key that is written HISTORI. Did you mean 'HISTORY'?",
        ),
    ],
)
def test_a_wrong_variable_is_told_by_its_name(tmp_path: Path, name: str, value: str, answer: str) -> None:
    (said,) = complaints(tmp_path, **{f"OTP_GATEWAY__{name}": value})
    assert said.startswith(f"OTP_GATEWAY__{name}: {answer}")


def test_two_variables_for_one_key_are_a_fault_and_not_a_draw(tmp_path: Path) -> None:
    said = complaints(tmp_path, OTP_GATEWAY__SERVER__PORT="1", otp_gateway__server__port="2")
    assert said == ["otp_gateway__server__port: it says the same key as OTP_GATEWAY__SERVER__PORT. Unset one of them."]


def test_a_right_variable_mends_a_wrong_value_and_not_a_line_that_yaml_reads_two_ways(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"{TEXT}server: {{port: 70000}}\n")
    assert load(file, {"OTP_GATEWAY__SERVER__PORT": "17"}, make_keys=False).config.server.port == 17
    file.write_text(f"{TEXT}server: {{port: 017}}\n")
    with pytest.raises(Invalid, match="leading zero"):
        load(file, {"OTP_GATEWAY__SERVER__PORT": "17"}, make_keys=False)
