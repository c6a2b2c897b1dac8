"""DKIM: what arrives is verified as a receiver would verify it, and what was changed on the way is not."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import dkim
import dns.asyncresolver
import dns.exception
import dns.resolver
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pydantic import ValidationError

from channels.contract import Context
from channels.examination import Verdict
from channels.providers import _smtp_dkim as module
from channels.providers import smtp
from channels.providers._smtp_dkim import SIGNED, DkimSettings, Signer, look_up
from gateway.config import Invalid, load
from tests.vendors.mail import Mailbox, message, serving, settings

NAME = "otp1._domainkey.shop.example"
SETTINGS = {"domain": "shop.example", "selector": "otp1", "key": {"env": "DKIM_KEY"}}
ROOT = Path(__file__).parents[2]


def pem(key: Any, passphrase: bytes | None = None) -> str:
    hidden = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    raw: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)
    return raw.decode()


@cache
def key(kind: str) -> str:
    return pem(rsa.generate_private_key(65537, 2048) if kind == "rsa" else ed25519.Ed25519PrivateKey.generate())


def signer(kind: str = "ed25519") -> Signer:
    return Signer(DkimSettings.model_validate(SETTINGS), key(kind))


async def sent(kind: str, to: str = "ana@example.org", **keys: Any) -> bytes:
    """A letter as the receiving server got it."""
    box = Mailbox()
    async with serving(box) as port:
        context = Context("mail", "ua", production=False, secrets={"dkim.key": key(kind)})
        mail = smtp.build(settings(port, dkim=SETTINGS, **keys), context)
        await mail.send(message(to, html="<p>Your code is <b>482913</b></p>"))
        await mail.close()
    content = box.letters[0].original_content
    assert content is not None
    return content


def good(content: bytes, kind: str) -> bool:
    """Whether a receiver believes it, who asks the name servers for the key."""
    asked: list[str] = []

    def answer(name: bytes, timeout: int = 5) -> bytes | None:
        asked.append(name.decode().rstrip("."))
        return signer(kind).record.encode() if asked[-1] == NAME else None

    return bool(dkim.verify(content, dnsfunc=answer))


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
@pytest.mark.parametrize("to", ["ana@example.org", "josé@bücher.example"])
async def test_what_arrives_is_verified_with_the_published_key(kind: str, to: str) -> None:
    content = await sent(kind, to, reply_to="help@shop.example")
    assert good(content, kind)
    (line,) = [one for one in content.split(b"\r\n\r\n")[0].replace(b"\r\n ", b" ").split(b"\r\n") if b"DKIM" in one]
    assert f"a={kind}-sha256".encode() in line
    assert b"d=shop.example" in line
    assert b"s=otp1" in line


def covered(content: bytes) -> list[str]:
    """The names of the headers that the signature covers."""
    value = content.split(b"\r\nFrom:")[0].decode().split(":", 1)[1]
    tags = dict(part.strip().split("=", 1) for part in value.split(";"))
    return [name.strip() for name in tags["h"].split(":")]


async def test_each_header_is_covered_once_more_than_it_occurs() -> None:
    names = covered(await sent("ed25519"))
    counts = {name: names.count(name.lower()) for name in SIGNED}
    assert counts == {
        **dict.fromkeys(SIGNED, 2),
        "Reply-To": 1,  # there is none, and none can be added
        "Content-Transfer-Encoding": 1,  # of the parts, not of the whole
    }


def changes(content: bytes) -> dict[str, bytes]:
    added = (
        "From: eve@evil.example",
        "To: eve@evil.example",
        "Subject: Call this number",
        "Reply-To: eve@evil.example",
    )
    return {
        "the sender": content.replace(b"From: Shop", b"From: Eve"),
        "the subject": content.replace(b"Subject: Your", b"Subject: My"),
        "the recipient": content.replace(b"To: ana@", b"To: eve@"),
        "the date": content.replace(b"Date: ", b"Date: Mon, 05 Jan 2026 10:00:00 +0000\r\nX: "),
        "the id": content.replace(b"Message-ID: <", b"Message-ID: <0"),
        "the type": content.replace(b"multipart/alternative", b"multipart/mixed"),
        "the code": content.replace(b"482913", b"482914"),
        "more text": content + b"Call +1 900 555 0100\r\n",
        **{f"a second {line.partition(':')[0]}": line.encode() + b"\r\n" + content for line in added},
    }


def believed(content: bytes) -> list[str]:
    return [name for name, changed in changes(content).items() if good(changed, "ed25519")]


async def test_nothing_that_is_changed_or_added_on_the_way_is_believed() -> None:
    content = await sent("ed25519")
    assert all(changed != content for changed in changes(content).values())
    assert believed(content) == []


async def test_a_signature_that_covers_each_header_once_lets_a_second_one_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def once(self: Any, *parts: Any, include_headers: list[bytes], **how: Any) -> bytes:
        return sign(self, *parts, include_headers=list(dict.fromkeys(include_headers)), **how)

    sign = dkim.DKIM.sign
    monkeypatch.setattr(dkim.DKIM, "sign", once)
    assert "a second Subject" in believed(await sent("ed25519"))


# --- keys ---

NO_KEY = "dkim.key is no private key in PEM without a passphrase"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("not a key", NO_KEY),
        (
            pem(ed25519.Ed25519PrivateKey.generate(), b"secret"),
            NO_KEY,
        ),
        (pem(ec.generate_private_key(ec.SECP256R1())), "dkim.key is of another kind: make an RSA or an Ed25519 key"),
    ],
)
def test_a_key_that_can_not_sign_is_refused_when_the_provider_is_built(text: str, fault: str) -> None:
    context = Context("mail", "ua", production=False, secrets={"dkim.key": text})
    with pytest.raises(ValueError, match=f"^{fault}$"):
        smtp.build(settings(dkim=SETTINGS), context)


def test_a_short_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST", 2049)
    with pytest.raises(ValueError, match="has 2048 bits, which receivers refuse"):
        signer("rsa")


def test_no_key_is_in_a_repr() -> None:
    assert repr(signer()) == f"Signer({NAME})"


@pytest.mark.parametrize(
    "name", [{"domain": "shop example"}, {"selector": "a_b"}, {"domain": "-x.example"}, {"keys": 1}]
)
def test_what_is_no_name_is_refused(name: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(dkim={**SETTINGS, **name})


# --- the library ---


def test_a_missing_library_is_told_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _name: None)
    with pytest.raises(ValidationError, match=r"the extra dkim is not installed: install dkimpy\[ed25519\]"):
        settings(dkim=SETTINGS)
    assert settings().dkim is None


def test_the_library_is_imported_only_when_it_is_configured() -> None:
    asks = (
        "import sys, channels.providers.smtp; sys.exit(bool({'dkim', 'nacl', 'dns.asyncresolver'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", asks], cwd=ROOT, check=False).returncode == 0


CONFIG = """\
mode: development
apps: {demo: {name: Demo}}
providers:
  mail:
    type: smtp
    host: mail.shop.example
    from_address: no-reply@shop.example
    dkim: {domain: shop.example, selector: otp1, key: {env: DKIM_KEY}}
channels: {email: {providers: [mail]}}
policies:
  default: {fallback: [{channel: email, wait: 30s}]}
"""


def test_the_key_is_fetched_from_where_the_configuration_says(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    section = load(file, {"DKIM_KEY": key("ed25519")}, make_keys=False).providers["mail"]
    assert section.context.secrets == {"dkim.key": key("ed25519").rstrip("\n")} | section.context.secrets
    section.build()
    with pytest.raises(Invalid) as caught:
        load(file, {}, make_keys=False)
    (fault,) = caught.value.faults
    assert "providers.mail.dkim.key.env: the environment variable DKIM_KEY is not set" in fault.text("config.yaml")


# --- the record ---


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
async def test_the_record_is_found_or_told(kind: str) -> None:
    own = signer(kind)
    other = Signer(DkimSettings.model_validate(SETTINGS), pem(ed25519.Ed25519PrivateKey.generate()))
    publish = f"Publish a TXT record at {NAME}: {own.record}"

    def says(text: str | None) -> Any:
        async def answer(name: str) -> str | None:
            assert name == NAME
            return text

        return answer

    async def silent(_name: str) -> str | None:
        raise OSError

    found = [await own.examine(each) for each in (says(own.record), says(None), says(other.record), says("x"), silent)]
    ok, bad, unknown = Verdict.OK, Verdict.FAULT, Verdict.UNKNOWN
    assert [each.verdict for each in found] == [ok, bad, bad, bad, unknown]
    assert [each.remedy for each in found] == ["", *[publish] * 4]
    spaced = own.record.replace("; ", ";").replace("p=", "p = ")
    assert (await own.examine(says(spaced))).verdict is ok


class Strings:
    strings = (b"v=DKIM1; k=rsa; ", b"p=abc")


@pytest.mark.parametrize(
    ("answer", "text"),
    [([Strings()], "v=DKIM1; k=rsa; p=abc"), (dns.resolver.NXDOMAIN(), None), (dns.resolver.NoAnswer(), None)],
)
async def test_a_record_in_several_strings_is_one(
    monkeypatch: pytest.MonkeyPatch, answer: Any, text: str | None
) -> None:
    monkeypatch.setattr(dns.asyncresolver, "resolve", _answers(answer))
    assert await look_up(NAME) == text


@pytest.mark.parametrize("fault", [dns.exception.Timeout(), dns.resolver.NoNameservers(), ConnectionRefusedError()])
async def test_name_servers_that_do_not_answer_are_no_news(monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    monkeypatch.setattr(dns.asyncresolver, "resolve", _answers(fault))
    with pytest.raises(OSError, match=type(fault).__name__):
        await look_up(NAME)


def _answers(answer: Any) -> Any:
    async def resolve(name: str, kind: str, lifetime: float) -> Any:
        assert (name, kind) == (NAME, "TXT")
        if isinstance(answer, Exception):
            raise answer
        return answer

    return resolve
