"""A configuration with anything at all in it is taken or answered with sentences, and never with a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.config import Invalid, Settings, load
from tests.support.process import ROOT

LINES = (ROOT / "config.yaml").read_text().splitlines()
_JUNK = (
    "null|[]|{}|-1|1e999|.nan|yes|'|\"|{|]|&a [*a]|*a|!!python/name:os.system|2026-13-45|0x7f|1_000|15s|999d"
    "|{env: NOWHERE}|{env: 1}|? x|- y|<<: {}|\t|\x00|%TAG|---"
)
JUNK = st.sampled_from(_JUNK.split("|")) | st.text(max_size=12)


@st.composite
def bent(draw: st.DrawFn) -> bytes:
    """The reference configuration with some of its lines changed."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.sampled_from(("value", "gone", "twice", "indent", "line", "swap")))
        lines[at : at + 1] = _changed(draw, kind, lines, at)
    text = "\n".join(lines).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 9)):
        return text
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.binary(max_size=4)) + text[at:]


def _changed(draw: st.DrawFn, kind: str, lines: list[str], at: int) -> list[str]:
    line = lines[at]
    match kind:
        case "value":
            return [line.partition(":")[0] + ": " + draw(JUNK)]
        case "gone":
            return []
        case "twice":
            return [line, line]
        case "indent":
            return [" " * draw(st.integers(0, 8)) + line.lstrip()]
        case "line":
            return [line, " " * draw(st.integers(0, 6)) + draw(JUNK)]
        case _:
            return [lines[draw(st.integers(0, len(lines) - 1))]]


def told(path: Path) -> Settings | Invalid:
    try:
        return load(path, {}, make_keys=False)
    except Invalid as fault:
        return fault


@settings(max_examples=int(os.environ.get("FUZZ_FILES", "120")), deadline=None, suppress_health_check=list(HealthCheck))
@given(content=bent() | st.binary(max_size=300))
@example(content=b"a: &a [*a]")
@example(content=b"policies: {default: [x")
def test_whatever_is_in_the_file_is_taken_or_said_to_be_wrong(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(content)
    answer = told(file)
    if isinstance(answer, Settings):
        return
    lines = content.count(b"\n") + content.count(b"\r") + 2
    assert answer.faults
    assert all(fault.problem and 0 <= fault.line <= lines for fault in answer.faults)
    assert all(text.isprintable() for fault in answer.faults for text in [fault.text("config.yaml")])


def test_the_reference_configuration_itself_is_taken() -> None:
    assert isinstance(told(ROOT / "config.yaml"), Settings)


def test_a_crash_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.config import loader

    monkeypatch.setattr(loader, "read", lambda content: 1 / 0)
    (tmp_path / "config.yaml").write_bytes(b"mode: development")
    with pytest.raises(ZeroDivisionError):
        told(tmp_path / "config.yaml")
