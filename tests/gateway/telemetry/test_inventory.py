"""The inventory of events is closed: the code logs no other, and the pages list exactly these."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.telemetry.events import ALWAYS, CONTEXT, EVENTS
from gateway.telemetry.reference import END, START, main, metrics_page, with_events

ROOT = Path(__file__).parents[3]
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
FIELDS = {event.name: {*event.fields, *CONTEXT, "exc_info"} for event in EVENTS}


def strangers(source: str) -> list[str]:
    """What a module logs and the inventory does not know, as sentences."""
    tree = ast.parse(source)
    return [fault for call in _log_calls(tree) for fault in _faults(call)]


def _is_log_method(node: ast.AST) -> bool:
    if not isinstance(node, ast.Attribute) or node.attr not in LEVELS:
        return False
    owner = node.value
    name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
    return name.lstrip("_") in ("log", "logger")


def _log_calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls of a logger's methods, by name or through a variable that holds one."""
    nodes = list(ast.walk(tree))
    aliases = {
        target.id
        for node in nodes
        if isinstance(node, ast.Assign) and any(_is_log_method(part) for part in _choices(node.value))
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in nodes:
        if isinstance(node, ast.Call):
            by_alias = isinstance(node.func, ast.Name) and node.func.id in aliases
            if by_alias or _is_log_method(node.func):
                yield node


def _choices(value: ast.expr) -> list[ast.expr]:
    return [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]


def _names(first: ast.expr) -> set[str]:
    """The events that an expression may stand for: a literal, or all that begin with its literal beginning."""
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        return {first.value} & FIELDS.keys()
    start = (
        first.values[0] if isinstance(first, ast.JoinedStr) else first.left if isinstance(first, ast.BinOp) else None
    )
    if isinstance(start, ast.Constant) and isinstance(start.value, str) and start.value.endswith("."):
        return {name for name in FIELDS if name.startswith(start.value)}
    return set()


def _faults(call: ast.Call) -> Iterator[str]:
    names = _names(call.args[0]) if call.args else set()
    if not names:
        yield f"line {call.lineno}: the event {ast.unparse(call.args[0]) if call.args else '?'} is not in the inventory"
        return
    known = set.union(*(FIELDS[name] for name in names))
    for keyword in call.keywords:
        if keyword.arg is not None and keyword.arg not in known:
            yield f"line {call.lineno}: {min(names)} has no field {keyword.arg}"


def test_the_code_logs_only_events_of_the_inventory() -> None:
    found = {
        str(path.relative_to(ROOT)): faults
        for package in ("gateway", "channels", "policies")
        for path in sorted((ROOT / package).rglob("*.py"))
        if (faults := strangers(path.read_text(encoding="utf-8")))
    }
    assert found == {}, "add the event or its field to gateway/telemetry/events.py, and run the reference"


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("log.info('attempt.sent', attempt=1)", None),
        ("self._log.warning(f'attempt.{status}', error_class=e)", None),
        ("setup.log.info('check.' + verdict, verification=v)", None),
        ("log.info('surprise')", "line 1: the event 'surprise' is not in the inventory"),
        ("self._log.error(name)", "line 1: the event name is not in the inventory"),
        ("log.info(f'{x}.sent')", "line 1: the event f'{x}.sent' is not in the inventory"),
        ("log.info('attempt.sent', code=1)", "line 1: attempt.sent has no field code"),
        (
            "say = log.info if ok else log.error\nsay('surprise')",
            "line 2: the event 'surprise' is not in the inventory",
        ),
    ],
)
def test_an_event_or_field_outside_the_inventory_is_found(source: str, fault: str | None) -> None:
    assert strangers(source) == ([fault] if fault else [])


def test_each_event_is_there_once_and_says_what_it_means() -> None:
    names = [event.name for event in EVENTS]
    assert len(set(names)) == len(names)
    for event in EVENTS:
        assert event.meaning.endswith(".")
        assert event.level in LEVELS
        assert not set(event.fields) & {*ALWAYS, *CONTEXT}


def test_the_page_of_metrics_is_the_table() -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    assert page == metrics_page(), "run python -m gateway.telemetry.reference docs"


def test_the_page_of_operations_holds_the_inventory() -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    assert page == with_events(page), "run python -m gateway.telemetry.reference docs"


def test_the_reference_writes_both_pages(tmp_path: Path) -> None:
    (tmp_path / "operations.md").write_text(f"before\n{START}\nold\n{END}\nafter\n")
    main(tmp_path)
    page = (tmp_path / "operations.md").read_text()
    assert page.startswith("before\n")
    assert page.endswith("after\n")
    assert "`attempt.sent`" in page
    assert (tmp_path / "metrics.md").read_text() == metrics_page()


def test_a_page_without_the_markers_is_refused() -> None:
    with pytest.raises(ValueError):
        with_events("nothing here")
