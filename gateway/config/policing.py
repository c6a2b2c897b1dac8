"""Puts the policies together: what each extends is merged in, validated, and compiled with the channels' providers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from gateway.config import listings
from gateway.config.explain import Complaint, judged, own_words
from gateway.config.fault import Path, instead, near
from gateway.config.reader import Document
from gateway.config.shape import entry
from policies.engine import Policy, compile_policy
from policies.inheritance import Unresolvable, presets, resolve
from policies.money import Tariff
from policies.schema import PolicySettings

Raw = Mapping[str, Any]

_PLACED = re.compile(r"policies\.(?P<path>[^:\s]+): (?P<said>.*)", re.DOTALL)


def wanted(policies: Raw, apps: Raw) -> dict[str, Path]:
    """The policies to put together, each with where it is named: all in the file, and the presets that apps name."""
    names: dict[str, Path] = {name: ("policies", name) for name in policies}
    for app, raw in apps.items():
        chosen = raw.get("policies", {"*": "default"}) if isinstance(raw, Mapping) else {}
        for purpose, name in chosen.items() if isinstance(chosen, Mapping) else ():
            if isinstance(name, str) and name in presets():
                names.setdefault(name, ("apps", app, "policies", purpose))
    return names


def refuse_empty(document: Document) -> None:
    """A key whose lines are all commented out is null to YAML, and would take every limit or cap out in silence."""
    for path in document.empty:
        if path[0] == "policies" and len(path) > 2:
            problem = "is empty, which would take out all that is extended here"
            document.complain(path, problem, "write null for that, or take the key out as well")


def settled(names: Mapping[str, Path], policies: Raw, document: Document) -> dict[str, PolicySettings]:
    """What each policy says, ancestors included. Faults go to the document, where the words stand that are wrong."""
    found: dict[str, PolicySettings] = {}
    for name in names:
        settings = _settle(name, policies, document)
        if settings is not None:
            found[name] = settings
    return found


def _settle(name: str, policies: Raw, document: Document) -> PolicySettings | None:
    try:
        said = resolve(name, policies)
    except Unresolvable as error:
        _unresolvable(name, str(error), document)
        return None
    settings, complaints = judged(PolicySettings, said, strict=False)
    for place, problem, remedy in _misnamed(said, complaints):
        document.complain(("policies", _writer(name, place, policies), *place), problem, remedy)
    return settings


_NAMED: Mapping[Path, tuple[str, str]] = {
    ("limits",): ("limit", "per"),
    ("spend", "caps"): ("cap", "per"),
    ("fraud", "rules"): ("rule", "measure"),
}
"""What is merged by name: what it is called, and a key that only a whole one has."""


def _misnamed(said: object, complaints: list[Complaint]) -> list[Complaint]:
    """What says only what is different, under a name that differs from the extended one's, is one mistake."""
    lacking = [
        place[:-1]
        for place, problem, _ in complaints
        if problem == "is missing" and _NAMED.get(place[:-2], ("", ""))[1] == place[-1]
    ]
    meant = {place: near(str(place[-1]), _whole(said, place[:-1], lacking)) for place in lacking}
    told = [
        (place, f"there is no {_NAMED[place[:-1]][0]} of this name to change", f"did you mean {known[0]!r}?")
        for place, known in meant.items()
        if known
    ]
    return told + [one for one in complaints if not any(known and _under(one[0], to) for to, known in meant.items())]


def _whole(said: object, section: Path, lacking: list[Path]) -> list[str]:
    """The names of a section that stand for something whole."""
    for part in section:
        said = entry(said, part)[1]
    return [str(name) for name in said if (*section, name) not in lacking] if isinstance(said, Mapping) else []


def _under(place: Path, section: Path) -> bool:
    return place[: len(section)] == section


def _unresolvable(name: str, message: str, document: Document) -> None:
    placed = _PLACED.fullmatch(message)
    path = placed["path"].split(".") if placed else [name]
    said = placed["said"] if placed else message
    problem, remedy, *_ = [*re.split(r": (?=these exist|did you mean)|; (?=let )", said), ""]
    document.complain(("policies", *path), problem, remedy)


def _writer(name: str, place: Path, policies: Raw) -> str:
    """The ancestor that wrote what is wrong, so that it is told once and in the right line: whoever has the most of
    the way there, and of equals the nearest."""
    return max(ancestry(name, policies), key=lambda ancestor: _depth(policies[ancestor], place), default=name)


def _depth(raw: object, place: Path) -> int:
    """How many parts of a path exist."""
    for depth, part in enumerate(place):
        found, raw = entry(raw, part)
        if not found:
            return depth
    return len(place)


def ancestry(name: str, policies: Raw) -> Iterator[str]:
    """The policy and what it extends, as far as the file goes."""
    seen: set[str] = set()
    while name in policies and name not in seen:
        seen.add(name)
        yield name
        name = policies[name].get("extends", "default") or ""


def compiled(
    names: Mapping[str, Path],
    settings: Mapping[str, PolicySettings],
    orders: Mapping[str, tuple[str, ...]],
    available: Mapping[str, Collection[str]],
    tariff: Tariff,
    document: Document,
) -> dict[str, Policy]:
    """The policies as the engine wants them, with what the files say that they name."""
    found: dict[str, Policy] = {}
    contents, disposable = listings.contents(settings, document), listings.disposable(settings)
    for name, said in settings.items():
        try:
            found[name] = compile_policy(name, said, orders, available, contents, disposable, tariff)
        except ValueError as error:
            below, problem, remedy = own_words(str(error), PolicySettings)
            document.complain((*names[name], *below), problem, remedy)
    return found


def unknown(name: str, policies: Iterable[str]) -> str:
    """The remedy for a policy that does not exist."""
    return instead(name, dict.fromkeys([*policies, *presets()]))
