"""The gateway's own command with a mistake in it, named by the environment: what the suite must be able to notice."""

from __future__ import annotations

import os
from dataclasses import replace

from gateway import cli
from gateway.http import opening
from gateway.store.steps import Created, Creation, Paid, Unavailable
from tests.proof import planted


class Careless(planted.ReadThenWrite):
    """Takes it for granted that what it asks for is done, and never heard of a request that is sent again."""

    async def create(self, creation: Creation) -> object:  # type: ignore[override]
        try:
            return await super().create(replace(creation, idempotency=None))
        except Unavailable:
            spend = creation.wants.spend
            paid = Paid((0,) * len(spend.purses)) if spend else Paid()
            return Created(self.now(), (), paid=paid)


if __name__ == "__main__":
    if os.environ["FAULTS_MISTAKE"] == "careless":
        opening.Store = Careless  # type: ignore[misc]
    else:
        planted.plant(os.environ["FAULTS_MISTAKE"])
    cli.main()
