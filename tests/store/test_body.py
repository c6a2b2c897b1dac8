"""What only Python reads of a verification comes back as it was, and takes few bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.contract import Cost
from gateway.core.model import Attempt, AttemptStatus, OptOuts, Purse, SendLimit, Status, Verification
from gateway.store import body
from gateway.store.body import open_body, pack_body, pack_messages, said, unpack_messages
from gateway.store.terms import Terms, terms_of, unpack_terms
from policies.model import Step

CREATED = 1_795_345_031_092
NUMBERS = st.integers(0, 2**40)
TEXT = st.text(max_size=20)
PREFIX = st.sampled_from(["otp", "{otp}", "a:b", "x{7}:l"])
NAME = st.text("ABCXYZabcxyz0189+/", min_size=16, max_size=16)
MADE = st.tuples(st.integers(0, 63), NAME)
ODD = st.sampled_from(
    ["", "otp:key", "otp:{7}:l:short", "otp:{100}:l:" + "A" * 16, "other:{7}:l:" + "A" * 16, ":" * 17]
)
PROVIDERS = st.lists(st.sampled_from(["one", "two", "three"]), max_size=3, unique=True).map(tuple)


def keys(prefix: str, kind: str) -> st.SearchStrategy[str]:
    return st.one_of(MADE.map(lambda made: f"{prefix}:{{{made[0]}}}:{kind}:{made[1]}"), ODD)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    providers = draw(PROVIDERS)
    aligned = tuple((name, draw(NUMBERS)) for name in providers)
    prices = draw(st.sampled_from([aligned, aligned[1:], aligned[::-1], ()]))
    quiet: tuple[tuple[int, int], ...] = draw(st.sampled_from([(), ((1, 2),), ((0, 60), (90, 120))]))
    return Step("sms", providers, draw(NUMBERS), draw(TEXT), prices=prices, quiet=quiet, strict=bool(quiet))


@st.composite
def verifications(draw: st.DrawFn) -> Verification:
    prefix, plan = draw(PREFIX), tuple(draw(st.lists(steps(), min_size=1, max_size=4)))
    attempts = st.builds(
        Attempt,
        number=st.just(1),
        step=st.integers(0, len(plan) - 1),
        channel=st.sampled_from(["sms", "email"]),
        provider=st.sampled_from(["one", "two", "gone"]),
        status=st.sampled_from(AttemptStatus),
        at=NUMBERS.map(lambda at: CREATED + at),
        queued_at=NUMBERS.map(lambda at: CREATED - at),
        reason=st.none() | TEXT,
        vendor_code=TEXT,
        message_id=TEXT,
        cost=st.none() | st.builds(Cost, NUMBERS, st.just("EUR")),
        held=NUMBERS,
    )
    limits = st.builds(
        SendLimit,
        key=st.sampled_from([draw(keys(prefix, "l").filter(bool)), draw(keys(prefix, "l").filter(bool))]),
        name=TEXT,
        amount=NUMBERS,
        window=NUMBERS,
        shadow=st.booleans(),
        starts=st.booleans(),
        most=NUMBERS,
        longest=NUMBERS,
        waits=st.lists(NUMBERS, max_size=3).map(tuple),
        only=st.sampled_from(["", "phone", "email"]),
    )
    purse = st.builds(Purse, keys(prefix, "p"), TEXT, NUMBERS, NUMBERS, st.booleans())
    opt_out = st.just("") | keys(prefix, "o")
    numbered = enumerate(draw(st.lists(attempts, min_size=1, max_size=3)), 1)
    return replace_all(
        plain(plan),
        attempts=tuple(a._replace(number=n) for n, a in numbered),
        limits=tuple(draw(st.lists(limits, max_size=5))),
        opt_outs=draw(st.builds(OptOuts, opt_out, opt_out, st.booleans())),
        metadata=draw(st.dictionaries(TEXT, TEXT, max_size=2)),
        purses=tuple(draw(st.lists(purse, max_size=3))),
        resend_new=draw(st.booleans()),
        phone=draw(TEXT),
    )


def replace_all(v: Verification, **fields: Any) -> Verification:
    return v._replace(**fields)


def plain(plan: tuple[Step, ...]) -> Verification:
    pending = Status.PENDING
    return Verification("ver_x", 1, "shop", "login", "default", "dd33342b4791", pending, plan, (), CREATED, 0, 0, 0, 5)


def unpacked(packed: bytes, terms: Terms) -> dict[str, Any]:
    opened = open_body(packed)
    assert (opened.terms, opened.locale) == (terms.name, "pt-BR")
    return said(opened, unpack_terms(terms.name, terms.packed))


def came_back(v: Verification, terms: Terms) -> bool:
    exhausted, attempts = unpack_messages(pack_messages(v), CREATED)
    return v._replace(attempts=attempts, exhausted=exhausted, **unpacked(pack_body(v, "pt-BR", terms), terms)) == v


@given(verifications())
def test_what_is_packed_comes_back(v: Verification) -> None:
    assert came_back(v, terms_of(v))


@given(verifications(), st.data())
def test_what_belongs_to_another_comes_back_with_the_same_terms(v: Verification, data: st.DataObject) -> None:
    """Whose the keys are, what was masked, the order of providers, when purses end: none of it is a term."""
    draw = data.draw
    swapped = {limit.key: draw(keys("otp", "l").filter(bool)) for limit in v.limits}
    other = replace_all(
        v,
        phone=draw(TEXT),
        email=draw(TEXT),
        metadata={draw(TEXT): draw(TEXT)},
        limits=tuple(limit._replace(key=swapped[limit.key]) for limit in v.limits),
        opt_outs=v.opt_outs._replace(phone=draw(keys("otp", "o")), email=""),
        purses=tuple(purse._replace(key=draw(keys("otp", "p")), ends=draw(NUMBERS)) for purse in v.purses),
        steps=tuple(step._replace(providers=tuple(draw(st.permutations(step.providers)))) for step in v.steps),
    )
    assert came_back(other, terms_of(v))


def test_terms_are_named_by_what_they_say() -> None:
    v = usual()
    same = v._replace(phone="+1415*****23", metadata={"a": "b"}, purpose="other", country="GB")
    assert terms_of(same) == terms_of(v)
    turned = tuple(step._replace(providers=step.providers[::-1]) for step in v.steps)
    assert terms_of(v._replace(steps=turned)) == terms_of(v)
    others = (
        v._replace(revision="0"),
        v._replace(resend_new=True),
        v._replace(steps=v.steps[1:]),
        v._replace(limits=v.limits[1:]),
        v._replace(purses=v.purses[1:]),
        v._replace(opt_outs=v.opt_outs._replace(stops=True)),
    )
    assert len({terms_of(each).name for each in (v, *others)}) == 7


def usual() -> Verification:
    """As the default limits, three caps and a fallback of three steps make it."""

    def key(kind: str, letter: str) -> str:
        return f"otp:{{25}}:{kind}:{letter * 16}"

    plan = tuple(
        Step(channel, ("twilio", "vonage"), 30_000, prices=(("twilio", 50_000), ("vonage", 45_000)))
        for channel in ("sms", "whatsapp", "voice")
    )
    limits = (
        SendLimit(key("l", "a"), "destination-10m", 5, 600_000, False, False, 15, 86_400_000),
        SendLimit(key("l", "a"), "destination-day", 15, 86_400_000, False, False, 15, 86_400_000),
        SendLimit(key("l", "b"), "destination-anyone-hour", 20, 3_600_000, False, False, 20, 3_600_000),
        SendLimit(key("l", "c"), "cooldown", 1, 30_000, False, True, 1, 30_000, (30_000,)),
    )
    purses = tuple(Purse(key("p", x), f"cap-{x}", 100_000_000, CREATED + 86_400_000, False) for x in "def")
    attempt = Attempt(1, 0, "sms", "twilio", AttemptStatus.SENT, CREATED + 80, CREATED, message_id="SM" + "0" * 32)
    return plain(plan)._replace(
        attempts=(attempt,), limits=limits, purses=purses, opt_outs=OptOuts(key("o", "g")), phone="+1212*****77"
    )


def test_a_usual_body_is_small() -> None:
    """Every live verification has one, and few terms are new. Were everything written out, it would be 684 bytes."""
    v = usual()
    terms = terms_of(v)
    assert came_back(v, terms)
    assert len(pack_body(v, "en", terms) + pack_messages(v)) < 240
    assert len(terms.packed) < 400


@pytest.mark.parametrize(("name", "fault"), [("_NAME", 12), ("_ABSENT", 0x19), ("_OPT_OUTS", "pp")])
def test_a_form_that_loses_something_is_caught(name: str, fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted bug, in whoever reads."""
    v, terms = usual(), terms_of(usual())
    packed = pack_body(v, "pt-BR", terms)
    assert v._replace(**unpacked(packed, terms)) == v
    monkeypatch.setattr(body, name, fault)
    assert v._replace(**unpacked(packed, terms)) != v
