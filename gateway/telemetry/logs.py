"""Structured logs: one JSON object per line in production, coloured lines on a terminal, nothing secret in either."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from json import JSONEncoder
from typing import Any, TextIO

import structlog
from pydantic_core import PydanticSerializationError, to_json
from structlog.typing import EventDict, Processor

from gateway.telemetry.plain import shortened
from gateway.telemetry.redaction import HIDDEN, anything, exception, one_line, secret, text

LEVELS = ("debug", "info", "warning", "error", "critical")
LAYOUTS = ("auto", "json", "console")
_QUIET = ("uvicorn.access", "aiohttp.access")  # one line per request says nothing that the metrics don't


def configure(
    level: str = "info",
    layout: str = "auto",
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.time,
) -> None:
    """Set up structlog and the standard library's logging for this process; a second call replaces the first.

    `layout` auto is console on a terminal and JSON elsewhere. `stream` is standard output when it is not given.
    Libraries write through the same renderer, from warning upwards. Raises ValueError.
    """
    _known("level", level, LEVELS)
    _known("format", layout, LAYOUTS)
    stream = stream or sys.stdout
    tidy = Tidy(clock)
    renderer = _renderer(layout, stream)
    lines, logger, loud = Lines(stream), structlog.make_filtering_bound_logger(level), LEVELS[LEVELS.index(level) :]
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, tidy, renderer],
        wrapper_class=logger if isinstance(renderer, Console) else shortened(logger, loud, tidy.now, lines.write),
        logger_factory=lines.same,
        cache_logger_on_first_use=True,
    )
    _adopt_libraries(level, stream, tidy, renderer)


def _known(what: str, value: str, values: tuple[str, ...]) -> None:
    if value not in values:
        raise ValueError(f"log.{what}: {value!r} is unknown. Write one of {', '.join(values)}.")


class Tidy:
    """The processor that orders a line's fields, stamps it with the time in UTC, and masks what may not be in it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._second = -1
        self._stamp = ""

    def __call__(self, logger: Any, method: str, event: EventDict) -> EventDict:
        line: dict[str, Any] = {"timestamp": self.now(), "level": method, "event": text(str(event.pop("event", "")))}
        problem = event.pop("exc_info", None)
        for field, value in event.items():
            kind = type(value)
            if secret(field):
                line[field] = HIDDEN
            elif kind is str:
                line[field] = text(value)
            elif value is not None:
                line[field] = value if kind is int else anything(field, value)
        if problem:
            _explain(line, problem)
        return line

    def now(self) -> str:
        """The stamp of a line that is written now."""
        now = self._clock()
        second = int(now)
        if second != self._second:
            self._stamp = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = second
        return f"{self._stamp}.{int((now - second) * 1000):03d}Z"


def _explain(line: dict[str, Any], problem: Any) -> None:
    error = problem[1] if isinstance(problem, tuple) else problem
    if not isinstance(error, BaseException):
        error = sys.exc_info()[1]
    if error is not None:
        line["exception"] = exception(error)


def _renderer(layout: str, stream: TextIO) -> Processor:
    terminal = stream.isatty()
    if layout == "json" or (layout == "auto" and not terminal):
        # ASCII only: line ends, ANSI sequences and bidi marks can't leave their string.
        return lambda _logger, _method, event: _json(event)
    return Console(colors=terminal)


_THOROUGH = JSONEncoder(ensure_ascii=True, check_circular=False, separators=(",", ":"))


def _json(line: EventDict) -> str:
    """One object in printable ASCII: by the faster encoder, unless there is what it can't write (half a surrogate) or
    would leave as it is (DEL)."""
    try:
        written = to_json(line, ensure_ascii=True)
    except (PydanticSerializationError, UnicodeError):
        return _THOROUGH.encode(line)
    return _THOROUGH.encode(line) if b"\x7f" in written else written.decode("ascii")


class Console:
    """The renderer for eyes: one line per event, an exception's frames on lines of their own."""

    def __init__(self, *, colors: bool) -> None:
        self._render = structlog.dev.ConsoleRenderer(colors=colors, sort_keys=False)

    def __call__(self, logger: Any, method: str, event: EventDict) -> str:
        told = event.pop("exception", None)
        flat = {
            one_line(field): one_line(value if isinstance(value, str) else str(value)) for field, value in event.items()
        }
        rendered = self._render(logger, method, flat)
        return "\n".join([rendered, *_paragraph(told)]) if isinstance(told, dict) else rendered


def _paragraph(told: dict[str, Any]) -> list[str]:
    lines = [f"    {frame}" for frame in told["frames"]]
    lines.append(f"    {told['type']}: {told['message']}")
    for inner in (*([told["cause"]] if "cause" in told else ()), *told.get("group", ())):
        lines += ["  because of", *_paragraph(inner)]
    return [one_line(line) for line in lines]


class Lines:
    """Writes whole lines to a stream. A line that can't be written is lost: a full disk must not fail a request."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def same(self, *_names: Any) -> Lines:
        """Every logger is this one."""
        return self

    def write(self, line: str) -> None:
        with self._lock:
            try:
                self._stream.write(f"{line}\n")
                self._stream.flush()
            except (OSError, ValueError):
                pass

    debug = info = warning = error = critical = write


class LibraryLines(logging.StreamHandler[TextIO]):
    """The standard library's way to the same stream; its type is how a second `configure` finds it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 # the library's name
        """Lose the line: the library would print its message and arguments, unmasked, to standard error."""


def _adopt_libraries(level: str, stream: TextIO, tidy: Tidy, renderer: Processor) -> None:
    handler = LibraryLines(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=[_foreign], processors=[tidy, renderer]))
    root = logging.getLogger()
    root.handlers = [kept for kept in root.handlers if not isinstance(kept, LibraryLines)] + [handler]
    least = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(least, logging.WARNING))  # at info and debug, SDKs write down what they send
    for name in ("uvicorn", "uvicorn.error", *_QUIET):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate, logger.disabled = [], True, name in _QUIET
    logging.captureWarnings(True)


def _foreign(_logger: Any, _method: str, event: EventDict) -> EventDict:
    line: EventDict = {"event": "library", "logger": event["_record"].name, "message": event["event"]}
    if "exc_info" in event:
        line["exc_info"] = event["exc_info"]
    return line
