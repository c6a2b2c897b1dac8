"""Whatever anybody posts at a vendor's address: it is understood or refused, never a crash, and never believed unless
the vendor said it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.contract import Callback, Forged, Outcome, Unread
from tests.conformance.reading import read
from tests.conformance.subject import URL, Case, Sentence, Subject, found

PAIRS = [
    pytest.param(subject, case, id=f"{subject.provider}-{name}")
    for subject in found().values()
    for name, case in subject.cases.items()
    if case.reporting
]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40)


@st.composite
def bent(draw: st.DrawFn, genuine: Callback) -> Callback:
    """The vendor's own request with one thing wrong about it."""
    kind = draw(st.sampled_from(("bytes", "cut", "leaf", "header", "no header", "query", "method")))
    body, names = genuine.body, sorted(genuine.headers)
    if kind == "bytes":
        at = draw(st.integers(0, len(body)))
        return replace(genuine, body=body[:at] + draw(st.binary(min_size=1, max_size=8)) + body[at + 1 :])
    if kind == "cut":
        return replace(genuine, body=body[: draw(st.integers(0, max(0, len(body) - 1)))])
    if kind == "leaf":
        return replace(genuine, body=_with_a_leaf(draw, body))
    if kind == "header" and names:
        return replace(genuine, headers={**genuine.headers, draw(st.sampled_from(names)): draw(_HEADER)})
    if kind == "no header" and names:
        left_out = draw(st.sampled_from(names))
        return replace(genuine, headers={name: value for name, value in genuine.headers.items() if name != left_out})
    if kind == "method":
        return replace(genuine, method="GET", body=b"")
    query = draw(st.lists(st.tuples(_HEADER, _HEADER), max_size=3))
    return replace(genuine, query=(*genuine.query, *query))


def _with_a_leaf(draw: st.DrawFn, body: bytes) -> bytes:
    """JSON with another value somewhere in it; what is no JSON gets some put in its place."""
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    here = content
    while isinstance(here, dict | list) and here:
        key: Any = draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
        if not isinstance(here[key], dict | list) or draw(st.booleans()):
            here[key] = draw(_JSON)
            return json.dumps(content).encode()
        here = here[key]
    return json.dumps(draw(_JSON)).encode()


nonsense = st.builds(
    Callback,
    method=st.sampled_from(("GET", "POST")),
    url=st.just(URL),
    headers=st.dictionaries(st.sampled_from(("content-type", "authorization", "x-twilio-signature", "x")), _HEADER),
    body=st.binary(max_size=200) | _JSON.map(lambda value: json.dumps(value).encode()),
    query=st.lists(st.tuples(_HEADER, _HEADER), max_size=3).map(tuple),
)


async def outcome(subject: Subject, case: Case, callback: Callback) -> Outcome | None:
    """What it is read as; None when it is refused. Anything else is a crash, and fails the test."""
    provider = subject.build(case)
    try:
        return await read(provider, callback)
    except (Forged, Unread):
        return None
    finally:
        await provider.close()


@pytest.mark.parametrize(("subject", "case"), PAIRS)
@settings(
    max_examples=int(os.environ.get("FUZZ_CALLBACKS", "15")), deadline=None, suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
async def test_a_callback_is_read_or_refused_and_only_the_vendor_is_believed(
    subject: Subject, case: Case, data: st.DataObject
) -> None:
    assert case.reporting
    genuine = case.reporting.delivered(case.message)
    truth = await outcome(subject, case, genuine)
    assert truth
    assert truth.reports
    heard = await outcome(subject, case, data.draw(st.one_of(bent(genuine), nonsense)))
    if heard and not subject.excuse(case, Sentence.FORGED):
        assert set(heard.reports) <= set(truth.reports)
