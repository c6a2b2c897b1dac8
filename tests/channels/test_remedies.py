"""One source: what the doctor says to do is what the provider's page says, row by row, in both directions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from channels import errors, remedies
from channels.contract import ErrorClass
from channels.remedies import CLASSES, WORDS

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(file.stem for file in (ROOT / "channels/providers/remedies").glob("*.yaml"))
TABLED = [name for name in SHIPPED if name not in ("smtp", "webhook")]  # that have an error table beside them
CLASS_NAMES = set(map(str, ErrorClass)) | {"counts as sent"}


def page(provider: str) -> str:
    return (ROOT / f"docs/providers/{provider}.md").read_text(encoding="utf-8")


def rows(text: str) -> list[tuple[str, str]]:
    """The first and the last cell of the table's rows that have a class between them."""
    found = re.findall(r"^\| (.+?) \| `?([a-z_ ]+)`? \| (.+?) \|$", text, re.MULTILINE)
    return [(said, remedy) for said, kind, remedy in found if kind in CLASS_NAMES]


def besides(text: str) -> list[str]:
    """The remedies of the table of what the doctor finds."""
    table = text.partition("| what the doctor finds | what to do |")[2]
    return re.findall(r"^\| [^|]+ \| (.+?) \|$", table, re.MULTILINE)


@pytest.mark.parametrize("provider", SHIPPED)
def test_every_remedy_is_a_row_of_the_page_that_names_its_codes(provider: str) -> None:
    shipped = remedies.load(provider)
    told = {remedy: said for said, remedy in rows(page(provider))}
    assert set(shipped.by_code.values()) <= set(told)
    unnamed = [code for code, remedy in shipped.by_code.items() if not _names(told[remedy], code)]
    assert unnamed == []
    assert sorted(shipped.by_finding.values()) == sorted(besides(page(provider)))


@pytest.mark.parametrize("provider", TABLED)
def test_every_row_of_the_page_is_a_remedy(provider: str) -> None:
    shipped = remedies.load(provider)
    assert [remedy for _, remedy in rows(page(provider)) if remedy not in shipped.by_code.values()] == []


@pytest.mark.parametrize("provider", TABLED)
def test_every_code_with_a_remedy_is_one_that_the_vendor_or_the_provider_has(provider: str) -> None:
    known = {*errors.load(provider), *OWN}
    assert [code for code in remedies.load(provider).by_code if code not in known] == []


OWN = {"no_credentials", "311"}
"""Codes that are in no table: our own word for a missing role, and MSG91's one that is no error."""


def test_smtp_s_remedies_are_rows_of_its_page() -> None:
    shipped = remedies.load("smtp")
    assert set(shipped.by_code.values()) == {remedy for said, remedy in rows(page("smtp")) if remedy[-1] == "."}
    assert {code for code in shipped.by_code if code not in CLASS_NAMES} == {
        "connect",
        "tls",
        "starttls",
        "timeout",
        "smtputf8",
    }


def test_the_general_remedies_are_in_the_page_on_operations() -> None:
    operations = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    assert set(CLASSES) == set(ErrorClass)
    assert [name for name, remedy in CLASSES.items() if f"| `{name}` | {remedy} |" not in operations] == []
    assert [word for word, remedy in WORDS.items() if not re.search(_row(word, remedy), operations)] == []


def _row(word: str, remedy: str) -> str:
    return rf"(?m)^\| [^|]*`{word}`[^|]* \| {re.escape(remedy)} \|$"


def test_a_code_with_two_remedies_is_refused() -> None:
    with pytest.raises(ValueError, match="20003 has two remedies: keep one"):
        remedies.parse("[{codes: [20003], remedy: a}, {codes: [20003], remedy: b}]")


def test_a_provider_from_elsewhere_has_none_and_gets_the_general_ones() -> None:
    assert remedies.load("package.module:build").by_code == {}


def _names(said: str, code: str) -> bool:
    """A cell names a code by itself or by the range that it lies in; a class by any of its replies."""
    if code in CLASS_NAMES:
        return True
    bare = code.partition(":")[0]
    return bare in said or any(_within(code, *ends) for ends in re.findall(r"(\S*\d) to (\S*\d)", said)) or _short(said)


def _within(code: str, first: str, last: str) -> bool:
    numbers = [re.fullmatch(r"(.*?)(\d+)", text) for text in (code, first, last)]
    if not all(numbers) or len({number[1] for number in numbers if number}) > 1:
        return False
    mid, low, high = (int(number[2]) for number in numbers if number)
    return low <= mid <= high


def _short(said: str) -> bool:
    """`..._FOR_VOICE` stands for the whole name beside it."""
    return "..._" in said
