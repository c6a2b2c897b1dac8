"""The machine, sentence by sentence: its table, its remedies, silence, resends, limits and ends."""

from __future__ import annotations

from itertools import pairwise

import pytest

from channels.contract import REMEDIES, ErrorClass, Remedy
from gateway.core import machine
from gateway.core.machine import (
    Accepted,
    Canceled,
    Changed,
    Delivered,
    Due,
    Ended,
    Exhausted,
    Failed,
    FellBack,
    Pace,
    Resent,
    Send,
    Unreachable,
    apply,
)
from gateway.core.model import Attempt, AttemptStatus, Status, Verification
from policies.model import Step

T0 = 1_000_000
LIFE = 600_000
PACE = Pace()
STEPS = (
    Step("sms", ("one", "two"), 30_000),
    Step("whatsapp", ("one",), 20_000),
    Step("voice", ("one", "two"), 45_000),
    Step("email", ("post",), 60_000),
)


def fresh(steps: tuple[Step, ...] = STEPS, **fields: object) -> Verification:
    """A verification whose first message is queued."""
    first = Attempt(1, 0, steps[0].channel, steps[0].providers[0], AttemptStatus.QUEUED, T0, T0)
    plain = Verification(
        id="ver_x",
        version=1,
        app="shop",
        purpose="login",
        policy="default",
        revision="r",
        status=Status.PENDING,
        steps=steps,
        attempts=(first,),
        created_at=T0,
        expires_at=T0 + LIFE,
        resend_at=T0,
        checks_used=0,
        checks_max=5,
    )
    return plain._replace(**fields)  # type: ignore[arg-type]


def after(v: Verification, *events: machine.Event, at: int = T0 + 1_000) -> Verification:
    """The events one after another; a timer fires when the wait that it was set for is over."""
    for event in events:
        at = max(at, machine.due(v, at, PACE) or at) if isinstance(event, Due) else at
        v, _ = apply(v, event, at, PACE)
    return v


def in_status(status: AttemptStatus, steps: tuple[Step, ...] = STEPS) -> Verification:
    """A verification with one attempt, which stands there."""
    v = fresh(steps)
    return v._replace(attempts=(v.current._replace(status=status),))


def ways(v: Verification) -> list[tuple[str, str]]:
    return [(a.channel, a.provider) for a in v.attempts]


TABLE = {
    "queued": {"Accepted": "sent", "Delivered": "delivered", "Failed": "failed", "TimedOut": "silent"},
    "sent": {"Accepted": ".", "Delivered": "delivered", "Failed": "failed", "TimedOut": "silent"},
    "silent": {"Accepted": ".", "Delivered": "delivered", "Failed": "failed", "TimedOut": "."},
    "failed": {"Accepted": ".", "Delivered": "delivered", "Failed": ".", "TimedOut": "."},
    "delivered": {"Accepted": ".", "Delivered": ".", "Failed": ".", "TimedOut": "."},
}
EVENTS: dict[str, machine.Event] = {
    "Accepted": Accepted(1),
    "Delivered": Delivered(1),
    "Failed": Failed(1, ErrorClass.TEMPORARY),
    "TimedOut": Due(),
}


@pytest.mark.parametrize(
    ("start", "event", "end"),
    [(s, e, end) for s, row in TABLE.items() for e, end in row.items() if (s, e) != ("queued", "TimedOut")],
)
def test_every_cell_of_the_table_holds_and_its_dots_change_nothing(start: str, event: str, end: str) -> None:
    before = in_status(AttemptStatus(start))
    v, effects = apply(before, EVENTS[event], T0 + 40_000, PACE)
    if end == ".":
        assert v is before
        assert effects == ()
    else:
        assert v.attempts[0].status == end
        assert v.attempts[0].at == T0 + 40_000
        assert effects[0] == Changed(v.attempts[0])


def test_the_table_of_the_docstring_is_the_table_of_these_tests() -> None:
    drawn = [line.split() for line in (machine.__doc__ or "").splitlines() if line.startswith("  ")]
    head, rows = drawn[0], drawn[1:]
    assert {row[0]: dict(zip(head, row[1:], strict=True)) for row in rows} == TABLE


def test_a_timer_that_finds_its_message_still_queued_sends_it_again_and_writes_nothing() -> None:
    before = fresh()
    v, effects = apply(before, Due(), T0 + PACE.lease, PACE)
    assert v is before
    assert effects == (Send(before.current, again=True),)


@pytest.mark.parametrize("number", [0, 2, 99])
def test_news_of_an_attempt_that_never_was_changes_nothing(number: int) -> None:
    before = fresh()
    for event in (Accepted(number), Delivered(number), Failed(number, ErrorClass.FRAUD)):
        assert apply(before, event, T0, PACE) == (before, ())


EXPECTED = {
    Remedy.NEXT_PROVIDER: [("sms", "one"), ("sms", "two")],
    Remedy.NEXT_CHANNEL: [("sms", "one"), ("whatsapp", "one")],
    Remedy.NEXT_ADDRESS: [("sms", "one"), ("email", "post")],
    Remedy.STOP: [("sms", "one")],
}


@pytest.mark.parametrize("error", list(ErrorClass))
def test_each_error_class_leads_where_its_remedy_says(error: ErrorClass) -> None:
    v, effects = apply(fresh(), Failed(1, error, "30005"), T0 + 500, PACE)
    assert ways(v) == EXPECTED[REMEDIES[error]]
    assert (v.attempts[0].reason, v.attempts[0].vendor_code) == (error, "30005")
    assert v.exhausted is (REMEDIES[error] is Remedy.STOP)
    if v.exhausted:
        assert effects == (Changed(v.attempts[0]), Exhausted("fraud"))
    else:
        assert effects == (Changed(v.attempts[0]), FellBack(v.attempts[0], v.current, error), Send(v.current))


def test_every_error_class_has_a_remedy() -> None:
    assert set(REMEDIES) == set(ErrorClass)


def test_the_providers_of_a_step_are_tried_before_the_next_channel() -> None:
    v = after(fresh(), *(Failed(n, ErrorClass.PROVIDER_DOWN) for n in (1, 2, 3, 4, 5, 6)))
    assert ways(v) == [
        ("sms", "one"),
        ("sms", "two"),
        ("whatsapp", "one"),
        ("voice", "one"),
        ("voice", "two"),
        ("email", "post"),
    ]
    assert v.exhausted
    assert v.pending, "a message that was refused late may still arrive: the code stays good"


def test_a_bad_number_closes_every_channel_to_it_for_a_person_too() -> None:
    v = after(fresh(), Failed(1, ErrorClass.BAD_DESTINATION))
    assert ways(v)[-1] == ("email", "post")
    v = after(v, Accepted(2), Resent())
    assert ways(v)[-1] == ("email", "post")
    with pytest.raises(Unreachable):
        apply(v, Resent("sms"), T0, PACE)


def test_a_bad_mailbox_closes_email_and_leaves_the_number() -> None:
    steps = (Step("email", ("post",), 60_000), Step("sms", ("one",), 30_000))
    v = after(fresh(steps), Failed(1, ErrorClass.BAD_DESTINATION))
    assert ways(v) == [("email", "post"), ("sms", "one")]


def test_an_opt_out_closes_the_channel_through_every_provider() -> None:
    v = after(fresh(), Failed(1, ErrorClass.OPTED_OUT), Accepted(2))
    with pytest.raises(Unreachable):
        apply(v, Resent("sms"), T0, PACE)


def test_fraud_ends_the_fallback_and_refuses_a_person_who_asks_again() -> None:
    v = after(fresh(), Failed(1, ErrorClass.FRAUD))
    assert v.exhausted
    for channel in (None, "sms", "email"):
        with pytest.raises(Unreachable):
            apply(v, Resent(channel), T0 + 9, PACE)


@pytest.mark.parametrize("late", [ErrorClass.FRAUD, ErrorClass.BAD_DESTINATION])
def test_a_late_word_on_an_earlier_message_bars_the_other_providers_of_this_step_too(late: ErrorClass) -> None:
    v = after(fresh(STEPS[::2]), Accepted(1), Due(), Failed(1, late), Failed(2, ErrorClass.TEMPORARY))
    assert ways(v) == [("sms", "one"), ("voice", "one")]
    assert v.exhausted


def test_a_channel_closed_earlier_is_passed_over_later() -> None:
    steps = (Step("sms", ("one",), 30_000), Step("voice", ("one",), 30_000), Step("sms", ("two",), 30_000))
    v = after(fresh(steps), Failed(1, ErrorClass.NO_CHANNEL), Failed(2, ErrorClass.NO_CHANNEL))
    assert ways(v) == [("sms", "one"), ("voice", "one")]
    assert v.exhausted


def test_silence_leads_to_the_next_channel_and_not_to_another_provider() -> None:
    v, effects = apply(after(fresh(), Accepted(1)), Due(), T0 + 31_000, PACE)
    assert ways(v) == [("sms", "one"), ("whatsapp", "one")]
    assert effects == (Changed(v.attempts[0]), FellBack(v.attempts[0], v.current, "silent"), Send(v.current))


def test_silence_of_the_last_step_exhausts_and_does_not_end() -> None:
    v = after(fresh(STEPS[:1]), Accepted(1))
    v, effects = apply(v, Due(), T0 + 31_000, PACE)
    assert effects == (Changed(v.current), Exhausted("silent"))
    assert v.pending


def test_once_a_message_is_delivered_silence_is_no_reason_to_send_another() -> None:
    v = after(fresh(), Accepted(1), Due(), Accepted(2), Delivered(1))
    v, effects = apply(v, Due(), T0 + 60_000, PACE)
    assert effects == (Changed(v.current),)
    assert len(v.attempts) == 2
    assert not v.exhausted


def test_a_delivered_message_waits_for_its_expiry_and_for_nothing_else() -> None:
    v = after(fresh(), Accepted(1), Delivered(1))
    assert machine.due(v, T0, PACE) == v.expires_at
    assert apply(v, Due(), T0 + 40_000, PACE) == (v, ())


def test_a_failed_report_after_silence_does_not_skip_a_step() -> None:
    v = after(fresh(), Accepted(1), Due())
    v, effects = apply(v, Failed(1, ErrorClass.TEMPORARY), T0 + 32_000, PACE)
    assert effects == (Changed(v.attempts[0]),)
    assert ways(v) == [("sms", "one"), ("whatsapp", "one")]


def test_a_failed_report_after_the_last_silence_is_only_written_down() -> None:
    v = after(fresh(STEPS[:1]), Accepted(1), Due())
    v, effects = apply(v, Failed(1, ErrorClass.PROVIDER_DOWN), T0 + 90_000, PACE)
    assert effects == (Changed(v.attempts[0]),)


def test_a_report_that_overtakes_its_send_keeps_the_status_and_learns_the_id() -> None:
    v = after(fresh(), Delivered(1))
    v, effects = apply(v, Accepted(1, "SM1"), T0 + 5, PACE)
    assert (v.current.status, v.current.message_id, effects) == (AttemptStatus.DELIVERED, "SM1", ())
    assert apply(v, Accepted(1, "SM2"), T0 + 6, PACE) == (v, ())


def test_a_failure_that_overtakes_its_send_falls_back_once() -> None:
    v = after(fresh(), Failed(1, ErrorClass.NO_CHANNEL), Accepted(1, "SM1"), Failed(1, ErrorClass.NO_CHANNEL))
    assert ways(v) == [("sms", "one"), ("whatsapp", "one")]


def test_a_person_who_asks_again_gets_the_next_step_at_once() -> None:
    v = after(fresh(), Accepted(1))
    v, effects = apply(v, Resent(), T0 + 3_000, PACE)
    assert [type(e) for e in effects] == [Changed, FellBack, Send]
    assert (v.attempts[0].status, ways(v)[-1]) == (AttemptStatus.SILENT, ("whatsapp", "one"))
    assert effects[1] == FellBack(v.attempts[0], v.current, "resend")


def test_a_resend_does_not_call_a_delivered_message_silent() -> None:
    v = after(fresh(), Accepted(1), Delivered(1), Resent())
    assert [a.status for a in v.attempts] == [AttemptStatus.DELIVERED, AttemptStatus.QUEUED]


def test_resends_go_round_and_take_another_provider_the_second_time() -> None:
    v = after(fresh(), *(Resent(),) * 9)
    assert ways(v) == [
        ("sms", "one"),
        ("whatsapp", "one"),
        ("voice", "one"),
        ("email", "post"),
        ("sms", "two"),
        ("whatsapp", "one"),
        ("voice", "two"),
        ("email", "post"),
        ("sms", "one"),
        ("whatsapp", "one"),
    ]


def test_a_resend_by_name_takes_that_channel_and_no_other() -> None:
    v = after(fresh(), Accepted(1), Resent("email"))
    assert ways(v)[-1] == ("email", "post")
    v = after(v, Resent("sms"))
    assert ways(v)[-1] == ("sms", "two")
    with pytest.raises(Unreachable):
        apply(v, Resent("pigeon"), T0, PACE)


def test_a_resend_reopens_an_exhausted_fallback() -> None:
    v = after(fresh(STEPS[:1]), Accepted(1), Due())
    assert v.exhausted
    assert not after(v, Resent()).exhausted


@pytest.mark.parametrize(("left", "sends"), [(PACE.min_useful, True), (PACE.min_useful - 1, False)])
def test_no_step_starts_that_would_be_worthless(left: int, sends: bool) -> None:
    v = after(fresh(), Accepted(1))
    v, effects = apply(v, Due(), v.expires_at - left, PACE)
    assert (len(v.attempts) == 2) is sends
    assert v.exhausted is not sends
    if not sends:
        assert effects[-1] == Exhausted("too_late")


def test_a_barred_turn_keeps_its_news_and_loses_its_message() -> None:
    turn = apply(after(fresh(), Accepted(1)), Due(), T0 + 31_000, PACE)
    v, effects = machine.bar(turn, "limit:destination-day")
    assert effects == (Changed(v.current), Exhausted("limit:destination-day"))
    assert (len(v.attempts), v.exhausted, v.pending) == (1, True, True)
    assert machine.due(v, T0, PACE) == v.expires_at


@pytest.mark.parametrize(
    ("status", "when"),
    [
        (AttemptStatus.QUEUED, T0 + 5 + PACE.lease),
        (AttemptStatus.SENT, T0 + 30_000),
        (AttemptStatus.DELIVERED, T0 + LIFE),
        (AttemptStatus.SILENT, T0 + LIFE),
        (AttemptStatus.FAILED, T0 + LIFE),
    ],
)
def test_the_timer_is_set_to_what_comes_next(status: AttemptStatus, when: int) -> None:
    assert machine.due(in_status(status), T0 + 5, PACE) == when


def test_a_wait_never_outlasts_the_code() -> None:
    v = in_status(AttemptStatus.SENT)._replace(expires_at=T0 + 10_000)
    assert machine.due(v, T0, PACE) == T0 + 10_000


@pytest.mark.parametrize("status", list(AttemptStatus))
def test_whatever_the_timer_finds_after_expiry_it_ends_the_verification(status: AttemptStatus) -> None:
    v, effects = apply(in_status(status), Due(), T0 + LIFE, PACE)
    assert (v.status, v.ended_at, effects) == (Status.EXPIRED, T0 + LIFE, (Ended(Status.EXPIRED),))


@pytest.mark.parametrize("end", [s for s in Status if s is not Status.PENDING])
def test_an_end_is_for_ever_and_no_news_sends_anything(end: Status) -> None:
    v = fresh()._replace(status=end, ended_at=T0)
    for event in (Due(), Resent(), Resent("email"), Canceled()):
        assert apply(v, event, T0 + LIFE, PACE) == (v, ())
    for news in (Accepted(1, "id"), Failed(1, ErrorClass.PROVIDER_DOWN), Delivered(1)):
        v, effects = apply(v, news, T0 + 9, PACE)
        assert v.status is end
        assert all(isinstance(e, Changed) for e in effects)
    assert v.current.status is AttemptStatus.DELIVERED
    assert machine.due(v, T0, PACE) is None


def test_cancel_ends() -> None:
    v, effects = apply(fresh(), Canceled(), T0 + 1, PACE)
    assert (v.status, effects) == (Status.CANCELED, (Ended(Status.CANCELED),))


def test_next_way_tells_where_silence_would_lead() -> None:
    v = after(fresh(), Accepted(1))
    led = [machine.next_way(v, v.current.at)]
    for number in (2, 3, 4):
        v = after(v, Due(), Accepted(number))
        led.append(machine.next_way(v, v.current.at))
    assert led == [(1, "one"), (2, "one"), (3, "post"), None]
    assert all(before != now for before, now in pairwise(led))
    assert machine.next_way(after(fresh(), Delivered(1)), 0) is None


# --- quiet hours: a step that is silent at the time ---

NIGHT = ((T0 + 30_000, T0 + 120_000),)


def nightly(*, strict: bool = False) -> Verification:
    """SMS, a call that is silent from the thirtieth second to the hundred and twentieth, email."""
    sms, _, voice, email = STEPS
    return fresh((sms, voice._replace(quiet=NIGHT, strict=strict), email))


def channel_at(v: Verification, event: machine.Event, at: int) -> str:
    return apply(v, event, at, PACE)[0].current.channel


@pytest.mark.parametrize(("second", "channel"), [(29, "voice"), (30, "email"), (119, "email"), (120, "voice")])
def test_the_fallback_passes_a_silent_step_over_at_the_time_that_it_comes_to_it(second: int, channel: str) -> None:
    for error in (error for error in ErrorClass if REMEDIES[error] is Remedy.NEXT_CHANNEL):
        assert channel_at(nightly(), Failed(1, error), T0 + second * 1000) == channel


def test_silence_leads_past_a_silent_step_and_so_it_is_told() -> None:
    v = after(nightly(), Accepted(1), at=T0 + 1_000)
    assert machine.next_way(v, T0 + 31_000) == (2, "post")
    assert after(v, Due()).current.channel == "email"


def test_who_asks_for_the_silent_channel_gets_it_and_who_asks_for_anything_does_not() -> None:
    at = T0 + 60_000
    assert channel_at(nightly(), Resent(), at) == "email"
    assert channel_at(nightly(), Resent("voice"), at) == "voice"
    with pytest.raises(Unreachable):
        apply(nightly(strict=True), Resent("voice"), at, PACE)
    assert channel_at(nightly(strict=True), Resent("voice"), T0 + 120_000) == "voice"


def test_a_call_that_was_asked_for_may_go_to_the_next_provider_of_its_step() -> None:
    v, _ = apply(nightly(), Resent("voice"), T0 + 60_000, PACE)
    v, _ = apply(v, Failed(2, ErrorClass.PROVIDER_DOWN), T0 + 61_000, PACE)
    assert (v.current.channel, v.current.provider) == ("voice", "two")


def test_a_verification_with_other_fields_is_what_replace_makes_of_it() -> None:
    v = fresh()
    for field in v._fields:
        assert v.but(**{field: "other"}) == v._replace(**{field: "other"})
    assert (v.but(version=7, phone="+1"), v.but()) == (v._replace(version=7, phone="+1"), v)
    with pytest.raises(KeyError):
        v.but(adress="")
