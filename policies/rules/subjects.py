"""Whom a question is about: the values that limits count by and that watches look at."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from policies.model import Question

_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!\Z)|\Z)){4}")


def of(question: Question) -> dict[str, str]:
    """Every value by its name; "" for what the question does not say, or not so that it can be read."""
    phone, email = question.phone, question.email
    ip = network(question.ip) if question.ip else ""
    return {
        "phone": phone.e164 if phone else "",
        "email": email.key if email else "",
        "prefix": phone.prefix if phone else "",
        "range": phone.range if phone else "",
        "country": phone.country if phone else "",
        "app": question.app,
        "ip": ip,
        "network": _around(ip),
        "device": question.device,
        "everything": "",
    }


def neighbourhood(ip: str) -> str:
    """What an address was probably rented with: an IPv4 /24, the smallest that the internet routes, or the /48 that
    a site is given (RFC 6177 §2). "" as for `network`."""
    return _around(network(ip))


def _around(client: str) -> str:
    if "." in client:
        return f"{client.rpartition('.')[0]}.0/24"
    return f"{IPv6Address(int(IPv6Address(client.partition('/')[0])) >> 80 << 80)}/48" if client else ""


def network(ip: str) -> str:
    """What one client is: an IPv4 address, or the /64 of an IPv6 one, which is what a single line is given (RFC 6177
    §2, RFC 7421 §1). An IPv4 address dressed as IPv6 is IPv4. No address, or none that can be read, is ""."""
    return ip if _IPV4.fullmatch(ip) else _network(ip)  # the library takes eight times as long over most addresses


@lru_cache(maxsize=4096)
def _network(ip: str) -> str:
    try:
        address: IPv4Address | IPv6Address = ip_address(ip)
    except ValueError:
        return ""
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
