"""What operators and apps may put into a message, and what would make the gateway a relay for phishing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.wording import check_brand, check_template, check_variable, templates
from channels.wording.templates import fill

LINKS = [
    "http://x", "HTTPS://a", "go to https:x", "ftp://h", "evil.tk", "EVIL.TK", "see evil.tk/x now", "a.b.co",
    "bit.ly/3x", "evil．tk", "evil。tk", "evil｡tk", "ｅｖｉｌ.ｔｋ", "xn--e1afmkfd.xn--p1ai", "пример.рф",
    "उदाहरण.भारत", "i❤️.ws",
    "évíl.tk", "me@evil.tk", "192.168.0.1", "mailto:me", "tel:123",
    "wa.me/123", "www.xy", "JavaScript:x", "ﬁ.tk",
]  # fmt: skip

INVISIBLE = [
    "\u202e", "\u2066", "\u200f", "\u200b", "\u00ad", "\ufeff", "\x00", "\n", "\r", "\t", "\x1b", "\x85",
    "\u2028", "\u2029", "\ud800", "\ue000", "\U000e0041", "\uffff",
]  # fmt: skip

FINE = [
    "12.50 EUR",
    "1.234.567.890 IDR",
    "ACME Inc.",
    "Ana María Núñez",
    "شركة",
    "株式会社",
    "H&M",
    "<b>",
    "{code}",
    "5%",
    "…",
]


@pytest.mark.parametrize("text", FINE)
def test_an_amount_or_a_name_may_be_shown(text: str) -> None:
    assert check_variable(text) == text


@pytest.mark.parametrize("text", LINKS)
def test_whatever_a_phone_would_turn_into_a_link_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="it looks like"):
        check_variable(text)


def test_the_links_are_caught_by_looking_at_them_as_a_phone_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "_skeleton", lambda text: text)
    assert [text for text in LINKS if check_variable_accepts(text)] != []


def check_variable_accepts(text: str) -> bool:
    try:
        return check_variable(text) == text
    except ValueError:
        return False


@pytest.mark.parametrize("character", INVISIBLE)
@pytest.mark.parametrize("check", [check_variable, check_brand])
def test_what_cannot_be_seen_is_refused_by_its_number(check: object, character: str) -> None:
    with pytest.raises(ValueError) as refused:
        check(f"AC{character}ME")
    assert str(refused.value) == (f"it has the invisible or control character U+{ord(character):04X}: take it out")


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "it is empty: write something to show"), (" ", "it is empty: write something to show"),
     ("x" * 41, "it has 41 characters: at most 40 are shown")],
)  # fmt: skip
def test_a_value_has_one_to_forty_characters(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as refused:
        check_variable(text)
    assert str(refused.value) == problem


def test_an_operator_may_be_called_like_a_domain() -> None:
    assert check_brand("Booking.com") == "Booking.com"


@given(st.text(max_size=60), st.sampled_from(["\x00", "evil.tk", "http://", "x" * 41]))
def test_a_refusal_never_repeats_the_value(text: str, fault: str) -> None:
    with pytest.raises(ValueError) as refused:
        check_variable(text + fault)
    assert text + fault not in str(refused.value)


BRACES = "it has a brace that is not part of a placeholder such as {code}: take it out"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("sms", "{code.__class__}", BRACES), ("sms", "{code} {{7*7}}", BRACES), ("sms", "{code[0]}", BRACES),
        ("sms", "{code!r}", BRACES), ("sms", "{code:>9}", BRACES), ("sms", "{}", BRACES), ("sms", "{code} {", BRACES),
        ("sms", "{code} {name}",
         "{name} is not a placeholder: write one of {brand}, {code}, {context}, {minutes}, {time}"),
        ("sms", "Hello", "the text must contain {code} exactly once"),
        ("sms", "{code} {code}", "the text must contain {code} exactly once"),
        ("fax", "{code}", "there is no template 'fax': write one of sms, voice, whatsapp, telegram, email, subject"),
        ("subject", "a\nBcc: b", "it has the invisible or control character U+000A: take it out"),
        ("sms", "{code}\r\n", "it has the invisible or control character U+000D: take it out"),
        ("sms", "{code}" + "x" * 2000, "write 1 to 2000 characters"), ("subject", " ", "write 1 to 2000 characters"),
    ],
)  # fmt: skip
def test_a_faulty_template_is_refused_with_a_remedy(name: str, text: str, problem: str) -> None:
    with pytest.raises(ValueError) as refused:
        check_template(name, text)
    assert str(refused.value) == problem


@pytest.mark.parametrize("text", ["%n {code}", "$code {code}", "{code}\n{context}", "{brand} {code} {minutes} {time}"])
def test_a_template_may_hold_what_means_something_elsewhere(text: str) -> None:
    assert check_template("sms", text) == text


def test_the_subject_may_do_without_the_code() -> None:
    assert check_template("subject", "News from {brand}") == "News from {brand}"


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_value_is_filled_in_as_it_is(before: str, value: str) -> None:
    literal = before.replace("{", "").replace("}", "")
    assert fill(literal + "{brand}", {"brand": value}) == literal + value


def test_a_placeholder_in_a_value_stays_what_it_is() -> None:
    assert fill("{brand} {code}", {"brand": "{code}", "code": "4829"}) == "{code} 4829"


def test_filling_reads_no_attributes_where_format_would() -> None:
    hostile = "{code.__class__}"
    assert hostile.format(code="4829") == "<class 'str'>"
    assert fill(hostile, {"code": "4829"}) == hostile
