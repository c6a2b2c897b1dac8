"""What a request writes or asks of the store: drafts of verifications, new codes, tries of a code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from gateway.core import codes
from gateway.core.keys import new_id
from gateway.core.model import Attempt, AttemptStatus, OptOuts, Purse, SendLimit, Status, Verification
from gateway.service import lists, ordering, record, spending, suppressions, suspicion, trial, vigilance
from gateway.service.addresses import Kept, kept
from gateway.service.engine import Reseal, sent_to
from gateway.service.planning import Plan, Plans
from gateway.service.requests import Check, Destinations, Start
from gateway.service.setup import Setup
from gateway.store.body import pack_body, pack_messages
from gateway.store.document import Secrets, Stored, pack, pack_ending, pack_secrets
from gateway.store.steps import Creation, Idempotency, Try, Watch
from gateway.store.wants import Item, Wants
from policies.model import Decision, Listed, Mode
from policies.rules.code import alphabet

_WAIT_MARGIN = 5_000  # ms after which a start that waited is taken to have died without its answer


class Draft(NamedTuple):
    """A verification that the store has not accepted yet."""

    stored: Stored
    secrets: Secrets
    creation: Creation
    plan: Plan
    decision: Decision  # with the providers in their order for this verification


def draft(setup: Setup, plans: Plans, request: Start, decision: Decision, to: Destinations, listed: Listed) -> Draft:
    """A verification as the policy wants it, if the app's list says `listed`. The code is made here. Raises
    codes.Malformed for an app's own code."""
    app, now = request.app, setup.store.now()
    to = to.aimed(decision.steps[0].channel)
    known = [kept(setup, app, address) for address in to.given]
    target = known[-1 if to.by_email else 0]
    verification = new_id(target.shard, setup.keys.random.randbytes)
    decision = _vigilant(setup, app, ordering.arranged(setup, decision, verification, to.number, to.country))
    fixed = trial.code(setup, to.number, to.address)
    decision = trial.aimed(decision) if fixed else decision
    plan = plans.of(app, decision)
    purses = plan.purses_at(setup, decision, now)
    secrets = _secrets(setup, request, decision, to, fixed)
    counters = tuple([key(decision.subjects) for key in plan.keys])
    v = _verification(
        verification,
        request,
        decision,
        to,
        now,
        limits=tuple([SendLimit(counters[place], *limit[1:]) for place, limit in plan.kept]),
        opt_outs=_opt_outs(setup, decision, known, to),
        purses=purses,
    )
    locale = request.locale or setup.apps[app].locale
    terms = plan.terms_of(v)
    sealed = setup.keys.seal(verification, pack_secrets(secrets))
    watched = suspicion.watched(setup, plan.names, decision.watches)
    creation = Creation(
        id=verification,
        shard=target.shard,
        fields={
            **_code(setup, v, secrets.code),
            **_watching(v, watched),
            **_bindings(setup, request.context, to),
            sent_to(v.current.channel): 1,
            "g": target.guesses,
            "h": sealed,
            "b": pack_body(v, locale, terms),
            "E": pack_ending(v.purpose, v.policy, v.zone, v.country),
            "t": pack_messages(v),
            "j": record.started(ordering.told(decision)),
        },
        terms=terms,
        guesses=target.guesses,
        life=decision.code.expiry,
        keep=decision.code.expiry + setup.times.tombstone,
        lease=setup.pace.lease,
        wants=Wants(
            plan.common,
            counters,
            suppressions.looks(v.opt_outs, [step.channel for step in decision.steps]),
            lists.looks(setup, app, to, listed),
            plan.watch,
            tuple([each.trace for each in known]),
            spending.spend(v, reserve=v.current.held),
            watched,
            tuple([watch.shown for watch in decision.watches]),
            plan.slot.shard,
            plan.slot.index,
        ),
        idempotency=_idempotency(setup, app, "start", request.idempotency_key, request.body, request.wait),
    )
    return Draft(Stored(v, setup.keys.active, sealed, locale, b"", watched), secrets, creation, plan, decision)


def _opt_outs(setup: Setup, decision: Decision, known: Sequence[Kept], to: Destinations) -> OptOuts:
    """Where the opt-outs of a verification's person are kept."""
    stops = setup.policies[decision.policy].settings.suppression.opted_out == "refuse"
    return OptOuts(known[0].opt_outs if to.phone else "", known[-1].opt_outs if to.email else "", stops)


def _secrets(setup: Setup, request: Start, decision: Decision, to: Destinations, fixed: str) -> Secrets:
    """What is sealed. `fixed` is the code of a test destination."""
    code = (
        request.code or fixed or codes.make(decision.code.length, decision.code.alphabet, setup.keys.random.randrange)
    )
    return Secrets(code, to.number, to.address, request.domain, request.app_hash, dict(request.context) or None)


def _vigilant(setup: Setup, app: str, decision: Decision) -> Decision:
    """The same, with a longer code while too many of the app's codes are guessed wrong."""
    if not setup.vigilance.longer(setup, app):
        return decision
    return decision._replace(code=decision.code._replace(length=max(vigilance.LONGER, decision.code.length)))


def reseal(setup: Setup, v: Verification, secrets: Secrets) -> Reseal:
    """A new code in place of the one that went out."""
    policy, below = setup.policies.get(v.policy), setup.keys.random.randrange
    if fixed := trial.code(setup, secrets.phone, secrets.email):
        code = fixed
    elif policy and policy.revision == v.revision:
        code = codes.make(max(policy.code.length, len(secrets.code)), policy.code.alphabet, below)
    else:  # the policy was changed since: whoever waits for a code of one form is not sent another
        code = codes.make(len(secrets.code), alphabet(secrets.code), below)
    sealed = setup.keys.seal(v.id, pack_secrets(replace(secrets, code=code)))
    return Reseal({**_code(setup, v, code), "h": sealed})


def attempt(setup: Setup, request: Check, to: Destinations, watch: Watch | None) -> Try:
    """A try of a code. Raises codes.Malformed."""
    code = codes.normalise(request.code)
    return Try(
        id=request.id,
        app=request.app,
        digests=setup.keys.digests(request.id, code),
        length=len(code),
        letters=not code.isdigit(),
        tombstone=setup.times.tombstone,
        bound=_bound(setup, request, to),
        idempotency=_idempotency(setup, request.app, "check " + request.id, request.idempotency_key, request.body),
        watch=watch,
    )


def _bound(setup: Setup, request: Check, to: Destinations) -> dict[str, bytes]:
    """What a check names beside the code, which nearly none does."""
    bound = {}
    if request.context:
        bound["context"] = _context(setup, request.context)
    if to.phone:
        bound["phone"] = _address(setup, to.number)
    if to.email:
        bound["email"] = _address(setup, to.address)
    return bound


def _code(setup: Setup, v: Verification, code: str) -> dict[str, object]:
    """The fields that a check compares: all of the code's normal form, its length, and whether it has letters."""
    normal, key_id = codes.normalise(code), setup.keys.active
    return {
        "k": key_id,
        "d": suspicion.no_digest() if v.shadow else setup.keys.digest(key_id, v.id, normal),
        "l": len(normal),
        "w": int(not normal.isdigit()),
    }


def _watching(v: Verification, watched: tuple[Item, ...]) -> dict[str, object]:
    """The fields that say whom its approval is told to, or that nothing is sent."""
    if v.shadow:
        return {"S": 1}
    return {"W": watched} if watched else {}


def _bindings(setup: Setup, context: Mapping[str, str], to: Destinations) -> dict[str, object]:
    """The fields that a check must agree with: the context if there is one, the addresses if they are repeated."""
    bound: dict[str, object] = {"p": _address(setup, to.number), "r": _address(setup, to.address)}
    return {**bound, "q": _context(setup, context)} if context else bound


def _context(setup: Setup, context: Mapping[str, str]) -> bytes:
    return setup.keys.fingerprint(pack(sorted(context.items())))


def _address(setup: Setup, address: str) -> bytes:
    return setup.keys.target(address) if address else b""


def _idempotency(setup: Setup, app: str, route: str, key: str | None, body: bytes, wait: int = 0) -> Idempotency | None:
    if key is None:
        return None
    name = setup.keys.name("idempotency", app, route, key)
    return Idempotency(
        name,
        setup.keys.shard(name),
        setup.keys.fingerprint(body),
        setup.times.idempotency,
        wait + _WAIT_MARGIN if wait else 0,
    )


def _verification(
    verification: str,
    request: Start,
    decision: Decision,
    to: Destinations,
    now: int,
    *,
    limits: tuple[SendLimit, ...],
    opt_outs: OptOuts,
    purses: tuple[Purse, ...],
) -> Verification:
    step = decision.steps[0]
    first = step.providers[0]
    return Verification(
        id=verification,
        version=1,
        app=request.app,
        purpose=request.purpose,
        policy=decision.policy,
        revision=decision.revision,
        status=Status.PENDING,
        steps=decision.steps,
        attempts=(Attempt(1, 0, step.channel, first, AttemptStatus.QUEUED, now, now, held=step.price(first)),),
        created_at=now,
        expires_at=now + decision.code.expiry,
        resend_at=now,  # the store says it, when it is created
        checks_used=0,
        checks_max=decision.code.checks,
        phone=to.phone.masked if to.phone else "",
        email=to.email.masked if to.email else "",
        country=to.phone.country if to.phone else "",
        resend_new=decision.code.resend == "new",
        limits=limits,
        opt_outs=opt_outs,
        metadata=request.metadata,
        purses=purses,
        shadow=decision.treatment is Mode.SHADOW,
    )
