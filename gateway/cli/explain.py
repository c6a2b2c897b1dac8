"""`otp-gateway explain`: what the policies would make of one start, without a store and without sending anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.cli import loading, options

if TYPE_CHECKING:
    from policies.model import Cap, Decision, Limit, Question, Step

T = TypeVar("T")


@click.command("explain")
@click.option("--to", help="A phone number in E.164, such as +14155550100.")
@click.option("--to-email", help="An email address.")
@click.option("--app", help="The app that asks. Left out: the only one that there is.")
@click.option("--purpose", default="default", show_default=True, help="Selects the policy.")
@click.option("--ip", default="", help="The client's address.")
@click.option("--device", default="", help="The client's device.")
@click.option("--channel", "channels", multiple=True, help="Narrow and order the channels; may be repeated.")
@click.option("--opted-out", "suppressed", multiple=True, help="A channel that the person opted out of.")
@click.option("--at", type=click.DateTime(("%Y-%m-%dT%H:%M:%SZ",)), help="When, in UTC. Left out: now.")
@click.option("--locale", default="", help="The language that was asked for.")
@options.config_file
@options.as_json
def command(config_file: Path, app: str | None, as_json: bool, **asked: Any) -> None:
    """Say what would become of a start: every rule with what it read and decided, the limits that would be counted, the
    code, and the steps with their providers. Ends with 0 when it would be sent and with 1 when it would be refused."""
    from policies.engine import decide

    settings = loading.policies(config_file)
    question = _question(options.app(settings, app), **asked)
    policy = settings.policy(question.app, question.purpose)
    told = _told(question, decide(policy, question), settings.tariff.currency)
    told["context"] = list(policy.settings.context.require)
    options.shown(told, _page(told), as_json)
    if told["refused"]:
        raise click.exceptions.Exit(1)


def _question(app: str, *, to: str | None, to_email: str | None, at: datetime | None, **rest: Any) -> Question:
    from policies import destination
    from policies.model import Question

    if to is None and to_email is None:
        raise click.UsageError("Say whom the code is for, with --to, --to-email or both.")
    _as_the_api_has_it(**rest)
    return Question(
        app=app,
        phone=_understood(destination.phone, to, "--to"),
        email=_understood(destination.email, to_email, "--to-email"),
        now=int((at.replace(tzinfo=UTC).timestamp() if at else time.time()) * 1000),
        **rest,
    )


def _as_the_api_has_it(
    *, purpose: str, ip: str, device: str, channels: tuple[str, ...], suppressed: tuple[str, ...], locale: str
) -> None:
    """Raises click.UsageError for what no start could say, with the words of the API."""
    from pydantic import ValidationError

    from gateway.http.models import PHONE, StartRequest
    from gateway.http.reasons import faults

    said = {
        "to": {"phone": PHONE},  # the destination has words of its own
        "purpose": purpose,
        "client": {name: value for name, value in (("ip", ip), ("device", device)) if value},
        "locale": locale or None,
    }
    for option, named in (("channel", list(channels)), ("opted-out", list(dict.fromkeys(suppressed)))):
        try:
            StartRequest.model_validate({**said, "channels": named or None})
        except ValidationError as error:
            pointer, reason = next(faults(error))
            wrong = pointer.removeprefix("/client").strip("/").partition("/")[0].replace("channels", option)
            raise click.UsageError(f"--{wrong}: {reason}") from None


def _understood(read: Callable[[str], T], given: str | None, option: str) -> T | None:
    from policies.destination import Invalid

    try:
        return None if given is None else read(given)
    except Invalid as fault:
        raise click.ClickException(f"{option}: {fault.reason}") from None


def _told(question: Question, decision: Decision, currency: str) -> dict[str, Any]:
    """Everything that is said, as plain data."""
    from policies import money
    from policies.duration import written
    from policies.rules.code import ALPHABETS
    from policies.rules.limits import with_cooldown

    code, refusal, phone = decision.code, decision.refusal, question.phone
    counters = decision.counters if refusal else with_cooldown(question.app, decision)
    limits = [limit for counter in counters for limit in counter.about(decision.subjects)]
    return {
        "app": question.app,
        "purpose": question.purpose,
        "policy": decision.policy,
        "revision": decision.revision,
        "to": {
            "phone": phone.masked if phone else None,
            "country": phone.country if phone else None,
            "type": str(phone.type) if phone else None,
            "in_a_known_range": phone.valid if phone else None,
            "email": question.email.masked if question.email else None,
        },
        "rules": [
            {"rule": note.rule, "says": note.says, "refused": note.refused, "shadow": note.shadow}
            for note in decision.notes
        ],
        "refused": {"problem": refusal.code, "rule": refusal.rule, "detail": refusal.detail} if refusal else None,
        "limits": [_limit(limit, question, decision.subjects) for limit in limits],
        "guesses": {
            "amount": decision.guesses.amount,
            "window": written(decision.guesses.window),
            "delays": [written(delay) for delay in decision.guesses.delays],
        },
        "code": {
            "length": code.length,
            "alphabet": next(name for name, characters in ALPHABETS.items() if characters == code.alphabet),
            "expiry": written(code.expiry),
            "checks": code.checks,
            "resend": code.resend,
            "cooldown": written(code.cooldown),
        },
        "caps": [_cap(cap, currency) for cap in decision.caps],
        "worst_cost": money.written(sum(price for step in decision.steps for _, price in step.prices), currency),
        "steps": [_step(step, currency) for step in decision.steps],
    }


def _cap(cap: Cap, currency: str) -> dict[str, Any]:
    from policies import money

    per = cap.per.replace("+", " and ")
    return {
        "name": cap.name,
        "per": per,
        "amount": money.written(cap.amount, currency),
        "window": cap.period,
        "then": cap.then,
    }


def _step(step: Step, currency: str) -> dict[str, Any]:
    from policies import money
    from policies.duration import written

    told = {
        "channel": step.channel,
        "providers": list(step.providers),
        "order": step.order,
        "weights": dict(step.weights),
        "prices": {name: money.written(price, currency) for name, price in step.prices},
        "wait": written(step.wait),
        "sender": step.sender,
        "silent": [_moment(since) + " to " + _moment(until) for since, until in step.quiet],
    }
    return {name: value for name, value in told.items() if value}


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _limit(limit: Limit, question: Question, subjects: Mapping[str, str]) -> dict[str, Any]:
    """A limit less its subject, which may be a number in the clear."""
    from policies.duration import written
    from policies.rules.limits import unnamed

    per = limit.per
    if question.phone and question.email and limit.per == "destination":
        per = f"destination ({'phone' if limit.subject == question.phone.e164 else 'email'})"
    grows = {"grows_to": written(limit.waits[-1])} if len(limit.waits) > 1 else {}
    return {
        "name": limit.name,
        "per": per,
        "amount": limit.amount,
        "window": written(limit.waits[0] if limit.waits else limit.window),
        **grows,
        "counts": str(limit.counts),
        "scope": limit.scope or "all apps",
        "shadow": limit.shadow,
        "unnamed": list(unnamed(limit.per, subjects)),
    }


def _page(told: Mapping[str, Any]) -> Iterator[str]:
    """The same for eyes. click takes the colours out where no terminal would show them."""
    yield f"{_bold('policy')} {told['policy']}, revision {told['revision']}"
    yield f"  app {told['app']}, purpose {told['purpose']}"
    yield from _destination(told["to"])
    yield _bold("rules")
    for note in told["rules"]:
        yield f"  {_mark(note)} {note['rule']:<12} {note['says']}{' (in shadow: only noted)' if note['shadow'] else ''}"
    if told["refused"]:
        head = click.style("refused", fg="red", bold=True)
        yield "{}: {problem} by {rule}. {detail}".format(head, **told["refused"])
        return
    yield from _terms(told)
    yield f"{click.style('would be sent', fg='green', bold=True)}, if no limit and no cap above is used up"


def _destination(to: Mapping[str, Any]) -> Iterator[str]:
    if to["phone"]:
        range_ = "" if to["in_a_known_range"] else ", in no range that is known"
        yield f"  to {to['phone']}: {to['country']}, {to['type']}{range_}"
    if to["email"]:
        yield f"  to {to['email']}"


def _terms(told: Mapping[str, Any]) -> Iterator[str]:
    yield _bold("limits that a start counts")
    rows = [
        (
            limit["name"],
            f"{limit['amount']} in {limit['window']}" + (f" to {limit['grows_to']}" if "grows_to" in limit else ""),
            f"per {limit['per']}",
            limit["counts"],
            limit["scope"],
        )
        for limit in told["limits"]
    ]
    yield from _table(rows, [_beside(limit) for limit in told["limits"]])
    code, guesses = told["code"], told["guesses"]
    yield _bold("code")
    yield f"  {code['length']} {code['alphabet']}, lives {code['expiry']}, {code['checks']} checks"
    yield f"  a resend after {code['cooldown']} sends {'the same' if code['resend'] == 'same' else 'a new'} code"
    yield f"  {guesses['amount']} wrong codes in {guesses['window']} for this destination, over all its codes"
    if any(delay != "0s" for delay in guesses["delays"]):
        yield f"  {_delays(guesses['delays'])}"
    if told["context"]:
        yield f"  bound to {' and '.join(told['context'])}: a start whose context lacks them is answered with 422"
    yield _bold("steps")
    for number, step in enumerate(told["steps"], 1):
        sender = f", sender {step['sender']}" if "sender" in step else ""
        last = number == len(told["steps"])
        wait = "is the last" if last else f"waits {step['wait']} for a sign of delivery"
        silent = f"; silent from {', '.join(step['silent'])}" if "silent" in step else ""
        yield f"  {number} {step['channel']:<9} by {_providers(step)}{sender}; {wait}{silent}"
    yield from _money(told)


def _beside(limit: Mapping[str, Any]) -> str:
    together = f"  for all starts together that name no {' and '.join(limit['unnamed'])}" if limit["unnamed"] else ""
    return f"{' (shadow)' if limit['shadow'] else ''}{together}"


def _money(told: Mapping[str, Any]) -> Iterator[str]:
    yield _bold("money")
    for step in told["steps"]:
        yield f"  {step['channel']:<11} {', '.join(f'{name} {price}' for name, price in step['prices'].items())}"
    yield f"  at most {told['worst_cost']} without resends: a message with each provider of each step"
    if told["caps"]:
        rows = [
            (cap["name"], f"{cap['amount']} a {cap['window']}", f"per {cap['per']}", _then(cap)) for cap in told["caps"]
        ]
        yield from _table(rows, [""] * len(rows))


def _then(cap: Mapping[str, Any]) -> str:
    return "then refuses" if cap["then"] == "refuse" else "then sends what is free"


def _delays(delays: Sequence[str]) -> str:
    number, first = next((number, delay) for number, delay in enumerate(delays, 1) if delay != "0s")
    return f"from wrong code number {number} on the next check waits, {first} to {delays[-1]}"


def _providers(step: Mapping[str, Any]) -> str:
    if step["order"] == "fixed":
        return ", then ".join(step["providers"])
    weights = step.get("weights", {})
    shares = [f"{name} {weights[name]}" if name in weights else name for name in step["providers"]]
    return f"{', '.join(shares)} ({step['order']})"


def _table(rows: Sequence[tuple[str, ...]], ends: Sequence[str]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row, end in zip(rows, ends, strict=True):
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"  {cells}".rstrip() + end


def _mark(note: Mapping[str, Any]) -> str:
    return (
        click.style("no ", fg="yellow" if note["shadow"] else "red")
        if note["refused"]
        else click.style("ok ", fg="green")
    )


def _bold(text: str) -> str:
    return click.style(text, bold=True)
