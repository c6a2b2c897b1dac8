"""Every language on every channel: who asks, for what, the code, for how long, and that it is nobody else's."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.contract import Channel
from channels.wording import Brief, check_brand, languages, word
from channels.wording.phrases import PURPOSES, load

EVERY = [(language, channel) for language in languages() for channel in Channel]
CONTEXT = {"amount": "12.50 EUR", "payee": "ACME"}


def brief(language: str = "en", **more: object) -> Brief:
    return Brief(**({"brand": "Acme", "locale": language, "expires_in": 600} | more))


def test_the_promised_languages_ship() -> None:
    assert {"en", "es", "pt", "fr", "de", "hi", "ar", "id", "zh", "ja"} <= set(languages())


@pytest.mark.parametrize(("language", "channel"), EVERY)
def test_every_message_names_the_brand_and_has_the_code_once(language: str, channel: Channel) -> None:
    for purpose, code in itertools.product(PURPOSES, ["000042", "0A1B2C3D4E"]):
        wording = word(channel, code, brief(language, purpose=purpose))
        assert wording.language == language
        assert wording.text.count(code) == 1
        assert "Acme" in wording.text
        assert not re.search(r"\{[a-z]+\}|\$", wording.text + wording.subject + wording.html + wording.spoken)


@pytest.mark.parametrize(("language", "channel"), EVERY)
def test_every_text_says_for_how_long_and_not_to_share_the_code(language: str, channel: Channel) -> None:
    phrases = load(language)
    text = word(channel, "4829", brief(language)).text
    assert "10" in text.replace("4829", "")
    assert phrases["warning"] in text or phrases["secrecy"] in text


@pytest.mark.parametrize(("language", "channel"), EVERY)
def test_what_the_code_is_bound_to_is_shown_on_every_channel(language: str, channel: Channel) -> None:
    wording = word(channel, "482913", brief(language, purpose="payment", context=CONTEXT))
    for shown in (wording.text, wording.spoken if channel is Channel.VOICE else wording.text):
        assert "12.50 EUR" in shown
        assert "ACME" in shown


def test_each_purpose_reads_differently_and_an_unknown_one_as_verification() -> None:
    texts = {purpose: word(Channel.SMS, "482913", brief(purpose=purpose)).text for purpose in PURPOSES}
    assert len(set(texts.values())) == len(PURPOSES)
    assert word(Channel.SMS, "482913", brief(purpose="moon_landing")).text == texts["verification"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(30, "1 min"), (90, "1 min"), (600, "10 min"), (7199, "119 min"), (7200, "2 h"), (86400, "24 h")],
)
def test_the_time_shown_is_never_longer_than_the_code_lives(seconds: int, shown: str) -> None:
    assert f"Expires in {shown}." in word(Channel.SMS, "482913", brief(expires_in=seconds)).text


@pytest.mark.parametrize("language", languages())
def test_a_call_says_every_character_apart_and_the_whole_code_twice(language: str) -> None:
    spoken = word(Channel.VOICE, "00a9Z7", brief(language)).spoken
    pause = load(language)["pause"].strip()
    apart = rf"0\s*{pause}\s*0\s*{pause}\s*A\s*{pause}\s*9\s*{pause}\s*Z\s*{pause}\s*7(?![.\w])"
    assert len(re.findall(apart, spoken)) == 2
    assert "00" not in spoken
    assert "Acme" in spoken


def test_a_call_in_english_reads_like_this() -> None:
    assert word(Channel.VOICE, "0429", brief(purpose="login")).spoken == (
        "Hello. Your Acme login code: 0, 4, 2, 9; Once more: 0, 4, 2, 9; Do not share this code with anyone."
    )


def test_nothing_that_is_spoken_can_become_markup() -> None:
    spoken = word(Channel.VOICE, "4829", brief(brand='</Say><Dial>"&x', context={"payee": "<Hangup/>"})).spoken
    assert not set('<>&"') & set(spoken)


def test_an_operators_call_is_spelled_and_repeated_too() -> None:
    spoken = word(Channel.VOICE, "4829", brief(templates={"voice": "This is {brand}: {code}"})).spoken
    assert spoken == "This is Acme: 4, 8, 2, 9; This is Acme: 4, 8, 2, 9;"


@pytest.mark.parametrize("channel", list(Channel))
def test_an_operators_text_replaces_ours_and_still_shows_the_context(channel: Channel) -> None:
    templates = {str(channel): "{brand} says {code}, {minutes} minutes, 100%n $code"}
    text = word(channel, "482913", brief(templates=templates, context=CONTEXT)).text
    assert text.startswith("Acme says 482913, 10 minutes, 100%n $code\nAmount: 12.50 EUR")
    assert "Payee: ACME" in text


@pytest.mark.parametrize("channel", list(Channel))
@pytest.mark.parametrize("code", ["", "123", "12345678901", "12 345", "١٢٣٤٥٦", "1234\n", "12#34"])
def test_what_is_no_code_is_refused_without_being_shown(channel: Channel, code: str) -> None:
    with pytest.raises(ValueError, match=r"^the code must be 4 to 10 letters or digits of ASCII$"):
        word(channel, code, brief())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("brand", "A\nB"), ("brand", ""), ("domain", "https://shop.example"), ("domain", "shop.example:443"),
        ("domain", "shop.example/x"), ("domain", "bücher.example"), ("domain", "a b.example"), ("domain", "shop"),
        ("domain", "\u212a.example"), ("domain", "shop.example\n"), ("app_hash", "FA+9qCX9VS"),
        ("app_hash", "FA+9qCX9VSu\n"),
        ("expires_in", 0), ("max_segments", 0), ("context", {"payee": "evil.tk"}), ("context", {"evil.tk": "1"}),
        ("context", {str(n): "x" for n in range(9)}), ("templates", {"sms": "no code"}),
        ("templates", {"fax": "{code}"}),
    ],
)  # fmt: skip
def test_a_brief_that_cannot_be_said_safely_does_not_exist(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        brief(**{field: value})


def test_a_brief_shows_neither_context_nor_templates_when_printed() -> None:
    assert "12.50" not in repr(brief(context=CONTEXT))


def brands() -> st.SearchStrategy[str]:
    """Whatever an operator may be called."""

    def accepted(text: str) -> bool:
        try:
            return bool(check_brand(text))
        except ValueError:
            return False

    return st.text(min_size=1, max_size=40).filter(accepted)


@settings(max_examples=150, deadline=None)
@given(brand=brands(), language=st.sampled_from(languages()), channel=st.sampled_from(list(Channel)))
def test_any_brand_can_be_worded_in_any_language(brand: str, language: str, channel: Channel) -> None:
    wording = word(channel, "482913", brief(language, brand=brand, context=CONTEXT))
    assert "482913" in wording.text
    assert "12.50 EUR" in wording.text
    assert "\n" not in wording.subject
