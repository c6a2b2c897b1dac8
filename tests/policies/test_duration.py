"""Lengths of time as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from policies.duration import Duration, milliseconds, within, written


@pytest.mark.parametrize(
    ("text", "length"),
    [("500ms", 500), ("30s", 30_000), ("10m", 600_000), ("24h", 86_400_000), ("7d", 604_800_000), (30, 30_000), (0, 0)],
)
def test_a_length_is_read_in_milliseconds_and_a_plain_number_is_seconds(text: object, length: int) -> None:
    assert milliseconds(text) == length


@pytest.mark.parametrize(
    "value",
    ["", "10", "10 m", "-10s", "1.5h", "10M", "1h30m", "١٠s", "10s\n", True, 1.5, None, -1, [10], "9" * 13 + "s"],
)
def test_anything_else_is_refused_with_what_to_write(value: object) -> None:
    with pytest.raises(ValueError) as refused:
        milliseconds(value)
    expected = "not a length of time: write a whole number and a unit, such as 200ms, 30s, 10m or 24h"
    assert str(refused.value) == expected


@given(st.integers(0, 10**10))
def test_what_is_written_reads_back_the_same(length: int) -> None:
    assert milliseconds(written(length)) == length


def test_the_largest_exact_unit_is_written() -> None:
    assert [written(length) for length in (0, 500, 90_000, 600_000, 86_400_000)] == ["0s", "500ms", "90s", "10m", "1d"]


def test_a_length_out_of_bounds_is_told_in_units() -> None:
    hold = within("1s", "10m").func
    assert hold(1000) == 1000  # type: ignore[call-arg]
    assert hold(600_000) == 600_000  # type: ignore[call-arg]
    with pytest.raises(ValueError) as refused:
        hold(601_000)  # type: ignore[call-arg]
    assert str(refused.value) == "601s is out of range: write something from 1s to 10m"


def test_a_duration_is_written_to_json_with_its_unit() -> None:
    kind = TypeAdapter(Duration)
    assert kind.dump_json(kind.validate_python("10m")) == b'"10m"'
    assert kind.validate_json(b'"10m"') == 600_000
