"""Holds every answer to the OpenAPI document, and to the promise that none holds a code or a whole destination."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

_FORMATS = FormatChecker()


@_FORMATS.checks("date-time", raises=ValueError)
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or bool(datetime.fromisoformat(value))


@dataclass(frozen=True)
class Reply:
    """One answer as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """A problem's code."""
        return str(self.json["code"])

    @property
    def faults(self) -> dict[str, str]:
        """What a problem's errors say, by pointer."""
        return {fault["pointer"]: fault["reason"] for fault in self.json["errors"]}


class Contract:
    """The document, read as strictly as can be: a field that it doesn't name is a breach."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._components = copy.deepcopy(document["components"])
        self._validators: dict[str, Draft202012Validator] = {}
        for schema in self._components["schemas"].values():
            if "properties" in schema:
                schema["additionalProperties"] = False

    def validate(self, schema: dict[str, Any], value: object) -> None:
        name = json.dumps(schema)
        if name not in self._validators:
            whole = {**schema, "components": self._components}
            self._validators[name] = Draft202012Validator(whole, format_checker=_FORMATS)
        self._validators[name].validate(value)

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        for template, operations in self.document["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path.partition("?")[0]):
                return operations.get(method.lower())
        return None

    def hold(self, method: str, path: str, reply: Reply) -> None:
        """Raise AssertionError or ValidationError for whatever the document doesn't allow."""
        operation = self.operation(method, path)
        if operation is None:
            assert reply.status in (404, 405), f"{method} {path} is not documented and was answered"
            self._content({"application/problem+json": {"schema": _PROBLEM}}, reply)
            return
        response = operation["responses"].get(str(reply.status))
        assert response is not None, f"{method} {path} answered {reply.status}, which is not documented"
        self._headers(response["headers"], reply)
        self._content(response.get("content", {}), reply)

    def _content(self, content: dict[str, Any], reply: Reply) -> None:
        media = reply.headers.get("content-type", "").partition(";")[0]
        if not content:
            assert (media, reply.body) == ("", b"")
            return
        assert media in content or "*/*" in content, f"{media} is not documented"
        schema = content.get(media, {}).get("schema")
        if schema:
            self.validate(schema, reply.json)

    def _headers(self, headers: dict[str, Any], reply: Reply) -> None:
        for name in headers:
            definition = self._components["headers"][name]
            value = reply.headers.get(name)
            assert value is not None or not definition["required"], f"{name} is missing"
            if value is not None:
                self.validate(definition["schema"], value)


_PROBLEM = {"$ref": "#/components/schemas/Problem"}


def leaks(reply: Reply, secrets: Iterable[str]) -> list[str]:
    """The secrets that an answer holds."""
    everything = reply.body.decode(errors="replace") + repr(dict(reply.headers))
    return [secret for secret in secrets if secret in everything]
