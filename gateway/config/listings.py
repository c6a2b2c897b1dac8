"""Reads the files of entries that policies name, and the disposable domains that ship, when a policy asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from gateway.config import fault
from gateway.config.explain import split
from gateway.config.reader import Document
from policies import entries
from policies.schema import PolicySettings

LARGEST = 64 * 1024 * 1024
"""Bytes of a file: two to three million entries."""


def contents(policies: Mapping[str, PolicySettings], document: Document) -> dict[Path, entries.Listing]:
    """What the files say, each read once. Faults go to the document, where the file is named, with the file's line."""
    found: dict[Path, entries.Listing] = {}
    for place, file in _named(policies):
        if file not in found:
            found[file] = _read(file, _written(place, policies, document), document)
    return found


def disposable(policies: Mapping[str, PolicySettings]) -> frozenset[str]:
    """The domains of disposable mailboxes that ship; none while no policy looks for them."""
    if all(policy.email.disposable == "allow" for policy in policies.values()):
        return frozenset()
    from disposable_email_domains import blocklist

    return frozenset(blocklist)


def _named(policies: Mapping[str, PolicySettings]) -> Iterator[tuple[fault.Path, Path]]:
    for name, policy in policies.items():
        for section, key, files in (
            ("lists", "deny_files", policy.lists.deny_files),
            ("lists", "allow_files", policy.lists.allow_files),
            ("email", "disposable_files", policy.email.disposable_files),
        ):
            for index, file in enumerate(files):
                yield ("policies", name, section, key, index), file


def _written(place: fault.Path, policies: Mapping[str, PolicySettings], document: Document) -> fault.Path:
    """The policy that names the file itself, if this one inherits it."""
    others = (("policies", name, *place[2:]) for name in policies)
    return place if place in document.lines else next((p for p in others if p in document.lines), place)


def _read(file: Path, place: fault.Path, document: Document) -> entries.Listing:
    try:
        with file.open("rb") as opened:
            data = opened.read(LARGEST + 1)
    except OSError as error:
        problem = f"{file} can't be read: {(error.strerror or 'it is out of reach').lower()}"
        document.complain(place, problem, "name a file that is there, seen from where the gateway is started")
        return entries.listing(b"")[0]
    if len(data) > LARGEST:
        document.complain(place, f"{file} is longer than {LARGEST // 1_048_576} MB", "write beginnings of numbers")
        return entries.listing(b"")[0]
    found, faults = entries.listing(data)
    for line, reason in faults:
        problem, remedy = split(reason)
        document.complain(place, f"{file}, line {line}: {problem}", remedy)
    return found
