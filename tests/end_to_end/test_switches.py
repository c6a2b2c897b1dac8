"""A provider switched off by a command, as a running gateway takes it: no edit, no restart, no reload."""

from __future__ import annotations

from pathlib import Path

from tests.support.process import Process, eventually


def status(gateway: Process, number: int) -> int:
    return gateway.call("POST", "/v1/verifications", {"to": {"phone": f"+1415{number}2671"}}).status


def test_a_provider_is_switched_off_and_on_in_a_gateway_that_serves(data: Path) -> None:
    numbers = iter(range(312, 411))  # each of another prefix, so that nobody takes them for a pump
    with Process(data) as gateway:
        assert status(gateway, next(numbers)) == 201
        off = gateway.run("provider", "disable", "simulator", "-c", str(gateway.config), "--reason", "maintenance")
        assert off.returncode == 0, off.stderr
        eventually(lambda: status(gateway, next(numbers)) == 403, pause=0.05)
        assert 'otp_provider_disabled{provider="simulator"} 1.0' in gateway.metrics()
        gateway.stop()
        gateway.start()
        assert status(gateway, next(numbers)) == 403  # from its first request on
        on = gateway.run("provider", "enable", "simulator", "-c", str(gateway.config))
        assert on.returncode == 0, on.stderr
        eventually(lambda: status(gateway, next(numbers)) == 201, pause=0.05)
        assert '"event":"provider.enabled"' in gateway.log.read_text()
