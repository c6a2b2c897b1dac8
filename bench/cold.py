"""How soon a gateway is ready that begins with nothing: its own process, and a store of its own that is new."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

INSTALLED = {**os.environ, "PYTHONPATH": str(Path(__file__).parent / "without")}
"""The environment of a server under test: it finds what an installation has, and not what only developers have."""
LONGEST = 30.0
"""Seconds after which it is given up."""


def start(config: dict[str, Any], folder: Path) -> float:
    """Seconds from the command to the first 200 of /readyz, on `server.port`, with a store in `folder`."""
    folder.mkdir()
    path = folder / "cold.yaml"
    path.write_text(json.dumps({**config, "store": {"directory": str(folder / "store")}}))
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(path)]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=INSTALLED)
    try:
        while not _ready(config["server"]["port"]):
            if process.poll() is not None or time.perf_counter() - began > LONGEST:
                raise SystemExit("a gateway with a store of its own did not become ready")
            time.sleep(0.005)
        return time.perf_counter() - began
    finally:
        process.terminate()
        process.wait(LONGEST)


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
