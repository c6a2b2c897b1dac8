"""`python -m bench.replay`: how long a recorded week of 100,000 starts takes to be asked of two policies again."""

from __future__ import annotations

import hashlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

STARTS = 100_000
BEGIN = 1_790_000_000_000
PLACES = (
    ("US", "+1415", "mobile"),
    ("GB", "+4474", "mobile"),
    ("IN", "+9198", "mobile"),
    ("BR", "+5511", "fixed_line"),
)
CONFIG = Path(__file__).parents[1] / "config.yaml"


def traffic(starts: int) -> Iterator[dict[str, object]]:
    """People who come twice on average, from 20,000 addresses; a tenth are called as well, and four in five type their
    code."""
    dice, at = random.Random(5), BEGIN  # noqa: S311 - a trace, no secret
    for number in range(starts):
        at += dice.randrange(12_000)
        person = dice.randrange(starts // 2)
        country, opening, kind = PLACES[person % len(PLACES)]
        phone = {
            "to": _hash("to", person),
            "masked": f"{opening}*****23",
            "country": country,
            "type": kind,
            "prefix": _hash("prefix", person % 3_000),
            "range": _hash("range", person % 300),
            "place": person % 10_000,
            "valid": True,
        }
        about = {"v": 1, "at": at, "id": _hash("verification", number)}
        client = {"ip": _hash("ip", person % 20_000)[:16], "device": _hash("device", person)}
        yield {**about, "event": "start", "app": "demo", "purpose": "login", "phone": phone, **client}
        if dice.random() < 0.1:
            yield {**about, "event": "message", "step": 1, "by": "fallback", "channel": "voice"}
        if dice.random() < 0.8:
            yield {**about, "event": "end", "status": "approved", "channel": "sms"}


def _hash(*parts: object) -> str:
    return hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=16).hexdigest()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="otpb") as folder:
        record, changed = Path(folder) / "traffic.jsonl", Path(folder) / "new.yaml"
        record.write_text("".join(json.dumps(line) + "\n" for line in traffic(STARTS)))
        changed.write_text(CONFIG.read_text().replace("wait: 15s", "wait: 20s", 1))
        began = time.perf_counter()
        simulate = [sys.executable, "-m", "gateway", "policy", "simulate", "--traffic", str(record)]
        subprocess.run([*simulate, "--config", str(CONFIG), "--with", str(changed)], check=True)
        seconds = time.perf_counter() - began
    megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{STARTS:,} starts under two policies: {seconds:.0f} s, {megabytes:.0f} MB")


if __name__ == "__main__":
    main()
