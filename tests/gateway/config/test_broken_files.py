"""Every way in which a configuration is commonly wrong, answered with its whole sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import Invalid, load
from gateway.config.providers import types

CORPUS = Path(__file__).with_name("broken_files.txt")

SECTIONS = {
    "mode": "mode: development\n",
    "apps": "apps: {demo: {name: Demo}}\n",
    "providers": "providers: {sim: {type: simulator}}\n",
    "channels": "channels: {sms: {providers: [sim]}, voice: {providers: [sim]}, "
    "whatsapp: {providers: [sim]}, email: {providers: [sim]}}\n",
    "policies": "policies: {default: {countries: {allow: [US]}}}\n",
}
"""A file that is right."""

ENVIRON = {"EMPTY": "", "SHORT": "abc", "FILLER": "x" * 40, "KEY": "0123456789abcdef" * 4}


def whole(text: str) -> str:
    """A file with this text in it, and all else right."""
    return text + "".join(good for name, good in SECTIONS.items() if f"\n{name}:" not in f"\n{text}")


def corpus() -> list[tuple[str, list[str]]]:
    """The broken files with their answers."""
    blocks = CORPUS.read_text(encoding="utf-8").rstrip("\n").split("\n\n")[1:]
    lines = [block.splitlines(keepends=True) for block in blocks]
    return [
        (
            "".join(line for line in block if not line.startswith("=> ")),
            [_answer(line) for line in block if line.startswith("=> ")],
        )
        for block in lines
    ]


def _answer(line: str) -> str:
    return line.removeprefix("=> ").rstrip("\n").replace("{types}", ", ".join(types()))


def complaints(folder: Path, content: str | bytes, environ: dict[str, str] | None = None) -> list[str]:
    """What is said of a file; nothing when it is right."""
    file = folder / "config.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        load(file, ENVIRON | (environ or {}), make_keys=False)
    except Invalid as invalid:
        return [fault.text("config.yaml") for fault in invalid.faults]
    return []


@pytest.mark.parametrize(("text", "answer"), corpus())
def test_a_broken_file_is_answered_with_its_line_what_is_wrong_and_what_to_write(
    tmp_path: Path, text: str, answer: list[str]
) -> None:
    assert complaints(tmp_path, whole(text)) == answer


def test_the_corpus_is_large_and_all_of_it_is_broken() -> None:
    assert len(corpus()) >= 60
    assert all(text and answer for text, answer in corpus())


def test_the_file_that_the_broken_ones_are_made_of_is_right(tmp_path: Path) -> None:
    assert complaints(tmp_path, whole("")) == []


def test_all_faults_are_told_at_once_in_the_order_of_their_lines(tmp_path: Path) -> None:
    text = (
        "mode: development\n"
        "server:\n"
        "  port: 70000\n"
        "  hots: localhost\n"
        "apps:\n"
        "  demo: {name: Demo, keys: [{id: k1, sha256: x}], policies: {'*': stritc}}\n"
        "providers:\n"
        "  sim: {type: simulator, timeout: 61}\n"
        "  other: {type: nothing}\n"
        "channels: {sms: {providers: [simm]}, voice: {providers: 3}}\n"
        "policies:\n"
        "  strict:\n"
        "    fallback: [{channel: sns, wait: 30s}]\n"
        "  weak: {code: {length: 3}}\n"
    )
    assert [answer.split(": ")[0:2] for answer in complaints(tmp_path, text)] == [
        ["config.yaml:3", "server.port"],
        ["config.yaml:4", "server.hots"],
        ["config.yaml:6", "apps.demo.keys[0].sha256"],
        ["config.yaml:6", "apps.demo.policies.*"],
        ["config.yaml:8", "providers.sim.timeout"],
        ["config.yaml:9", "providers.other.type"],
        ["config.yaml:10", "channels.sms.providers[0]"],
        ["config.yaml:10", "channels.voice.providers"],
        ["config.yaml:13", "policies.strict.fallback[0].channel"],
        ["config.yaml:14", "policies.weak.code.length"],
    ]


def test_a_fault_in_a_policy_is_told_once_however_many_policies_extend_it(tmp_path: Path) -> None:
    text = "policies:\n  default: {code: {length: 11}}\n  login: {}\n  payment: {extends: login}\n"
    answer = "config.yaml:2: policies.default.code.length: is too large. Write 10 or less."
    assert complaints(tmp_path, whole(text)) == [answer]


def test_a_file_that_is_missing_empty_too_large_or_no_text_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as missing:
        load(tmp_path / "absent.yaml", {})
    absent = tmp_path / "absent.yaml"
    problem = "the file can't be read: no such file or directory. Name another with --config."
    assert str(missing.value) == f"{absent}: {problem}"
    empty = ["config.yaml:1: the file has no sections. Begin with mode: development."]
    assert complaints(tmp_path, "") == empty
    assert complaints(tmp_path, "- a\n- b\n") == empty
    assert complaints(tmp_path, b"# \n# \xff\n") == ["config.yaml:2: the file is not UTF-8. Save it as UTF-8."]
    large = "the file has more than 1048576 bytes. Take out what is no configuration."
    assert complaints(tmp_path, b"#" * 2_000_000) == [f"config.yaml: {large}"]


def test_a_file_of_aliases_that_would_grow_without_end_is_refused_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30)]
    answers = complaints(tmp_path, whole("".join(lines)))
    refused = [answer for answer in answers if "aliases (*name) are not read here" in answer]
    assert len(refused) == 29  # of several in one line, one is told


def test_deep_nesting_is_refused_before_it_exhausts_the_stack(tmp_path: Path) -> None:
    answer = "config.yaml:1: this is nested more than 32 levels deep. Make it flatter."
    assert complaints(tmp_path, "a: " + "[" * 100_000) == [answer]


def test_a_section_that_is_commented_out_whole_counts_as_left_out(tmp_path: Path) -> None:
    assert complaints(tmp_path, whole("server:\n  # port: 8081\nlog:\n")) == []
