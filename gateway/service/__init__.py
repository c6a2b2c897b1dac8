"""The use-cases: start, read, check, resend, cancel, events, report, and what is due."""

from gateway.service.engine import Engine
from gateway.service.setup import App, Setup
from gateway.service.verifications import Verifications

__all__ = ["App", "Engine", "Setup", "Verifications"]
