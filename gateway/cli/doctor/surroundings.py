"""Looks at what all providers need: a callback address that vendors can reach, and a store that forgets nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from channels.contract import SendError
from channels.examination import Finding, Verdict, fault, ok, unknown, warning
from channels.transport import Reply, Transport
from gateway.config import ProviderSection, Settings, version
from gateway.store import survey
from gateway.store.topology import configured, watched
from gateway.store.wire import Fault

Wrong = Callable[[str, str, str, str], Finding]
"""How grave something is: fault in production, warning in development."""

TIMEOUT = 10.0
"""Seconds for the callback address to answer."""

ANCHOR = "the-doctor"

REMEDIES = {
    "https": "Serve the gateway over https, and write that address in `server.public_url`: codes for calls and reports "
    "go there.",
    "private": "Write the address that vendors reach from the internet in `server.public_url`.",
    "unresolved": "Make a DNS record for the name in `server.public_url`, or correct it.",
    "silent": "Start the gateway, and let the proxy before it pass `/livez` and `/callbacks/` on.",
    "redirects": "Write the address that it redirects to in `server.public_url`: vendors sign the address that they "
    "are given, and most follow no redirect.",
    "other": "Something else answers there: let the proxy pass `/livez` and `/callbacks/` to the gateway, unchanged.",
    "certificate": "Renew the certificate, or serve its whole chain: vendors refuse what this machine refuses.",
    "store": "Start the store, and compare `store.url` and the network between.",
    "login": "Compare `store.username` and `store.password` with the store's ACL.",
    **survey.REMEDIES,
}
"""What docs/operations.md says to do about each."""

_LOGIN = ("WRONGPASS", "NOAUTH", "NOPERM")


async def callbacks(settings: Settings, sections: Sequence[ProviderSection]) -> list[Finding]:
    """Whether vendors can reach the public address, as far as that shows from here."""
    url = settings.public_url
    parts = urlsplit(url)
    if parts.port == 0:
        return [unknown("callback address", "the gateway takes a free port, and only it knows which")]
    if not settings.production and all(section.settings.type == "simulator" for section in sections):
        return [ok("callback address", f"{url}; the simulator is in the gateway itself")]
    wrong = fault if settings.production else warning  # in development the gateway may not run, and vendors stay away
    place, answer = await asyncio.gather(_place(parts.hostname or "", wrong), _answer(url, wrong))
    return [one for one in (_form(url, wrong), place) if one.verdict is not Verdict.OK] + [answer]


def _form(url: str, wrong: Wrong) -> Finding:
    if url.startswith("https:"):
        return ok("callback address", "https")
    return wrong("callback address", "not https", REMEDIES["https"], ANCHOR)


async def _place(host: str, wrong: Wrong) -> Finding:
    """Whether the address is in the world. A name may resolve otherwise from outside, so that a private address behind
    one is only a warning; written out, it is the same for everybody."""
    what = "callback address"
    written = host == "localhost" or _literal(host)
    try:
        async with asyncio.timeout(TIMEOUT):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError):
        return wrong(what, "its name can't be resolved from here", REMEDIES["unresolved"], ANCHOR)
    if all(ip_address(address[4][0]).is_global for address in found):
        return ok(what, "public")
    if written:
        return wrong(what, "only this machine or this network reaches it", REMEDIES["private"], ANCHOR)
    return warning(what, "its name leads here to a private address", REMEDIES["private"], ANCHOR)


def _literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


async def _answer(url: str, wrong: Wrong) -> Finding:
    transport = Transport(user_agent=f"otp-gateway/{version()}", timeout=TIMEOUT, concurrency=1)
    try:
        reply = await transport.request("GET", f"{url}/livez")
    except SendError as error:
        remedy = REMEDIES["certificate" if error.vendor_code == "tls" else "silent"]
        return wrong("callback address", f"{url}/livez does not answer ({error.vendor_code})", remedy, ANCHOR)
    finally:
        await transport.close()
    return _judged(url, reply, wrong)


def _judged(url: str, reply: Reply, wrong: Wrong) -> Finding:
    what = "callback address"
    if reply.status == 200 and b'"alive"' in reply.body:
        return ok(what, f"{url} answers from here, which says nothing of the way from a vendor")
    if 300 <= reply.status < 400:
        return wrong(what, f"{url} redirects ({reply.status})", REMEDIES["redirects"], ANCHOR)
    return wrong(what, f"{url}/livez answers {reply.status}, and not as the gateway", REMEDIES["other"], ANCHOR)


async def store(settings: Settings) -> list[Finding]:
    """Whether the store answers and keeps what it is told."""
    config = settings.config.store
    url, embedded = settings.store_url, settings.store_url == "embedded"
    if embedded:
        url = f"unix://{(config.directory / 'valkey.sock').resolve()}"
    calls = configured(config, url)
    try:
        info = await survey.look(calls)
    except Fault as unreached:
        if embedded:
            return [ok("store", "embedded: the gateway starts it and sets it up")]
        return [_unreached(unreached)]
    finally:
        await calls.close()
    return [_found(one) for one in survey.judged(info, watched=watched(url))]


def _unreached(error: Fault) -> Finding:
    if any(word in str(error) for word in _LOGIN):
        return fault("store", "refuses the user or the password", REMEDIES["login"], ANCHOR)
    return fault("store", f"does not answer: {error}", REMEDIES["store"], ANCHOR)


def _found(one: survey.Judgement) -> Finding:
    what = {"version": "store", "role": "store's role"}.get(one.setting, one.setting)
    if not one.remedy:
        return ok(what, f"answers: {one.value}" if what == "store" else one.value)
    return (fault if one.grave else warning)(what, one.value, one.remedy, ANCHOR)
