"""Provider modules: found by their type, imported only when configured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from channels.contract import Channel
from gateway.config import Invalid, Settings, load
from gateway.config.providers import kind, types

ROOT = Path(__file__).parents[3]

PIGEON = """
from pydantic import Field
from channels.contract import Channel, ProviderSettings, SecretRef

CALLS_BACK = False

class Settings(ProviderSettings):
    loft: str = Field(description="Where the pigeons live.")
    whistle: SecretRef | None = None

class Pigeon:
    channels = frozenset({Channel.SMS})
    def __init__(self, settings, context):
        self.settings, self.context = settings, context

def hatch(settings, context):
    return Pigeon(settings, context)
"""

TEXT = """\
mode: MODE
apps: {demo: {name: Demo}}
providers:
  birds: {type: "the_pigeons:hatch", loft: roof, whistle: {env: WHISTLE}}
channels: {sms: {providers: [birds]}}
policies:
  default: {countries: {allow: [US]}, fallback: [{channel: sms, wait: 30s}]}
"""


@pytest.fixture
def pigeons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "the_pigeons.py").write_text(PIGEON)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "the_pigeons", raising=False)
    return tmp_path


def loaded(folder: Path, text: str) -> Settings:
    file = folder / "config.yaml"
    file.write_text(text)
    return load(file, {"WHISTLE": "high c"}, make_keys=False)


def test_a_provider_from_outside_the_tree_is_validated_and_built_by_its_own_module(pigeons: Path) -> None:
    section = loaded(pigeons, TEXT.replace("MODE", "development")).providers["birds"]
    provider = section.build()
    assert type(provider).__name__ == "Pigeon"
    assert provider.channels == {Channel.SMS}
    assert section.context.secrets == {"whistle": "high c"}
    assert section.context.user_agent.startswith("otp-gateway/")
    assert not section.calls_back


def test_a_provider_from_outside_the_tree_is_faulted_by_its_own_schema(pigeons: Path) -> None:
    with pytest.raises(Invalid) as invalid:
        loaded(pigeons, TEXT.replace("MODE", "development").replace("loft: roof", "lofts: roof"))
    assert [fault.text("config.yaml") for fault in invalid.value.faults] == [
        "config.yaml:4: providers.birds.lofts: there is no such key. Did you mean 'loft'?",
    ]


def test_production_needs_no_public_address_for_providers_that_never_call_back(pigeons: Path) -> None:
    with pytest.raises(Invalid) as invalid:
        loaded(pigeons, TEXT.replace("MODE", "production"))
    assert "server.public_url" not in {fault.path for fault in invalid.value.faults}


@pytest.mark.parametrize("name", types())
def test_every_type_that_ships_has_a_schema_and_a_build_function(name: str) -> None:
    found = kind(name)
    assert "type" in found.schema.model_fields
    assert callable(found.build)


def test_a_module_of_a_vendor_that_is_not_configured_is_not_imported() -> None:
    program = (
        "import sys, os, pathlib, gateway.config as c; c.load(pathlib.Path('config.yaml'), {}, make_keys=False); "
        "print([m for m in ('twilio', 'aiosmtplib', 'channels.providers.simulator') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['channels.providers.simulator']"
