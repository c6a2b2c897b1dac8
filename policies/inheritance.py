"""Policies that start from others: the presets that ship, and what a policy says once its ancestors are merged in."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

Raw = Mapping[str, Any]
"""A policy as YAML gives it, not yet validated."""


class Unresolvable(ValueError):
    """A policy that can't be put together. The message is for the operator: where, what, remedy."""


@cache
def presets() -> Mapping[str, Raw]:
    """The policies that ship, by name. Reads them once, at the first call."""
    folder = files("policies") / "presets"
    found = (entry for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return {entry.name.removesuffix(".yaml"): yaml.safe_load(entry.read_text("utf-8")) for entry in found}


def resolve(name: str, policies: Mapping[str, Raw], shipped: Mapping[str, Raw] | None = None) -> dict[str, Any]:
    """What the policy says with everything that it extends merged in, before validation. Raises Unresolvable.

    A policy without `extends` starts from `default`, and one with `extends: null` from nothing. A policy goes before a
    preset of the same name, and may itself extend that preset. `shipped` is for tests: None takes the real presets.
    """
    shipped = presets() if shipped is None else shipped
    chain = _chain(name, policies, shipped)
    said: dict[str, Any] = {}
    for label, raw in reversed(chain):
        said = _merge(said, {key: value for key, value in raw.items() if key != "extends"}, label)
    return said


def _chain(name: str, policies: Mapping[str, Raw], shipped: Mapping[str, Raw]) -> list[tuple[str, Raw]]:
    """The policy, what it extends, and so on. Presets know only presets, so that no policy can bend them."""
    chain: list[tuple[str, Raw]] = []
    seen: list[tuple[str, bool]] = []  # a name, and whether it is a policy's or a preset's
    parent: str | None = name
    own = True
    while parent is not None:
        own = own and parent in policies and (not seen or seen[-1] != (parent, True) or parent not in shipped)
        raw = (policies if own else shipped).get(parent)
        if raw is None:
            raise _unknown(parent, seen, policies, shipped)
        if (parent, own) in seen:
            circle = " -> ".join([*(name for name, _ in seen), parent])
            raise Unresolvable(
                f"policies.{parent}.extends: goes in a circle: {circle}; let one of them extend a preset"
            )
        seen.append((parent, own))
        chain.append((parent, _mapping(parent, raw)))
        parent = _extends(parent, own, raw)
    return chain


def _extends(name: str, own: bool, raw: Raw) -> str | None:
    parent = raw.get("extends", "default" if own else None)
    if parent is not None and not isinstance(parent, str):
        raise Unresolvable(f"policies.{name}.extends: write the name of one policy or preset")
    return parent


def _mapping(name: str, raw: object) -> Raw:
    if not isinstance(raw, Mapping):
        raise Unresolvable(f"policies.{name}: write a mapping, such as {{extends: default}}")
    return raw


def _unknown(
    name: str, seen: list[tuple[str, bool]], policies: Mapping[str, Raw], shipped: Mapping[str, Raw]
) -> Unresolvable:
    others = sorted({*policies, *shipped} - ({name for name, _ in seen} - {*shipped}))
    where = f"policies.{seen[-1][0]}.extends: " if seen else ""
    near = get_close_matches(name, others, n=1, cutoff=0.7)
    remedy = f"did you mean {near[0]!r}?" if near else f"these exist: {', '.join(others)}"
    return Unresolvable(f"{where}there is no policy or preset {name!r}: {remedy}")


def _merge(base: Mapping[str, Any], over: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Maps by key, everything else replaced; null removes what the ancestors said."""
    merged = dict(base)
    for key, value in over.items():
        here = f"{path}.{key}"
        if value is None:
            if key not in base:
                exists = ", ".join(str(name) for name in base) or "nothing"
                raise Unresolvable(f"policies.{here}: null removes what is extended, where there is only {exists}")
            del merged[key]
        elif isinstance(value, Mapping):
            below = base.get(key)
            merged[key] = _merge(below if isinstance(below, Mapping) else {}, value, here)
        else:
            merged[key] = value
    return merged
