"""The SMS: as few segments as may be, and the lines by which phones and browsers fill the code in."""

import re
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.contract import Channel
from channels.wording import Brief, languages, word
from channels.wording.gsm7 import BASIC, EXTENSION, is_gsm7, respell, segments
from channels.wording.phrases import PURPOSES

HASH = "FA+9qCX9VSu"
HOST = "login.shop.example"
CONTEXT = {"amount": "12.50 EUR", "payee": "ACME"}


def sms(language: str = "en", code: str = "482913", **more: object) -> str:
    brief = Brief(**({"brand": "Acme", "locale": language, "expires_in": 600} | more))
    return word(Channel.SMS, code, brief).text


def marked(line: str, at: int, marker: str) -> tuple[str, int] | None:
    """WICG sms-one-time-codes, "extract a marked token"."""
    if at >= len(line) or line[at] != marker or at + 1 >= len(line):
        return None
    end = at + 1
    while end < len(line) and line[end] not in "\t\n\f\r ":
        end += 1
    return (line[at + 1 : end], end) if end > at + 1 else None


def origin_bound(message: str) -> tuple[str, str | None, str] | None:
    """WICG sms-one-time-codes, "parse an origin-bound one-time code message": host, embedded host, code."""
    line = message.replace("\r\n", "\n").replace("\r", "\n").split("\n")[-1]
    top = marked(line, 0, "@")
    if top is None:
        return None
    host, at = top
    if at >= len(line) or line[at] != " ":
        return None
    found = marked(line, at + 1, "#")
    if found is None:
        return None
    code, at = found
    embedded = marked(line, at + 1, "%") if at < len(line) and line[at] == " " else None
    return host, embedded[0] if embedded else None, code


def retrieved(message: str, app_hash: str) -> str | None:
    """What an app gets from Android's SMS Retriever by the usual pattern, or None if the message isn't for it."""
    if len(message.encode()) > 140 or app_hash not in re.split(r"\s", message):
        return None
    code = re.search(r"(?<![0-9A-Za-z+/])\d{4,10}(?!\d)", message)
    return code[0] if code else None


def test_the_alphabet_has_all_its_places() -> None:
    assert (len(BASIC), len(EXTENSION), len(BASIC & EXTENSION)) == (127, 10, 0)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1), ("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3), ("€" * 80, 1), ("€" * 81, 2),
        ("a" * 159 + "€", 2), ("a" * 152 + "€" + "a" * 151, 2), ("a" * 152 + "€" + "a" * 152, 3),
        ("a" * 152 + "€" + "a" * 151 + "€", 3), ("é" * 160, 1), ("á" * 70, 1), ("á" * 71, 2), ("á" * 134, 2),
        ("á" * 135, 3), ("“" + "a" * 69, 1), ("“" + "a" * 70, 2), ("😀" * 35, 1), ("😀" * 36, 2), ("😀" * 66, 2),
        ("😀" * 67, 3),
    ],
)  # fmt: skip
def test_segments_are_counted_as_the_network_counts_them(text: str, count: int) -> None:
    assert segments(text) == count


@given(st.text(alphabet=st.sampled_from([*sorted(BASIC | EXTENSION), "á", "😀"]), max_size=500))
def test_more_text_never_takes_fewer_segments_and_parts_are_never_overfull(text: str) -> None:
    wide = not is_gsm7(text)
    units = len(text.encode("utf-16-be")) // 2 if wide else len(text) + sum(letter in EXTENSION for letter in text)
    alone, joined = (70, 67) if wide else (160, 153)
    if units <= alone:
        assert segments(text) == 1
    else:
        assert -(-units // joined) <= segments(text) <= -(-units // (joined - 1))
    assert segments(text + "a") >= segments(text)


@pytest.mark.parametrize(
    ("text", "spelled"),
    [("Łódź", "Lodz"), ("Nestlé", "Nestlé"), ("São “Paulo”", 'Sao "Paulo"'), ("Œuvre–x", "OEuvre-x"), ("小米", "小米"),
     ("Ł小", "Ł小"), ("Ａ", "A")],
)  # fmt: skip
def test_a_name_is_respelled_in_the_cheap_alphabet_whole_or_not_at_all(text: str, spelled: str) -> None:
    assert respell(text) == spelled


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("code", ["000042", "0123456789"])
@pytest.mark.parametrize("brand", ["Wholesale Bank Group", "Łódzki Bank Społeczn", "北京" * 10, "😀" * 20])
def test_a_brand_of_twenty_characters_fits_one_segment_in_every_language(language: str, code: str, brand: str) -> None:
    for purpose in PURPOSES:
        text = sms(language, code, brand=brand, purpose=purpose)
        assert segments(text) == 1
        assert code in text


def test_what_there_is_room_for_is_said_and_the_rest_goes_in_this_order() -> None:
    stages = {
        9: "012345 là mã đăng nhập BBBBBBBBB. Hết hạn sau 10 phút. Không chia sẻ.",
        20: "012345 là mã đăng nhập BBBBBBBBBBBBBBBBBBBB. Hết hạn sau 10 phút.",
        40: f"012345 là mã đăng nhập {'B' * 40}.",
    }
    for length, text in stages.items():
        assert sms("vi", "012345", brand="B" * length, purpose="login") == text
    assert sms("vi", "012345", brand="B" * 40, purpose="login", domain=HOST) == f"{'B' * 40}: 012345\n@{HOST} #012345"


def test_a_brand_is_respelled_before_anything_is_left_out_and_only_if_that_helps() -> None:
    respelled = "482913 is your Bank Lodz login code. Expires in 10 min. Do not share it."
    assert sms(brand="Bank Łódź", purpose="login") == respelled
    assert "Bank Łódź" in sms(brand="Bank Łódź", purpose="login", max_segments=2)
    assert "Łódź" in sms(brand="Łódź", purpose="login")  # fits as it is
    assert "Bank Łódź" in sms("ru", brand="Bank Łódź", purpose="payment")  # other letters than its own are dear too


def test_a_brand_is_cut_only_when_nothing_else_is_left_and_never_inside_a_letter() -> None:
    brand = "क्षि" * 10
    for length in range(12, 40):
        text = sms(brand=brand, domain=f"{'h' * length}.example")
        cut = text.split(": 482913\n")[0]
        assert segments(text) == 1
        assert len(cut) < len(brand)
        assert brand.startswith(cut)
        assert unicodedata.category(brand[len(cut)]) == "Lo"


def test_what_the_code_is_bound_to_stays_even_if_it_takes_another_segment() -> None:
    context = {"payee": "Ω" * 10 + "ж" * 10, "reference": "я" * 15}
    text = sms("ru", context=context)
    assert all(value in text for value in context.values())
    assert segments(text) == 2
    assert "Срок: 10 мин. Никому не сообщайте." in text  # since the second segment is paid for, it is used


@pytest.mark.parametrize("language", languages())
def test_a_second_segment_is_used_when_it_may_be(language: str) -> None:
    text = sms(language, brand="Wholesale Bank Group", max_segments=2)
    assert text == sms(language, brand="Wholesale Bank Group", max_segments=9)
    assert segments(text) <= 2


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("more", [{}, {"app_hash": HASH}, {"context": CONTEXT}, {"templates": {"sms": "{code}!"}}])
def test_a_browser_finds_the_code_and_its_origin_on_the_last_line(language: str, more: dict[str, object]) -> None:
    text = sms(language, "000042", domain="Login.Shop.example", **more)
    assert origin_bound(text) == (HOST, None, "000042")
    assert text.split("\n")[-1] == f"@{HOST} #000042"


@pytest.mark.parametrize(
    "bug",
    [
        lambda text: f"{text}\n",
        lambda text: f"{text}\nBye",
        lambda text: text.replace(" #", "  #"),
        lambda text: text.replace("#", "# "),
        lambda text: text.replace("\n@", " @"),
    ],
)
def test_that_parser_finds_nothing_in_a_line_that_is_slightly_wrong(bug: Callable[[str], str]) -> None:
    assert origin_bound(bug(sms(domain=HOST))) is None


def test_without_a_domain_there_is_no_origin_line() -> None:
    assert origin_bound(sms()) is None


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("domain", ["", HOST])
@pytest.mark.parametrize("brand", ["Acme", "Wholesale Bank Group of the Whole World"])
def test_an_android_app_gets_the_code_in_every_language(language: str, domain: str, brand: str) -> None:
    text = sms(language, "000042", app_hash=HASH, domain=domain, brand=brand)
    assert retrieved(text, HASH) == "000042"
    assert segments(text) == 1
    assert text.split("\n")[-2 if domain else -1] == HASH


def test_an_app_hash_that_leaves_no_room_for_the_context_is_left_out() -> None:
    text = sms("hi", app_hash=HASH, domain=HOST, context=CONTEXT)
    assert HASH not in text
    assert all(value in text for value in CONTEXT.values())


@settings(max_examples=150, deadline=None)
@given(
    language=st.sampled_from(languages()),
    code=st.from_regex(r"[0-9A-Z]{4,10}", fullmatch=True),
    brand=st.text(alphabet=st.sampled_from("abz &.'-éłßжक中😀ة"), min_size=1, max_size=20).filter(str.strip),
    domain=st.sampled_from(["", "a.example", HOST]),
    app_hash=st.sampled_from(["", HASH]),
)
def test_whatever_the_brand_the_code_the_hash_and_the_domain_one_segment_carries_them(
    language: str, code: str, brand: str, domain: str, app_hash: str
) -> None:
    text = sms(language, code, brand=brand, domain=domain, app_hash=app_hash)
    assert segments(text) == 1
    assert code in text.split("\n")[0]
    assert (origin_bound(text) is not None) == bool(domain)
    assert len(text.encode()) <= 140 or HASH not in text
