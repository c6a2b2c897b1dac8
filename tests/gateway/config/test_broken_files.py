"""Every way in which a configuration is commonly wrong, answered with its whole sentence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.config import Invalid, load
from gateway.config.model import Config
from gateway.config.providers import types
from gateway.config.shape import bare, fields
from policies.schema import PolicySettings

CORPUS = sorted(Path(__file__).with_name("broken").glob("*.txt"))

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
    texts = [file.read_text(encoding="utf-8").rstrip("\n") for file in CORPUS]
    lines = [block.splitlines(keepends=True) for text in texts for block in text.split("\n\n")[1:]]
    return [
        (
            "".join(line for line in block if not line.startswith("=> ")),
            [_answer(line) for line in block if line.startswith("=> ")],
        )
        for block in lines
    ]


def _answer(line: str) -> str:
    """A sentence, with what grows as the gateway does put in: {types} of provider, and the keys of {AppSettings}."""
    said = line.removeprefix("=> ").rstrip("\n").replace("{types}", ", ".join(types()))
    return re.sub(r"\{([A-Z][A-Za-z]+[a-z])\}", lambda found: ", ".join(KEYS[found[1]]), said)


def _keys(shape: Any) -> dict[str, list[str]]:
    """The keys of a section and of all below it, by the name of its model."""
    known = fields(shape) or {}
    below = [argument for field in known.values() for argument in _parts(field.annotation)]
    found = {bare(shape).__name__: list(known)} if known else {}
    return {name: keys for part in below for name, keys in _keys(part).items()} | found


def _parts(shape: Any) -> list[Any]:
    return [shape] if fields(shape) else [part for argument in get_args(shape) for part in _parts(argument)]


KEYS = _keys(Config) | _keys(PolicySettings)


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


SECRETS = (
    "hunter2",
    "correct-horse",
    "otp_4aMtOypEuCPvrhEe4",
    "0123456789abcdef",
    "AKIAIOSFODNN7EXAMPLE",
    "AAEhBOweik6ad9r",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "c2VjcmV0",
    "me:pw",
    "user:pass",
)
"""What stands in the broken files and could be a secret."""


def test_each_of_at_least_two_hundred_files_is_wrong_in_one_way_and_told_one_sentence() -> None:
    files = corpus()
    assert len(files) >= 200
    assert len({text for text, _ in files}) == len(files)
    assert [text for text, answer in files if len(answer) != 1] == []
    assert [answer for _, answer in files if not re.fullmatch(r"config\.yaml:[0-9]+: [^ ].+[.?]", answer[0])] == []


def test_no_answer_repeats_what_could_be_a_secret() -> None:
    texts, answers = zip(*((text, answer[0]) for text, answer in corpus()), strict=True)
    assert [secret for secret in SECRETS if not any(secret in text for text in texts)] == []
    assert [answer for answer in answers if any(secret in answer for secret in SECRETS)] == []


@pytest.mark.parametrize(("text", "answer"), corpus()[::20])
def test_the_command_that_checks_a_file_says_the_same_and_ends_with_1(
    tmp_path: Path, text: str, answer: list[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(whole(text), encoding="utf-8")
    result = CliRunner().invoke(main, ["check-config", "--config", str(file)], env=ENVIRON)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [f"{tmp_path}/{answer[0]}", "1 fault."]


def test_the_command_that_checks_a_file_takes_the_one_that_is_right(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(whole(""), encoding="utf-8")
    assert CliRunner().invoke(main, ["check-config", "--config", str(file)], env=ENVIRON).exit_code == 0


def test_a_circle_is_told_at_each_policy_of_it(tmp_path: Path) -> None:
    text = "policies:\n  default: {}\n  a: {extends: b}\n  b: {extends: a}\n"
    assert complaints(tmp_path, whole(text)) == [
        "config.yaml:3: policies.a.extends: goes in a circle: a -> b -> a. Let one of them extend a preset.",
        "config.yaml:4: policies.b.extends: goes in a circle: b -> a -> b. Let one of them extend a preset.",
    ]


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
