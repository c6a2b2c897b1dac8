"""Which kinds of email address a policy refuses: disposable, without mail, imitating another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import idna
import pytest
from pydantic import ValidationError

from policies import entries, scripts
from policies.destination import email, phone
from policies.engine import compile_policy, decide
from policies.model import Decision, Question
from policies.schema import PolicySettings

ORDERS = dict.fromkeys(("sms", "email"), ("one",))
FILE = Path("lists/disposable.txt")
IMITATION = "ana@ex\u0430mple.com"  # a Cyrillic a


def ask(address: str | None, number: str | None = None, dns: Any = "unknown", **rules: Any) -> Decision:
    steps = [{"channel": channel, "wait": "30s"} for channel in ORDERS]
    raw = {"fallback": steps, "countries": {"default": "allow"}, "email": rules}
    found = compile_policy(
        "login",
        PolicySettings.model_validate(raw),
        ORDERS,
        contents={FILE: entries.listing(b"throwaway.example\n")[0]},
        disposable=frozenset({"mailinator.com"}),
    )
    to = phone(number) if number else None
    return decide(found, Question("shop", "login", to, email(address) if address else None, mail=dns))


def refused(decision: Decision) -> tuple[str, str] | None:
    return (decision.refusal.code, decision.refusal.rule) if decision.refusal else None


def says(decision: Decision) -> str:
    return next(note.says for note in decision.notes if note.rule == "email")


CASES = [
    ("disposable", "ana@mailinator.com", "unknown", "a disposable mailbox"),
    ("disposable", "ana@deep.under.mailinator.com", "unknown", "a disposable mailbox"),
    ("no_mail", "ana@example.org", "refuses", "its domain takes no mail"),
    ("mixed_script", IMITATION, "unknown", "its domain mixes scripts"),
]


@pytest.mark.parametrize(("rule", "address", "dns", "why"), CASES)
def test_each_kind_is_refused_noted_or_let_through(rule: str, address: str, dns: str, why: str) -> None:
    denied = ask(address, dns=dns, **{rule: "deny"})
    assert (refused(denied), says(denied)) == (("destination_blocked", "email"), why)
    noted = ask(address, dns=dns, **{rule: "shadow"})
    assert (refused(noted), says(noted)) == (None, f"{why} (in shadow)")
    assert refused(ask(address, dns=dns, **{rule: "allow"})) is None
    with_phone = ask(address, "+14155552671", dns, **{rule: "deny"})
    assert [step.channel for step in with_phone.steps] == ["sms"]


@pytest.mark.parametrize("dns", ["unknown", "takes"])
def test_a_domain_is_only_refused_for_what_the_dns_said(dns: str) -> None:
    assert refused(ask("ana@example.org", dns=dns, no_mail="deny")) is None


def test_an_operators_own_disposable_domains_are_added_to_those_that_ship() -> None:
    rules = {"disposable": "deny", "disposable_files": [str(FILE)]}
    assert refused(ask("a@x.throwaway.example", **rules)) == ("destination_blocked", "email")
    assert refused(ask("a@mailinator.com", **rules)) == ("destination_blocked", "email")
    assert refused(ask("a@example.org", **rules)) is None


def test_a_file_that_would_not_be_looked_at_is_a_fault() -> None:
    with pytest.raises(ValidationError, match="are not looked at: write disposable: deny"):
        ask("a@example.org", disposable_files=[str(FILE)])


# By UTS 39 section 5.2: the examples of scripts that are written together, and of some that are not.
@pytest.mark.parametrize(
    ("domain", "mixed"),
    [
        ("example.com", False),
        ("ex\u0430mple.com", True),  # Cyrillic a among Latin
        ("p\u03b1ypal.com", True),  # Greek alpha among Latin
        ("\u0440\u0443\u0441.com", False),  # each label for itself
        ("b\u00fccher.de", False),
        ("\u65e5\u672c\u8a9etest\u304b\u306a.jp", False),  # Han, Latin, Hiragana
        ("\uc11c\uc6b8abc.kr", False),  # Hangul, Latin
        ("\u304b\uc11c.jp", True),  # Hiragana with Hangul
        ("\u043a\u0442\u043e1.\u0440\u0444", False),  # a digit is of no script
        ("\u0d05\u0d35-x.in", True),  # Malayalam with Latin
        ("\u30c7\u30fc\u30bf.jp", False),  # the long-vowel mark is of two scripts
        ("\u4e8c\u3007.cn", False),  # the ideographic zero is Han
    ],
)
def test_scripts_that_nobody_mixes(domain: str, mixed: bool) -> None:
    ascii_form = ".".join(idna.alabel(label).decode() for label in domain.split("."))
    assert scripts.mixed(ascii_form) == mixed


def test_what_can_not_be_decoded_is_mixed() -> None:
    assert scripts.mixed("xn--a-.com")
