"""Every call of the API document, with what it allows, what it forbids and what nobody thought of: no answer is a
crash, none differs from the document, and none tells a secret back."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fuzz.hooks import secrets
from tests.support.process import ROOT, Process

EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "5")
COUNTED = {"window": "24h", "scope": "app", "per": "destination", "counts": "sends"}
CONFIG = {
    "mode": "development",
    "apps": {"demo": {"name": "Demo"}},
    "providers": {"simulator": {"type": "simulator"}},
    "channels": {"sms": {"providers": ["simulator"]}, "email": {"providers": ["simulator"]}},
    "policies": {
        "default": {
            "extends": None,
            "code": {"cooldown": "0s"},
            "limits": {"sends": {"amount": 100, **COUNTED}},
            "countries": {"allow": ["US", "GB"]},
            "fallback": [{"channel": "sms", "wait": "30s"}, {"channel": "email", "wait": "30s"}],
        }
    },
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with Process(tmp_path_factory.mktemp("f") / "d", CONFIG) as process:
        yield process


def fuzzed(gateway: Process, *more: str, **env: str) -> subprocess.CompletedProcess[str]:
    """One run of schemathesis. It takes valid requests that a policy refuses for no fault: the document can't know."""
    command = [sys.executable, "-m", "schemathesis.cli", "--no-color", "run", f"{gateway.url}/openapi.json"]
    bounds = ["--max-examples", EXAMPLES, "--generation-deterministic", "--continue-on-failure", "--mode", "all"]
    return subprocess.run(
        [*command, *bounds, "-H", f"Authorization: Bearer {gateway.key}", *more],
        cwd=gateway.data,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_request_breaks_the_gateway_or_its_promises(gateway: Process) -> None:
    run = fuzzed(gateway, "--exclude-checks", "positive_data_acceptance", FUZZ_KEY=gateway.key)
    assert run.returncode == 0, run.stdout
    cases = re.search(r"(\d+) generated, (\d+) passed", run.stdout)
    assert cases, run.stdout
    assert int(cases[1]) > 500
    assert re.search(r"Selected: (\d+)/\1\n", run.stdout), "a call of the document was left out"
    assert "request.failed" not in gateway.log.read_text()


def test_what_is_echoed_would_be_found(gateway: Process) -> None:
    """The twin: if the key were a word that answers have, the same run would find it."""
    some = ("--include-path", "/v1/verifications", "--phases", "examples", "--checks", "nothing_secret_is_echoed")
    run = fuzzed(gateway, *some, FUZZ_KEY="created_at")
    assert run.returncode == 1, run.stdout
    assert "the answer holds something that was sent in secret" in run.stdout


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"to": {"phone": "+14155550123"}, "code": "48291377"}, ["+14155550123", "48291377"]),
        ({"to": {"phone": "+1"}, "code": 482913}, []),
        (["+14155550123"], []),
        (None, []),
    ],
)
def test_the_secrets_of_a_request_are_its_destinations_and_its_code(body: Any, found: list[str]) -> None:
    assert secrets(body) == found
