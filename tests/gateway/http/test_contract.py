"""The OpenAPI document, the table of problems and docs/api.md agree with each other and with the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from starlette.requests import Request

from channels.contract import ErrorClass
from gateway.core.model import AttemptStatus, Status, Verdict
from gateway.http.api import routes
from gateway.http.callbacks import Callbacks
from gateway.http.headers import wait
from gateway.http.native import Native
from gateway.http.openapi import document, sample
from gateway.http.operations import OPERATIONS
from gateway.http.problems import CAUSES, KINDS, Problem
from gateway.service import reports, requests
from gateway.service.requests import Refused
from tests.gateway.http.conftest import Api
from tests.gateway.http.contract import Contract, Reply

ROOT = Path(__file__).parents[3]
DOCS = (ROOT / "docs/api.md").read_text(encoding="utf-8")
DOCUMENT = document("1.2.3")


async def test_every_route_is_an_operation_and_every_operation_a_route(api: Api) -> None:
    served = {
        (method, route.path)
        for route in routes(api.surface, Native(api.surface), Callbacks(api.surface))
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert served == {(operation.method, operation.path) for operation in OPERATIONS}


async def test_the_document_is_served_as_it_is_made(api: Api) -> None:
    assert (await api.get("/openapi.json", key=None)).json == DOCUMENT


def test_every_schema_is_a_schema_and_every_reference_leads_somewhere() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for reference in _values(DOCUMENT, "$ref"):
        place: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def test_every_example_is_true() -> None:
    contract = Contract(DOCUMENT)
    checked = 0
    for content in _contents(DOCUMENT):
        examples = [content["example"]] if "example" in content else []
        examples += [example["value"] for example in content.get("examples", {}).values()]
        for example in examples:
            contract.validate(content["schema"], example)
            checked += 1
    assert checked > 60


def test_ids_of_operations_are_distinct() -> None:
    ids = list(_values(DOCUMENT, "operationId"))
    assert len(ids) == len(set(ids)) == len(OPERATIONS)


def test_a_drifting_answer_is_found() -> None:
    """The twin of all tests that call the gateway: the contract they are held to can be broken."""
    contract = Contract(DOCUMENT)
    good = Reply(200, _HEADERS, b'{"status":"alive"}')
    contract.hold("GET", "/livez", good)
    for reply in (
        Reply(200, _HEADERS, b'{"status":"alive","more":1}'),
        Reply(200, _HEADERS, b'{"status":"fine"}'),
        Reply(202, _HEADERS, b'{"status":"alive"}'),
        Reply(200, {**_HEADERS, "content-type": "text/plain"}, b'{"status":"alive"}'),
        Reply(200, {"content-type": "application/json"}, b'{"status":"alive"}'),
    ):
        with pytest.raises((AssertionError, ValidationError)):
            contract.hold("GET", "/livez", reply)


_HEADERS = {
    "content-type": "application/json",
    "Request-Id": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "Cache-Control": "no-store",
}


def test_every_refusal_of_the_service_is_a_problem() -> None:
    refusals = {
        cls
        for module in (requests, reports)
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, Refused) and cls is not Refused
    }
    assert refusals <= CAUSES.keys()


def test_every_code_that_a_policy_refuses_with_is_a_problem() -> None:
    sources = (ROOT / "policies/rules").glob("*.py")
    codes = {code for source in sources for code in re.findall(r'Refusal\(\s*"(\w+)"', source.read_text("utf-8"))}
    assert {"country_denied", "number_type_denied", "no_channel"} <= codes <= KINDS.keys()


def test_every_kind_of_problem_can_be_met_at_a_documented_call() -> None:
    met = {code for operation in OPERATIONS for code in operation.problems}
    before_any_call = {"malformed_http", "head_too_large"}
    assert met == KINDS.keys() - {"method_not_allowed"} - before_any_call


def test_every_problem_says_what_to_do() -> None:
    for code, kind in KINDS.items():
        assert kind.detail.endswith("."), code
        assert 400 <= kind.status <= 599
        assert sample(code)["code"] == code
        assert str(Problem(code)) == code


def test_the_docs_name_every_route_code_field_and_value() -> None:
    for operation in OPERATIONS:
        assert f"`{operation.method} {operation.path}`" in DOCS, operation.id
    for code, kind in KINDS.items():
        assert re.search(rf"\| {kind.status} \|.*`{code}`", DOCS), code
    fields = {name for s in DOCUMENT["components"]["schemas"].values() for name in s.get("properties", {})}
    values = {*map(str, (*Status, *AttemptStatus, *Verdict, *ErrorClass))}
    missing = {word for word in fields | values if f"`{word}`" not in DOCS}
    assert missing == set()


def test_the_docs_name_every_header() -> None:
    missing = [name for name in DOCUMENT["components"]["headers"] if f"`{name}`" not in DOCS]
    assert missing == []


def test_the_docs_name_no_problem_that_does_not_exist() -> None:
    rows = re.findall(r"^\| \d{3} \| (.*?) \|", DOCS, re.MULTILINE)
    assert {code for row in rows for code in re.findall("`([a-z_]+)`", row)} == KINDS.keys()


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ([], None),
        (["respond-async"], None),
        (["wait=5"], 5),
        (["wait = 5 "], 5),
        (['wait="5"'], 5),
        (["respond-async, wait=5; x, handling=lenient"], 5),
        (["foo", "WAIT=5"], 5),
        (["wait=5, wait=9"], 5),
        (["wait=0"], 0),
        (["wait=999"], 30),
        (["wait=-1"], None),
        (["wait=1.5"], None),
        (["wait=٥".encode().decode("latin-1")], None),
        (["wait"], None),
        (["wait=5x"], None),
        (["await=5"], None),
    ],
)
def test_a_preference_that_is_not_understood_is_ignored(given: list[str], seconds: int | None) -> None:
    headers = [(b"prefer", line.encode("latin-1")) for line in given]
    assert wait(Request({"type": "http", "headers": headers})) == seconds


def _values(tree: Any, key: str) -> Iterator[str]:
    if isinstance(tree, dict):
        if isinstance(tree.get(key), str):
            yield tree[key]
        for value in tree.values():
            yield from _values(value, key)
    elif isinstance(tree, list):
        for value in tree:
            yield from _values(value, key)


def _contents(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in document["paths"].values():
        for operation in operations.values():
            yield from operation.get("requestBody", {}).get("content", {}).values()
            for response in operation["responses"].values():
                yield from (c for c in response.get("content", {}).values() if "schema" in c)
