"""Walks the schema beside the data: which keys may stand at a path, and what each is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

Shape = Any
"""An annotation, or None where nothing is known."""


def bare(shape: Shape) -> Shape:
    """An annotation without Annotated and without `| None`."""
    origin: Any = get_origin(shape)
    if origin is Annotated:
        return bare(get_args(shape)[0])
    if origin in (Union, UnionType):
        choices = [choice for choice in get_args(shape) if choice is not type(None)]
        return bare(choices[0]) if len(choices) == 1 else None
    return shape


def fields(shape: Shape) -> Mapping[str, FieldInfo] | None:
    """The keys of a section, or None for what is not a section with fixed keys."""
    model = bare(shape)
    return model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else None


def child(shape: Shape, key: str | int) -> Shape:
    """The shape of one key or entry, or None."""
    known = fields(shape)
    if known is not None:
        return known[str(key)].annotation if key in known else None
    found = bare(shape)
    arguments, origin = get_args(found), cast(Any, get_origin(found))
    if origin is dict:
        return arguments[1]
    return arguments[0] if origin in (tuple, list, frozenset) and arguments else None


def at(shape: Shape, path: Sequence[str | int]) -> Shape:
    """The shape at a path, or None."""
    for part in path:
        shape = child(shape, part)
    return shape


def described(shape: Shape, path: Sequence[str | int]) -> str:
    """What the key at a path is for, or ""."""
    known = fields(at(shape, path[:-1])) if path else None
    found = known.get(str(path[-1])) if known else None
    return (found.description or "") if found else ""


def entry(raw: object, part: str | int) -> tuple[bool, Any]:
    """Whether the data has that key or entry, and what it is."""
    if isinstance(raw, Mapping) and part in raw:
        return True, raw[part]
    if isinstance(raw, list) and isinstance(part, int) and part < len(raw):
        return True, raw[part]
    return False, None
