"""The masks: what they catch, what they let pass, and that they stay quick."""

import json
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from channels.contract import ErrorClass
from gateway.telemetry.redaction import HIDDEN, MAX_TEXT, anything, exception, one_line, secret, text
from policies import destination


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("+14155550123", "[phone]"),
        ("tel:+44 7911 123456 now", "tel:[phone] now"),
        ("+1 (415) 555-0123", "[phone]"),
        ("to=%2B14155550123", "to=[phone]"),
        ("+1415*****23", "+1415*****23"),
        ("+123456", "+123456"),
        ("a+b=c", "a+b=c"),
        ("ana@example.org", "[email]"),
        ("<ana@example.org>, b", "<[email]>, b"),
        ("ana%40example.org", "[email]"),
        ("a**@example.org", "a**@example.org"),
        ("redis://user:pass@store:6379", "[email]"),
        ("otp_" + "a" * 22, "[key]"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "[key]"),
        ("otp_gateway", "otp_gateway"),
        ("50% of otp_x", "50% of otp_x"),
        ("", ""),
    ],
)
def test_a_text_is_masked_where_it_tells(said: str, written: str) -> None:
    assert text(said) == written


@given(st.from_regex(r"\A\+[1-9][0-9]{6,14}\Z"), st.text(max_size=20), st.text(max_size=20))
@example("+1000000", "0**@", "")  # behind what looks like a masked address
@settings(max_examples=200, deadline=None)
def test_no_number_survives_in_any_company(number: str, before: str, after: str) -> None:
    assert number not in text(f"{before}{number}{after}")


@pytest.mark.parametrize("field", ["code", "Code", "key", "api_key", "signing_secret", "auth_token", "authorization"])
def test_a_field_named_like_a_secret_is_hidden_whatever_it_holds(field: str) -> None:
    assert secret(field)
    assert anything(field, 482913) == HIDDEN


@pytest.mark.parametrize("field", ["vendor_code", "status_code", "keys", "decoder", "error_class"])
def test_a_field_that_only_sounds_like_one_is_not(field: str) -> None:
    assert not secret(field)


def test_anything_becomes_plain_data_of_bounded_depth() -> None:
    value = {"a": [1, 2.5, None, True, ErrorClass.FRAUD, float("nan")], "b": {"c": {"d": {"e": {"f": 1}}}}}
    told = anything("field", value)
    assert told == {"a": [1, 2.5, None, True, "fraud", "nan"], "b": {"c": {"d": {"e": HIDDEN}}}}
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_a_loop_in_the_data_ends() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert anything("field", loop) == [[[[HIDDEN]]]]


def test_an_object_is_its_text_masked() -> None:
    class Thing:
        def __str__(self) -> str:
            return "thing of +14155550123"

    assert anything("field", Thing()) == "thing of [phone]"


def test_an_exception_that_cannot_be_printed_is_still_told() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert exception(Broken())["type"].__str__().endswith("Broken")


def test_a_code_in_an_exception_is_masked() -> None:
    assert (
        exception(ValueError("template {482913} failed, 007 too"))["message"] == "template {[digits]} failed, 007 too"
    )


def test_a_long_text_is_cut_and_costs_little() -> None:
    began = time.perf_counter()
    for pattern in ("a" * 1_000_000, "@" + "a" * 1_000_000, "a@" * 500_000, "+1 " * 300_000, "otp_" * 250_000):
        assert len(text(pattern)) <= 3 * MAX_TEXT
    assert time.perf_counter() - began < 0.5


@given(st.text(max_size=50))
@settings(max_examples=200, deadline=None)
def test_one_line_is_one_line(value: str) -> None:
    assert one_line(value).isprintable()


def test_a_number_or_an_address_that_is_written_down_as_it_was_understood_shows_none_of_its_parts() -> None:
    """The twin: its fields, as a tuple would have them, are too short to be seen for what they are, and spell most of
    it."""
    phone, email = destination.phone("+14155550123"), destination.email("ana@example.org")
    assert anything("to", phone) == "Phone(+1415*****23)"
    assert "ana" not in json.dumps(anything("to", email))
    assert anything("to", (phone.range, phone.place)) == ["+14155", 123]
