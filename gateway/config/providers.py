"""Finds each provider's module by the `type` in its section, and validates the section by that module's own schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path as FilePath
from typing import Any

from channels import providers as shipped
from channels.contract import Channel, Context, Provider, ProviderSettings
from gateway.config.explain import validated
from gateway.config.fault import instead
from gateway.config.reader import Document
from gateway.config.secret import fetched, references
from gateway.config.settings import ProviderSection
from gateway.config.version import version

_SHIPPED = re.compile(r"[a-z][a-z0-9_]*")
_OUTSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*):([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a type is: the schema of its section, and how it is built."""

    schema: type[ProviderSettings]
    build: Callable[[ProviderSettings, Context], Provider]
    calls_back: bool
    free: bool


class Unusable(Exception):
    """A type that can't be had. `problem` and `remedy` are for the operator."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


def types() -> list[str]:
    """The types that ship."""
    files = (file for folder in shipped.__path__ for file in FilePath(folder).glob("[a-z]*.py"))
    return sorted(file.stem for file in files)


def kind(type_name: str) -> Kind:
    """Import what a type names. Raises Unusable.

    A module has `Settings` and `build(settings, context)`; `CALLS_BACK = False` says that the vendor reports nothing
    to us, and `FREE = True` that its messages cost nothing. A vendor's module is imported only here, and so only when
    it is configured.
    """
    module_name, build_name = _location(type_name)
    try:
        module = import_module(module_name)
    except ImportError as error:
        # the same message for a package that is missing and for one of ours whose library is
        problem = f"{module_name} can't be imported: {error.name or 'a part of it'} is missing or broken"
        raise Unusable(problem, "install the package that has it") from None
    schema, build = getattr(module, "Settings", None), getattr(module, build_name, None)
    if not (isinstance(schema, type) and issubclass(schema, ProviderSettings) and callable(build)):
        problem = f"{module_name} has no {build_name} function with a Settings model (a ProviderSettings) beside it"
        raise Unusable(problem, "name a module that is written as a provider")
    return Kind(schema, build, bool(getattr(module, "CALLS_BACK", True)), bool(getattr(module, "FREE", False)))


def _location(type_name: str) -> tuple[str, str]:
    outside = _OUTSIDE.fullmatch(type_name)
    if outside:
        return outside[1], outside[2]
    if _SHIPPED.fullmatch(type_name) is None or type_name not in types():
        raise Unusable("there is no such type of provider", instead(type_name, [*types(), "package.module:build"]))
    return f"{shipped.__name__}.{type_name}", "build"


def sections(
    raw: Mapping[str, Mapping[str, Any]], production: bool, environ: Mapping[str, str] | None, document: Document
) -> dict[str, ProviderSection]:
    """The sections that are right, enabled or not. Faults go to the document; secrets are fetched for enabled ones."""
    found = (_section(name, section, production, environ, document) for name, section in raw.items())
    return {section.name: section for section in found if section is not None}


def _section(
    name: str, raw: Mapping[str, Any], production: bool, environ: Mapping[str, str] | None, document: Document
) -> ProviderSection | None:
    path = ("providers", name)
    type_name = raw.get("type")
    if not isinstance(type_name, str):
        remedy = f"write type: and one of {', '.join(types())}"
        document.complain((*path, "type"), "a provider needs its type", remedy)
        return None
    try:
        found = kind(type_name)
    except Unusable as error:
        document.complain((*path, "type"), error.problem, error.remedy)
        return None
    settings = validated(found.schema, raw, path, document, strict=False)
    if settings is None:
        return None
    secrets = _secrets(settings, environ, path, document) if settings.enabled else {}
    context = Context(name, f"otp-gateway/{version()}", production, secrets)
    return ProviderSection(name, settings, _channels(settings), found.calls_back, found.build, context, found.free)


def _secrets(
    settings: ProviderSettings, environ: Mapping[str, str] | None, path: tuple[str, ...], document: Document
) -> dict[str, str]:
    refs = references(settings)
    values = {".".join(field): fetched(ref, environ, (*path, *field), document) for field, ref in refs}
    return {field: value for field, value in values.items() if value is not None}


def _channels(settings: ProviderSettings) -> frozenset[Channel] | None:
    """What the account can carry, where its settings say so."""
    channels = getattr(settings, "channels", None)
    return None if channels is None else frozenset(Channel(channel) for channel in channels)
