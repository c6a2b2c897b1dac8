"""Lets environment variables overrule single keys of the file: OTP_GATEWAY__SERVER__PORT=8081."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

from gateway.config.fault import Fault, Path, dotted, instead
from gateway.config.model import Config
from gateway.config.providers import Unusable, kind
from gateway.config.reader import Document, read, scalar
from gateway.config.shape import Shape, at, fields
from policies.schema import PolicySettings

PREFIX = "OTP_GATEWAY__"
"""Two underscores stand between the parts of a path; a hyphen is written as one underscore, case does not matter."""


class _Unusable(Exception):
    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.said = problem, remedy


def overrule(document: Document, environ: Mapping[str, str]) -> None:
    """Write the variables' values into the document. One that names no key is a fault: it would be ignored silently."""
    if not isinstance(document.data, dict):
        return
    for name in sorted(environ):
        if name.upper().startswith(PREFIX):
            _overrule(document, name, environ[name])


def _overrule(document: Document, name: str, text: str) -> None:
    try:
        path = _path(name, document.data)
        before = len(document.faults)
        value = _value(text, path, document)
        if path in document.variables:
            raise _Unusable(f"it says the same key as {document.variables[path]}", "unset one of them")
    except _Unusable as error:
        document.faults.append(Fault(0, "", *error.said, variable=name))
        return
    document.variables[path] = name
    found, document.faults[before:] = document.faults[before:], []
    document.faults.extend(document.fault(path, fault.problem, fault.remedy) for fault in found)
    _put(document.data, path, value)


def _value(text: str, path: Path, document: Document) -> Any:
    """A plain scalar, whatever characters it has; a list or a text in quotes where it begins like one."""
    document.refused.discard(path)
    if text[:1] not in ("[", '"', "'"):
        return scalar(text, path, document)
    told = read(text.encode("utf-8", "replace"))
    if told.faults:
        raise _Unusable(told.faults[0].problem, told.faults[0].remedy)
    return told.data


def _path(name: str, data: Mapping[str, Any]) -> Path:
    """The path that a variable names. Raises _Unusable."""
    path: Path = ()
    value: Any = data
    for part in name[len(PREFIX) :].split("__"):
        known = _known(path, value, data)
        key = next((key for key in known if _written(key) == part.lower()), None)
        if key is None:
            raise _unknown(part, path, known)
        path = (*path, key)
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, Mapping) or (fields(_shape(path, data)) and value is None):
        raise _Unusable(f"{dotted(path)} is a section", "name one of its keys, after two more underscores")
    return path


def _written(key: str) -> str:
    return key.lower().replace("-", "_")


def _known(path: Path, value: object, data: Mapping[str, Any]) -> list[str]:
    """The keys that may stand there: those of the file, and those of the schema."""
    own = list(value) if isinstance(value, Mapping) else []
    return list(dict.fromkeys([*own, *(fields(_shape(path, data)) or ())]))


def _shape(path: Path, data: Mapping[str, Any]) -> Shape:
    """The schema at a path; a provider's is its module's, and a policy's that of policies."""
    if len(path) < 2 or path[0] not in ("providers", "policies"):
        return at(Config, path)
    if path[0] == "policies":
        return at(PolicySettings, path[2:])
    section = data["providers"][path[1]]
    try:
        return at(kind(str(section["type"])).schema, path[2:])
    except (Unusable, KeyError, TypeError):
        return None  # its own fault says so


def _unknown(part: str, path: Path, known: Iterable[str]) -> _Unusable:
    names = [_written(key).upper() for key in known]
    place = f"{dotted(path)} has no key" if path else "there is no section"
    return _Unusable(f"{place} that is written {part}", instead(part, names))


def _put(data: MutableMapping[str, Any], path: Path, value: Any) -> None:
    for part in path[:-1]:
        if not isinstance(data.get(str(part)), dict):
            data[str(part)] = {}
        data = data[str(part)]
    data[str(path[-1])] = value
