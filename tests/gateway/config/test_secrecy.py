"""Secrets in wrong places are told of, and never repeated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.config import Invalid, explain, load
from gateway.config.explain import Said

CANARY = "hunter2hunter2hunter2hunter2hunter2"

TEXT = f"""\
mode: development
server: {{public_url: "https://user:{CANARY}@example.org"}}
store: {{url: "redis://user:{CANARY}@localhost", password: {CANARY}, timeout: {CANARY}, prefix: "{CANARY}{CANARY}"}}
secrets:
  lookup: {CANARY}
  sealing: [{{id: k1, env: "{CANARY}+/="}}, {{id: k2, file: "/nonexistent/k2"}}, {{id: "{CANARY}!", env: SHORT}}]
apps:
  demo: {{name: Demo, keys: [{{id: k1, sha256: otp_{CANARY}}}, {{id: k2, sha256: {CANARY}}}], locale: "{CANARY}"}}
providers:
  twilio: {{type: twilio, account_sid: {CANARY}, auth_token: {CANARY}, api_key_secret: [{CANARY}], from_sms: sms}}
  mail: {{type: smtp, host: h, from_address: a@example.org, username: a, password: {CANARY}, port: {CANARY}}}
engine: {{lease: {CANARY}, batch: {CANARY}}}
"""


def complaints(folder: Path) -> str:
    file = folder / "config.yaml"
    file.write_text(TEXT)
    environ = {"SHORT": CANARY[:10], "OTP_GATEWAY__METRICS__PORT": CANARY, "OTP_GATEWAY__STORE__PASSWRD": CANARY}
    with pytest.raises(Invalid) as invalid:
        load(file, environ)
    return str(invalid.value)


def test_no_fault_repeats_what_could_be_a_secret(tmp_path: Path) -> None:
    said = complaints(tmp_path)
    assert len(said.splitlines()) >= 18
    assert CANARY[:10] not in said


def test_the_test_would_see_a_secret_that_was_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def telling(detail: Mapping[str, object], *_: object) -> Said:
        return f"{detail['input']!r} is wrong", ""

    monkeypatch.setattr(explain, "_translated", telling)
    assert CANARY in complaints(tmp_path)


def test_a_key_that_could_write_to_a_terminal_is_shown_in_quotes(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text('"\\e[31mred": 1\n')
    with pytest.raises(Invalid) as invalid:
        load(file, {})
    assert "\x1b" not in str(invalid.value)
    assert "'\\x1b[31mred': there is no such key" in str(invalid.value)
