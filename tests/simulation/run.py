"""Run simulated worlds: one seed with its whole story, or many.

python -m tests.simulation.run --seed 1234 --trace         one seed again, exactly, line by line
python -m tests.simulation.run --seeds 0:10000 --jobs 2    many
python -m tests.simulation.run --seeds 0:500 --mutant "claim pops the timer"
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from gateway.store import embedded
from tests.simulation.checker import broken
from tests.simulation.history import History
from tests.simulation.mutants import MUTANTS
from tests.simulation.plan import FAULTS, Plan, plan
from tests.simulation.world import Lab, World

MADE_SMALL = 3
"""How many of the seeds that break something are made smaller: the first ones are enough to work on."""


@dataclass(frozen=True)
class Found:
    """A seed in which something breaks, made as small as that comes cheap."""

    plan: Plan
    mutant: str
    broken: tuple[str, ...]

    def __str__(self) -> str:
        only = ",".join(self.plan.faults) or "none"
        mutant = "" if self.mutant == "none" else f" --mutant {shlex.quote(self.mutant)}"
        command = f"python -m tests.simulation.run --seed {self.plan.seed} --only {only} --people {self.plan.people}"
        return "\n  ".join([f"seed {self.plan.seed}: {command}{mutant} --trace", *self.broken])


@dataclass
class Ran:
    """What came of many seeds, and how much happened in them."""

    seeds: int = 0
    found: list[Found] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def __str__(self) -> str:
        happened = ", ".join(f"{name} {count:,}" for name, count in sorted(self.happened.items()))
        lines = [*map(str, self.found), happened]
        return "\n".join([*lines, f"{self.seeds:,} seeds in {self.seconds:.0f} s: {len(self.found)} broken"])


@contextmanager
def lab() -> Iterator[Lab]:
    """A server for runs alone, which keeps nothing on disk."""
    folder = Path(tempfile.mkdtemp(prefix="sim"))
    server = embedded.start(folder)
    made = Lab(server.url)
    made.wire.call("CONFIG", "SET", "appendonly", "no")
    try:
        yield made
    finally:
        made.wire.close()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def run(lab: Lab, drawn: Plan, mutant: str = "none") -> tuple[History, list[str]]:
    """One run, and what it breaks."""
    with MUTANTS[mutant].planted():
        world = World(drawn, lab, MUTANTS[mutant])
        history = world.run()
        return history, broken(history, world.terms())


def first(lab: Lab, seeds: Iterable[int], mutant: str) -> Found | None:
    """The first seed that breaks something."""
    for seed in seeds:
        if faults := run(lab, plan(seed), mutant)[1]:
            return Found(plan(seed), mutant, tuple(faults))
    return None


def smaller(lab: Lab, found: Found) -> Found:
    """The same without the kinds of fault and the people that it does not need."""
    best = found.plan
    for kind in FAULTS:
        best = _kept(lab, best, plan(best.seed, set(best.faults) - {kind}, best.people), found.mutant)
    for people in range(1, best.people):
        best = _kept(lab, best, plan(best.seed, best.faults, people), found.mutant)
    return Found(best, found.mutant, tuple(run(lab, best, found.mutant)[1]))


def _kept(lab: Lab, best: Plan, tried: Plan, mutant: str) -> Plan:
    return tried if tried.people < best.people + 1 and run(lab, tried, mutant)[1] else best


def happened(history: History) -> Counter[str]:
    """How often each thing happened in a run."""
    counts = Counter(event.what for event in history.events)
    counts.update(str(kept.stored.verification.status) for kept in history.kept.values())
    counts.update(a.status for kept in history.kept.values() for a in kept.stored.verification.attempts)
    return counts


def run_some(seeds: Sequence[int], mutant: str = "none") -> Ran:
    """Some seeds, one after the other."""
    ran = Ran(len(seeds))
    with lab() as own:
        for seed in seeds:
            history, faults = run(own, plan(seed), mutant)
            ran.happened.update(happened(history))
            if faults:
                found = Found(plan(seed), mutant, tuple(faults))
                ran.found.append(smaller(own, found) if len(ran.found) < MADE_SMALL else found)
    return ran


def run_all(seeds: Sequence[int], jobs: int, mutant: str = "none") -> Ran:
    """Many seeds in several processes, each with a server of its own."""
    began, ran = time.perf_counter(), Ran(len(seeds))
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        for some in pool.map(run_some, [seeds[i::jobs] for i in range(jobs)], [mutant] * jobs):
            ran.found += some.found
            ran.happened.update(some.happened)
    ran.seconds = time.perf_counter() - began
    return ran


def say(*lines: object) -> None:
    """To whoever runs the command."""
    sys.stdout.write("\n".join([*map(str, lines), ""]))


def main() -> int:
    """The command."""
    asked = _arguments()
    if asked.seed is not None:
        return _one(asked)
    start, _, end = asked.seeds.partition(":")
    ran = run_all(range(int(start), int(end)), asked.jobs, asked.mutant)
    say(ran)
    return 1 if ran.found else 0


def _one(asked: argparse.Namespace) -> int:
    only = None if asked.only is None else set(asked.only.split(","))
    with lab() as own:
        history, faults = run(own, plan(asked.seed, only, asked.people), asked.mutant)
    if asked.trace:
        say(*history.events, *history.kept.values())
    say(*faults, f"seed {asked.seed}: {history.digest()}")
    return 1 if faults else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, help="run this one")
    parser.add_argument("--trace", action="store_true", help="tell what happened, line by line")
    parser.add_argument("--only", help="with these kinds of fault and no other, of those that the seed has")
    parser.add_argument("--people", type=int, help="with no more people than these")
    parser.add_argument("--seeds", default="0:1000", help="from:to")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--mutant", default="none", choices=MUTANTS, help="with this mistake planted")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
