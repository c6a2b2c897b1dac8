"""Writes docs/configuration.md from the schema: `python -m gateway.config.reference docs/configuration.md`."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from channels.contract import ProviderSettings, SecretRef
from gateway.config.environment import PREFIX
from gateway.config.model import Config
from gateway.config.providers import kind, types
from gateway.config.shape import bare, fields
from policies.inheritance import presets
from policies.schema import PolicySettings

Schema = Mapping[str, Any]

_INTRODUCTION = f"""# Configuration

One YAML file says everything; [config.yaml](../config.yaml) is the reference that runs as it is. The file is read
strictly: an unknown key, a key written twice, an unquoted `NO` that YAML takes for false, a chain that names a channel
without a provider are faults, and all of them are told at once, each with its line:

    otp-gateway check-config --config config.yaml

Editors complete and check the file by its JSON Schema, which `otp-gateway schema` prints.

**Lengths of time** are a whole number and a unit, `500ms`, `30s`, `10m`, `24h`, `7d`, or a plain number of seconds.

**Secrets** are never written in the file. `{{env: NAME}}` names an environment variable, `{{file: PATH}}` a file that
holds the secret and nothing else. The gateway's own keys have 32 random bytes or more: `openssl rand -base64 32`.

**The environment** overrules single keys: `{PREFIX}SERVER__PORT=8081`. Two underscores stand between the parts of a
path, a hyphen is written as one underscore, and case does not matter. The value is read as YAML reads it, so `true` is
a truth value and `[a, b]` a list. A variable with this prefix that names no key is a fault.

**API keys** are made by `otp-gateway keys new`; the file holds their hashes. To rotate, add a second key, move the app
over, and take the first one out.

In development, what is missing among the gateway's own keys is made at the first start and kept in `store.directory`
under `secrets/`; an app without keys is given one, in `<app>-api-key`.

This page is written from the schema in `gateway/config/model.py`, `policies/schema.py` and the providers' modules.
"""

_POLICIES = """## policies.NAME

What may be sent where, how often and in which order. A policy starts from what it `extends`: maps are merged by key,
lists are replaced, and `null` takes out what was extended. A policy goes before a preset of the same name, and may
extend that preset. The presets that ship: {presets}.
"""

_PROVIDERS = """## providers.NAME

The keys that every provider has. A `type` from outside this project is written `package.module:build`; beside that
function stands a `Settings` model, which is the schema of the section.
"""


def page() -> str:
    """docs/configuration.md, whole."""
    parts = [_INTRODUCTION, *_tables("", Config)]
    parts += [_PROVIDERS, _table(ProviderSettings)]
    parts += [part for name in types() for part in _provider(name)]
    parts += [_POLICIES.format(presets=", ".join(f"`{name}`" for name in sorted(presets()))), _table(PolicySettings)]
    parts += _below("policies.NAME", PolicySettings)
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _provider(name: str) -> Iterator[str]:
    schema = kind(name).schema
    yield f"### type: {name}"
    yield _table(schema, without=[key for key in ProviderSettings.model_fields if _inherited(key, schema)])


def _inherited(key: str, schema: type[ProviderSettings]) -> bool:
    own, common = schema.model_fields[key], ProviderSettings.model_fields[key]
    return (own.default, own.description) == (common.default, common.description)


def _tables(path: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"## {path or 'The sections'}"
    if path:
        yield inspect.cleandoc(model.__doc__ or "")  # Python 3.13 takes the indentation out itself
    yield _table(model)
    yield from _below(path, model)


def _below(path: str, model: type[BaseModel]) -> Iterator[str]:
    """The tables of every section within a section, except references to secrets, which the introduction tells of."""
    for key, field in model.model_fields.items():
        below, suffix = _section(field.annotation)
        if below is not None and below is not SecretRef:
            yield from _tables(f"{path}.{key}{suffix}".lstrip("."), below)


def _section(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """The section behind a key, and how one of several is named."""
    found = bare(annotation)
    if fields(found) is not None:
        return found, ""
    origin: Any = get_origin(found)
    for argument in get_args(found):
        if fields(argument) is not None:
            return bare(argument), ".NAME" if origin is dict else "[]"
    return None, ""


def _table(model: type[BaseModel], without: Collection[str] = ()) -> str:
    schema = model.model_json_schema()
    required, definitions = schema.get("required", ()), schema.get("$defs", {})
    rows = [
        f"| `{key}` | {_kind(said, definitions)} | {_default(key, said, required)} | {_cell(model, key)} |"
        for key, said in schema["properties"].items()
        if key not in without
    ]
    return "\n".join(["| key | type | default | what it is for |", "|---|---|---|---|", *rows])


def _cell(model: type[BaseModel], key: str) -> str:
    return (model.model_fields[key].description or "").replace("|", "\\|").replace("<", "&lt;")


def _default(key: str, said: Schema, required: Collection[str]) -> str:
    if key in required:
        return "**required**"
    value = said.get("default", {"array": [], "object": {}}.get(said.get("type", ""), ...))
    if value is ... or (isinstance(value, dict) and "$ref" in said):
        return "see below"
    if said.get("uniqueItems"):
        value = sorted(value)  # a set, whose order differs from one process to the next
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value, ensure_ascii=False)}`"


def _kind(said: Schema, definitions: Mapping[str, Schema]) -> str:
    """What may be written, as far as JSON Schema can say it."""
    choices = [choice for choice in said.get("anyOf", ()) if choice.get("type") != "null"]
    if {choice.get("type") for choice in choices} == {"integer", "string"}:
        return "length of time"
    said = choices[0] if choices else said
    name = said.get("$ref", "").rpartition("/")[2]
    said = definitions.get(name, said)
    if "enum" in said:
        return ", ".join(f"`{choice}`" for choice in said["enum"])
    if name:
        return "secret" if name == SecretRef.__name__ else "section"
    if said.get("type") == "array":
        return f"list of {_kind(said.get('items', {}), definitions)}"
    return f"{_TYPES.get(said.get('type', ''), 'map')}{_bounds(said)}"


_TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}


def _bounds(said: Schema) -> str:
    low, high = said.get("minimum", said.get("exclusiveMinimum")), said.get("maximum")
    return "" if low is None or high is None else f", {low} to {high}"


def main() -> None:
    """Write the page to the file that is named."""
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
