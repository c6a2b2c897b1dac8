"""What an app can do with a verification: start, read, check, resend, cancel, and see why."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from gateway.core import codes, machine
from gateway.core.keys import Unopenable
from gateway.core.model import Attempt, AttemptStatus, Status, Verification
from gateway.service import (
    drafting,
    limiting,
    lists,
    messages,
    ordering,
    record,
    spending,
    suppressions,
    suspicion,
    traffic,
    vigilance,
)
from gateway.service.drafting import Draft
from gateway.service.engine import Engine
from gateway.service.limiting import limited
from gateway.service.planning import Plans
from gateway.service.requests import (
    Check,
    Checked,
    Denied,
    Destinations,
    InProgress,
    InvalidField,
    Limited,
    Mismatched,
    NotFound,
    NotPending,
    Overloaded,
    Start,
    understood,
)
from gateway.service.setup import Setup
from gateway.service.stretching import stretch
from gateway.service.suspicion import Doubt
from gateway.store.document import Stored
from gateway.store.steps import (
    Blocked,
    Capped,
    Created,
    Guessed,
    Idempotency,
    Mismatch,
    Misshapen,
    Overlooked,
    Replayed,
    Running,
    Started,
    Suppressed,
    Suspected,
    Tried,
    Unavailable,
    Unconfirmed,
    Unknown,
    Words,
)
from gateway.store.steps import Limited as StoreLimited
from policies.engine import EXCUSED, Policy, decide
from policies.model import Decision, Listed, Note, Question, Refusal
from policies.rules.limits import unnamed
from policies.rules.spend import REFUSAL


class Begun(NamedTuple):
    """A started verification: as it was created (`replayed` when an earlier request did), or the bytes that were
    answered then."""

    verification: Verification
    replayed: bool = False
    answer: bytes = b""
    idempotency: Idempotency | None = None


class Verifications:
    """The use-cases. Every method raises store.steps.Unavailable when the store is away."""

    def __init__(self, setup: Setup, engine: Engine) -> None:
        self._setup = setup
        self._engine = engine
        self._plans = Plans(setup)
        self._watches = {app: vigilance.watch(setup, app) for app in setup.apps}

    async def start(self, request: Start) -> Begun:
        """Start a verification and its first send. Raises InvalidField, Denied, Limited, Overloaded, Mismatched and
        InProgress."""
        if self._engine.full:
            raise Overloaded
        to = understood(request.phone, request.email)
        question = _question(request, to, self._setup.store.now())
        policy = self._policy(question)
        _require(policy, request.context)
        if (times := stretch(self._setup, policy, request)) > 1:
            question = question._replace(stretch=times)
        question = await self._asked(question)
        # Again with what the store said of opt-outs, lists and caps: mostly it says nothing, and the first is it.
        while not isinstance(found := await self._tried(request, question, to), Begun):
            question = self._knowing(question, found, to)
        return found

    async def _asked(self, question: Question) -> Question:
        """The question with what the DNS says, if its policy wants to know."""
        if question.email and self._policy(question).mailboxes.asks:
            return question._replace(mail=await self._setup.mail(question.email.domain))
        return question

    def _policy(self, question: Question) -> Policy:
        return self._setup.policies[self._setup.apps[question.app].policy(question.purpose)]

    def _knowing(
        self, question: Question, found: Suppressed | Words | Overlooked | Capped | Doubt, to: Destinations
    ) -> Question:
        if isinstance(found, Capped):
            return question._replace(only_free=True)  # which no cap refuses
        if isinstance(found, Doubt):
            return question._replace(suspected=found.mode, suspected_by=found.rule)
        if isinstance(found, Overlooked):
            lists.heard(self._setup, question.app, to)
            return question
        if isinstance(found, Words):
            return question._replace(listed=lists.told(to, found.words))
        suppressions.left_out(self._setup, found.channels, app=question.app, purpose=question.purpose)
        return question._replace(suppressed=(*question.suppressed, *found.channels))

    async def _excused(self, policy: Policy, rule: str, question: Question, to: Destinations) -> Words | None:
        """What the app's own list says, where that could undo a refusal. The store is asked in vain only then: for all
        others it looks when it creates."""
        if rule not in EXCUSED or not policy.lists.api_allow or question.listed != Listed():
            return None
        found = await lists.words(self._setup, question.app, to)
        said = tuple(word for word, given in ((found.phone, to.phone), (found.email, to.email)) if given)
        return Words(self._setup.store.now(), said) if "allow" in said else None

    async def _tried(
        self, request: Start, question: Question, to: Destinations
    ) -> Begun | Suppressed | Words | Overlooked | Capped | Doubt:
        setup = self._setup
        policy = self._policy(question)
        decision = ordering.available(setup, decide(policy, question))
        if decision.refusal:
            if excuse := await self._excused(policy, decision.refusal.rule, question, to):
                return excuse
            traffic.started(setup, question, refused=decision.refusal.rule)
            raise self._denied(question, decision, decision.refusal)
        draft, since = self._draft(request, decision, to, question.listed), setup.store.elapsed()
        result = await self._create(draft)
        match result:
            case Created():
                traffic.started(setup, question, verification=draft.creation.id)
                return self._begun(request, draft, result, since)
            case Replayed():
                return await self._replay(result)
            case Suppressed() | Words() | Overlooked():
                return result
            case Capped():
                return self._capped(question, draft, result)
            case Suspected():
                return suspicion.doubt(setup, decision, result)
        limited = self._limited(question, decision, draft, result)
        traffic.started(setup, question, refused=f"limits:{limited.limit}")
        raise limited

    def _capped(self, question: Question, draft: Draft, capped: Capped) -> Capped:
        purse = spending.refused(self._setup, draft.stored.verification, capped)
        if purse.free:
            return capped
        traffic.started(self._setup, question, refused=f"{REFUSAL.rule}:{purse.name}")
        raise self._denied(question, draft.decision, REFUSAL, limit=purse.name)

    async def _create(self, draft: Draft) -> Started | Blocked:
        try:
            return await self._setup.store.create(draft.creation)
        except Running:
            raise InProgress from None
        except Mismatch:
            raise Mismatched from None
        except Blocked as blocked:
            return blocked

    async def settle(self, begun: Begun, wait: int) -> Verification:
        """The verification once a provider accepted its message, or after `wait` ms."""
        settled = await self._engine.settled(begun.verification.id, wait / 1000)
        if settled:
            return settled
        try:
            return await self.read(begun.verification.app, begun.verification.id)
        except (Unavailable, NotFound):  # it was started all the same, and the caller must hear of it
            return begun.verification

    async def keep_answer(self, begun: Begun, answer: bytes) -> None:
        """Keep what was answered, so that a repetition gets the same."""
        if begun.idempotency and not begun.replayed:
            await self._setup.store.keep_answer(begun.idempotency, answer)

    async def read(self, app: str, verification: str) -> Verification:
        """Raises NotFound."""
        return (await self._stored(app, verification)).verification

    async def events(self, app: str, verification: str) -> list[dict[str, Any]]:
        """Why each thing happened, oldest first. Raises NotFound."""
        return record.events(await self._stored(app, verification))

    async def check(self, request: Check) -> Checked:
        """Try a code. Raises InvalidField, NotFound, Mismatched and Limited, none of which costs an attempt, and
        store.steps.Unconfirmed."""
        setup = self._setup
        try:
            to, watch = understood(request.phone, request.email), self._watches.get(request.app)
            tried = await setup.store.check(drafting.attempt(setup, request, to, watch))
        except codes.Malformed as fault:
            raise InvalidField("/code", str(fault)) from None
        except Misshapen as shape:
            kind = "digits or letters" if shape.letters else "digits"
            raise InvalidField("/code", f"this verification's code has {shape.length} {kind}") from None
        except Unknown:
            raise NotFound from None
        except Mismatch:
            raise Mismatched from None
        except Blocked as blocked:
            raise vigilance.refusal(setup, request.app, blocked) from None
        if not tried.replayed:
            self._told(request, tried)
        if not tried.confirmed:
            raise Unconfirmed("check: too few replicas have it")
        return Checked(request.id, tried.verdict, tried.left, tried.retry_at or None)

    def _told(self, request: Check, tried: Tried) -> None:
        setup = self._setup
        setup.metrics.checked(tried.verdict)
        if tried.verdict != "approved":  # which is an end, and an end has a line of its own
            setup.log.info("check." + tried.verdict, verification=request.id, app=request.app)
        if tried.ended:
            record.ended(setup, tried.ended)
            suspicion.typed(setup, tried.ended)
        terms = setup.apps[request.app].failed_checks
        if tried.failing and terms:
            vigilance.alarm(setup, request.app, *tried.failing, tried.now + terms.window)

    async def feedback(self, app: str, verification: str, *, converted: bool) -> Verification:
        """What became of a code that the gateway did not check. Raises NotFound."""
        stored = await self._stored(app, verification)
        if converted:
            await suspicion.feedback(self._setup, stored.verification)
        return stored.verification

    async def resend(self, app: str, verification: str, channel: str | None) -> Verification:
        """The next step now, or the named channel. Raises NotFound, NotPending, Limited, Denied, Overloaded."""
        stored = await self._resendable(app, verification)
        v = stored.verification
        if channel is not None and channel not in {step.channel for step in v.steps}:
            raise Denied("no_channel", "channels", "This verification can't use that channel.")
        try:
            reseal = drafting.reseal(self._setup, v, messages.opened(self._setup, stored)) if v.resend_new else None
            turned = await self._engine.turn(stored, machine.Resent(channel), by_person=True, reseal=reseal)
        except (machine.Unreachable, Unopenable):
            self._refuse_early(v)
            raise Denied("no_channel", "fallback", "No channel is left that can reach this destination.") from None
        except Denied:
            self._refuse_early(v)
            raise
        except Unknown:
            raise NotFound from None
        if not turned.stored.verification.pending:
            raise NotPending
        if turned.send:
            self._engine.carry(turned.stored, turned.send, turned.since)
        elif turned.stored.verification.current.vendor_code == suppressions.ALREADY:
            raise Denied(
                "opted_out", "suppression", "The person asked not to get messages on the channels that are left."
            )
        return turned.stored.verification

    def _refuse_early(self, v: Verification) -> None:
        """Who asks before the time that the last answer named is told so, before any other reason not to. Where a
        message could be sent, the counters say it, with the longest wait of all of them. Raises Limited."""
        wait = v.resend_at - self._setup.store.now()
        if wait > 0:
            self._setup.metrics.limited(v.policy, "cooldown", False)
            self._setup.log.info("limit.refused", verification=v.id, policy=v.policy, limit="cooldown")
            raise next(limited(limit, wait) for limit in v.limits if limit.waits) from None

    async def cancel(self, app: str, verification: str) -> Verification:
        """End it. Raises NotFound, NotPending."""
        stored = await self._pending(app, verification)
        try:
            turned = await self._engine.turn(stored, machine.Canceled())
        except Unknown:
            raise NotFound from None
        if turned.stored.verification.status is not Status.CANCELED:
            raise NotPending
        return turned.stored.verification

    async def _stored(self, app: str, verification: str) -> Stored:
        try:
            stored, now = await self._setup.store.read(verification)
        except Unknown:
            raise NotFound from None
        v = stored.verification
        if v.app != app:
            raise NotFound
        if v.pending and now >= v.expires_at:  # its timer is about to say so
            stored = stored._replace(verification=v._replace(status=Status.EXPIRED, ended_at=v.expires_at))
        return stored

    async def _resendable(self, app: str, verification: str) -> Stored:
        if self._engine.full:
            raise Overloaded
        return await self._pending(app, verification)

    async def _pending(self, app: str, verification: str) -> Stored:
        stored = await self._stored(app, verification)
        if not stored.verification.pending:
            raise NotPending
        return stored

    def _begun(self, request: Start, draft: Draft, created: Created, since: float) -> Begun:
        setup, v = self._setup, draft.stored.verification
        setup.vigilance.heard(v.app, created.held)
        first = v.current._replace(at=created.now, queued_at=created.now)
        v = v.but(
            created_at=created.now,
            expires_at=created.now + v.expires_at - v.created_at,
            resend_at=created.again,
            first_resend_at=created.again,
            attempts=(first,),
        )
        if created.fired:
            suspicion.found(setup, draft.decision.watches, created.fired)
        rules = suspicion.treated(setup, draft.decision, created)
        if not v.shadow:
            setup.metrics.started(v.app, v.purpose, v.country)
        spending.tell(setup, v, draft.creation.wants.spend, created.paid)
        limiting.passed(setup, v.policy, draft.plan, created.shadows)
        setup.log.info(
            "verification.started",
            verification=v.id,
            app=v.app,
            purpose=v.purpose,
            policy=v.policy,
            revision=v.revision,
            phone=v.phone or None,
            email=v.email or None,
            country=v.country or None,
            mode=str(draft.decision.treatment) if rules else None,
            rules=rules or None,
            notes=_said(draft.decision.notes),
        )
        self._engine.carry(Stored(v, *draft.stored[1:]), first, since, draft.secrets)
        return Begun(v, idempotency=draft.creation.idempotency if request.wait else None)

    async def _replay(self, replayed: Replayed) -> Begun:
        """The first answer again: kept if the first caller waited, else what every start answers before anything has
        happened, which the verification itself still tells."""
        try:
            stored, _ = await self._setup.store.read(replayed.id)
        except Unknown:
            raise NotFound from None
        return Begun(as_created(stored.verification), replayed=True, answer=replayed.answer)

    def _draft(self, request: Start, decision: Decision, to: Destinations, listed: Listed) -> Draft:
        try:
            return drafting.draft(self._setup, self._plans, request, decision, to, listed)
        except codes.Malformed as fault:
            raise InvalidField("/code", str(fault)) from None

    def _denied(self, question: Question, decision: Decision, refusal: Refusal, **facts: object) -> Denied:
        suspicion.refused(self._setup, decision)
        rules = {"rules": decision.suspicions} if refusal.rule == "fraud" else {}
        self._refused(question, decision, refusal.rule, problem=refusal.code, **rules, **facts)
        return Denied(refusal.code, refusal.rule, refusal.detail)

    def _limited(
        self, question: Question, decision: Decision, draft: Draft, result: StoreLimited | Guessed | Blocked
    ) -> Limited:
        if isinstance(result, Blocked):
            refused = vigilance.refusal(self._setup, question.app, result)
        elif isinstance(result, Guessed):
            refused = Limited("guesses", decision.guesses.amount, decision.guesses.window, result.wait)
        else:
            limit = draft.plan.limits[result.counter][result.rule]
            refused = limited(limit, result.wait, unnamed(limit.per, decision.subjects))
        self._setup.metrics.limited(decision.policy, refused.limit, False)
        without = {"unnamed": refused.unnamed} if refused.unnamed else {}
        self._refused(question, decision, "limits", limit=refused.limit, **without)
        return refused

    def _refused(self, question: Question, decision: Decision, rule: str, **facts: object) -> None:
        self._setup.metrics.refused(rule, question.app, question.purpose)
        self._setup.log.info(
            "verification.refused",
            app=question.app,
            purpose=question.purpose,
            policy=decision.policy,
            revision=decision.revision,
            phone=question.phone.masked if question.phone else None,
            email=question.email.masked if question.email else None,
            rule=rule,
            notes=_said(decision.notes),
            **facts,
        )


def as_created(v: Verification) -> Verification:
    """The verification as its start answered, before anything happened to it."""
    first = v.attempts[0]
    at, status = v.created_at, AttemptStatus.QUEUED
    queued = Attempt(1, first.step, first.channel, first.provider, status, at, at, held=first.held)
    return v._replace(
        status=Status.PENDING,
        attempts=(queued,),
        checks_used=0,
        resend_at=v.first_resend_at,
        exhausted=False,
        ended_at=None,
    )


def _require(policy: Policy, context: Mapping[str, str]) -> None:
    """Raises InvalidField when the policy wants the code bound to something that the request doesn't name."""
    if missing := policy.settings.context.missing(context):
        raise InvalidField("/context", f"this purpose needs it to name {', '.join(missing)}")


@lru_cache(maxsize=1024)
def _said(notes: tuple[Note, ...]) -> tuple[str, ...]:
    return tuple(f"{note.rule}: {note.says}" for note in notes)


def _question(request: Start, to: Destinations, now: int) -> Question:
    return Question(
        app=request.app,
        purpose=request.purpose,
        phone=to.phone,
        email=to.email,
        channels=request.channels,
        locale=request.locale,
        ip=request.ip,
        device=request.device,
        now=now,
        own_code=request.code is not None,
    )
