"""What a reply asks for: the words of the carriers and of the law, and what is not one of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.replies import Wish, wish


@pytest.mark.parametrize(
    "text",
    [
        *(
            "stop",
            "STOP",
            " Stop. ",
            "stopall",
            "STOP ALL",
            "Unsubscribe",
            "cancel",
            "end",
            "quit!",
            "revoke",
            "optout",
        ),
        *(
            "opt out",
            "Opt-Out",
            "opt out please",
            "STOP sending me this",
            "“stop”",
            "\u202estop",
            "stop\n\nSent by phone",
        ),
    ],
)
def test_a_person_who_says_stop_is_understood(text: str) -> None:
    assert wish(text) is Wish.STOP


@pytest.mark.parametrize("text", ["start", "START", "Unstop.", "yes", " Yes! "])
def test_a_person_who_says_start_is_understood(text: str) -> None:
    assert wish(text) is Wish.START


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "...", "help", "482913", "yes, I got it", "start again", "don't stop", "opt", "ending", "stopp"),
        *("please unstop", "no", "who is this?", "_", "STOP"[:3], "s t o p"),
    ],
)
def test_anything_else_is_no_wish(text: str) -> None:
    assert wish(text) is None


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    assert wish(text) in (None, Wish.STOP, Wish.START)
    assert wish(f"stop {text}") is Wish.STOP


def test_a_text_of_any_length_is_read_no_further_than_ten_parts() -> None:
    assert wish("." * 10_000_000 + "stop") is None
