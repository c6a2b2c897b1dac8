"""The reference configuration, its page in the documentation and its JSON Schema agree with the models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from pydantic_core.core_schema import ErrorType

from channels.contract import Channel, ProviderSettings
from gateway.config import explain, load, reference
from gateway.config.model import (
    AppSettings,
    Config,
    EngineSettings,
    LogSettings,
    MetricsSettings,
    ServerSettings,
    StoreSettings,
)
from gateway.config.schema import schema
from gateway.config.shape import bare, fields
from policies.schema import PolicySettings

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "config.yaml"


def keys(model: type[BaseModel], seen: frozenset[type] = frozenset()) -> Iterator[tuple[str, str]]:
    """Every key under a model, and what is said of it."""
    for name, field in model.model_fields.items():
        yield name, field.description or ""
        for candidate in (field.annotation, *getattr(bare(field.annotation), "__args__", ())):
            below = bare(candidate)
            if fields(below) is not None and below not in seen:
                yield from keys(below, seen | {below})


def test_the_reference_configuration_runs_as_it_is_without_a_warning(tmp_path: Path) -> None:
    settings = load(CONFIG, {"OTP_GATEWAY__STORE__DIRECTORY": str(tmp_path)})
    assert settings.warnings == ()
    assert settings.public_url == "http://127.0.0.1:8080"
    assert {channel for channel, order in settings.orders.items() if order} == set(Channel)
    assert set(settings.policies) == {"default", "payment"}


@pytest.mark.parametrize(
    ("section", "model"),
    [
        ("server", ServerSettings),
        ("metrics", MetricsSettings),
        ("log", LogSettings),
        ("store", StoreSettings),
        ("engine", EngineSettings),
    ],
)
def test_the_reference_configuration_has_every_key_with_its_default(section: str, model: type[BaseModel]) -> None:
    written = yaml.safe_load(CONFIG.read_text())[section]
    assert list(written) == list(model.model_fields)
    assert load(CONFIG, {}, make_keys=False).config.model_dump()[section] == model().model_dump()


def test_every_section_and_every_key_of_an_app_and_of_a_provider_is_in_the_reference_configuration() -> None:
    written: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    assert list(written) == list(Config.model_fields)
    assert set(written["apps"]["demo"]) == set(AppSettings.model_fields)
    assert set(written["providers"]["simulator"]) == set(ProviderSettings.model_fields)
    assert written["channels"]["sms"]["max_segments"] == 1


def test_every_key_in_the_reference_configuration_is_explained_in_its_line() -> None:
    sections = CONFIG.read_text().split("\nproviders:")[0].split("\nserver:")[1]
    lines = [line for line in sections.splitlines() if ":" in line.partition("#")[0]]
    bare_lines = [line.strip() for line in lines if "#" not in line]
    headings = {"metrics:", "log:", "store:", "engine:", "demo:"}
    assert set(bare_lines) <= headings | {'"*": default', "payment: payment"}


@pytest.mark.parametrize("model", [Config, PolicySettings, ProviderSettings])
def test_every_key_says_what_it_is_for_and_is_in_the_documentation(model: type[BaseModel]) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    for name, description in keys(model):
        assert description, name
        assert f"| `{name}` |" in page


def test_the_page_in_the_documentation_is_the_one_that_the_models_make() -> None:
    remedy = "write it again: python -m gateway.config.reference docs/configuration.md"
    assert (ROOT / "docs" / "configuration.md").read_text() == reference.page(), remedy


def test_the_json_schema_takes_the_reference_configuration() -> None:
    validator = Draft202012Validator(schema())
    Draft202012Validator.check_schema(schema())
    assert list(validator.iter_errors(yaml.safe_load(CONFIG.read_text()))) == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("server: {prot: 1}", ["server"]),
        ("engine: {lease: soon}", ["engine", "lease"]),
        ("providers: {x: {type: simulator, history: many}}", ["providers", "x", "history"]),
        ("policies: {x: {code: {length: 11}}}", ["policies", "x", "code"]),
        ("policies: {x: {fallback: [{channel: sns, wait: 30s}]}}", ["policies", "x", "fallback"]),
    ],
)
def test_the_json_schema_refuses_what_the_loader_refuses(text: str, path: list[str]) -> None:
    document = yaml.safe_load(CONFIG.read_text()) | yaml.safe_load(text)
    errors = list(Draft202012Validator(schema()).iter_errors(document))
    assert [list(error.absolute_path) for error in errors] == [path]


def test_the_json_schema_takes_a_policy_that_changes_and_removes_what_it_extends() -> None:
    text = "policies: {x: {limits: {ip-hour: {amount: 5}, device-hour: null}, code: {length: 8}}}"
    document = yaml.safe_load(CONFIG.read_text()) | yaml.safe_load(text)
    assert list(Draft202012Validator(schema()).iter_errors(document)) == []


def test_every_error_type_that_is_translated_exists() -> None:
    assert set(explain._KINDS) <= set(get_args(ErrorType))
