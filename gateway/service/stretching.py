"""How much longer than price lists reckon with an SMS becomes, by what its caller wants shown in it."""

from __future__ import annotations

from channels.contract import Channel
from channels.wording import Brief, word
from channels.wording.gsm7 import segments
from gateway.service.requests import Start
from gateway.service.setup import App, Setup
from policies.engine import Policy

_LONGEST_CODE = "0" * 10
_SHORT_DOMAIN = 32
"""Characters of a domain that fits one part beside the shortest text, in any alphabet."""


def stretch(setup: Setup, policy: Policy, request: Start) -> int:
    """As how many messages its SMS is paid for, rounded up; 1 where it fits the parts that price lists reckon with.
    Wording is shortened to fit, but a context, a long domain and an operator's own text are sent as they are."""
    app = setup.apps[request.app]
    if not (request.context or len(request.domain) > _SHORT_DOMAIN or "sms" in app.templates):
        return 1
    most = setup.segments.get(Channel.SMS, 1)
    return -(-segments(word(Channel.SMS, _LONGEST_CODE, _brief(app, policy, request, most)).text) // most)


def _brief(app: App, policy: Policy, request: Start, most: int) -> Brief:
    return Brief(
        brand=app.brand,
        locale=request.locale or app.locale,
        expires_in=policy.code.expiry // 1000,
        purpose=request.purpose,
        context=request.context,
        domain=request.domain,
        app_hash=request.app_hash,
        max_segments=most,
        templates=app.templates,
    )
