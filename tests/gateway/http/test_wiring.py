"""What the configuration says of orders is what the judge is given."""

from __future__ import annotations

from pathlib import Path

from channels.price import micros
from gateway.config import load
from gateway.guard.standing import Terms
from gateway.http.app import _terms

CONFIG = Path(__file__).parents[3] / "config.yaml"


def test_the_defaults_of_the_configuration_are_those_of_the_judge() -> None:
    assert _terms(load(CONFIG, {}, make_keys=False).config.ordering) == Terms()


def test_a_price_is_reckoned_in_millionths_without_a_rounding() -> None:
    assert micros("0.000001 INR") == (1, "INR")
    assert micros("123456.789012 USD") == (123_456_789_012, "USD")
