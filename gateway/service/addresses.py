"""Where all lies that is kept of one address for one app, and what it is called there."""

from __future__ import annotations

from typing import NamedTuple

from gateway.service.setup import Setup
from policies.model import Email, Phone


class Kept(NamedTuple):
    """In the slot of the address's verifications. Mailboxes that differ by a +tag are one."""

    shard: int
    guesses: str  # the name of its counter of failed guesses
    opt_outs: str  # the key of its record of opt-outs
    trace: str  # the key of the list of what is known of it


def kept(setup: Setup, app: str, address: Phone | Email) -> Kept:
    """Of this app, so that the names tell nobody that two apps know the same address."""
    if isinstance(address, Phone):
        kind, text = "phone", address.e164
    else:
        kind, text = "email", address.key
    shard = setup.keys.shard(text)
    guesses, opt_outs, trace = setup.keys.names(app, kind, text)
    return Kept(shard, guesses, setup.store.suppression_key(shard, opt_outs), setup.store.trace_key(shard, trace))
