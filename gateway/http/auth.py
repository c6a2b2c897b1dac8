"""Who asks: an API key in the Authorization header, known only by its hash."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from starlette.requests import Request

from gateway.core.keys import api_key_hash
from gateway.http import headers
from gateway.http.call import Asked
from gateway.http.problems import unauthenticated
from gateway.http.surface import Surface


def app_of(surface: Surface, request: Asked) -> str:
    """The app whose key the request carries. Raises the problem unauthenticated.

    A look-up by the hash needs no comparison in constant time: its timing tells of the hash, from which no key follows.
    """
    scheme, _, key = headers.first(request, b"authorization").partition(" ")
    app = surface.api_keys.get(api_key_hash(key.strip())) if scheme.lower() == "bearer" else None
    if app is None:
        raise unauthenticated()
    return app


def peer(request: Request, trusted: tuple[str, ...]) -> str:
    """The address that the request came from, for logs: the last hop that is none of our own proxies. What stands
    before it in X-Forwarded-For was written by that hop and may be made up."""
    hops = [hop.strip() for line in headers.every(request, b"x-forwarded-for") for hop in line.split(",")]
    address = request.client.host if request.client else ""
    while hops and _is_in(address, trusted):
        address = hops.pop()
    return address if _is_address(address) else ""


def _is_in(address: str, networks: tuple[str, ...]) -> bool:
    return _is_address(address) and any(ip_address(address) in ip_network(network) for network in networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
