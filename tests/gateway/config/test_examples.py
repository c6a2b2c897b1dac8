"""What docs/policies.md shows of a configuration is one, as it stands, and does what is said of it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.config import Invalid, Settings, load

PAGE = (Path(__file__).parents[3] / "docs" / "policies.md").read_text(encoding="utf-8")
EXAMPLES = [text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if not text.startswith("cases:")]
AROUND = {
    "mode": "mode: development\n",
    "apps": 'apps: {demo: {name: Demo, policies: {"*": login}}}\n',
    "providers": "providers:\n  simulator: {type: simulator}\n",
    "channels": "channels: {sms: {providers: [simulator]}, voice: {providers: [simulator]}, "
    "whatsapp: {providers: [simulator]}, email: {providers: [simulator]}}\n",
    "policies": "policies: {login: {}}\n",
}


def written(folder: Path, example: str) -> Path:
    """The example with what else a file needs."""
    text = example.replace("providers:\n", AROUND["providers"], 1)
    text = re.sub(r"(\n  )payment:", r"\1login:", text).replace("type: twilio", "type: simulator")
    text += "".join(part for name, part in AROUND.items() if f"\n{name}:" not in f"\n{text}")
    (folder / "lists").mkdir(exist_ok=True)
    (folder / "lists" / "pumping.txt").write_text("+4479*\n")
    (folder / "config.yaml").write_text(text)
    return folder / "config.yaml"


def loaded(folder: Path, example: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(folder)
    return load(written(folder, example), {}, make_keys=False)


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_is_taken_as_it_stands(tmp_path: Path, example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "login" in loaded(tmp_path, example, monkeypatch).policies


def test_an_example_with_a_mistake_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = [text for text in EXAMPLES if "client-velocity" in text]
    with pytest.raises(Invalid, match="Did you mean 'window'"):
        loaded(tmp_path, example.replace("window: 24h", "windwo: 24h"), monkeypatch)


EXPECTED = """
cases:
  - name: Whoever asks every minute for new people is given email only when twenty-five have not answered
    to: "+14155550123"
    email: ana@example.org
    ip: 203.0.113.7
    repeat: {}
    every: 1m
    vary: [to]
    expect: {{ channels: [{}] }}
"""


@pytest.mark.parametrize(("starts", "channels"), [(27, "sms, whatsapp, voice, email"), (28, "whatsapp, email")])
def test_the_example_of_abuse_challenges_a_client_that_hurries(
    tmp_path: Path, starts: int, channels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = [text for text in EXAMPLES if "client-velocity" in text]
    example = example.replace("  login:\n", "  login:\n    countries: { allow: [US] }\n")
    config, cases = written(tmp_path, example), tmp_path / "cases.yaml"
    cases.write_text(EXPECTED.format(starts, channels))
    env = {name: None for name in os.environ if name.startswith("OTP_GATEWAY")}
    result = CliRunner().invoke(main, ["policy", "test", str(cases), "--config", str(config)], env=env)
    assert (result.exit_code, result.output) == (0, "1 case: 1 passed, 0 failed\n")
