"""The configuration as a JSON Schema, with the policies' keys and those of every provider that ships."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from gateway.config.model import Config
from gateway.config.providers import kind, types
from policies.schema import PolicySettings

_DEFINITIONS = "$defs"


def schema() -> dict[str, Any]:
    """A JSON Schema (2020-12). Imports every provider that ships."""
    document = Config.model_json_schema()
    definitions = document[_DEFINITIONS]
    document["properties"]["policies"]["additionalProperties"] = _merged(PolicySettings, "Policy", definitions)
    _extendable(definitions)
    document["properties"]["providers"]["additionalProperties"] = {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"type": "string"}},
        "allOf": [_conditional(name, definitions) for name in types()],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of otp-gateway",
        **{key: value for key, value in document.items() if key != "title"},
    }


def _merged(model: type[BaseModel], name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """A reference to a model's schema, which is put under the definitions, its own definitions renamed after it."""
    found = model.model_json_schema(ref_template=f"#/{_DEFINITIONS}/{name}.{{model}}")
    definitions.update({f"{name}.{key}": value for key, value in found.pop(_DEFINITIONS, {}).items()})
    definitions[name] = found
    return {"$ref": f"#/{_DEFINITIONS}/{name}"}


def _conditional(name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """If the type is this one, then these keys."""
    condition = {"properties": {"type": {"const": name}}}
    return {"if": condition, "then": _merged(kind(name).schema, f"Provider.{name}", definitions)}


def _extendable(definitions: dict[str, Any]) -> None:
    """A policy says only what differs from what it extends, and null removes: so nothing is required and all may be
    null. What is missing after all shows when the ancestors are merged in, which a schema can't do. A map whose keys
    have a form has no others."""
    for name, definition in definitions.items():
        if name == "Policy" or name.startswith("Policy."):
            definition.pop("required", None)
            for key, value in definition.get("properties", {}).items():
                definition["properties"][key] = _or_null(value)


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema.get("additionalProperties"), dict):
        schema["additionalProperties"] = _or_null(schema["additionalProperties"])
    if "patternProperties" in schema:
        by_name = {pattern: _or_null(value) for pattern, value in schema["patternProperties"].items()}
        schema |= {"patternProperties": by_name, "additionalProperties": False}
    return {"anyOf": [schema, {"type": "null"}]}
