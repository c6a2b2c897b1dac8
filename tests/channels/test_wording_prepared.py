"""Words that were prepared once are the words that would have been found anew."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.contract import Channel
from channels.wording import Terms, languages, prepared, word, word_again

TEMPLATES = (("sms", "{brand} says {code}, for {minutes} min."), ("subject", "{brand}"), ("email", "Hi\n\n{code}"))
TERMS = Terms("Acme", "en", 10, "login", "", "", 1, ())
AWKWARD = ["Acme", "Łódź", "A_B", "____", "7777", "Ac{code}me", "Ac<b>&", "x" * 40, "会社"]


@given(
    channel=st.sampled_from(Channel),
    code=st.from_regex(r"[0-9A-Za-z]{4,10}", fullmatch=True),
    terms=st.builds(
        Terms,
        st.sampled_from(AWKWARD),
        st.sampled_from([*languages(), "tlh"]),
        st.sampled_from([1, 10, 119, 120, 1440]),
        st.sampled_from(["login", "payment", "moon_landing"]),
        st.sampled_from(["", "shop.example", "a" * 60 + ".example"]),
        st.sampled_from(["", "FA+9qCX9VSu"]),
        st.sampled_from([1, 2]),
        st.sampled_from([(), TEMPLATES, TEMPLATES[:1], (("sms", "____ {code}"),)]),
    ),
    context=st.sampled_from([{}, {}, {"amount": "12.50 EUR"}]),
)
@settings(max_examples=150, deadline=None)
def test_prepared_words_are_those_that_would_be_found_anew(
    channel: Channel, code: str, terms: Terms, context: dict[str, str]
) -> None:
    assert word_again(channel, code, terms, context) == word(channel, code, terms.brief(context))


@pytest.mark.parametrize("minutes", range(1, 200, 7))
def test_whole_minutes_are_all_that_a_wording_knows_of_its_time(minutes: int) -> None:
    terms = TERMS._replace(minutes=minutes)
    exact = terms.brief({})
    for channel in Channel:
        for seconds in (60 * minutes, 60 * minutes + 59):
            later = type(exact)(exact.brand, exact.locale, seconds, exact.purpose)
            assert word_again(channel, "482913", terms, {}) == word(channel, "482913", later)


def test_a_brand_that_looks_like_a_gap_is_worded_anew() -> None:
    assert prepared._prepared(Channel.SMS, 4, TERMS) is not None
    assert prepared._prepared(Channel.SMS, 4, TERMS._replace(brand="A____")) is None


def test_a_wrong_gap_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cyrillic counts for more than a digit in an SMS: a text prepared with it would be shorter than need be."""
    terms = TERMS._replace(brand="Acme Bank of the Four Winds")
    prepared._prepared.cache_clear()
    monkeypatch.setattr(prepared, "_GAP", "я")
    try:
        assert prepared._prepared(Channel.SMS, 6, terms) is None
    finally:
        prepared._prepared.cache_clear()


def test_a_code_is_looked_at_although_its_words_are_ready() -> None:
    for wrong in ("48 913", "４８２９１３", "48291\n"):
        with pytest.raises(ValueError, match="4 to 10 letters or digits"):
            word_again(Channel.SMS, wrong, TERMS, {})


def test_nothing_that_is_kept_has_a_code_in_it() -> None:
    word_again(Channel.EMAIL, "482913", TERMS, {})
    kept = prepared._prepared(Channel.EMAIL, 6, TERMS)
    assert kept is not None
    assert "482913" not in repr(kept)
    assert prepared._prepared.cache_info().maxsize == prepared._MOST
