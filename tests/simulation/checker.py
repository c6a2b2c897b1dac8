"""What must hold of every run, whatever went wrong in it: each rule looks through a history for what breaks it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from gateway.core.model import AttemptStatus, Status
from gateway.store.document import unpack_journal
from tests.simulation.history import Event, History
from tests.simulation.money import paid_before_it_goes_out, the_purses_agree, within_the_caps
from tests.simulation.plan import EMAIL, HARD

LONGEST_SUSPENSION = 60_000


@dataclass(frozen=True)
class Terms:
    """What the run's policy promised. Times in ms."""

    checks: int
    guesses: int
    sends: int  # messages for one destination
    ways: int  # messages that a verification may lead to by itself
    lease: int
    patience: int  # how long after everything works again whatever is late must have happened
    calm: int  # when everything began to work again
    new_codes: bool  # a resend makes a new code


@dataclass(frozen=True)
class Call:
    """What somebody asked, with the outcome if it came."""

    asked: Event
    told: Event | None

    @property
    def answer(self) -> object:
        return self.told.answer if self.told and self.told.what == "ok" else None

    @property
    def ended(self) -> int:
        return self.told.at if self.told else 1 << 60


class Case:
    """A history, arranged for the rules."""

    def __init__(self, history: History, terms: Terms) -> None:
        self.history = history
        self.terms = terms

    @cached_property
    def calls(self) -> list[Call]:
        told = {event.op: event for event in self.history.of("ok", "no", "unknown")}
        return [Call(e, told.get(e.op)) for e in self.history.of("start", "check", "resend", "cancel")]

    def of(self, what: str) -> Iterator[Call]:
        return (call for call in self.calls if call.asked.what == what)

    @cached_property
    def checks(self) -> list[Call]:
        """Every check that was answered, the repetitions of one request once: they get its answer again."""
        seen: dict[object, Call] = {}
        for call in self.of("check"):
            if call.answer is not None:
                key = call.asked.get("key")
                seen.setdefault((call.asked.id, key) if key else call.asked.op, call)
        return list(seen.values())

    def answered(self, id_: str, answer: str) -> list[Call]:
        return [call for call in self.checks if call.asked.id == id_ and call.answer == answer]

    @cached_property
    def codes(self) -> dict[str, dict[int, str]]:
        """By verification and attempt, the code that was sent."""
        found: dict[str, dict[int, str]] = {}
        for event in self.history.of("send"):
            id_, number = _ref(event)
            found.setdefault(id_, {})[number] = event.code
        return found

    @cached_property
    def acknowledged(self) -> dict[str, Call]:
        """The verifications that somebody was told of."""
        return {str(call.answer): call for call in self.of("start") if call.answer}


def _ref(event: Event) -> tuple[str, int]:
    id_, _, number = event.ref.rpartition(".")
    return id_, int(number)


def one_approval(case: Case) -> Iterator[str]:
    """However many right codes come at once, one is approved."""
    for id_ in case.acknowledged:
        if len(approvals := case.answered(id_, "approved")) > 1:
            yield f"{id_} was approved {len(approvals)} times"


def approved_means_right(case: Case) -> Iterator[str]:
    """Nothing but the code that was in force is approved, and that code is never called wrong."""
    for call in case.checks:
        id_, code = call.asked.id, call.asked.code
        sent = case.codes.get(id_, {})
        if call.answer == "approved" and code not in _in_force(case, call):
            yield f"{id_} was approved with {code}, which was not in force"
        if call.answer == "wrong" and not case.terms.new_codes and code in sent.values():
            yield f"{id_}: the right code {code} was called wrong"


def _in_force(case: Case, check: Call) -> set[str]:
    """The codes that may have been in force while this was checked."""
    sent = case.codes.get(check.asked.id, {})
    resent = [
        int(str(call.answer))
        for call in case.of("resend")
        if case.terms.new_codes and call.asked.id == check.asked.id and call.answer and call.ended < check.asked.at
    ]
    since = max(resent, default=0)
    return {code for number, code in sent.items() if number >= since}


def one_code(case: Case) -> Iterator[str]:
    """Every message of a verification has the same code, unless a resend makes a new one."""
    for id_, sent in case.codes.items():
        if not case.terms.new_codes and len(set(sent.values())) > 1:
            yield f"{id_} was sent different codes"


def few_wrong(case: Case) -> Iterator[str]:
    """No more wrong codes are looked at than the policy says, for one verification and for one destination."""
    by_target: Counter[str] = Counter()
    forgiven = set()
    for id_, start in case.acknowledged.items():
        wrong, approved = len(case.answered(id_, "wrong")), len(case.answered(id_, "approved"))
        by_target[to := _counted_by(case, id_, start)] += wrong
        if approved or _status(case, id_) is Status.APPROVED:
            forgiven.add(to)
        if wrong >= case.terms.checks:
            yield f"{id_}: {wrong} codes were called wrong, of {case.terms.checks} checks"
        kept = case.history.kept.get(id_)
        used = kept.stored.verification.checks_used if kept else case.terms.checks
        if not wrong + approved <= used <= case.terms.checks:
            yield f"{id_}: {used} checks are counted, {wrong + approved} were answered, {case.terms.checks} allowed"
    for to, wrong in by_target.items():
        if to not in forgiven and wrong > case.terms.guesses:
            yield f"{to}: {wrong} wrong codes were looked at"


def _counted_by(case: Case, id_: str, start: Call) -> str:
    """The address that its guesses and messages count for: another one where a cap let only what is free go on."""
    kept = case.history.kept.get(id_)
    by_email = kept is not None and kept.stored.verification.attempts[0].channel == "email"
    return EMAIL if by_email else str(start.asked.to)


def _status(case: Case, id_: str) -> Status | None:
    kept = case.history.kept.get(id_)
    return kept.stored.verification.status if kept else None


def nothing_lost(case: Case) -> Iterator[str]:
    """What was acknowledged is there."""
    for id_ in case.acknowledged:
        if id_ not in case.history.kept:
            yield f"{id_} was acknowledged and is gone"


def repeats_agree(case: Case) -> Iterator[str]:
    """A request that is repeated under its key gets the answer that it got, and nothing is done again."""
    answers: dict[tuple[object, ...], set[str]] = {}
    for call in case.calls:
        if call.answer and call.asked.get("key"):
            answers.setdefault((call.asked.get("id"), call.asked.key), set()).add(str(call.answer))
    yield from (f"{key} was answered {sorted(told)}" for key, told in answers.items() if len(told) > 1)


def a_timer_or_an_end(case: Case) -> Iterator[str]:
    """Nothing that is pending is ever without its timer, and in the end everything has ended and left no secret."""
    disarmed = {event.id for event in case.history.of("unarm")}
    yield from (f"{e.id} had no timer" for e in case.history.of("unarmed") if e.id not in disarmed)
    for id_, kept in case.history.kept.items():
        if kept.stored.verification.pending:
            yield f"{id_} never ended"
        elif kept.timer is not None or kept.stored.sealed is not None:
            yield f"{id_} has ended and still has a timer or its secrets"


def in_time(case: Case) -> Iterator[str]:
    """Once everything works, what is late happens: no message stays queued, no wait goes on, no life is too long."""
    for id_, kept in case.history.kept.items():
        v = kept.stored.verification
        since = max(case.terms.calm + kept.zero, v.current.at) + case.terms.patience
        if v.status is not Status.EXPIRED or v.ended_at is None:
            continue
        if v.ended_at > max(v.expires_at, case.terms.calm + kept.zero) + case.terms.patience:
            yield f"{id_} outlived its code"
        if v.current.status is AttemptStatus.QUEUED and since < v.expires_at:
            yield f"{id_}: message {v.current.number} stayed queued"
        waited = since + v.steps[v.current.step].wait
        if v.current.status is AttemptStatus.SENT and waited < v.expires_at:
            yield f"{id_}: nothing came after message {v.current.number}"


def no_send_after_the_end(case: Case) -> Iterator[str]:
    """Nothing is sent to whom it is over for: what was under way has the rest of its lease. But a machine that was
    suspended, its clock with it, can't know that its lease is over."""
    for event in case.history.of("send"):
        if _was_suspended(case, event):
            continue
        kept = case.history.kept.get(_ref(event)[0])
        ended = kept.stored.verification.ended_at if kept else None
        if kept and ended is not None and event.at > ended - kept.zero + case.terms.lease:
            yield f"{event.ref} was sent {(event.at - ended + kept.zero) / 1000:.1f} s after the end"


def _was_suspended(case: Case, send: Event) -> bool:
    suspended = (event for event in case.history.of("suspend") if event.process == send.process)
    return any(0 <= send.at - event.at <= LONGEST_SUSPENSION + case.terms.lease for event in suspended)


def not_sent_twice(case: Case) -> Iterator[str]:
    """A message goes out again only when whoever sent it was disturbed, and not before its lease has ended."""
    sent: dict[str, Event] = {}
    for event in case.history.of("send"):
        before = sent.get(event.ref)
        sent[event.ref] = event
        if before is None or _was_suspended(case, before) or _was_suspended(case, event):
            continue
        if not _disturbed(case, before, event):
            yield f"{event.ref} was sent twice, and nothing had gone wrong in {before.process}"
        if event.at - before.at < case.terms.lease / 2:
            yield f"{event.ref} was sent again after {event.at - before.at} ms, with a lease of {case.terms.lease} ms"


def _disturbed(case: Case, before: Event, event: Event) -> bool:
    since = before.at - case.terms.lease
    return any(
        since <= hard.at <= event.at and hard.get("process") in (None, before.process)
        for hard in case.history.of(*HARD)
    )


def few_sends(case: Case) -> Iterator[str]:
    """No message goes out that was not written down first, and no more than the policy and its limits allow."""
    for event in case.history.of("send"):
        id_, number = _ref(event)
        kept = case.history.kept.get(id_)
        if kept and number > len(kept.stored.verification.attempts):
            yield f"{event.ref} was sent and never written down"
    by_target: Counter[str] = Counter()
    for id_, start in case.acknowledged.items():
        attempts = _attempts(case, id_)
        by_target[_counted_by(case, id_, start)] += attempts
        asked = sum(1 for call in case.of("resend") if call.asked.id == id_)
        if attempts > case.terms.ways * (1 + asked):
            yield f"{id_} led to {attempts} messages, with {asked} resends asked for"
    yield from (f"{to} got {n} messages" for to, n in by_target.items() if n > case.terms.sends)


def _attempts(case: Case, id_: str) -> int:
    kept = case.history.kept.get(id_)
    return len(kept.stored.verification.attempts) if kept else 0


def an_end_is_for_ever(case: Case) -> Iterator[str]:
    """Whoever was told of an end hears of nothing else afterwards."""
    for end in [*case.checks, *case.of("cancel")]:
        if (end.asked.what == "check" and end.answer != "approved") or not end.told or end.told.what != "ok":
            continue
        for later in [*case.checks, *case.of("resend"), *case.of("cancel")]:
            went_on = later.answer in ("approved", "wrong") or (later.asked.what != "check" and _ok(later))
            if later.asked.id == end.asked.id and later.asked.at > end.ended and went_on:
                yield f"{end.asked.id} had ended, and {later.asked.what} was answered {later.answer}"


def _ok(call: Call) -> bool:
    return call.told is not None and call.told.what == "ok"


ENDS = frozenset(str(status) for status in Status if status is not Status.PENDING)


def the_journal_agrees(case: Case) -> Iterator[str]:
    """Each message and the end stand in the journal once."""
    for id_, kept in case.history.kept.items():
        names = Counter(entry[1] for entry in unpack_journal(kept.stored.journal))
        v = kept.stored.verification
        ends = sum(names[end] for end in ENDS)
        if names["queued"] != len(v.attempts) or ends != (not v.pending) or names["created"] != 1:
            yield f"{id_}: the journal tells {dict(names)} of {len(v.attempts)} messages and {v.status}"


def no_surprise(case: Case) -> Iterator[str]:
    """Nothing was raised or logged that no fault of the world explains."""
    yield from case.history.faults


RULES: tuple[Callable[[Case], Iterator[str]], ...] = (
    one_approval,
    approved_means_right,
    one_code,
    few_wrong,
    nothing_lost,
    repeats_agree,
    a_timer_or_an_end,
    in_time,
    no_send_after_the_end,
    not_sent_twice,
    few_sends,
    an_end_is_for_ever,
    the_journal_agrees,
    within_the_caps,
    paid_before_it_goes_out,
    the_purses_agree,
    no_surprise,
)


def broken(history: History, terms: Terms) -> list[str]:
    """What breaks a rule, each with the rule's name; empty when everything holds."""
    case = Case(history, terms)
    return [f"{rule.__name__}: {fault}" for rule in RULES for fault in rule(case)]
