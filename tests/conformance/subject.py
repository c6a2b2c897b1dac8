"""What the conformance suite has to know of a provider: how to build it, and how its vendor looks on the wire."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

import pytest

from channels import providers
from channels.contract import Answer, Callback, Channel, Context, Cost, Message, Provider, Wording
from tests.vendors.mail import Certificate
from tests.vendors.server import Received, Reply

CODE = "482913"
PHONE = "+14155550123"
EMAIL = "ana@example.org"
TOKEN = "dG9rM24tdG9rM24tdG9rM24"
URL = f"https://otp.example/callbacks/main/{TOKEN}"
LIFETIME = 600
RETRY_AFTER = 7
TIMEOUT = 0.25
"""Seconds that a provider is given where its vendor is slow. Elsewhere it has plenty."""


class Sentence(StrEnum):
    """What every provider is held to. A subject may be exempt from one, for a reason that it gives."""

    ID = "an acceptance gives the vendor's id of the message"
    REFUSED = "every code of the table is classed as the table says"
    UNKNOWN = "a code that nobody knows gets a safe class"
    SERVER_ERROR = "an HTTP 500 is the provider's fault, and the message may have gone out"
    THROTTLED = "an HTTP 429 says how long to stay away"
    MALFORMED = "an answer that can't be read may have been an acceptance"
    EMPTY = "an empty answer may have been an acceptance"
    SLOW = "the deadline is kept"
    RESET = "a connection that breaks once the message is out is ambiguous"
    NOBODY = "a refused connection has sent nothing"
    UNTRUSTED = "nothing is said to a server whose certificate nobody vouches for"
    POOL = "no more connections than `concurrency`"
    WORDS = "words in any script arrive letter for letter"
    LIFETIME = "the vendor is told how long the message is worth delivering"
    PRICE = "a price is read into millionths"
    REPORTS = "reports are understood"
    PROGRESS = "a report of progress moves nothing"
    FORGED = "a report that the vendor did not sign is refused"
    REPLAYED = "a report signed more than five minutes ago is refused"
    BOUND = "a report can't be used for another message"


class Situation(Enum):
    """How the vendor answers a send."""

    ACCEPTED = "accepted"
    SERVER_ERROR = "server error"
    THROTTLED = "throttled"
    MALFORMED = "malformed"
    EMPTY = "empty"
    SLOW = "slow"
    RESET = "reset"
    NOBODY = "nobody"
    UNTRUSTED = "untrusted"


@dataclass(frozen=True)
class Refused:
    """The situation that the vendor refuses with this code."""

    code: str


@dataclass
class Meeting:
    """A provider that is wired to its vendor, and a message to send."""

    provider: Provider
    message: Message
    requests: Callable[[], int]  # messages that the vendor was given so far
    words: Callable[[], str] | None = None  # of the last message, as the vendor would deliver them
    lifetime: Callable[[], float] | None = None  # of the last message, in seconds
    hold: Callable[[], AbstractAsyncContextManager[Callable[[], int]]] | None = None
    """Holds every answer while it lasts; gives the most messages that were with the vendor at once."""


Arrange = Callable[
    ["Subject", "Case", Situation | Refused, Certificate, Mapping[str, Any]], AbstractAsyncContextManager[Meeting]
]
"""Puts a provider before a vendor in a situation. The last are changes to the settings."""


@dataclass(frozen=True)
class Reporting:
    """The vendor's delivery reports about one message, signed where the vendor signs.

    `forge` makes forgeries of a genuine callback, by name. `stale` is a genuine callback signed six minutes ago.
    `bound` says what keeps a report from being used for another message: "url" when the address is signed, "token"
    when the report brings Message.token.
    """

    delivered: Callable[[Message], Callback]
    failed: Callable[[Message, str], Callback]
    failures: Collection[str] = ()  # the codes of the table that reports have
    progress: Callable[[Message], Callback] | None = None
    forge: Callable[[Callback], Mapping[str, Callback]] | None = None
    stale: Callable[[Message], Callback] | None = None
    bound: str = ""
    priced: tuple[Callable[[Message], Callback], Cost] | None = None


@dataclass(frozen=True)
class Case:
    """One channel of a provider, through one API of its vendor."""

    message: Message
    settings: Mapping[str, Any] = field(default_factory=dict)  # beside the subject's
    accept: Callable[[Received], Reply] | None = None  # the vendor on a good day
    refuse: Callable[[str], Reply] | None = None
    refusals: Collection[str] = ()  # the codes of the table that answers have
    unknown: str = ""  # a code that the table does not have
    sends: Callable[[Received], bool] = lambda received: True  # tells sends from whatever else is asked on the way
    words: Callable[[Received], str] | None = None  # in the request that carries the message
    template: bool = False  # the vendor words it: `words` gives the code that goes into its template
    spoken: Callable[[Answer], str] | None = None  # in the answer to a call that fetches its script
    lifetime: Callable[[Received], float] | None = None  # seconds
    priced: tuple[Reply, Cost] | None = None  # an acceptance that names the price
    reporting: Reporting | None = None
    exempt: Mapping[Sentence, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """A provider under test. `build` makes it from settings and secrets; `arrange` puts it before its vendor."""

    provider: str  # the module under channels/providers
    cases: Mapping[str, Case]
    arrange: Arrange  # wire.over_http, unless the vendor speaks something else
    settings: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    table: Mapping[str, str] = field(default_factory=dict)  # code: class, all of them
    address: Callable[[str], Mapping[str, Any]] = lambda url: {"base_url": url}  # the settings that lead to the vendor
    module: str = ""  # where the provider is, when it is not under channels/providers
    shown: Callable[[str], str] = str  # the vendor_code that a code of the table is reported as
    exempt: Mapping[Sentence, str] = field(default_factory=dict)

    def excuse(self, case: Case, sentence: Sentence) -> str:
        """Why the sentence does not apply; "" when it does."""
        return case.exempt.get(sentence) or self.exempt.get(sentence, "")

    def build(self, case: Case, **changes: Any) -> Provider:
        """The provider, as the configuration would build it. Its vendor is nowhere, unless the changes say where."""
        module = importlib.import_module(self.module or f"{providers.__name__}.{self.provider}")
        nowhere = self.address("https://vendor.invalid")
        content = {"type": self.provider, **nowhere, **self.settings, **case.settings, **changes}
        context = Context("main", "otp-gateway/test", production=False, secrets=self.secrets)
        built: Provider = module.build(module.Settings.model_validate(content), context)
        return built

    def meet(
        self, case: Case, situation: Situation | Refused, certificate: Certificate, **changes: Any
    ) -> AbstractAsyncContextManager[Meeting]:
        """The provider of this case before a vendor in this situation."""
        timeout = TIMEOUT if situation is Situation.SLOW else 5.0
        return self.arrange(self, case, situation, certificate, {"timeout": timeout, **changes})


def message(channel: Channel, **changes: Any) -> Message:
    """A message as the engine makes one."""
    wording = Wording(
        f"Your code is {CODE}", "en", subject="Your code", html=f"<p>{CODE}</p>", spoken="4, 8, 2, 9, 1, 3"
    )
    made = Message(
        channel=channel,
        to=EMAIL if channel is Channel.EMAIL else PHONE,
        code=CODE,
        wording=wording,
        reference="ver_x.1",
        lifetime=LIFETIME,
        callback_url=URL,
        token=TOKEN,
        answer_url=f"{URL}?answer=1",
        country="" if channel is Channel.EMAIL else "US",
    )
    return replace(made, **changes)


# --- finding them ---


def shipped() -> list[str]:
    """The provider modules of the tree."""
    return sorted(file.stem for folder in providers.__path__ for file in Path(folder).glob("[a-z]*.py"))


def found() -> dict[str, Subject]:
    """The subjects, by provider: every module under tests/conformance/subjects has one."""
    names = sorted(file.stem for file in (Path(__file__).parent / "subjects").glob("[a-z]*.py"))
    return {name: importlib.import_module(f"tests.conformance.subjects.{name}").SUBJECT for name in names}


def every_case(sentence: Sentence, *, reporting: bool = False) -> pytest.MarkDecorator:
    """Run a test for every case that the sentence applies to."""
    pairs = [
        pytest.param(subject, case, id=f"{subject.provider}-{name}")
        for subject in found().values()
        for name, case in subject.cases.items()
        if not subject.excuse(case, sentence) and (case.reporting or not reporting)
    ]
    return pytest.mark.parametrize(("subject", "case"), pairs)
