"""What the configuration says of orders is what the judge is given."""

from __future__ import annotations

from pathlib import Path

from channels.contract import Cost
from channels.price import micros
from gateway.config import load
from gateway.guard.standing import Terms
from gateway.http.app import _prices, _terms

CONFIG = Path(__file__).parents[3] / "config.yaml"


def test_the_defaults_of_the_configuration_are_those_of_the_judge() -> None:
    assert _terms(load(CONFIG, {}, make_keys=False).config.ordering) == Terms()


def test_prices_are_known_by_provider_and_channel(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        CONFIG.read_text().replace("price: {}", "price: {sms: 0.0079 USD, voice: {default: 1 USD, FR: 2 USD}}")
    )
    assert _prices(load(file, {}, make_keys=False)) == {
        ("simulator", "sms"): Cost(7_900, "USD"),
        ("simulator", "voice"): Cost(1_000_000, "USD"),
    }


def test_a_price_is_reckoned_in_millionths_without_a_rounding() -> None:
    assert micros("0.000001 INR") == (1, "INR")
    assert micros("123456.789012 USD") == (123_456_789_012, "USD")
