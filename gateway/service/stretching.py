"""How much longer than price lists reckon with an SMS becomes, by what its caller wants shown in it."""

from __future__ import annotations

from channels.contract import Channel
from channels.wording import Terms, word
from channels.wording.gsm7 import segments
from gateway.service.messages import terms
from gateway.service.requests import Start
from gateway.service.setup import Setup
from policies.engine import Policy

_LONGEST_CODE = "0" * 10
_SHORT_DOMAIN = 32
"""Characters of a domain that fits one part beside the shortest text, in any alphabet."""


def stretch(setup: Setup, policy: Policy, request: Start) -> int:
    """As how many messages its SMS is paid for, rounded up; 1 where it fits the parts that price lists reckon with.
    Wording is shortened to fit, but a context, a long domain and an operator's own text are sent as they are."""
    if not (request.context or len(request.domain) > _SHORT_DOMAIN or "sms" in setup.apps[request.app].templates):
        return 1
    asked = _terms(setup, policy, request)
    text = word(Channel.SMS, _LONGEST_CODE, asked.brief(request.context)).text
    return -(-segments(text) // asked.max_segments)


def _terms(setup: Setup, policy: Policy, request: Start) -> Terms:
    return terms(
        setup,
        request.app,
        Channel.SMS,
        policy.code.expiry // 1000,
        request.locale or setup.apps[request.app].locale,
        request.purpose,
        request.domain,
        request.app_hash,
    )
