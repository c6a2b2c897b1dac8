"""The phrases of each language are whole, and a locale finds the language that suits it best."""

import unicodedata

import pytest

from channels.wording import languages
from channels.wording.gsm7 import is_gsm7
from channels.wording.phrases import check_phrases, load, negotiate


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("pt-BR", "pt-BR"), ("pt_BR", "pt-BR"), ("PT-br", "pt-BR"), ("pt-AO", "pt"), ("es-419", "es"), ("en-GB", "en"),
        ("zh", "zh"), ("zh-CN", "zh"), ("zh-Hans-TW", "zh"), ("zh-TW", "zh-Hant"), ("zh-Hant-TW", "zh-Hant"),
        ("zh-HK", "zh-Hant"), ("de-CH-1996", "de"), ("de-x-private-use", "de"), ("ar-EG-u-nu-arab", "ar"),
        ("in", "id"), ("", "en"), ("tlh", "en"), ("-", "en"), ("x", "en"), ("../en", "en"), ("de" * 4000, "en"),
        ("de" + "-x" * 4000, "en"), ("\x00", "en"), ("١", "en"),
    ],
)  # fmt: skip
def test_a_locale_finds_its_language_and_an_unknown_one_english(locale: str, language: str) -> None:
    assert negotiate(locale) == language


@pytest.mark.parametrize("language", languages())
def test_every_language_has_all_phrases_in_composed_letters_without_blanks_around(language: str) -> None:
    phrases = load(language)
    for name, text in phrases.texts.items():
        assert unicodedata.is_normalized("NFC", text), name
        assert name in {"gap", "pause", "stop"} or text == text.strip() != "", name


@pytest.mark.parametrize("language", languages())
def test_a_language_is_written_in_the_direction_of_its_letters(language: str) -> None:
    phrases = load(language)
    rightward = any(unicodedata.bidirectional(letter) in {"R", "AL"} for letter in phrases["warning"])
    assert phrases["direction"] == ("rtl" if rightward else "ltr")


@pytest.mark.parametrize("language", languages())
def test_the_last_spoken_digit_is_never_followed_by_a_full_stop_that_makes_it_an_ordinal(language: str) -> None:
    assert "." not in load(language)["stop"]


@pytest.mark.parametrize("language", ["en", "es", "pt", "pt-BR", "fr", "de", "it", "nl", "id", "pl"])
def test_a_language_of_latin_script_words_its_sms_in_the_cheap_alphabet(language: str) -> None:
    for name, text in load(language).texts.items():
        if name.split(".")[0] in {"message", "expiry", "warning", "minutes", "hours", "label", "pause", "gap"}:
            assert is_gsm7(text.replace("{", "").replace("}", "")), name


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("expiry", "Soon.", "en.yaml: expiry: write {time}, each once"),
        ("expiry", "In {time}, {time}.", "en.yaml: expiry: write {time}, each once"),
        ("warning", "Not {code}!", "en.yaml: warning: write no placeholder, each once"),
        ("message.login", "{code}", "en.yaml: message.login: write {brand}, {code}, each once"),
        ("colour", "red", "en.yaml: missing or unknown: colour"),
    ],
)
def test_a_language_with_a_faulty_phrase_is_refused(name: str, text: str, problem: str) -> None:
    with pytest.raises(ValueError) as refused:
        check_phrases("en", dict(load("en").texts) | {name: text})
    assert str(refused.value) == problem


def test_a_language_that_does_not_ship_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^there is no language '\.\./en': add"):
        load("../en")
