"""`otp-gateway policy simulate`: replays recorded traffic against changed policies and tells what would change."""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from heapq import merge
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import loading, options

if TYPE_CHECKING:
    from gateway.config import Settings
    from policies.engine import Policy
    from policies.model import Question
    from policies.replay import Comparison, Tally
    from policies.traffic import Recorded

_LONGEST = 65_536  # characters of a line: real ones have about 400
_ROWS = 20


@click.command("simulate")
@click.option(
    "--traffic",
    "files",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file that the gateway recorded; may be repeated.",
)
@click.option("--with", "changed", required=True, type=click.Path(path_type=Path), help="The changed configuration.")
@options.config_file
@options.as_json
def command(files: tuple[Path, ...], changed: Path, config_file: Path, as_json: bool) -> None:
    """Ask recorded questions again: of the present configuration and of a changed one, each with counters of its own
    that begin empty, in the time of the record. Nothing is sent. Ends with 0 whatever would change."""
    from policies.replay import Replay

    before, after = loading.policies(config_file), loading.policies(changed)
    replay, unread = Replay(_chooser(before), _chooser(after)), Unread()
    with ExitStack() as stack:
        stack.enter_context(_uncollected())
        events = [_events(file, stack, unread) for file in files]
        for recorded in merge(*events, key=lambda event: event.at):
            replay.take(recorded)
    if not replay.found.starts:
        raise click.ClickException(f"no start was found in {', '.join(map(str, files))}. {unread}".strip())
    told = _told(replay.found, unread.lines, (before.tariff.currency, after.tariff.currency))
    options.shown(told, _page(told), as_json)
    if unread.lines and not as_json:
        click.echo(f"{click.style('warning:', fg='yellow')} {unread}", err=True)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector of cycles, of which a replay makes none: it took half of the time, looking again and again
    through the hundreds of thousands of values that are held."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Unread:
    """How many lines said nothing usable, and the first of them."""

    def __init__(self) -> None:
        self.lines = 0
        self._first = ""

    def add(self, file: Path, number: int, why: str) -> None:
        self.lines += 1
        self._first = self._first or f"{file}:{number}: {why}"

    def __str__(self) -> str:
        return f"{self.lines} lines could not be read. The first: {self._first}." if self.lines else ""


def _chooser(settings: Settings) -> Callable[[Question], Policy | None]:
    def policy(question: Question) -> Policy | None:
        return settings.policy(question.app, question.purpose) if question.app in settings.config.apps else None

    return policy


def _events(file: Path, stack: ExitStack, unread: Unread) -> Iterator[Recorded]:
    """What a file recorded. The last line of a process that was killed may be half there: it is passed over."""
    from policies.traffic import Unreadable, read

    opened = stack.enter_context(file.open(encoding="utf-8", errors="replace"))
    for number, line in enumerate(opened, 1):
        try:
            yield read(_json(line))
        except Unreadable as fault:
            unread.add(file, number, str(fault))


def _json(line: str) -> Mapping[str, Any]:
    from policies.traffic import Unreadable

    try:
        found = json.loads(line) if len(line) <= _LONGEST else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Unreadable("it is not a JSON object of a usable length")
    return found


def _told(found: Comparison, unread: int, currencies: tuple[str, str]) -> dict[str, Any]:
    """Everything that is said, as plain data."""
    return {
        "starts": found.starts,
        "approved": found.approved,
        "since": _time(found.since),
        "until": _time(found.until),
        "unread_lines": unread,
        "decided_as_recorded": found.as_recorded,
        "changed": found.changed,
        "before": _tally(found.before, currencies[0]),
        "after": _tally(found.after, currencies[1]),
        "newly_refused": [
            {"rule": rule, "country": country, "starts": n, "approved": found.refused_approved[rule, country]}
            for (rule, country), n in found.refused.most_common()
        ],
        "newly_allowed": _rows(found.admitted, "rule", "country", count="starts"),
        "first_channel": _rows(found.rerouted, "before", "after", "country", count="starts"),
    }


def _tally(tally: Tally, currency: str) -> dict[str, Any]:
    from policies.money import written

    return {
        "allowed": tally.allowed,
        "refused": _rows(tally.refused, "rule", "country", count="starts"),
        "messages": _rows(tally.messages, "channel", "country", count="messages"),
        "cost": written(tally.cost.total(), currency),
        "costs": [
            {"country": country, "cost": written(cost, currency)} for country, cost in tally.cost.most_common() if cost
        ],
        "shadow_refused": dict(tally.shadows.most_common()),
    }


def _rows(found: Counter[Any], *keys: str, count: str) -> list[dict[str, Any]]:
    return [dict(zip(keys, key, strict=True)) | {count: number} for key, number in found.most_common()]


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _page(told: Mapping[str, Any]) -> Iterator[str]:
    """The same for eyes. click takes the colours out where no terminal would show them."""
    starts, approved = told["starts"], told["approved"]
    yield f"{starts} starts from {told['since']} to {told['until']}, {approved} of them approved"
    same = told["decided_as_recorded"]
    yield f"  {same} ({same / starts:.1%}) are decided by the present policies as they were decided then"
    yield f"  {told['changed']} ({told['changed'] / starts:.1%}) would be decided otherwise"
    before, after = told["before"], told["after"]
    yield from _table("starts", ["", "before", "after"], _totals(before, after))
    yield from _table("messages by channel", ["", "before", "after"], _mix(before, after, "channel"))
    yield from _table("messages by country", ["", "before", "after"], _mix(before, after, "country"))
    if before["costs"] or after["costs"]:
        yield from _table("cost by price lists", ["", "before", "after"], _costs(before, after))
    yield from _changes("newly refused", told["newly_refused"], ["rule", "country", "starts", "approved"])
    yield from _changes("newly allowed", told["newly_allowed"], ["rule", "country", "starts"])
    yield from _changes("another channel first", told["first_channel"], ["before", "after", "country", "starts"])


def _totals(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[list[str]]:
    rules = [_sums(side["refused"], "rule", "starts") for side in (before, after)]
    rows = [[f"refused by {rule}", *(str(side[rule]) for side in rules)] for rule in sorted(rules[0] | rules[1])]
    return [["allowed", str(before["allowed"]), str(after["allowed"])], *rows]


def _mix(before: Mapping[str, Any], after: Mapping[str, Any], key: str) -> list[list[str]]:
    sides = [_sums(side["messages"], key, "messages") for side in (before, after)]
    names = [name for name, _ in (sides[0] + sides[1]).most_common()]
    return [[name, *(str(side[name]) for side in sides)] for name in names]


def _costs(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[list[str]]:
    sides = [{row["country"]: row["cost"] for row in side["costs"]} for side in (before, after)]
    names = dict.fromkeys([*sides[0], *sides[1]])
    rows = [[name, *(side.get(name, "") for side in sides)] for name in names]
    return [["all", before["cost"], after["cost"]], *rows]


def _sums(rows: Sequence[Mapping[str, Any]], key: str, count: str) -> Counter[str]:
    sums: Counter[str] = Counter()
    for row in rows:
        sums[row[key]] += row[count]
    return sums


def _changes(title: str, found: Sequence[Mapping[str, Any]], columns: list[str]) -> Iterator[str]:
    if found:
        yield from _table(title, columns, [[str(row[column]) for column in columns] for row in found])


def _table(title: str, columns: list[str], rows: list[list[str]]) -> Iterator[str]:
    """Words to the left, numbers to the right. The longest tables are cut: --json has all."""
    yield click.style(title, bold=True)
    shown = [columns, *rows[:_ROWS]]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        cells = [
            cell.rjust(width) if rows[0][place].isdigit() else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"  {'  '.join(cells)}".rstrip()
    if len(rows) > _ROWS:
        yield f"  and {len(rows) - _ROWS} more: see --json"
