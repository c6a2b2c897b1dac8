"""A gateway as a process of its own, as an operator runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]


def eventually(true: Callable[[], bool], seconds: float = 10, *, pause: float = 0.02) -> None:
    """For what another process does in its own time."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(pause)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    json: Any


class Process:
    """`otp-gateway serve` on free ports, with its data in a folder of the test. A context manager."""

    def __init__(
        self,
        data: Path,
        config: Mapping[str, Any] | None = None,
        *,
        stdin: int | None = None,
        module: str = "gateway",
        **env: str,
    ) -> None:
        self._stdin = stdin
        self.data = data
        self._module = module
        self.log = data.with_suffix(".log")
        self._env = {
            **os.environ,
            "OTP_GATEWAY__SERVER__PORT": "0",
            "OTP_GATEWAY__METRICS__PORT": "0",
            "OTP_GATEWAY__STORE__DIRECTORY": str(data),
            "OTP_GATEWAY__LOG__FORMAT": "json",
            **env,
        }
        self.config = ROOT / "config.yaml"
        if config is not None:
            self.config = data.with_suffix(".yaml")
            self.config.write_text(json.dumps(config))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()

    def start(self) -> None:
        """Start it and wait until it serves."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self._module, "serve", "--config", str(self.config)],
                cwd=ROOT,
                env=self._env,
                stdin=self._stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        since = self.log.stat().st_size if self.log.exists() else 0
        started = self._line(r'"event":"gateway.started".*', since)
        self.url = re.search(r'"address":"([^"]+)"', started)[1]  # type: ignore[index]
        metrics = re.search(r'"metrics":"([^"]+)"', started)
        self.metrics_url = metrics[1] if metrics else ""

    def _line(self, pattern: str, since: int) -> str:
        for _ in range(1000):
            found = re.findall(pattern, self.log.read_bytes()[since:].decode())
            if found:
                return str(found[-1])
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise AssertionError(f"the gateway did not start:\n{self.log.read_text()}")

    def stop(self, number: int = signal.SIGTERM, timeout: float = 15) -> int:
        """Send a signal and wait for the end. Returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout)

    @property
    def key(self) -> str:
        return (self.data / "demo-api-key").read_text().strip()

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """A call of the app `demo`."""
        request = urllib.request.Request(
            self.url + path,
            None if body is None else json.dumps(body).encode(),
            {
                "Authorization": f"Bearer {self.key}",
                **({"Content-Type": "application/json"} if body is not None else {}),
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                return Answer(answer.status, dict(answer.headers), json.load(answer))
        except urllib.error.HTTPError as refusal:
            return Answer(refusal.code, dict(refusal.headers), json.load(refusal))

    def start_one(self, to: str = "+14155550100", **fields: Any) -> dict[str, Any]:
        """Start a verification; its first message was accepted or refused when this returns."""
        kind = "email" if "@" in to else "phone"
        answer = self.call("POST", "/v1/verifications", {"to": {kind: to}, **fields}, Prefer="wait=5")
        assert answer.status == 201, answer
        found: dict[str, Any] = answer.json
        return found

    def read(self, id_: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"/v1/verifications/{id_}").json
        return found

    def page(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    def metrics(self) -> str:
        with urllib.request.urlopen(self.metrics_url + "/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Another command of the same program."""
        return subprocess.run(
            [sys.executable, "-m", "gateway", *arguments],
            cwd=ROOT,
            env={**self._env, **env},
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
