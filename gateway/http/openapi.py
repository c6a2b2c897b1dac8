"""The OpenAPI 3.1 document, made from the models that validate requests and render answers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.http import models
from gateway.http.operations import OPERATIONS, Operation, Success
from gateway.http.problems import KINDS, TYPE
from gateway.http.samples import REQUESTS, answers

_REF = "#/components/schemas/"
_EVERYWHERE = ("Request-Id", "Cache-Control")

_DESCRIPTION = """Verifies phone numbers and email addresses by one-time codes over SMS, voice, WhatsApp, Telegram and
email, and falls back from one to the next. Times are RFC 3339 in UTC. Ignore fields of an answer that you don't know:
more may come. Email is no out-of-band authenticator in the sense of NIST SP 800-63B, and codes over the telephone
network are restricted there."""

_HEADERS = {
    "Request-Id": ("The request's id, as in a problem's instance and in the gateway's log.", {"format": "uuid"}),
    "Cache-Control": ("Always no-store.", {}),
    "Location": ("Where the verification can be read.", {"format": "uri-reference"}),
    "Preference-Applied": ("The wait that was honoured, as RFC 7240 says.", {"pattern": "^wait=([0-9]|[12][0-9]|30)$"}),
    "Idempotent-Replayed": ("Present when this is the answer of an earlier request.", {"const": "true"}),
    "WWW-Authenticate": ("How to authenticate.", {}),
    "Retry-After": ("Seconds after which the same request can pass.", {"pattern": "^[0-9]+$"}),
    "RateLimit-Policy": ('The limit that refused: "name";q=amount;w=seconds.', {}),
    "RateLimit": ('What is left of it: "name";r=0;t=seconds.', {}),
}

_PARAMETERS: dict[str, dict[str, Any]] = {
    "id": {
        "name": "id",
        "in": "path",
        "required": True,
        "schema": {"type": "string"},
        "example": models.ID,
        "description": "The verification's id.",
    },
    "provider": {"name": "provider", "in": "path", "required": True, "schema": {"type": "string"}},
    "token": {"name": "token", "in": "path", "required": True, "schema": {"type": "string"}},
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "minLength": 1},
        "description": "1 to 255 printable ASCII characters, raw or as a quoted string. Makes the call safe to repeat "
        "for 24 hours: the same key and body get the first answer.",
    },
    "Prefer": {
        "name": "Prefer",
        "in": "header",
        "schema": {"type": "string"},
        "example": "wait=10",
        "description": "wait=N holds the answer for at most N seconds (30 at the most) until a provider has accepted "
        "the message.",
    },
}


class Document:
    """Serves the document. It is made at the first request, once."""

    def __init__(self, version: str) -> None:
        self._version = version

    def routes(self) -> list[Route]:
        return [Route("/openapi.json", self.read, methods=["GET"])]

    async def read(self, _request: Request) -> Response:
        return Response(self._bytes, media_type="application/json")

    @cached_property
    def _bytes(self) -> bytes:
        return json.dumps(document(self._version)).encode()


def document(version: str) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.1",
        "info": {"title": "OTP gateway", "version": version, "description": _DESCRIPTION, "license": {"name": "MIT"}},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "headers": {
                name: {"description": says, "required": name in _EVERYWHERE, "schema": {"type": "string", **form}}
                for name, (says, form) in _HEADERS.items()
            },
            "securitySchemes": {
                "apiKey": {"type": "http", "scheme": "bearer", "description": "One of the app's keys."}
            },
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    found: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [_PARAMETERS[name] for name in (*names, *operation.parameters)],
        "responses": {**_successes(operation), **_problems(operation)},
        "security": [{"apiKey": []}] if operation.key else [],
    }
    if operation.details:
        found["description"] = operation.details
    if operation.body:
        content = {"schema": {"$ref": _REF + operation.body.__name__}, "examples": _examples(REQUESTS[operation.id])}
        found["requestBody"] = {"required": operation.body_required, "content": {"application/json": content}}
    return found


def _successes(operation: Operation) -> dict[str, Any]:
    return {str(status): _success(operation, success) for status, success in operation.answers.items()}


def _success(operation: Operation, success: Success) -> dict[str, Any]:
    found: dict[str, Any] = {"description": success.says, "headers": _headers(success.headers)}
    if success.model:
        sample = answers().get(operation.id)
        content: dict[str, Any] = {"schema": {"$ref": _REF + success.model.__name__}}
        found["content"] = {success.media_type: content | ({"example": sample} if sample else {})}
    elif success.media_type:
        found["content"] = {success.media_type: {}}
    return found


def _problems(operation: Operation) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for code in operation.problems:
        by_status.setdefault(KINDS[code].status, []).append(code)
    return {str(status): _problem(codes) for status, codes in sorted(by_status.items())}


def _problem(codes: list[str]) -> dict[str, Any]:
    return {
        "description": "; ".join(KINDS[code].title for code in codes) + ".",
        "headers": _headers(_headers_of(codes[0])),
        "content": {
            "application/problem+json": {
                "schema": {"$ref": _REF + "Problem"},
                "examples": {code: {"value": sample(code)} for code in codes},
            }
        },
    }


def _headers_of(code: str) -> tuple[str, ...]:
    return {
        401: ("WWW-Authenticate",),
        409: ("Retry-After",),
        429: ("Retry-After", "RateLimit-Policy", "RateLimit"),
        503: ("Retry-After",),
    }.get(KINDS[code].status, ())


def _headers(names: tuple[str, ...]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*_EVERYWHERE, *names)}


def _examples(samples: dict[str, Any]) -> dict[str, Any]:
    return {name: {"value": value} for name, value in samples.items()}


def sample(code: str) -> dict[str, Any]:
    """One problem of that kind."""
    kind = KINDS[code]
    facts: dict[str, Any] = {}
    if kind.status == 403:
        facts = {
            "rule": {"country_denied": "country", "number_type_denied": "number_type", "opted_out": "suppression"}.get(
                code, "route"
            )
        }
    elif code.startswith("invalid"):
        facts = {"errors": [{"pointer": "/to/phone", "reason": "Begin with a plus sign and the country calling code."}]}
    elif code == "rate_limited":
        facts = {"limit": "cooldown"}
    instance = "urn:uuid:0f8fad5b-d9cb-469f-a165-70867728950e"
    head = {"type": TYPE + code, "title": kind.title, "status": kind.status, "detail": kind.detail}
    return {**head, "instance": instance, "code": code, **facts}


def _schemas() -> dict[str, Any]:
    asked = {operation.body for operation in OPERATIONS if operation.body}
    told = {success.model for operation in OPERATIONS for success in operation.answers.values() if success.model}
    used = [*_in_mode(asked, "validation"), *_in_mode({*told, models.Problem}, "serialization")]
    _, found = models_json_schema(used, ref_template=_REF + "{model}")
    schemas: dict[str, Any] = found["$defs"]
    schemas["Problem"]["properties"]["code"]["enum"] = list(KINDS)
    schemas["To"]["anyOf"] = [_given("phone"), _given("email")]
    return schemas


def _in_mode(used: Iterable[type[BaseModel]], mode: JsonSchemaMode) -> list[tuple[type[BaseModel], JsonSchemaMode]]:
    return [(model, mode) for model in sorted(used, key=lambda model: model.__name__)]


def _given(field: str) -> dict[str, Any]:
    return {"required": [field], "properties": {field: {"type": "string"}}}
