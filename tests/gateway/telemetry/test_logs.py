"""Log lines say what happened, on one line, in UTC, with nothing secret in them."""

import io
import json
import logging
import re
import warnings
from typing import Any

import pytest
import structlog

from gateway.telemetry import logs
from gateway.telemetry.logs import configure

pytestmark = pytest.mark.usefixtures("logging_restored")

NUMBER, ADDRESS, CODE = "+14155550123", "ana.silva@example.org", "482913"
KEY = "otp_" + "Qx7" * 8
HOSTILE = "a\nb\r\nc\x1b[2Jd\u202ee\u2028f\x00g\x85h"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Full(io.StringIO):
    """A disk with no room left."""

    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


def logger(layout: str = "json", level: str = "info", stream: io.StringIO | None = None) -> tuple[Any, io.StringIO]:
    stream = stream if stream is not None else io.StringIO()
    configure(level, layout, stream, clock=lambda: 1767607200.25)
    return structlog.get_logger(), stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_one_event_is_one_json_line_with_time_level_and_event_first() -> None:
    log, stream = logger()
    log.info("attempt.sent", attempt=1, channel="sms", seconds=0.25, message_id=None)
    assert stream.getvalue() == (
        '{"timestamp":"2026-01-05T10:00:00.250Z","level":"info","event":"attempt.sent",'
        '"attempt":1,"channel":"sms","seconds":0.25}\n'
    )


def test_what_is_bound_to_a_request_is_on_its_lines() -> None:
    log, stream = logger()
    with structlog.contextvars.bound_contextvars(request="r1"):
        log.info("check.wrong", verification="ver_1")
    log.info("check.wrong", verification="ver_2")
    assert [line.get("request") for line in lines(stream)] == ["r1", None]


def test_a_level_silences_those_below_it() -> None:
    log, stream = logger(level="warning")
    log.info("attempt.sent")
    log.warning("attempt.failed")
    assert [line["event"] for line in lines(stream)] == ["attempt.failed"]


def test_auto_is_json_in_a_pipe_and_console_on_a_terminal() -> None:
    log, pipe = logger("auto")
    log.info("attempt.sent")
    log, terminal = logger("auto", stream=Terminal())
    log.info("attempt.sent")
    assert pipe.getvalue().startswith("{")
    assert "\x1b[" in terminal.getvalue()
    assert "attempt.sent" in terminal.getvalue()


def test_console_in_a_file_has_no_colours() -> None:
    log, stream = logger("console")
    log.info("attempt.sent", channel="sms")
    assert re.fullmatch(r"2026-01-05T10:00:00\.250Z \[info +\] attempt\.sent +channel=sms\n", stream.getvalue())


@pytest.mark.parametrize(
    ("level", "layout", "said"),
    [
        ("loud", "json", "log.level: 'loud' is unknown. Write one of debug, info, warning, error, critical."),
        ("info", "xml", "log.format: 'xml' is unknown. Write one of auto, json, console."),
    ],
)
def test_a_setting_that_is_unknown_is_refused_with_the_known_ones(level: str, layout: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        configure(level, layout, io.StringIO())
    assert str(caught.value) == said


def say_everything(log: Any) -> None:
    """Every way by which a secret might get into a line."""
    log.info("attempt.sent", to=NUMBER, email=ADDRESS, code=CODE, api_key=KEY, note=f"call {NUMBER} or {ADDRESS}")
    log.info("attempt.sent", nested={"token": CODE, NUMBER: [ADDRESS, {"deep": {"er": {"still": NUMBER}}}]})
    log.info(f"attempt.sent {NUMBER}", url=f"https://x.example/?to=%2B{NUMBER[1:]}&mail=ana.silva%40example.org")
    log.info("request.refused", header=f"Bearer {KEY}", error=ValueError(f"{CODE} for {NUMBER}"))
    logging.getLogger("vendor.sdk").warning("POST to=%s body=%s", NUMBER, ADDRESS)
    try:
        raise RuntimeError(f"could not send {CODE} to {NUMBER}") from ValueError(ADDRESS)
    except RuntimeError:
        log.exception("timer.failed")


@pytest.mark.parametrize("layout", ["json", "console"])
def test_no_code_number_address_or_key_gets_into_a_line(layout: str) -> None:
    log, stream = logger(layout)
    say_everything(log)
    text = stream.getvalue()
    for secret in (NUMBER, NUMBER[1:], ADDRESS, "ana.silva", CODE, KEY):
        assert secret not in text
    assert "timer.failed" in text


def test_the_secrets_would_be_seen_without_the_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "text", lambda value: value)
    monkeypatch.setattr(logs, "secret", lambda field: False)
    monkeypatch.setattr(logs, "anything", lambda field, value: str(value))
    monkeypatch.setattr(logs, "exception", lambda error: {"message": str(error)})
    log, stream = logger()
    say_everything(log)
    for secret in (NUMBER, ADDRESS, CODE, KEY):
        assert secret in stream.getvalue()


def test_what_the_gateway_has_masked_itself_stays_readable() -> None:
    log, stream = logger()
    log.info("verification.started", phone="+1415*****23", email="a**@example.org", vendor_code="21211")
    (line,) = lines(stream)
    assert (line["phone"], line["email"], line["vendor_code"]) == ("+1415*****23", "a**@example.org", "21211")


def test_a_hostile_text_stays_within_one_json_line() -> None:
    log, stream = logger()
    log.info(HOSTILE, field=HOSTILE, **{HOSTILE: 1}, nested=[HOSTILE], error=ValueError(HOSTILE))
    text = stream.getvalue()
    assert text.isascii()
    assert text.count("\n") == 1
    assert all(character.isprintable() for character in text[:-1])
    assert json.loads(text)["field"] == HOSTILE


def test_a_hostile_text_cannot_move_the_terminal() -> None:
    log, stream = logger("console")
    log.info(HOSTILE, field=HOSTILE, **{HOSTILE: 1}, nested=[HOSTILE])
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert all(character.isprintable() for character in text[:-1])


def test_the_terminal_would_be_moved_without_the_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "one_line", lambda value: value)
    log, stream = logger("console")
    log.info(HOSTILE)
    assert "\x1b[2J" in stream.getvalue()


def test_an_exception_tells_its_type_cause_and_frames_but_no_source() -> None:
    log, stream = logger()
    hidden = "this line of source"
    try:
        try:
            raise KeyError(hidden[:4])
        except KeyError as error:
            raise ConnectionError("port 6379 refused") from error
    except ConnectionError:
        log.error("store.failed", exc_info=True)
    told = lines(stream)[0]["exception"]
    assert (told["type"], told["message"]) == ("ConnectionError", "port [digits] refused")
    assert told["cause"]["type"] == "KeyError"
    assert re.fullmatch(r".*test_logs\.py:\d+ test_an_exception_tells\w+", told["frames"][0])
    assert "raise ConnectionError" not in stream.getvalue()


def test_every_member_of_a_group_of_exceptions_is_told() -> None:
    log, stream = logger()
    log.error("timer.failed", exc_info=ExceptionGroup("both", [ValueError("one"), OSError("two")]))
    told = lines(stream)[0]["exception"]
    assert [inner["message"] for inner in told["group"]] == ["one", "two"]


def test_console_shows_an_exception_under_its_line() -> None:
    log, stream = logger("console")
    log.error("timer.failed", exc_info=ValueError("no\nway"))
    assert stream.getvalue().splitlines()[1:] == [r"    ValueError: no\nway"]


def test_libraries_speak_through_the_same_renderer_from_warning_up() -> None:
    _, stream = logger()
    logging.getLogger("aiohttp.client").info("quiet")
    logging.getLogger("aiohttp.client").warning("slow %s", NUMBER)
    logging.getLogger("uvicorn.error").info("Started")
    logging.getLogger("uvicorn.error").error("no room")
    logging.getLogger("uvicorn.access").warning("GET /")
    assert [(line["event"], line["logger"], line["level"], line["message"]) for line in lines(stream)] == [
        ("library", "aiohttp.client", "warning", "slow [phone]"),
        ("library", "uvicorn.error", "error", "no room"),
    ]


def test_a_library_that_formats_wrongly_leaks_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    _, stream = logger()
    root = logging.getLogger()
    root.handlers = [one for one in root.handlers if isinstance(one, logs.LibraryLines)]  # pytest's own raises
    logging.getLogger("vendor").warning("%d", NUMBER)
    assert stream.getvalue() == ""
    assert NUMBER not in "".join(capfd.readouterr())


def test_a_warning_of_python_is_a_line_too() -> None:
    _, stream = logger()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old ways", stacklevel=1)
    assert "old ways" in lines(stream)[0]["message"]


def test_a_second_configuration_replaces_the_first() -> None:
    _, first = logger()
    _, second = logger()
    logging.getLogger("vendor").warning("once")
    assert first.getvalue() == ""
    assert len(lines(second)) == 1


def test_a_full_disk_loses_the_line_and_not_the_request(capfd: pytest.CaptureFixture[str]) -> None:
    log, _ = logger(stream=Full())
    log.info("attempt.sent")
    logging.getLogger("vendor").warning("to %s", NUMBER)
    assert NUMBER not in "".join(capfd.readouterr())


def test_the_two_encoders_write_the_same_line() -> None:
    """One is fast and the other can write everything: which of them wrote a line is nobody's business."""
    odd = ["plain", "é", "\u202e", "\x1b[0m", "\x00", "\n", '"\\', "😀", "\x7f", "\ud800"]
    for text in odd:
        line = {"event": text, text: [text, {"a": text}], "n": 10**30, "f": 0.25, "t": True, "x": None}
        assert logs._json(line) == logs._THOROUGH.encode(line)
        assert logs._json(line).isprintable()
