"""The keys: what is stored is sealed or hashed under them, so that the store alone tells nobody anything."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import random
import re
import secrets
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from _blake2 import blake2b

SHARDS = 64
"""How many slots of its own kind the state is spread over. Part of every stored key: never change it."""

ID_PREFIX = "ver_"
_ID_RANDOM = 16  # bytes: 128 random bits, after one byte for the shard
_SEXTETS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"  # base64url: RFC 4648, section 5
_ID = re.compile(f"{ID_PREFIX}[A-P][A-Za-z0-9_-]{{21}}[AEIMQUYcgkosw048]")
"""17 bytes in base64url, the first of them below 64, and the last two of 138 bits nothing: each id has one spelling."""
_AT = len(ID_PREFIX)
_WHOLE = 22  # characters of an id without its prefix that stand for six of its bits each
_NONCE = 12
_TAG = 16
_SAID = 1 + _ID_RANDOM + 1  # bytes of a callback token before its signature: an id and the number of an attempt
_TOKEN = re.compile("[A-Za-z0-9_-]{45}[AQgw]")
"""34 bytes in base64url, and the last four of 276 bits nothing: each token has one spelling."""
_DIGEST = 16
_NAME, _CHARACTERS = 12, 16  # bytes of a name, and what they are in base64
_REMEMBERED = 2_048  # shards of destinations, places of prefixes, and beginnings of names
_VALUES = {
    character: value
    for value, character in enumerate(string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/")
}
"""What each character of base64 stands for."""


_URLSAFE = bytes.maketrans(b"+/", b"-_")


class Unopenable(Exception):
    """The sealing key is gone, or what was sealed is not for this verification."""


def derive(secret: bytes, purpose: str) -> bytes:
    """A 32-byte key for one purpose (HKDF-Expand of RFC 5869 with one block: the secrets are random already)."""
    return hmac.digest(secret, f"otp-gateway {purpose}".encode() + b"\x01", "sha256")


def _b64(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).translate(_URLSAFE).rstrip(b"=").decode("ascii")


def _unb64(text: str, padding: str) -> bytes:
    """`translate` takes fifty times as long on text."""
    return binascii.a2b_base64(text.replace("-", "+").replace("_", "/") + padding)


def _named(begun: blake2b, last: str) -> str:
    state = begun.copy()
    state.update(last.encode("utf-8", "surrogatepass"))
    return binascii.b2a_base64(state.digest()[:_NAME], newline=False).decode("ascii")


def _continued(begun: blake2b, data: bytes) -> bytes:
    """The digest of what was read so far, the key included, and this."""
    state = begun.copy()
    state.update(data)
    return state.digest()


def _any_is(those: Iterable[bytes], given: bytes) -> bool:
    """Whether one of those was given, in a time that doesn't tell how nearly."""
    return True in [hmac.compare_digest(each, given) for each in those]


def new_id(shard: int, randbytes: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """A verification id: its shard and 128 random bits."""
    return ID_PREFIX + _b64(bytes([shard]) + randbytes(_ID_RANDOM))


def shard_of(verification_id: str) -> int | None:
    """The shard that an id names, or None for what is no id."""
    if _ID.fullmatch(verification_id) is None:
        return None
    return _SEXTETS.index(verification_id[_AT]) << 2 | _SEXTETS.index(verification_id[_AT + 1]) >> 4


class _Hmac:
    """HMAC-SHA-256 under one key, of which both blocks that hold the key are read once (RFC 2104 §4 suggests it): half
    of what the library's takes, which reads them for each message."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        """`key` has 64 bytes at the most."""
        padded = key.ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes([byte ^ 0x36 for byte in padded]))
        self._outer = hashlib.sha256(bytes([byte ^ 0x5C for byte in padded]))

    def digest(self, message: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


@dataclass(frozen=True, slots=True)
class _SealingKey:
    aead: AESGCM
    digest: _Hmac
    token: blake2b


@dataclass(frozen=True, slots=True)
class Callee:
    """Whom a callback token names."""

    verification: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Keyring:
    """All keys in one place. `sealing` is ordered: the first seals, all of them open. `random` makes ids, codes and
    nonces: the system's randomness, but in a simulation that must run the same way twice."""

    lookup: bytes = field(repr=False)
    sealing: Mapping[str, bytes] = field(repr=False)
    random: random.Random = field(default_factory=secrets.SystemRandom, repr=False)
    active: str = field(init=False, repr=False)
    """The id of the key that seals."""
    _keys: dict[str, _SealingKey] = field(default_factory=dict, repr=False)
    _lookup: dict[str, blake2b] = field(default_factory=dict, repr=False)
    _states: Callable[[str, tuple[str, ...]], blake2b] = field(init=False, repr=False, compare=False)
    _beginnings: Callable[[str, str, str], tuple[bytes, ...]] = field(init=False, repr=False, compare=False)
    _moved: Callable[[str], int] = field(init=False, repr=False, compare=False)
    target: Callable[[str], bytes] = field(init=False, repr=False, compare=False)
    """16 bytes that stand for a destination, whatever the app."""

    def __post_init__(self) -> None:
        for key_id, secret in self.sealing.items():
            self._keys[key_id] = _SealingKey(
                AESGCM(derive(secret, "seal")),
                _Hmac(derive(secret, "digest")),
                hashlib.blake2b(key=derive(secret, "callback"), digest_size=_TAG),
            )
        purposes = (
            "target",
            "limit",
            "idempotency",
            "fingerprint",
            "traffic",
            "suppression",
            "list",
            "spend",
            "watch",
        )
        for purpose in purposes:
            self._lookup[purpose] = hashlib.blake2b(key=derive(self.lookup, purpose), digest_size=16)
        self._lookup["address"] = hashlib.blake2b(key=derive(self.lookup, "address"), digest_size=3 * _NAME)
        object.__setattr__(self, "active", next(iter(self.sealing)))
        object.__setattr__(self, "_states", lru_cache(_REMEMBERED)(self._state))
        object.__setattr__(self, "_beginnings", lru_cache(_REMEMBERED)(self._of_beginnings))
        object.__setattr__(self, "_moved", lru_cache(_REMEMBERED)(self._move))
        object.__setattr__(self, "target", lru_cache(_REMEMBERED)(self._target))

    def hashed(self, purpose: str, *parts: str) -> bytes:
        """16 bytes that stand for these strings in keys of the store: the same for the same, and enumerable by nobody
        without the lookup key (a plain hash of a phone number is undone in minutes). Keyed BLAKE2b is a MAC by itself
        (RFC 7693 §2.9), at a third of what HMAC costs."""
        return self._mac(purpose, "\x1f".join(parts).encode("utf-8", "surrogatepass"))

    def hashes(self, purpose: str, of: str, texts: Iterable[str]) -> tuple[bytes, ...]:
        """`hashed` for each of many texts that belong to one thing, which is read once."""
        begun = self._states(purpose, (of,))
        return tuple([_continued(begun, text.encode("utf-8", "surrogatepass")) for text in texts])

    def beginnings(self, purpose: str, of: str, number: str) -> tuple[bytes, ...]:
        """`hashed` for every `number*` that a number begins with, the longest first: +4479*, +447*, +44*, +4*. Those of
        one range are asked for again and again, so they are remembered."""
        return self._beginnings(purpose, of, number)

    def name(self, purpose: str, *parts: str) -> str:
        """16 characters that a key of the store is named by: 96 bits of `hashed`, in base64. Even of a billion names no
        two are alike, but with a chance of one in a hundred billion."""
        return _named(self._states(purpose, parts[:-1]), parts[-1])

    def namer(self, purpose: str, *parts: str) -> Callable[[str], str]:
        """`name` by its last part, for one after the other."""
        return partial(_named, self._states(purpose, parts))

    def names(self, app: str, kind: str, address: str) -> tuple[str, str, str]:
        """Three names of an address for an app, cut out of one digest: it takes no longer to make than one name."""
        state = self._states("address", (app, kind)).copy()
        state.update(address.encode("utf-8", "surrogatepass"))
        text = binascii.b2a_base64(state.digest(), newline=False).decode("ascii")
        return text[:_CHARACTERS], text[_CHARACTERS:-_CHARACTERS], text[-_CHARACTERS:]

    def fingerprint(self, body: bytes) -> bytes:
        """16 bytes that stand for a request's body."""
        return self._mac("fingerprint", body)

    def shard(self, target: str) -> int:
        """The shard of a destination."""
        return self.target(target)[0] % SHARDS

    def _mac(self, purpose: str, data: bytes) -> bytes:
        return _continued(self._lookup[purpose], data)

    @staticmethod
    def shard_of_name(name: str) -> int:
        """The shard of what lies nowhere in particular: a name is a hash already, and its first six bits are one of 64
        shards."""
        return _VALUES[name[0]]

    def _state(self, purpose: str, parts: tuple[str, ...]) -> blake2b:
        """A digest that has read all but the last part of a name."""
        state = self._lookup[purpose].copy()
        state.update("".join([f"{part}\x1f" for part in parts]).encode("utf-8", "surrogatepass"))
        return state

    def _of_beginnings(self, purpose: str, of: str, number: str) -> tuple[bytes, ...]:
        return self.hashes(purpose, of, [f"{number[:length]}*" for length in range(len(number), 1, -1)])

    def _target(self, address: str) -> bytes:
        return self.hashed("target", address)

    def place(self, prefix: str, digits: int) -> int:
        """Where a number stands among the ten thousand of its prefix, moved by as much as only the lookup key tells:
        neighbours stay neighbours, and nobody reads the digits out of it."""
        return (digits + self._moved(prefix)) % 10_000

    def _move(self, prefix: str) -> int:
        return int.from_bytes(self.hashed("watch", "place", prefix)[:8])

    def digest(self, key_id: str, verification: str, code: str) -> bytes:
        """What a check compares: 128 bits (RFC 2104 §5 asks for no more), bound to the verification, so that a code
        fits nowhere else."""
        return self._keys[key_id].digest.digest(f"{verification}\x1f{code}".encode())[:_DIGEST]

    def digests(self, verification: str, code: str) -> dict[str, bytes]:
        """The digest under every live key: the check does not know which one the code was made under."""
        said = f"{verification}\x1f{code}".encode()
        return {key_id: key.digest.digest(said)[:_DIGEST] for key_id, key in self._keys.items()}

    def seal(self, verification: str, plain: bytes) -> bytes:
        nonce = self.random.randbytes(_NONCE)
        return nonce + self._keys[self.active].aead.encrypt(nonce, plain, verification.encode())

    def open(self, key_id: str, verification: str, sealed: bytes) -> bytes:
        """Raises Unopenable."""
        key = self._keys.get(key_id)
        if key is None or len(sealed) < _NONCE + _TAG:
            raise Unopenable
        try:
            return key.aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], verification.encode())
        except InvalidTag:
            raise Unopenable from None

    def token(self, verification: str, attempt: int, provider: str) -> str:
        """The last part of a callback address: says which attempt of which verification, and can't be made up."""
        raw = _unb64(verification[_AT:], "=") + bytes([attempt])  # written by new_id: nobody else's to check
        return _b64(raw + self._sign(self.active, raw, provider))

    def callee(self, token: str, provider: str) -> Callee | None:
        """Whom a token names, or None when it is no token of ours for this provider."""
        if _TOKEN.fullmatch(token) is None:
            return None
        raw = _unb64(token, "==")
        said, signature = raw[:_SAID], raw[_SAID:]
        if not _any_is([self._sign(key_id, said, provider) for key_id in self._keys], signature):
            return None
        own = token[:_WHOLE] + _SEXTETS[_SEXTETS.index(token[_WHOLE]) & 0b111100]  # the rest of it is the attempt's
        return Callee(ID_PREFIX + own, raw[_SAID - 1])

    def _sign(self, key_id: str, raw: bytes, provider: str) -> bytes:
        return _continued(self._keys[key_id].token, raw + provider.encode())


def api_key_hash(key: str) -> str:
    """The SHA-256 of an API key, in hex: what the configuration holds. A key has 128 random bits, so no salt."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
