"""What the HTTP application is given of a world, for every test that serves one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.http.surface import Surface
from tests.support.world import World


def surface_of(world: World, keys: Mapping[str, str], **changes: Any) -> Surface:
    """`keys` are the apps by the hash of their keys; `changes` replace other fields."""
    fields: dict[str, Any] = {
        "verifications": world.verifications,
        "reports": world.reports,
        "suppressions": world.suppressions,
        "lists": world.lists,
        "erasure": world.erasure,
        "blocks": world.blocks,
        "metrics": world.setup.metrics,
        "log": world.setup.log,
        "api_keys": keys,
        "public_url": "https://otp.example",
        "readiness": _ready,
        "draining": lambda: False,
        "version": "1.2.3",
    }
    return Surface(**{**fields, **changes})


async def _ready() -> list[str]:
    return []
