"""The keys: ids that can't be guessed, tokens that can't be made up, seals that fit one verification."""

from __future__ import annotations

import base64
import hmac
import secrets
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.keys import SHARDS, Callee, Keyring, Unopenable, api_key_hash, derive, new_id, shard_of

LOOKUP, OLD, NEW = bytes(32), b"o" * 32, b"n" * 32


@pytest.fixture
def keys() -> Keyring:
    return Keyring(LOOKUP, {"k1": OLD})


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_an_id_is_its_shard_and_128_random_bits() -> None:
    raws = [_raw(new_id(5).removeprefix("ver_")) for _ in range(20_000)]
    assert {len(raw) for raw in raws} == {17}
    assert {raw[0] for raw in raws} == {5}
    assert len(set(raws)) == len(raws)
    ones = Counter(bit for raw in raws for bit in range(128) if raw[1 + bit // 8] >> bit % 8 & 1)
    # Each bit is one in half of the ids: 20,000 throws stray from 10,000 by 500 (7 sigma) but once in 10^11.
    assert len(ones) == 128
    assert all(9_500 < ones[bit] < 10_500 for bit in range(128))


@pytest.mark.parametrize("shard", range(SHARDS))
def test_an_id_tells_its_shard(shard: int) -> None:
    assert shard_of(new_id(shard)) == shard


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ver_",
        "ver_" + "A" * 22,
        "ver_" + "A" * 24,
        "A" * 27,
        "xxx_" + "A" * 23,
        "ver_" + "!" * 23,
        "ver_" + "é" * 23,
        "ver_" + "_" * 23,  # shard 255
        "ver_" + "A" * 22 + "B",  # the same bytes, spelled another way
        "ver_" + "+" * 23,
        "ver_ver_" + "A" * 19,
    ],
)
def test_what_is_no_id_has_no_shard(text: str) -> None:
    assert shard_of(text) is None


@given(st.text(max_size=40))
def test_no_text_makes_reading_an_id_fail(text: str) -> None:
    assert shard_of(text) is None or text.startswith("ver_")


def test_destinations_spread_over_all_shards_and_stay_where_they_are(keys: Keyring) -> None:
    numbers = [f"+1415555{n:04d}" for n in range(2_000)]
    assert {keys.shard(n) for n in numbers} == set(range(SHARDS))
    assert all(keys.shard(n) == Keyring(LOOKUP, {"k9": NEW}).shard(n) for n in numbers[:50])


def test_a_name_in_the_store_tells_nothing_without_the_lookup_key(keys: Keyring) -> None:
    other = Keyring(b"x" * 32, {"k1": OLD})
    assert keys.name("limit", "app", "+14155550123") != other.name("limit", "app", "+14155550123")
    assert keys.name("limit", "app", "+14155550123") != keys.name("target", "app", "+14155550123")
    assert keys.name("limit", "a", "bc") != keys.name("limit", "ab", "c")
    assert keys.hashed("target", "\ud800")  # what JSON can carry never raises


def test_a_name_by_its_last_part_is_the_name(keys: Keyring) -> None:
    one = keys.namer("limit", "shop", "ip")
    assert [one(text) for text in ("203.0.113.7", "", "\ud800")] == [
        keys.name("limit", "shop", "ip", text) for text in ("203.0.113.7", "", "\ud800")
    ]
    assert len({keys.name("limit", *parts) for parts in (("a", "b", "c"), ("a", "b\x1f", "c"), ("a", "bc"))}) == 3


def test_the_names_of_an_address_are_of_one_app_and_each_of_them_another(keys: Keyring) -> None:
    asked = [("shop", "phone", "+14155550123"), ("bank", "phone", "+14155550123"), ("shop", "email", "+14155550123")]
    found = [name for one in asked for name in keys.names(*one)]
    assert len(set(found)) == 9
    assert {len(name) for name in found} == {16}
    assert keys.names(*asked[0]) == tuple(found[:3])
    assert keys.names("shop", "phone", "\ud800") != keys.names("shop", "phone", "?")


def test_the_beginnings_of_a_number_are_hashed_as_entries_are(keys: Keyring) -> None:
    expected = keys.hashes("list", "shop", ["+4479*", "+447*", "+44*", "+4*"])
    assert keys.beginnings("list", "shop", "+4479") == keys.beginnings("list", "shop", "+4479") == expected
    assert keys.beginnings("list", "bank", "+4479") != expected


def test_what_lies_nowhere_in_particular_is_spread_over_all_shards(keys: Keyring) -> None:
    shards = Counter(Keyring.shard_of_name(keys.name("limit", "ip", str(n))) for n in range(6_400))
    assert set(shards) == set(range(SHARDS))
    assert max(shards.values()) < 170  # of 100 each: seven times the usual deviation


def test_a_token_names_its_attempt(keys: Keyring) -> None:
    id_ = new_id(3)
    assert keys.callee(keys.token(id_, 7, "twilio"), "twilio") == Callee(id_, 7)


def test_a_token_with_any_byte_changed_is_none_of_ours(keys: Keyring) -> None:
    raw = bytearray(_raw(keys.token(new_id(3), 1, "twilio")))
    for at in range(len(raw)):
        for flip in (1, 0x80, 0xFF):
            forged = bytes([*raw[:at], raw[at] ^ flip, *raw[at + 1 :]])
            assert keys.callee(base64.urlsafe_b64encode(forged).rstrip(b"=").decode(), "twilio") is None


def test_a_signature_that_is_not_looked_at_would_be_noticed(monkeypatch: pytest.MonkeyPatch, keys: Keyring) -> None:
    """The twin of the test above: with the comparison gone, its forgeries pass."""
    raw = bytearray(_raw(keys.token(new_id(3), 1, "twilio")))
    raw[-1] ^= 1
    monkeypatch.setattr("gateway.core.keys.hmac.compare_digest", lambda _a, _b: True)
    assert keys.callee(base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode(), "twilio") is not None


def test_a_token_of_another_provider_attempt_or_gateway_is_none_of_ours(keys: Keyring) -> None:
    id_ = new_id(3)
    token = keys.token(id_, 1, "twilio")
    assert keys.callee(token, "vonage") is None
    assert keys.token(id_, 2, "twilio") != token
    assert Keyring(LOOKUP, {"k1": NEW}).callee(token, "twilio") is None


@pytest.mark.parametrize("bad", ["", "A", "é" * 46, "A" * 46, "A" * 45, "=" * 46, "A" * 10_000, "\ud800"])
def test_a_callback_address_made_up_names_nobody(keys: Keyring, bad: str) -> None:
    assert keys.callee(bad, "twilio") is None


def test_a_token_spelled_another_way_is_none_of_ours(keys: Keyring) -> None:
    token = keys.token(new_id(3), 1, "twilio")
    for other in (token + "=", token + "==", " " + token, token + "\n", token.swapcase()):
        assert keys.callee(other, "twilio") is None


def test_what_is_sealed_opens_for_its_verification_only(keys: Keyring) -> None:
    mine, other = new_id(1), new_id(1)
    sealed = keys.seal(mine, b"482913")
    assert keys.open("k1", mine, sealed) == b"482913"
    with pytest.raises(Unopenable):
        keys.open("k1", other, sealed)


def test_a_seal_with_any_byte_changed_or_missing_does_not_open(keys: Keyring) -> None:
    id_ = new_id(1)
    sealed = keys.seal(id_, b"482913")
    for at in range(len(sealed)):
        for broken in (sealed[:at], bytes([*sealed[:at], sealed[at] ^ 1, *sealed[at + 1 :]])):
            with pytest.raises(Unopenable):
                keys.open("k1", id_, broken)


def test_no_two_seals_are_alike(keys: Keyring) -> None:
    id_ = new_id(1)
    assert len({keys.seal(id_, b"482913") for _ in range(1_000)}) == 1_000


@given(code=st.text(alphabet="0123456789ABCXYZ", min_size=4, max_size=10))
def test_a_digest_is_the_hmac_that_anybody_can_compute(code: str) -> None:
    keys, one = Keyring(LOOKUP, {"k1": OLD}), new_id(1)
    library = hmac.digest(derive(OLD, "digest"), f"{one}\x1f{code}".encode(), "sha256")
    assert keys.digest("k1", one, code) == keys.digests(one, code)["k1"] == library[:16]


def test_a_digest_fits_one_code_of_one_verification_under_one_key(keys: Keyring) -> None:
    both = Keyring(LOOKUP, {"k2": NEW, "k1": OLD})
    one, two = new_id(1), new_id(1)
    digests = {
        keys.digest("k1", one, "482913"),
        keys.digest("k1", one, "482914"),
        keys.digest("k1", two, "482913"),
        both.digest("k2", one, "482913"),
    }
    assert len(digests) == 4
    assert both.digest("k1", one, "482913") == keys.digest("k1", one, "482913")


def test_while_keys_rotate_both_live_and_the_first_seals(keys: Keyring) -> None:
    id_ = new_id(1)
    sealed, token = keys.seal(id_, b"482913"), keys.token(id_, 1, "twilio")
    both = Keyring(LOOKUP, {"k2": NEW, "k1": OLD})
    assert both.active == "k2"
    assert both.open("k1", id_, sealed) == b"482913"
    assert both.callee(token, "twilio") == Callee(id_, 1)
    assert set(both.digests(id_, "482913")) == {"k1", "k2"}
    assert both.open("k2", id_, both.seal(id_, b"1")) == b"1"


def test_a_retired_key_opens_nothing(keys: Keyring) -> None:
    id_ = new_id(1)
    sealed, token = keys.seal(id_, b"482913"), keys.token(id_, 1, "twilio")
    new = Keyring(LOOKUP, {"k2": NEW})
    for key_id in ("k1", "k2"):
        with pytest.raises(Unopenable):
            new.open(key_id, id_, sealed)
    assert new.callee(token, "twilio") is None
    assert "k1" not in new.digests(id_, "482913")


def test_a_keyring_shows_no_key() -> None:
    lookup, sealing = secrets.token_bytes(32), secrets.token_bytes(32)
    shown = repr(Keyring(lookup, {"k1": sealing}))
    assert all(part not in shown for part in (repr(lookup)[2:-1], repr(sealing)[2:-1], lookup.hex(), sealing.hex()))


def test_an_api_key_is_kept_as_its_sha256() -> None:
    assert api_key_hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
