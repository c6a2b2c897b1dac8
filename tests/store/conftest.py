"""A store with a clock that is told, on the shared real server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.store.drafts import Shelf


@pytest.fixture
async def shelf(valkey: str) -> AsyncIterator[Shelf]:
    shelf = Shelf(valkey)
    yield shelf
    await shelf.store.close()
    await shelf.client.aclose()
