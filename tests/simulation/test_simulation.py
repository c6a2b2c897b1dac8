"""Thousands of simulated worlds in which everything goes wrong, and what must hold in each of them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.mutants import MUTANTS
from tests.simulation.plan import FAULTS, plan
from tests.simulation.run import Found, first, happened, lab, run, smaller
from tests.simulation.world import Lab

SEEDS = int(os.environ.get("SIMULATION_SEEDS") or ("10000" if os.environ.get("CI") else "1000"))
FROM = int(os.environ.get("SIMULATION_FROM", "0"))
FOUND_WITHIN = 200
"""Seeds within which every planted bug is found."""


@pytest.fixture(scope="module")
def own() -> Iterator[Lab]:
    with lab() as made:
        yield made


def test_nothing_is_lost_or_doubled_in_any_of_thousands_of_worlds(capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "tests.simulation.run", "--seeds", f"{FROM}:{FROM + SEEDS}"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=Path.cwd(), check=False)
    with capsys.disabled():
        sys.stdout.write("\n" + ran.stdout)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{SEEDS:,} seeds" in ran.stdout


def test_the_same_seed_is_the_same_run_to_the_last_byte(own: Lab) -> None:
    once = [run(own, plan(seed))[0].digest() for seed in range(30)]
    command = "from tests.simulation.test_simulation import *\nwith lab() as own: print(digests(own, 30))"
    other = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, cwd=Path.cwd(), check=True)
    assert other.stdout.split() == once, "in another process, on another server"
    assert len(set(once)) == 30


def digests(own: Lab, number: int) -> str:
    return " ".join(run(own, plan(seed))[0].digest() for seed in range(number))


@pytest.mark.parametrize("mutant", [name for name in MUTANTS if name != "none"])
def test_a_planted_bug_is_found(own: Lab, mutant: str) -> None:
    assert first(own, range(FOUND_WITHIN), mutant) is not None


def test_in_some_worlds_everything_that_can_happen_does(own: Lab) -> None:
    seen = sum((happened(run(own, plan(seed))[0]) for seed in range(120)), start=happened(run(own, plan(0))[0]))
    faults = set(FAULTS) - {"vendor", "report", "person", "guesser"}  # these show in what they lead to
    led_to = {"send", "report", "start", "check", "resend", "cancel", "ok", "no", "unknown", "error"}
    ends = {"approved", "locked", "expired", "canceled"}
    attempts = {"sent", "delivered", "failed", "silent"}
    assert faults | led_to | ends | attempts <= seen.keys()


def test_what_is_found_is_made_small_and_says_how_to_see_it_again(own: Lab) -> None:
    found = first(own, range(FOUND_WITHIN), "check answers by the state")
    assert found is not None
    small = smaller(own, found)
    assert small.broken
    assert len(small.plan.faults) < len(found.plan.faults)
    command = str(small).splitlines()[0].partition("python -m ")[2]
    words = [sys.executable, "-m", *shlex.split(command)]
    again = subprocess.run(words, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert small.broken[0] in again.stdout
    assert isinstance(small, Found)
