"""The simulator in the conformance suite: its vendor is itself, and the number says what it does."""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from typing import Any

from channels.contract import Answer, Callback, Channel, Message
from channels.providers.simulator import SIGNATURE, Simulator
from channels.simulated import OUTCOMES, Scenario
from tests.conformance.subject import Case, Meeting, Refused, Reporting, Sentence, Situation, Subject, message
from tests.conformance.wire import tampered
from tests.vendors.mail import Certificate

SECRET = "the-simulators-own-secret"


def _refusals(channel: Channel) -> dict[str, Scenario]:
    return {each.on(channel).code: each for each in OUTCOMES if each.on(channel).refusal}


def _failures(channel: Channel) -> dict[str, str]:
    words = (word for each in OUTCOMES for word in each.on(channel).reports if word.error)
    return {word.code: str(word.error) for word in words}


_TABLE = {
    **{code: str(each.on(channel).refusal) for channel in Channel for code, each in _refusals(channel).items()},
    **{code: error for channel in Channel for code, error in _failures(channel).items()},
}


def _scenario(channel: Channel, situation: Situation | Refused) -> Scenario:
    if isinstance(situation, Refused):
        return _refusals(channel)[situation.code]
    return next(each for each in OUTCOMES if each.on(channel).hangs is (situation is Situation.SLOW))


@asynccontextmanager
async def _arrange(
    subject: Subject, case: Case, situation: Situation | Refused, certificate: Certificate, changes: Mapping[str, Any]
) -> AsyncIterator[Meeting]:
    provider = subject.build(case, **changes)
    assert isinstance(provider, Simulator)
    channel, scenario = case.message.channel, _scenario(case.message.channel, situation)
    to = scenario.address if channel is Channel.EMAIL else scenario.number
    yield Meeting(
        provider,
        replace(case.message, to=to, callback_url=None),  # it would call that address
        lambda: len(provider.inbox()),
        lambda: provider.inbox()[0].wording.text,
    )
    await provider.close()


def _report(status: str, error: str | None = None, code: str = "") -> Callable[[Message], Callback]:
    def make(sent: Message) -> Callback:
        body = json.dumps({"id": "sim_1", "status": status, "error": error, "code": code}).encode()
        signature = hmac.new(SECRET.encode(), body, sha256).hexdigest()
        assert sent.callback_url is not None
        return Callback("POST", sent.callback_url, {SIGNATURE: signature}, body)

    return make


def _spoken(answer: Answer) -> str:
    return str(json.loads(answer.body)["say"])


def _case(channel: Channel) -> Case:
    return Case(
        message(channel),
        refusals=_refusals(channel),
        words=None if channel is Channel.VOICE else lambda received: "",
        spoken=_spoken if channel is Channel.VOICE else None,
        reporting=Reporting(
            delivered=_report("delivered"),
            failed=lambda sent, code: _report("failed", _TABLE[code], code)(sent),
            failures=_failures(channel),
            progress=_report("progress"),
            forge=tampered(SIGNATURE),
        ),
    )


_NO_VENDOR = "it is its own vendor, in the same process: there is no connection to it that could break"

SUBJECT = Subject(
    provider="simulator",
    arrange=_arrange,
    address=lambda url: {},
    settings={"report_after": 600, "secret": {"env": "S"}},
    secrets={"secret": SECRET},
    table=_TABLE,
    cases={str(channel): _case(channel) for channel in Channel},
    exempt={
        Sentence.UNKNOWN: "the table of its numbers is all that it can answer",
        Sentence.SERVER_ERROR: _NO_VENDOR,
        Sentence.THROTTLED: _NO_VENDOR,
        Sentence.MALFORMED: _NO_VENDOR,
        Sentence.EMPTY: _NO_VENDOR,
        Sentence.RESET: _NO_VENDOR,
        Sentence.NOBODY: _NO_VENDOR,
        Sentence.UNTRUSTED: _NO_VENDOR,
        Sentence.POOL: "nothing is under way once a message is in its inbox",
        Sentence.LIFETIME: "its messages arrive when the number says, whatever the code's life",
        Sentence.PRICE: "what it pretends to send costs nothing",
        Sentence.REPLAYED: "it signs no time: it is for development, and its address has a token",
        Sentence.BOUND: "it signs the body only: the token in the address is what binds it",
    },
)
