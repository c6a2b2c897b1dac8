"""What production asks for beyond development, and what it warns of."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.config import Invalid, Settings, load

TEXT = """\
server: {public_url: "https://otp.example.org/"}
secrets:
  lookup: {env: LOOKUP}
  sealing: [{id: k2, env: SEALING}, {id: k1, file: FILE}]
store:
  url: rediss://store.example.org:6380/2
  username: otp
  password: {env: STORE}
apps:
  shop:
    name: Shop
    keys: [{id: k1, sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}]
providers:
  twilio:
    type: twilio
    account_sid: AC00000000000000000000000000000000
    auth_token: {env: TOKEN}
    messaging_service_sid: MG00000000000000000000000000000000
    from_voice: "+14155550100"
    price: {sms: 0.0079 USD, voice: 0.014 USD}
channels:
  sms: {providers: [twilio], max_segments: 2}
  voice: {providers: [twilio]}
policies:
  default:
    countries: {allow: [US]}
    fallback: [{channel: sms, wait: 30s}, {channel: voice, wait: 30s}]
"""


def sentences(folder: Path, text: str) -> list[str]:
    with pytest.raises(Invalid) as invalid:
        loaded(folder, text)
    return [fault.text("config.yaml").partition(": ")[2] for fault in invalid.value.faults]


SECRETS: Mapping[str, str] = {
    "LOOKUP": secrets.token_hex(32),
    "SEALING": secrets.token_urlsafe(48),
    "STORE": "p@ss/word",
    "TOKEN": "twilio-token",
}


def loaded(folder: Path, text: str = TEXT) -> Settings:
    file = folder / "config.yaml"
    key = folder / "k1"
    key.write_text("an old key that is words and has more than 32 characters\n")
    file.write_text(text.replace("FILE", str(key)))
    return load(file, SECRETS)


def test_the_settings_hold_all_that_was_configured(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    assert settings.production
    assert settings.public_url == "https://otp.example.org"
    assert settings.store_url == "rediss://otp:p%40ss%2Fword@store.example.org:6380/2"
    assert settings.lookup == bytes.fromhex(SECRETS["LOOKUP"])
    assert list(settings.sealing) == ["k2", "k1"]
    assert settings.sealing["k1"] == b"an old key that is words and has more than 32 characters"
    assert settings.api_keys["a" * 64].app == "shop"
    assert settings.orders == {"sms": ("twilio",), "voice": ("twilio",), "whatsapp": (), "telegram": (), "email": ()}
    assert settings.segments == {"sms": 2}
    assert settings.providers["twilio"].context.secrets == {"auth_token": "twilio-token"}
    assert settings.providers["twilio"].channels == {"sms", "voice"}
    assert settings.providers["twilio"].context.production
    assert [step.providers for step in settings.policies["default"].routes.default] == [("twilio",), ("twilio",)]
    assert settings.warnings == ()


def test_nothing_that_is_printed_of_the_settings_holds_a_secret(tmp_path: Path) -> None:
    printed = repr(loaded(tmp_path))
    for value in (*SECRETS.values(), "p%40ss", "an old key", "a" * 64):
        assert value not in printed.replace(f"sha256='{'a' * 64}'", "")


def test_production_writes_no_key_of_its_own(tmp_path: Path) -> None:
    loaded(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "k1"]


@pytest.mark.parametrize(
    ("old", "new", "answer"),
    [
        (
            "  lookup: {env: LOOKUP}\n",
            "",
            "secrets.lookup: production needs the lookup key. Write {env: NAME} or {file: PATH}.",
        ),
        (
            "  sealing: [{id: k2, env: SEALING}, {id: k1, file: FILE}]\n",
            "",
            "secrets.sealing: production needs a sealing key. Write [{id: k1, env: NAME}].",
        ),
        (
            'server: {public_url: "https://otp.example.org/"}',
            "",
            (
                "server.public_url: production needs it, because twilio will report deliveries there. "
                "Write the address, such as https://otp.example.org."
            ),
        ),
        (
            "    keys: [{id: k1, sha256: " + "a" * 64 + "}]\n",
            "",
            "apps.shop.keys: production needs a key for each app. Make one with: otp-gateway keys new.",
        ),
        (
            "providers:\n",
            "providers:\n  sim: {type: simulator}\n",
            (
                "providers.sim.type: the simulator shows every code to whoever looks, and production sends real ones. "
                "Take it out, or write mode: development."
            ),
        ),
    ],
)
def test_what_production_lacks_or_must_not_have_is_told(tmp_path: Path, old: str, new: str, answer: str) -> None:
    assert old in TEXT
    assert sentences(tmp_path, TEXT.replace(old, new)) == [answer]


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        (
            "allow: [US]",
            "default: allow",
            "policies.default.countries: every country is allowed, which invites pumping fraud. Write countries.allow.",
        ),
        (
            "    countries: {allow: [US]}\n",
            "",
            "policies.default.countries: no country is allowed, so it sends to no phone number. Write countries.allow.",
        ),
        (
            "  default:\n",
            "  default:\n    code: {length: 4, allow_weak_codes: true}\n",
            "policies.default.code: 4 characters are easily guessed. NIST and OWASP ask for 6.",
        ),
        (
            "  default:\n",
            "  default:\n    code: {expiry: 1m, cooldown: 10s}\n",
            "policies.default.code.expiry: a code that lives no longer than engine.min_useful never falls back.",
        ),
        (
            "  default:\n",
            "  default:\n    spend: null\n",
            "policies.default.spend.caps: none, so that a stolen key or a pump spends what it can. Write some.",
        ),
        (
            "  default:\n",
            "  default:\n    limits: null\n",
            ("policies.default.limits: none counts per destination, so that one person may get any number. Write one."),
        ),
        (
            "policies:\n",
            "policies:\n  logon: {spend: {caps: {app-day: {amount: 5 USD}}}}\n",
            "policies.logon: no app uses it, nor a policy that an app uses. Name it under apps.NAME.policies.",
        ),
        (
            "https://otp.example.org/",
            "http://otp.example.org",
            "server.public_url: reports and what a call says would come over plain http. Write an https address.",
        ),
        (
            "channels:\n",
            "  mail: {type: smtp, host: h, from_address: a@example.org}\nchannels:\n",
            "providers.mail: no channel and no policy uses it.",
        ),
        (
            "voice: 0.014 USD",
            "voice: {US: 0.014 USD}",
            (
                "providers.twilio.price: none for voice, so that each message counts as the policy's "
                "spend.unknown_price, and its caps are soon used up. Write what it costs."
            ),
        ),
        (
            "    type: twilio\n",
            "    type: twilio\n    enabled: false\n",
            "channels.sms: all its providers are disabled, so its steps are passed over.",
        ),
    ],
)
def test_what_is_allowed_and_risky_is_a_warning(tmp_path: Path, old: str, new: str, warning: str) -> None:
    assert old in TEXT
    assert warning in loaded(tmp_path, TEXT.replace(old, new)).warnings


def test_a_disabled_provider_needs_no_secret_and_carries_nothing(tmp_path: Path) -> None:
    text = TEXT.replace("    type: twilio\n", "    type: twilio\n    enabled: false\n").replace("TOKEN", "NOT_SET")
    settings = loaded(tmp_path, text)
    assert settings.providers == {}
    assert settings.orders["sms"] == ()
    assert all(not step.providers for step in settings.policies["default"].routes.default)


def test_a_change_of_any_key_changes_the_revision(tmp_path: Path) -> None:
    before = loaded(tmp_path).revision
    assert loaded(tmp_path).revision == before
    assert loaded(tmp_path, TEXT.replace("[US]", "[CA]")).revision != before
