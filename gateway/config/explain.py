"""Turns the validation library's errors into sentences for an operator: what is wrong, and what to write instead."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from gateway.config.fault import Path, instead, near
from gateway.config.reader import Document
from gateway.config.shape import Shape, at, bare, described, entry, fields
from policies.duration import milliseconds

Model = TypeVar("Model", bound=BaseModel)
Said = tuple[str, str]
"""A problem and its remedy."""
Complaint = tuple[Path, str, str]
"""Where within a section, the problem, the remedy."""

_REMEDY = re.compile(r": (?=(?:write|add|take|leave|change|put|set|at most|shorten|let|these exist)\b)")
_HEAD = re.compile(r"([a-z_]+(?:\.[A-Za-z0-9_-]+)*): ")


def validated(shape: type[Model], raw: object, path: Path, document: Document, *, strict: bool = True) -> Model | None:
    """The section, or None with its faults added to the document. `strict` refuses 8080 in quotes for a number."""
    model, complaints = judged(shape, raw, strict=strict)
    for place, problem, remedy in complaints:
        document.complain((*path, *place), problem, remedy)
    return model


def judged(shape: type[Model], raw: object, *, strict: bool) -> tuple[Model | None, list[Complaint]]:
    """The section, or None with what is wrong with it."""
    truths = {place: (place, *_WHOLE({})) for place in ([] if strict else _truths(raw, shape))}
    try:
        model = TypeAdapter(shape).validate_json(json.dumps(raw), strict=strict)
    except ValidationError as error:
        details = error.errors(include_url=False)
        found = [complaint for detail in _telling(details) for complaint in _complaints(detail, shape, raw)]
        told = {complaint[0] for complaint in found}
        return None, [*found, *(complaint for place, complaint in truths.items() if place not in told)]
    return (None if truths else model), list(truths.values())


def _telling(details: list[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Less what follows from another fault: a list whose entries are wrong is not too short, and a key that is
    misspelled is not missing."""
    places = {detail["loc"] for detail in details}
    misspelled = {
        (*detail["loc"][:-1], key)
        for detail in details
        if detail["type"] == "extra_forbidden"
        for key in near(str(detail["loc"][-1]), [str(d["loc"][-1]) for d in details if d["type"] == "missing"])
    }
    for detail in details:
        loc = detail["loc"]
        beneath = any(len(place) > len(loc) and place[: len(loc)] == loc for place in places)
        follows = (detail["type"] == "too_short" and beneath) or (detail["type"] == "missing" and loc in misspelled)
        if not follows:
            yield detail


def _truths(raw: object, shape: Shape, place: Path = ()) -> Iterator[Path]:
    """Where true or false stands for a number: to the library, if it is not strict, they are 1 and 0."""
    if isinstance(raw, bool) and bare(at(shape, place)) in (int, float):
        yield place
    if isinstance(raw, dict | list):
        for key, value in raw.items() if isinstance(raw, dict) else enumerate(raw):
            yield from _truths(value, shape, (*place, key))


def _complaints(detail: ErrorDetails, shape: Shape, raw: object) -> Iterator[Complaint]:
    place = _place(detail, raw)
    if detail["type"] not in ("value_error", "assertion_error"):
        yield (place, *_translated(detail, shape, place))
        return
    for piece in str(detail["ctx"]["error"]).split("; "):
        below, problem, remedy = own_words(piece, at(shape, place))
        yield (*place, *below), problem, remedy


def _place(detail: ErrorDetails, raw: object) -> Path:
    """The location less what the library adds to it: names of union members and validators, and "[key]"."""
    place: Path = ()
    for part in detail["loc"]:
        found, value = entry(raw, part)
        if found or detail["type"] == "missing":
            place, raw = (*place, part), value
    return place


def own_words(text: str, shape: Shape) -> tuple[Path, str, str]:
    """A message of the schema itself: it may begin with a key ("code.expiry: ...") and end with a remedy."""
    below: Path = ()
    head = _HEAD.match(text)
    if head and head[1].split(".")[0] in (fields(shape) or ()):
        below, text = tuple(head[1].split(".")), text[head.end() :]
    return below, *split(text)


def split(text: str) -> Said:
    """A message, "what is wrong: what to do", in its two parts."""
    problem, _, remedy = _REMEDY.sub("\0", text, count=1).partition("\0")
    return problem, remedy


def _translated(detail: ErrorDetails, shape: Shape, place: Path) -> Said:
    kind = detail["type"]
    if kind == "missing":
        return "is missing", f"write it: {_lowered(described(shape, place))}" if described(shape, place) else "write it"
    if kind == "extra_forbidden":
        return _unknown(str(place[-1]), at(shape, place[:-1]))
    if kind in ("literal_error", "enum"):
        return _choice(detail, place, shape)
    if kind == "model_type":
        return _glued(detail["input"]) or _section(at(shape, place))
    if kind in _NOT_TEXT:
        return _measured(detail["input"], whole=kind.startswith("int")) or _glued(detail["input"]) or _KINDS[kind]({})
    if kind in _KINDS:
        return _KINDS[kind](detail.get("ctx", {}))
    return _lowered(detail["msg"]), ""


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text


def _unknown(key: str, shape: Shape) -> Said:
    """A key that isn't there: misspelled, or written in the wrong place, as an indentation does that is forgotten."""
    known = fields(shape) or {}
    if {"env", "file"} <= set(known):
        return "there is no such key", _WHERE
    owners = [name for name, found in known.items() if key in (fields(found.annotation) or ())]
    if owners and not near(key, known):
        return "there is no such key here", f"write it under {' or '.join(owners)}, further in"
    return "there is no such key", instead(key, known)


def _glued(value: object) -> Said | None:
    """Where a space is forgotten, YAML sees one piece of text."""
    found = re.match(r"(-)\S|[A-Za-z_]+(:)\S", value) if isinstance(value, str) else None
    if not found:
        return None
    sign = "hyphen" if found[1] else "colon"
    return f"YAML reads it as one piece of text, because no space follows the {sign}", f"write a space after the {sign}"


def _measured(value: object, *, whole: bool) -> Said | None:
    """A number that is written with its unit."""
    text = value if isinstance(value, str) else ""
    if share := re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]+)?) ?%", text):
        number = float(share[1])
        return "must be a number and no percentage", f"write {number if whole else number / 100:g}"
    if re.fullmatch(r"[0-9]{1,9}(ms|s|m|h)", text):
        return "must be a number without a unit", f"write it in seconds, as {_number(milliseconds(text) / 1000):g}"
    if re.fullmatch(r"[0-9]{1,9} ?[kKMG]i?B?", text):
        return "must be a number without a unit", "write it whole, in digits alone"
    return None


def _choice(detail: ErrorDetails, place: Path, shape: Shape) -> Said:
    choices = re.findall(r"'([^']*)'", str(detail["ctx"]["expected"]))
    value = detail["input"]
    if not isinstance(value, str) or len(value) > 40 or not value.isprintable():
        return "is none of the values that it can have", f"write one of {', '.join(choices)}"
    key = place[-1] if place else ""
    fixed = key in (fields(at(shape, place[:-1])) or ()) and not re.search(r"s$|_", str(key))
    kind = f"{'an' if str(key)[0] in 'aeiou' else 'a'} {key}" if fixed else "known here"
    return f"{value!r} is not {kind}", instead(value, choices)


def _section(shape: Shape) -> Said:
    known = fields(shape) or {}
    if {"env", "file"} <= set(known):
        return "a secret is never written in the configuration", _WHERE
    return "must be a section with keys of its own", f"write one or more of {', '.join(known)} under it"


def _number(bound: float) -> float:
    """60.0 as 60."""
    return int(bound) if bound == int(bound) else bound


def _entries(context: Mapping[str, Any], few: str) -> Said:
    number = context["min_length" if few == "few" else "max_length"]
    return f"has too {few} entries", f"write {number} or {'more' if few == 'few' else 'fewer'}"


def _fixed(problem: str, remedy: str) -> Callable[[Mapping[str, Any]], Said]:
    return lambda _: (problem, remedy)


_WHERE = "write where it is: {env: NAME} for an environment variable, or {file: PATH}"
_WHOLE = _fixed("must be a whole number", "write digits, without quotes")
_NUMBER = _fixed("must be a number", "write digits, without quotes")
_TEXT = _fixed("must be text", "write it in quotes")
_TRUTH = _fixed("must be true or false", "write one of the two, without quotes")
_LIST = _fixed("must be a list", "write [one, another], or one entry per line after a hyphen")
_MAPPING = _fixed("must be a section with keys of its own", "write them under it, each as key: value")

_NOT_TEXT = ("int_type", "int_parsing", "float_type", "float_parsing", "list_type", "tuple_type")
"""Where a text says more about the mistake than that it is one."""

_KINDS: Mapping[str, Callable[[Mapping[str, Any]], Said]] = {
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "string_type": _TEXT,
    "url_type": _TEXT,
    "url_parsing": _fixed("is not an address", "write one such as https://api.example.org"),
    "url_scheme": _fixed("is not an http or https address", "write one such as https://api.example.org"),
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "dict_type": _MAPPING,
    "greater_than_equal": lambda c: ("is too small", f"write {_number(c['ge'])} or more"),
    "greater_than": lambda c: ("is too small", f"write more than {_number(c['gt'])}"),
    "less_than_equal": lambda c: ("is too large", f"write {_number(c['le'])} or less"),
    "less_than": lambda c: ("is too large", f"write less than {_number(c['lt'])}"),
    "string_too_short": lambda c: ("is too short", f"write {c['min_length']} or more characters"),
    "string_too_long": lambda c: ("is too long", f"write {c['max_length']} or fewer characters"),
    "string_pattern_mismatch": lambda c: ("has a form that is not allowed", f"write what matches {c['pattern']}"),
    "too_short": lambda c: _entries(c, "few"),
    "too_long": lambda c: _entries(c, "many"),
}
"""Every error type that the schemas can raise, besides those that need to see the place."""
