"""The JSON Schema that editors use: the one in the documentation is the one that is made, and takes policies as they
are written, which say only what is different."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from gateway.config.schema import schema
from policies.inheritance import presets
from policies.schema import PolicySettings

ROOT = Path(__file__).parents[3]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
VALIDATOR = Draft202012Validator(schema())


def faults(policy: Any) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(CONFIG | {"policies": {"x": policy}})]


def test_the_schema_in_the_documentation_is_the_one_that_is_made() -> None:
    remedy = "write it again: otp-gateway schema > docs/config.schema.json"
    assert (ROOT / "docs" / "config.schema.json").read_text() == json.dumps(
        schema(), indent=2, ensure_ascii=False
    ) + "\n", remedy


def test_the_reference_configuration_tells_editors_where_it_is() -> None:
    first = (ROOT / "config.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=docs/config.schema.json"


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_preset_is_a_policy_to_the_schema(name: str) -> None:
    assert faults(dict(presets()[name])) == []


@pytest.mark.parametrize("key", sorted(PolicySettings.model_fields))
def test_every_key_of_a_policy_can_be_left_out_and_taken_out(key: str) -> None:
    assert faults({}) == []
    assert faults({key: None}) == []


@pytest.mark.parametrize(
    "text",
    [
        "{extends: null, fallback: [{channel: sms, wait: 30s}]}",
        "{code: {length: 8}}",
        "{code: {length: null}}",
        "{limits: {ip-hour: {amount: 5}}}",
        "{limits: {ip-hour: {missing: null}, device-hour: null}}",
        "{countries: {rules: {IN: {wait: {sms: 20s}}, BR: null}}}",
        "{countries: {rules: {IN: {wait: {sms: null}, sender: null, providers: {sms: null}}}}}",
        "{countries: {only: {voice: null}}}",
        "{guesses: {window: 12h}, number_types: {landline: deny}}",
    ],
)
def test_a_policy_that_changes_and_removes_is_taken(text: str) -> None:
    assert faults(yaml.safe_load(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "{code: {lenght: 8}}",
        "{limits: {ip-hour: {amount: 0}}}",
        "{limits: {IP: {amount: 5}}}",
        "{countries: {rules: {india: {}}}}",
        "{countries: {rules: {IN: {wait: {fax: 20s}}}}}",
        "{fallback: null, colour: red}",
    ],
)
def test_a_policy_that_is_wrong_in_itself_is_refused(text: str) -> None:
    assert faults(yaml.safe_load(text)) != []
