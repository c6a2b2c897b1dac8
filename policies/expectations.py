"""What is expected of policies, written as cases in YAML, and where what they decide differs from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from policies import destination
from policies.duration import Duration, within, written
from policies.engine import Policy
from policies.model import ChannelName, Decision, Email, Listed, Phone, Question
from policies.rehearsal import Outcome, start
from policies.rules.code import ALPHABETS
from policies.rules.subjects import network
from policies.windows import Windows


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has characters that can't be shown: take them out")
    return text


def _address(text: str) -> str:
    if text and not network(text):
        raise ValueError("not an IP address: write one such as 203.0.113.7 or 2001:db8::1, or leave it out")
    return text


Text = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_printable)]
Purpose = Annotated[str, Field(pattern="^[a-z][a-z0-9_-]{0,63}$")]
Ip = Annotated[str, AfterValidator(_address)]


def _said_in(model: BaseModel) -> set[str]:
    """The keys that can make a case fail: null expects nothing."""
    return {name for name, value in model if value is not None}


class CodeExpectation(BaseModel):
    """What the code is expected to be. What is left out may be anything."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    length: int | None = Field(None, description="Characters.")
    alphabet: Literal["digits", "letters", "alphanumeric"] | None = Field(None, description="What it is made of.")
    expiry: Duration | None = Field(None, description="How long it lives.")
    checks: int | None = Field(None, description="Tries before it locks.")
    resend: Literal["same", "new"] | None = Field(None, description="What a resend sends.")
    cooldown: Duration | None = Field(None, description="How long a person waits before asking again.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not _said_in(self):
            raise ValueError(
                "expects nothing: write at least one of length, alphabet, expiry, checks, resend, cooldown"
            )
        return self


class Expectation(BaseModel):
    """What is expected of one case. What is left out may be anything; something must be said."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    allowed: bool | None = Field(None, description="Whether every start is allowed; with repeat, all of them.")
    problem: Text | None = Field(None, description="The API's problem code, such as country_denied or rate_limited.")
    rule: Text | None = Field(None, description="The rule that refuses, such as country or limits.")
    refused_at: int | None = Field(None, ge=1, description="The first of the repeated starts that is refused, from 1.")
    by: Text | None = Field(None, description="The limit that refuses, or cooldown.")
    policy: Text | None = Field(None, description="The policy that decides.")
    channels: tuple[ChannelName, ...] | None = Field(None, description="The channels of the steps, in order.")
    providers: dict[ChannelName, tuple[str, ...]] | None = Field(
        None, min_length=1, description="The providers of some channels, in order."
    )
    waits: dict[ChannelName, Duration] | None = Field(None, min_length=1, description="The waits of some channels.")
    senders: dict[ChannelName, str] | None = Field(None, min_length=1, description="The senders of some channels.")
    code: CodeExpectation | None = Field(None, description="What the code is.")
    limits: tuple[Text, ...] | None = Field(
        None, min_length=1, description="Limits that are counted; there may be more."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not _said_in(self):
            raise ValueError("expects nothing: write at least one of allowed, problem, channels, code, limits")
        if self.allowed and (self.problem or self.rule or self.refused_at or self.by):
            raise ValueError(
                "allowed: true goes with no refusal: take out problem, rule, refused_at and by, or allowed"
            )
        return self


class Case(BaseModel):
    """One question, or the same one several times, and what is expected."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    name: Text = Field(description="What the case shows, in a sentence.")
    app: Text | None = Field(None, description="The app that asks. Left out: the only one that there is.")
    purpose: Purpose = Field("default", description="Selects the policy.")
    to: Text | None = Field(None, description="A phone number in E.164.")
    email: Text | None = Field(None, description="An email address.")
    ip: Ip = Field("", description="The client's address.")
    device: str = Field("", description="The client's device.")
    locale: str = Field("", description="The language that was asked for.")
    at: AwareDatetime | None = Field(None, description="When, for quiet hours. Left out: it is never night.")
    mail: Literal["unknown", "takes", "refuses"] = Field("unknown", description="What the address's DNS says.")
    listed: Literal["", "deny", "allow"] = Field("", description="What the app's own entries say of to and email.")
    channels: tuple[ChannelName, ...] = Field((), description="What the caller narrows the order to.")
    opted_out: tuple[ChannelName, ...] = Field((), description="Channels that the person has opted out of.")
    repeat: int = Field(1, ge=1, le=100_000, description="How many starts there are.")
    every: Annotated[Duration, within("0s", "31d")] = Field(0, description="The time from one start to the next.")
    vary: tuple[Literal["to", "ip", "device"], ...] = Field(
        (), description="What is another in each start: a number of the same prefix, another client, another device."
    )
    expect: Expectation = Field(description="What is expected.")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.to is None and self.email is None:
            raise ValueError("has nobody to send to: write to, email or both")
        if self.expect.refused_at is not None and self.expect.refused_at > self.repeat:
            raise ValueError(f"expect.refused_at: there are only {self.repeat} starts: write a larger repeat")
        return self


class Cases(BaseModel):
    """A whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    cases: tuple[Case, ...] = Field(min_length=1, max_length=10_000, description="The cases, each for itself.")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that came otherwise than expected."""

    what: str
    expected: str
    came: str

    def __str__(self) -> str:
        return f"{self.what}: expected {self.expected}, came {self.came}"


@dataclass(frozen=True, slots=True)
class _Run:
    """What came: the last outcome, and the number of the first start that was refused, or 0."""

    outcome: Outcome
    refused_at: int


def judge(case: Case, app: str, policy: Policy) -> tuple[Difference, ...]:
    """Where the policy differs from what the case expects: nothing, when it holds. The counters begin empty."""
    try:
        question = _question(case, app)
    except destination.Invalid as fault:
        return tuple(_compared(_undeliverable(case.expect, fault)))
    run = _run(case, question, policy)
    return tuple(_compared([*_of_refusal(case.expect, run), *_of_decision(case.expect, run.outcome)]))


def _question(case: Case, app: str) -> Question:
    return Question(
        app=app,
        purpose=case.purpose,
        phone=destination.phone(case.to) if case.to is not None else None,
        email=destination.email(case.email) if case.email is not None else None,
        channels=case.channels,
        locale=case.locale,
        ip=case.ip,
        device=case.device,
        suppressed=case.opted_out,
        listed=Listed(case.listed, case.listed),
        mail=case.mail,
        now=int(case.at.timestamp() * 1000) if case.at else 0,
    )


def _run(case: Case, question: Question, policy: Policy) -> _Run:
    """Start until one is refused."""
    windows = Windows()
    for number in range(case.repeat):
        passed = number * case.every
        asked = _varied(question, case.vary, number) if number else question
        asked = asked._replace(now=asked.now + passed) if asked.now else asked
        outcome = start(policy, asked, windows, asked.now or 1 + passed)  # caps have days and months of the calendar
        if not outcome.allowed:
            return _Run(outcome, number + 1)
    return _Run(outcome, 0)


def _varied(question: Question, vary: tuple[str, ...], number: int) -> Question:
    if "to" in vary:
        question = question._replace(
            phone=_neighbour(question.phone, number) if question.phone else None,
            email=_other(question.email, number) if question.email else None,
        )
    if "ip" in vary:  # of the block that RFC 3849 sets aside for documentation, each in a /64 of its own
        question = question._replace(ip=f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1")
    return question._replace(device=f"{question.device}-{number}") if "device" in vary else question


def _neighbour(phone: Phone, number: int) -> Phone:
    """A number of the same prefix, so of the same country and, as far as anybody knows, of the same type."""
    last = (int(phone.e164[-4:]) + number) % 10_000
    return replace(phone, e164=f"{phone.prefix}{last:04d}", place=last)


def _other(email: Email, number: int) -> Email:
    return replace(email, address=f"{number}.{email.address}", key=f"{number}.{email.key}")


Pair = tuple[str, object, object]
"""What is compared, what is expected (None: anything), and what came."""


def _undeliverable(expect: Expectation, fault: destination.Invalid) -> Iterator[Pair]:
    """The API would answer 422 before any policy is asked. A case that expects more than that, or does not say so, may
    have a mistake in its number, and would hold for ever."""
    yield "problem", expect.problem, "invalid_destination"
    if expect.problem is None or _said_in(expect) - {"allowed", "problem"}:
        yield "destination", "one that is valid", f"invalid_destination ({fault.reason})"


def _of_refusal(expect: Expectation, run: _Run) -> Iterator[Pair]:
    outcome = run.outcome
    yield "allowed", expect.allowed, _why(run) if not outcome.allowed and expect.allowed else outcome.allowed
    yield "problem", expect.problem, outcome.problem or "none"
    yield "rule", expect.rule, outcome.rule or "none"
    yield "refused_at", expect.refused_at, run.refused_at or "never"
    yield "by", expect.by, outcome.by or "no limit"
    yield "policy", expect.policy, outcome.decision.policy


def _why(run: _Run) -> str:
    """A refusal in the words of its own rule."""
    outcome = run.outcome
    said = f"limit {outcome.by}" if outcome.by else next(n.says for n in outcome.decision.notes if n.refused)
    return f"{outcome.problem} by {outcome.rule} ({said}){f' at start {run.refused_at}' if run.refused_at > 1 else ''}"


def _of_decision(expect: Expectation, outcome: Outcome) -> Iterator[Pair]:
    decision = outcome.decision
    yield "channels", expect.channels, tuple(step.channel for step in decision.steps)
    steps = {step.channel: step for step in reversed(decision.steps)}  # of a channel with two steps, the first
    for channel, providers in (expect.providers or {}).items():
        yield f"providers.{channel}", providers, steps[channel].providers if channel in steps else "no such step"
    for channel, wait in (expect.waits or {}).items():
        yield f"waits.{channel}", written(wait), written(steps[channel].wait) if channel in steps else "no such step"
    for channel, sender in (expect.senders or {}).items():
        yield f"senders.{channel}", sender, steps[channel].sender if channel in steps else "no such step"
    yield from _of_code(expect.code, decision)
    counted = dict.fromkeys(limit.name for limit in outcome.limits)
    if expect.limits is not None and not set(expect.limits) <= set(counted):
        yield "limits", expect.limits, tuple(counted)


def _of_code(expect: CodeExpectation | None, decision: Decision) -> Iterator[Pair]:
    if expect is None:
        return
    code = decision.code
    alphabets: Mapping[str, str] = {characters: name for name, characters in ALPHABETS.items()}
    yield "code.length", expect.length, code.length
    yield "code.alphabet", expect.alphabet, alphabets[code.alphabet]
    yield "code.expiry", _length(expect.expiry), written(code.expiry)
    yield "code.checks", expect.checks, code.checks
    yield "code.resend", expect.resend, code.resend
    yield "code.cooldown", _length(expect.cooldown), written(code.cooldown)


def _length(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else written(milliseconds)


def _compared(pairs: Any) -> Iterator[Difference]:
    for what, expected, came in pairs:
        if expected is not None and expected != came:
            yield Difference(what, _said(expected), _said(came))


def _said(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value) or "none"
