"""The short way of a log line: facts that are plain and hide nothing are encoded and written in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import copy_context
from functools import lru_cache
from typing import Any

from pydantic_core import PydanticSerializationError, to_json
from structlog.contextvars import STRUCTLOG_KEY_PREFIX, STRUCTLOG_KEY_PREFIX_LEN
from structlog.typing import FilteringBoundLogger

from gateway.telemetry.redaction import secret, spotless

_SCALARS = frozenset({str, int, bool})
_SEQUENCES = frozenset({list, tuple})
_TEXTS = frozenset({str})


def shortened(
    logger: type[FilteringBoundLogger], levels: Iterable[str], stamp: Callable[[], str], write: Callable[[str], None]
) -> type[FilteringBoundLogger]:
    """The class of loggers that writes what it can by the short way, and has the long way, which is structlog's chain
    of processors, for all else. Nobody can tell which way a line has come. `levels` are those that are not silent."""

    def method(level: str, long: Callable[..., None]) -> Callable[..., None]:
        def say(self: Any, event: str, *args: Any, **facts: Any) -> None:
            line = "" if args else written(stamp(), level, event, _bound(self._context | facts))
            if line:
                write(line)
            else:
                long(self, event, *args, **facts)

        return say

    return type(logger.__name__, (logger,), {level: method(level, getattr(logger, level)) for level in levels})


def _bound(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts with what is bound to the request or the timer: structlog's own merge, without its calls."""
    for variable, value in copy_context().items():
        name = variable.name
        if name.startswith(STRUCTLOG_KEY_PREFIX) and value is not Ellipsis:  # which stands for "no longer"
            facts.setdefault(name[STRUCTLOG_KEY_PREFIX_LEN:], value)
    return facts


def written(stamp: str, level: str, event: str, facts: Mapping[str, Any]) -> str:
    """The line; "" for one that has to go the long way, because something in it may have to be masked, cut or spelled
    out. Most lines have nothing of the kind, which the whole of a line tells at a glance."""
    if _special(tuple(facts)):
        return ""
    line = {"timestamp": stamp, "level": level, "event": event}
    for field, value in facts.items():
        kind = type(value)
        if kind in _SCALARS or (kind in _SEQUENCES and _TEXTS.issuperset(map(type, value))):
            line[field] = value
        elif value is not None:
            return ""
    return _encoded(line)


@lru_cache(maxsize=1024)
def _special(fields: tuple[str, ...]) -> bool:
    """Whether one of these is hidden whatever it holds, or stands for something else."""
    return "exc_info" in fields or any(map(secret, fields))


def _encoded(line: Mapping[str, object]) -> str:
    try:
        encoded = to_json(line).decode()
    except (PydanticSerializationError, UnicodeError):
        return ""
    return encoded if spotless(encoded) else ""
